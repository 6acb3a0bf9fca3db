"""The two halves of the implicit-function gradient, at the solution of `z_t = f(z_{t-1}, u_t; theta)`.

    l_t = g_t + J_{t+1}^T l_{t+1}              `dense_adjoint`, `vjp_adjoint`
    dL/dtheta = sum_t (df_t/dtheta)^T l_t      `gradient_from`

with `g_t = dL/dz_t`. Lim et al., arXiv 2309.12252, section 3.1. `windowed_gradient` does both in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from . import scan
from ._base import Problem, SolverResult, default_tolerance, from_chunks, largest, single_cpu, to_chunks
from ._columns import any_in_batch, batched, in_sum, vmap_last, vmap_last_sum, vmap_last_terms
from ._windows import Windows, window_length

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, PyTree

__all__ = ["dense_adjoint", "gradient_from", "vjp_adjoint", "windowed_gradient"]

_ADJOINT_WALKS = 3  # after which one adjoint step by step costs less


def dense_adjoint(
    problem: Problem, states: Array, cotangents: Array, method: scan.Method
) -> Float[Array, "time latent"]:
    """`l_t = g_t + J_{t+1}^T l_{t+1}` as one reversed affine scan over all Jacobians: `T M^2` numbers of memory.

    A Jacobian that the caller gave may be wrong, or an approximation that is meant to steer the solve only. The answer
    is therefore put back into its equation by vector-Jacobian products, and where it fails they do the work instead.
    """
    J = problem.jacobians(states)
    transposed = J if J.ndim == 2 else jnp.swapaxes(J, 1, 2)
    after = problem.following(transposed, jnp.zeros_like(transposed[0]))
    adjoints = scan.affine(after, cotangents, reverse=True, method=method)
    if problem.pure_jacobian is None:
        return adjoints
    pulled = problem.vjps(states, adjoints)
    residual = largest(cotangents + problem.following(pulled, jnp.zeros_like(pulled[0])) - adjoints)
    wrong = residual > default_tolerance(states.dtype) * largest(adjoints)
    return jax.lax.cond(any_in_batch(wrong), lambda: vjp_adjoint(problem, states, cotangents), lambda: adjoints)


def vjp_adjoint(problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
    """The same recurrence, one vector-Jacobian product a step: `T M` numbers of memory."""

    def back(carry: Array, element: tuple) -> tuple[Array, Array]:
        z, u, g = element
        _, vjp = jax.vjp(lambda z: problem.step(z, u), z)
        adjoint = g + carry
        return vjp(adjoint)[0], adjoint

    elements = (problem.previous(states), problem.inputs, cotangents)
    return jax.lax.scan(back, jnp.zeros_like(problem.z0), elements, reverse=True)[1]


def gradient_from(
    problem: Problem, states: Array, adjoints: Float[Array, "time latent"]
) -> tuple[PyTree, Array, PyTree]:
    """`sum_t (df_t/dtheta)^T l_t`, the start's gradient and, for every t, `(df_t/du_t)^T l_t`, a chunk of time at once.

    What is not a floating-point number (indices, keys) gets None. Stretches whose hidden layers fit into the cache are
    3 to 7 times faster on CPUs than all times at once (measured: T 131072, M 3 and 30), and spare `T H` memory.
    """

    def of_all(constants: PyTree, trajectories: tuple) -> tuple[list, list]:
        def one(trajectory: tuple) -> tuple[list, list]:
            return _chunk_by_chunk(problem.pure_step, constants, *trajectory)

        return jax.lax.map(one, trajectories) if single_cpu() else jax.vmap(one)(trajectories)

    trajectory = (problem.previous(states), problem.inputs, adjoints)
    of_constants, of_inputs = batched(of_all)(problem.constants[0], trajectory)
    rebuild_constants, rebuild_inputs = (_floating(tree)[1] for tree in (problem.constants[0], problem.inputs))
    first = jax.tree.map(lambda u: u[0], problem.inputs)
    of_start = jax.vjp(lambda z: problem.step(z, first), problem.z0)[1](adjoints[0])[0]
    return rebuild_constants(of_constants, None), of_start, rebuild_inputs(of_inputs, None)


def _chunk_by_chunk(
    step: Callable, constants: PyTree, previous: Array, inputs: PyTree, adjoints: Array
) -> tuple[list, list]:
    """The gradients with respect to the floating-point leaves of the constants and of the inputs."""
    constants, rebuild_constants = _floating(constants)
    fixed = [x for x in jax.tree.leaves(inputs) if not _is_floating(x)]
    inputs, rebuild_inputs = _floating(inputs)

    def pull(z: Array, u: list, fixed: list, adjoint: Array) -> tuple[list, list]:
        def image(constants: list, u: list) -> Array:
            return step(rebuild_constants(constants), z, rebuild_inputs(u, fixed))

        return jax.vjp(image, constants, u)[1](adjoint)

    def accumulate(total: list, chunk: tuple) -> tuple[list, list]:
        of_constants, of_inputs = vmap_last_sum(pull)(*jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), chunk))
        return jax.tree.map(jnp.add, total, of_constants), jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), of_inputs)

    chunks, rest = to_chunks((previous, inputs, fixed, adjoints))
    total, of_inputs = jax.lax.scan(accumulate, jax.tree.map(jnp.zeros_like, constants), chunks)
    of_inputs = jax.tree.map(from_chunks, of_inputs)
    if len(rest[0]):
        total, of_rest = accumulate(total, rest)
        of_inputs = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), of_inputs, of_rest)
    return total, of_inputs


def windowed_gradient(
    problem: Problem, result: SolverResult, cotangents: Array, *, length: int | None = None, tol: float
) -> tuple[PyTree, Array, PyTree]:
    """Gradients of constants, start and inputs at the solution, all windows at once.

    The adjoint that enters a window from its right is run in over as many steps as the solve saw the map remember
    (`SolverResult.memory`; a window's, where it saw none), from nothing. Then one walk backwards adds up the gradients.
    What leaves a window must be what entered the next; where it is not, the walk is repeated from there, at last from
    an adjoint step by step.
    """
    tol, summed = min(tol, default_tolerance(result.states.dtype)), in_sum()

    def of_all(constants: PyTree, trajectories: tuple[Array, PyTree, Array, Array, Array]) -> tuple:
        return _walk_back(problem.pure_step, constants, *trajectories, length, tol, summed)

    memory = jnp.asarray(window_length(problem.length) if result.memory is None else result.memory)
    trajectory = problem.z0, problem.inputs, result.states, cotangents, memory
    of_constants, of_start, of_inputs = batched(of_all)(problem.constants[0], trajectory)
    rebuild_constants, rebuild_inputs = (_floating(tree)[1] for tree in (problem.constants[0], problem.inputs))
    return rebuild_constants(of_constants, None), of_start, rebuild_inputs(of_inputs, None)


def _walk_back(
    function: Callable,
    constants: PyTree,
    z0: Array,
    inputs: PyTree,
    states: Array,
    cotangents: Array,
    memory: Int[Array, " batch"],
    length: int | None,
    tol: float,
    summed: bool,
) -> tuple[list, Array, list]:
    """The gradients of floating-point leaves for each trajectory; summed, those of constants all at the first."""
    batch, steps, _ = cotangents.shape
    w = Windows(batch, steps, min(steps, length or window_length(steps, batch)))
    constants, rebuild_constants = _floating(constants)
    fixed = [x for x in jax.tree.leaves(inputs) if not _is_floating(x)]
    floating, rebuild_inputs = _floating(inputs)
    before = jnp.concatenate([z0[:, None], states[:, :-1]], axis=1)
    g = w.split(jnp.pad(cotangents, ((0, 0), (0, w.each * w.length - steps), (0, 0))))
    rows = *jax.tree.map(w.split, (before, floating, fixed)), g

    def pull_state(z: Array, u: list, fixed: list, adjoint: Array) -> Array:
        return jax.vjp(lambda z: function(rebuild_constants(constants), z, rebuild_inputs(u, fixed)), z)[1](adjoint)[0]

    def pull(z: Array, u: list, fixed: list, adjoint: Array) -> tuple[list, tuple[Array, list]]:
        def image(constants: list, z: Array, u: list) -> Array:
            return function(rebuild_constants(constants), z, rebuild_inputs(u, fixed))

        of_constants, of_z, of_u = jax.vjp(image, constants, z, u)[1](adjoint)
        return of_constants, (of_z, of_u)

    def run_in(i: Array, entering: Array) -> Array:
        row = (longest - 1 - i) % w.length
        *known, g = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, row, keepdims=False), rows)
        leaving = vmap_last(pull_state)(*known, entering + g)
        return jnp.where(row == 0, w.before(leaving), leaving)

    def one(carry: tuple[Array, list], row: tuple) -> tuple[tuple[Array, list], list]:
        entering, of_constants = carry
        *known, g = row
        terms, add, (of_z, of_u) = vmap_last_terms(pull, *known, entering + g)
        more = add(terms) if summed or not terms else jax.vmap(add, in_axes=-2)([w.by_trajectory(x) for x in terms])
        return (of_z, jax.tree.map(jnp.add, of_constants, more)), of_u

    def step_by_step() -> Array:
        def entering(z0: Array, inputs: PyTree, states: Array, cotangents: Array) -> Array:
            problem = Problem(function, None, (rebuild_constants(constants), ()), z0, inputs)
            return vjp_adjoint(problem, states, cotangents) - cotangents

        at_ends = jax.vmap(entering)(z0, inputs, states, cotangents)[:, w.length - 1 :: w.length]
        at_ends = jnp.pad(at_ends, ((0, 0), (0, w.each - at_ends.shape[1]), (0, 0)))
        return jnp.moveaxis(at_ends, -1, 0).reshape(entering_nothing.shape)

    def walk(carry: tuple) -> tuple:
        count, entering, *_ = carry
        entering = jax.lax.cond(count == _ADJOINT_WALKS, step_by_step, lambda: entering)
        (leaving, of_constants), of_inputs = jax.lax.scan(one, (entering, nothing), rows, reverse=True)
        left = w.before(leaving)
        off, size = w.largest(left - entering), w.largest(left)
        return count + 1, left, off > tol * size, of_constants, w.by_trajectory(leaving)[..., 0].T, of_inputs

    def unsettled(carry: tuple) -> Array:
        count, _, off, *_ = carry
        return any_in_batch((count == 0) | jnp.any(off) & (count <= _ADJOINT_WALKS))

    longest = jnp.max(memory)
    nothing = [jnp.zeros(x.shape if summed else (batch, *x.shape), x.dtype) for x in constants]
    entering_nothing = jnp.zeros_like(g[0])
    entering = jax.lax.fori_loop(0, longest, run_in, entering_nothing)
    begin = (
        jnp.asarray(0),
        entering,
        jnp.ones(batch, bool),
        nothing,
        jnp.zeros_like(z0),
        jax.tree.map(jnp.zeros_like, rows[1]),
    )
    *_, of_constants, of_start, of_inputs = jax.lax.while_loop(unsettled, walk, begin)
    if summed:
        of_constants = [jnp.zeros((batch, *x.shape), x.dtype).at[0].set(x) for x in of_constants]
    return of_constants, of_start, [w.join(x) for x in of_inputs]


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _floating(tree: PyTree) -> tuple[list, Any]:
    """The floating-point leaves, and how to put the tree together again around new ones.

    `rebuild(leaves)` keeps the other leaves, `rebuild(leaves, others)` exchanges them too, and
    `rebuild(leaves, None)` puts None for each.
    """
    leaves, structure = jax.tree.flatten(tree)
    own = [x for x in leaves if not _is_floating(x)]
    places = [_is_floating(x) for x in leaves]

    def rebuild(floating: list, others: list | None = own) -> PyTree:
        first = iter(floating)
        second = iter(others if others is not None else [None] * len(own))
        return jax.tree.unflatten(structure, [next(first) if place else next(second) for place in places])

    return [x for x in leaves if _is_floating(x)], rebuild
