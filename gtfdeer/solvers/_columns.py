"""Batches: a function of vectors applied to the columns of matrices, and what a batch under `vmap` does in one call.

    Y = [f(x_1), .., f(x_C)],    X = [x_1, .., x_C]

`vmap_last(f)` means `jax.vmap(f, in_axes=-1, out_axes=-1)`. The difference is where the columns lie: `vmap` moves
them to the front at the first sum with something that all columns share, here they stay innermost in memory, so that
`W x` becomes one product `W X` and everything else one loop along a row. With hundreds of columns XLA is faster on
CPUs that way: a step of a shPLRNN with 256 columns 1.8 times (M 3, H 50) and 1.5 times (M 30, H 200), the gradient with
respect to its parameters 1.7 and 1.6 times (measured, 2 cores).

f is taken apart into JAX's primitives. Those that recurrent networks are made of have a rule below; `vmap` does the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn
    from jaxtyping import Array, PyTree

__all__ = ["SUMMED", "any_in_batch", "batched", "in_sum", "vmap_last", "vmap_last_sum", "vmap_last_terms"]

SUMMED = "gtfdeer.solvers.SUMMED"
"""The `axis_name` for a `jax.vmap` over trajectories whose gradients are only wanted as their sum, inside a `jax.grad`.

One product then takes the place of one for each of them. What `jax.grad` finds for what they share is the same; single
terms of that sum, as `vmap(grad(..), axis_name=SUMMED)` shows them, mean nothing.
"""

_ARITHMETIC = {"abs", "add", "div", "max", "min", "mul", "neg", "pow", "rem", "sign", "square", "sub"}
_FUNCTIONS = {"atan2", "cos", "erf", "exp", "exp2", "expm1", "integer_pow", "log", "log1p", "logistic"}
_FUNCTIONS |= {"rsqrt", "sin", "sqrt", "tanh"}
_COMPARISONS = {"and", "eq", "ge", "gt", "is_finite", "le", "lt", "ne", "not", "or", "xor"}
_ENTRYWISE = _ARITHMETIC | _FUNCTIONS | _COMPARISONS | {"add_any", "clamp", "convert_element_type", "copy", "select_n"}


@jax.custom_batching.custom_vmap
def any_in_batch(condition: Array) -> Array:
    """Return the condition; under `vmap` whether it holds for any member of the batch, the same for all.

    Without it `vmap` makes a loop choose, every time round and for its whole state, between old and new.
    """
    return condition


@any_in_batch.def_vmap
def _of_a_batch(axis_size: int, in_batched: list, condition: Array) -> tuple[Array, bool]:
    return any_in_batch(jnp.any(condition)), False


def in_sum() -> bool:
    """Whether this is traced for a batch that is named `SUMMED`."""
    try:
        jax.lax.axis_index(SUMMED)
    except NameError:
        return False
    return True


def batched(function: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
    """A function of one trajectory from `function(common, trajectories)` of many, B along the first axis.

    Under `vmap` the whole batch goes to `function` in one call, unless its members differ in what is common to them.

    >>> summed = batched(lambda common, x: (x + common).sum(axis=1))
    >>> jax.vmap(summed, in_axes=(None, 0))(1.0, jnp.ones((2, 3)))
    Array([6., 6.], dtype=float32)
    """

    @jax.custom_batching.custom_vmap
    def many(common: PyTree, trajectories: PyTree) -> PyTree:
        return function(common, trajectories)

    @many.def_vmap
    def more(size: int, in_batched: list, common: PyTree, trajectories: PyTree) -> tuple[PyTree, PyTree]:
        if any(jax.tree.leaves(in_batched[0])):
            axes = jax.tree.map(lambda mapped: 0 if mapped else None, tuple(in_batched))
            found = jax.vmap(function, in_axes=axes)(common, trajectories)
            return found, jax.tree.map(lambda _: True, found)

        def whole(x: Array, mapped: bool) -> Array:
            x = x if mapped else jnp.broadcast_to(x, (size, *x.shape))
            return x.reshape(size * x.shape[1], *x.shape[2:])

        found = many(common, jax.tree.map(whole, trajectories, in_batched[1]))
        found = jax.tree.map(lambda x: x.reshape(size, len(x) // size, *x.shape[1:]), found)
        return found, jax.tree.map(lambda _: True, found)

    def one(common: PyTree, trajectory: PyTree) -> PyTree:
        found = many(common, jax.tree.map(lambda x: x[None], trajectory))
        return jax.tree.map(lambda x: x[0], found)

    return one


def vmap_last(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`function` of `(..., C)` arrays, column by column; pytrees in and out, as `function` has them.

    >>> vmap_last(lambda x, u: jnp.array([[0.0, 1.0], [2.0, 0.0]]) @ x + u)(jnp.eye(2), jnp.ones((2, 2)))
    Array([[1., 2.],
           [3., 1.]], dtype=float32)
    """

    def many(*arguments: PyTree) -> PyTree:
        evaluation, structure = _Evaluation.of(function, arguments)
        return jax.tree.unflatten(structure, [evaluation.each(v) for v in evaluation.outputs])

    return many


def vmap_last_terms(function: Callable[..., tuple[PyTree, PyTree]], *arguments: PyTree) -> tuple[list, Any, PyTree]:
    """As `vmap_last`, for a function with two results, of which the first is to be summed over columns, later.

    Returns:
        terms: arrays `(..., C)` that determine the sum, such as the factors `a` and `b` of outer products `a b^T`.
        add: the sum from the terms; also from those of several calls, side by side along the last axis.
        second: the second result, `(..., C)`.
    """
    evaluation, structure = _Evaluation.of(function, arguments)
    first, second = jax.tree.unflatten(structure, evaluation.outputs)
    terms: list[Array] = []
    adders = jax.tree.map(partial(evaluation.sum_later, terms), first)

    def add(terms: list[Array]) -> PyTree:
        return jax.tree.map(lambda adder: adder(terms), adders)

    return terms, add, jax.tree.map(evaluation.each, second)


def vmap_last_sum(function: Callable[..., tuple[PyTree, PyTree]]) -> Callable[..., tuple[PyTree, PyTree]]:
    """As `vmap_last`, for a function with two results, of which the first is summed over all columns.

    Outer products, as gradients with respect to matrices have them, become one product:
    `sum_c a_c b_c^T = A B^T`.

    >>> vmap_last_sum(lambda a, b: (jnp.outer(a, b), a + b))(jnp.ones((2, 5)), jnp.ones((2, 5)))[0]
    Array([[5., 5.],
           [5., 5.]], dtype=float32)
    """

    def many(*arguments: PyTree) -> tuple[PyTree, PyTree]:
        terms, add, second = vmap_last_terms(function, *arguments)
        return add(terms), second

    return many


class _Value:
    """An intermediate result: of all columns, or one that they share."""

    def __init__(self, array: Any, each: bool = False) -> None:
        self.array, self.each = array, each


class _Evaluation:
    """What every variable of a function is, for all columns."""

    def __init__(self, jaxpr: Jaxpr, constants: list[_Value], arguments: list[_Value], count: int) -> None:
        self.count, self.outputs = count, jaxpr.outvars
        self._made_by = {v: equation for equation in jaxpr.eqns for v in equation.outvars}
        self._known = dict(zip(jaxpr.constvars, constants, strict=True)) | dict(
            zip(jaxpr.invars, arguments, strict=True)
        )
        for equation in jaxpr.eqns:
            found = _apply(equation, [self.value(v) for v in equation.invars])
            self._known.update(zip(equation.outvars, found, strict=True))

    @classmethod
    def of(cls, function: Callable, arguments: tuple) -> tuple[_Evaluation, Any]:
        """The evaluation, and the structure of what comes out."""
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[:-1], x.dtype), arguments)
        closed, out = jax.make_jaxpr(function, return_shape=True)(*one)
        leaves = jax.tree.leaves(arguments)
        constants, given = [_Value(x) for x in closed.consts], [_Value(x, True) for x in leaves]
        return cls(closed.jaxpr, constants, given, leaves[0].shape[-1]), jax.tree.structure(out)

    def value(self, variable: Any) -> _Value:
        return _Value(variable.val) if isinstance(variable, Literal) else self._known[variable]

    def each(self, variable: Any) -> Array:
        """One entry a column."""
        return _spread(self.value(variable), self.count)

    def sum_later(self, terms: list[Array], variable: Any) -> Callable[[list[Array]], Array]:
        """Append what the sum over all columns needs to `terms`; the sum as a function of such terms.

        It is taken as early as linear operations allow.
        """
        equation = None if isinstance(variable, Literal) else self._made_by.get(variable)
        name = "" if equation is None else equation.primitive.name
        place = len(terms)
        if equation is not None:
            if name == "broadcast_in_dim" and isinstance(zero := equation.invars[0], Literal) and not zero.val:
                aval: Any = variable.aval  # no gradient: zeros, however many columns
                return lambda _: jnp.zeros(aval.shape, aval.dtype)
            if name == "dot_general" and not any(map(any, equation.params["dimension_numbers"])):
                operands = [self.each(v) for v in equation.invars]
                terms.extend(operands)
                along = tuple((x.ndim - 1,) for x in operands), ((), ())
                return lambda terms: _bind(equation, terms[place : place + 2], {"dimension_numbers": along})[0].array
            if name in ("add_any", "transpose", "reshape", "convert_element_type"):
                adders = [self.sum_later(terms, v) for v in equation.invars]
                return lambda terms: _bind(equation, [adder(terms) for adder in adders])[0].array
        terms.append(self.each(variable))
        return lambda terms: jnp.sum(terms[place], axis=-1)


def _spread(value: _Value, count: int) -> Array:
    if value.each:
        return value.array
    shared = jnp.asarray(value.array)
    return jax.lax.broadcast_in_dim(shared, (*shared.shape, count), range(shared.ndim))


def _apply(equation: JaxprEqn, values: list[_Value]) -> list[_Value]:
    """One primitive; the rules know it by name."""
    name, params = equation.primitive.name, equation.params
    if not any(value.each for value in values):
        return _bind(equation, [value.array for value in values], each=False)
    count = next(value.array.shape[-1] for value in values if value.each)
    if name in ("jit", "pjit"):
        inner = _Evaluation(params["jaxpr"].jaxpr, [_Value(x) for x in params["jaxpr"].consts], values, count)
        return [inner.value(v) for v in inner.outputs]
    if name in _ENTRYWISE:
        return _bind(equation, _alike(equation, values, count))
    if name == "dot_general" and (operands := _as_product(equation, values)):
        return _bind(equation, *operands)
    if name == "concatenate":
        return _bind(equation, [_spread(value, count) for value in values])
    if name in _ALONG and len(values) == 1:
        return _bind(equation, [values[0].array], _ALONG[name](equation, count))
    places = [-1 if value.each else None for value in values]
    mapped = jax.vmap(lambda *x: [v.array for v in _bind(equation, list(x))], in_axes=places, out_axes=-1)
    return [_Value(x, True) for x in mapped(*(value.array for value in values))]


def _bind(equation: JaxprEqn, arrays: list, params: dict | None = None, *, each: bool = True) -> list[_Value]:
    bound: Any = equation.primitive.get_bind_params(equation.params | (params or {}))
    functions, named = bound if isinstance(bound, tuple) else ((), bound)  # until jax 0.9, and since
    found = equation.primitive.bind(*functions, *arrays, **named)
    return [_Value(x, each) for x in (found if equation.primitive.multiple_results else [found])]


def _shape(variable: Any) -> tuple[int, ...]:
    """Of one column."""
    return variable.aval.shape


# --- Rules: what becomes of a primitive whose operands have one axis more, the last. ---


def _alike(equation: JaxprEqn, values: list[_Value], count: int) -> list:
    """Operands of one shape, `(..., C)`; numbers that all columns share stay numbers where that is allowed."""
    shape = (*_shape(equation.outvars[0]), count)
    numbers_stay = equation.primitive.name not in ("clamp", "select_n")

    def alike(value: _Value) -> Any:
        x = value.array
        if not value.each:
            if numbers_stay and jnp.ndim(x) == 0:
                return x
            x = jnp.expand_dims(x, -1)
        missing = (1,) * (len(shape) - jnp.ndim(x))  # a number for each column, beside vectors
        return jnp.broadcast_to(jnp.reshape(x, (*missing, *jnp.shape(x))), shape)

    return [alike(value) for value in values]


def _as_product(equation: JaxprEqn, values: list[_Value]) -> tuple[list, dict] | None:
    """`W X` of a matrix that all columns share and a vector of each; None for other products."""
    (left, right), ((along_left, along_right), batch) = values, equation.params["dimension_numbers"]
    if (left.each and right.each) or any(batch):
        return None
    if right.each:
        return [left.array, right.array], {}
    vector_on_the_left = len(_shape(equation.invars[0])) == len(along_left)
    if not vector_on_the_left:
        return None
    return [right.array, left.array], {"dimension_numbers": ((along_right, along_left), batch)}


_ALONG: dict[str, Callable[[JaxprEqn, int], dict[str, Any]]] = {
    "broadcast_in_dim": lambda equation, count: {
        "shape": (*equation.params["shape"], count),
        "broadcast_dimensions": (*equation.params["broadcast_dimensions"], len(equation.params["shape"])),
    },
    "reshape": lambda equation, count: {"new_sizes": (*equation.params["new_sizes"], count)},
    "reduce_max": lambda equation, count: {},
    "reduce_sum": lambda equation, count: {},
    "slice": lambda equation, count: {
        "start_indices": (*equation.params["start_indices"], 0),
        "limit_indices": (*equation.params["limit_indices"], count),
        "strides": None if equation.params["strides"] is None else (*equation.params["strides"], 1),
    },
    "squeeze": lambda equation, count: {},
    "transpose": lambda equation, count: {
        "permutation": (*equation.params["permutation"], len(equation.params["permutation"]))
    },
}
