"""One entry for every solver, and the exact gradient of the solution.

    z_t = f(z_{t-1}, u_t; theta),    t = 1..T,    z_0 given

The gradient never runs through the iterations. At the solution the implicit-function theorem gives, with
`g_t = dL/dz_t` and `J_t = df/dz` at `z_{t-1}`,

    l_t = g_t + J_{t+1}^T l_{t+1}                 one reverse affine recurrence
    dL/dtheta = sum_t (df_t/dtheta)^T l_t         one batched vector-Jacobian product

(arXiv 2309.12252, section 3.1; any textbook on adjoint methods). Approximations in a solver steer the path of its
iteration, never this. Differentiation is reverse mode, first order. Where one step after the other is short, the same
gradient comes from the loop itself (`Solver.differentiates_scan`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from .._checks import docs_url
from ._auto import Auto
from ._base import Iterative, Problem, Solver, SolverResult, largest
from ._newton import DEER
from ._sequential import Sequential

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = ["Solution", "Status", "iterates", "solve"]


class Status(enum.IntEnum):
    """How a solve ended. `Status(k).advice` says in one sentence what to try."""

    CONVERGED = 0
    OUT_OF_ITERATIONS = 1
    NONFINITE = 2

    @property
    def advice(self) -> str:
        """One sentence: what happened and what to try."""
        return _ADVICE[self]


_ADVICE = {
    Status.CONVERGED: "the states satisfy the recurrence to tolerance",
    Status.OUT_OF_ITERATIONS: "the states do not satisfy the recurrence yet; raise alpha, raise max_iterations, "
    f"start from the teacher signal (guess=), or use gtfdeer.solvers.Sequential() "
    f"({docs_url('the-solve-did-not-converge')})",
    Status.NONFINITE: "the iteration or the map itself overflowed; raise alpha, start from the teacher signal "
    f"(guess=), use float64, or see with gtfdeer.solvers.Sequential() whether the map itself blows up "
    f"({docs_url('not-finite')})",
}


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["states", "code", "iterations", "residual", "fallback"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Solution:
    """A trajectory and how far to trust it.

    Attributes:
        states: `(T, M)`, `states[t] = step(states[t-1], inputs[t])` where `status` is CONVERGED.
        code: the status as an integer array (batched under `vmap`).
        iterations: how many the solver did.
        residual: `max_t |z_t - f(z_{t-1}, u_t)|` of the returned states. `Shooting` computes it where its windows meet:
            inside a window every state is the step of the one before by construction.
        fallback: whether `Auto` computed it step by step, after what it had chosen failed.
    """

    states: Float[Array, "time latent"]
    code: Int[Array, ""]
    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    fallback: Bool[Array, ""] = field(default_factory=lambda: jnp.asarray(False))

    @property
    def status(self) -> Any:
        """A `Status`; under `jit` and for batches the integer array."""
        concrete = not isinstance(self.code, Tracer) and jnp.ndim(self.code) == 0
        return Status(int(self.code)) if concrete else self.code


def solve(
    step: Callable[[Any, Any], Any],
    z0: Float[Array | np.ndarray, " latent"],
    inputs: PyTree,
    *,
    solver: Solver | None = None,
    guess: Float[Array | np.ndarray, "time latent"] | None = None,
    jacobian: Callable[[Any, Any], Any] | None = None,
) -> Solution:
    """Solve `states[t] = step(states[t-1], inputs[t])` for all t, `states[-1]` meaning `z0`.

    Works under `jit`, `vmap` and reverse-mode `grad`, with respect to `z0`, `inputs` and whatever `step` closes
    over. The guess gets no gradient. Called many times with new shapes or outside `jit`, each call compiles anew.

    Args:
        step: any differentiable `(M,), u -> (M,)`.
        z0: `(M,)`, float32 or float64.
        inputs: array or pytree of arrays, each with T entries along its first axis.
        solver: from `gtfdeer.solvers`; by default `Auto()`.
        guess: `(T, M)` first iterate, the teacher signal if there is one; by default `z0`, repeated.
        jacobian: `step`'s Jacobian, `(M,), u -> (M, M)`, or a diagonal one `(M,)`, where it is known; otherwise
            forward-mode autodiff. It steers the solver: a wrong one costs iterations, never the answer or the gradient.

    Returns:
        A `Solution`: states, status, iterations, residual, and whether `Auto` had to fall back.

    Raises:
        ValueError, TypeError: if shapes, dtypes or the solver do not fit, in one sentence.

    >>> solution = solve(lambda z, u: jnp.cos(z) * u, jnp.zeros(2), jnp.full((100, 2), 0.9))
    >>> solution.states.shape, solution.status.name
    ((100, 2), 'CONVERGED')
    """
    problem, guess, solver = _problem(step, z0, inputs, solver, guess, jacobian)
    return _solved(solver, problem, guess)


def iterates(
    step: Callable[[Any, Any], Any],
    z0: Float[Array | np.ndarray, " latent"],
    inputs: PyTree,
    solver: Solver | None = None,
    guess: Float[Array | np.ndarray, "time latent"] | None = None,
    *,
    jacobian: Callable[[Any, Any], Any] | None = None,
) -> Float[Array, "iterate time latent"]:
    """Every iterate of a solve, `(K, T, M)`, the guess first and the solution last; for pictures, not for speed.

    Iterate k is what the solver holds when it is stopped after k iterations: moves that `ELK` did not accept repeat the
    one before, `Shooting`'s Newton-corrected sweeps are among them. Arguments and errors as in `solve`, but for the
    default solver, which is `DEER()`. The iteration ends where `solve` would end it: K is `solve(...).iterations + 1`.

    Raises:
        TypeError: under `jit`, `vmap` or `grad`, besides what `solve` refuses.

    >>> iterates(lambda z, u: jnp.tanh(z + u), jnp.zeros(1), jnp.ones((50, 1))).shape[1:]
    (50, 1)
    """
    solver = DEER() if solver is None else solver
    problem, guess, solver = _problem(step, z0, inputs, solver, guess, jacobian)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, guess))):
        raise TypeError(
            "iterates cannot run under jit, vmap or grad: only a solve that has run says how many there are; call it "
            "outside of them, one trajectory at a time"
        )
    found, falls_back = [guess], isinstance(solver, Auto)
    if isinstance(solver, Auto):
        length, latent_dim = guess.shape
        solver = solver.choice(length, latent_dim)
    if isinstance(solver, Iterative):
        init, step = jax.jit(solver.init), jax.jit(solver.step)
        state: Any = init(problem, guess)
        while not solver.done(state):
            state = step(problem, state)
            found.append(state.states)
        result = jax.jit(solver.finish)(problem, state)
        found[-1] = result.states
        if result.converged or not falls_back:
            return jnp.stack(found)
    return jnp.stack([*found, jax.jit(Sequential().run)(problem, guess).states])


def _solved(solver: Solver, problem: Problem, guess: Array) -> Solution:
    length, latent_dim = guess.shape
    if solver.differentiates_scan(length, latent_dim, guess.dtype):
        return _verify(problem, solver, solver.run(problem, guess))  # JAX differentiates the loop itself
    result: Any = _trajectory(
        solver,
        problem.pure_step,
        problem.pure_jacobian,
        problem.constants,
        problem.z0,
        problem.inputs,
        guess,
    )
    return _verify(problem, solver, result)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _trajectory(
    solver: Solver, pure_step: Any, pure_jacobian: Any, constants: Any, z0: Any, inputs: Any, guess: Any
) -> Any:
    return solver.run(Problem(pure_step, pure_jacobian, constants, z0, inputs), guess)


def _forward(solver, pure_step, pure_jacobian, constants, z0, inputs, guess):
    result: Any = _trajectory(solver, pure_step, pure_jacobian, constants, z0, inputs, guess)
    return result, (constants, z0, inputs, result)


def _backward(solver, pure_step, pure_jacobian, saved, cotangents):
    constants, z0, inputs, result = saved
    problem = Problem(pure_step, pure_jacobian, constants, z0, inputs)
    of_constants, of_start, of_inputs = solver.gradient(problem, result, cotangents.states)
    return (of_constants, None), of_start, of_inputs, None


_trajectory.defvjp(_forward, _backward)


def _verify(problem: Problem, solver: Solver, result: SolverResult) -> Solution:
    """Convergence is re-checked on the returned states."""
    known, residual = jax.lax.stop_gradient((result.states, result.residual))
    if residual is None:
        residual = largest(jax.lax.stop_gradient(problem).map_steps(known) - known)
    size = largest(known)
    # What was computed step by step needs no proof, which rounding of a large intermediate could spoil; and as long as
    # nobody asks for the residual, the compiler leaves it out.
    finite = jnp.isfinite(size) & (result.exact | jnp.isfinite(residual))
    satisfied = result.exact | (residual <= solver.tolerance(known.dtype) * (1 + size))
    code = jnp.where(finite, jnp.where(satisfied, Status.CONVERGED, Status.OUT_OF_ITERATIONS), Status.NONFINITE)
    return Solution(result.states, code, result.iterations, residual, jnp.asarray(result.fallback))


def _problem(step: Any, z0: Any, inputs: Any, solver: Any, guess: Any, jacobian: Any) -> tuple[Problem, Array, Solver]:
    """Refuse what cannot work, and make everything that `step` closes over an explicit argument."""
    solver = Auto() if solver is None else solver
    if not isinstance(solver, Solver):
        raise TypeError(f"solver is {solver!r}; pass an instance from gtfdeer.solvers, such as gtfdeer.solvers.Auto()")
    z0 = _state(z0)
    inputs = jax.tree.map(jnp.asarray, inputs)
    length = _length(inputs)
    like = jax.tree.map(lambda u: jax.ShapeDtypeStruct(u.shape[1:], u.dtype), inputs)
    pure_step, step_constants = _purify("step", step, z0, like, z0.shape)
    pure_jacobian, jacobian_constants = None, ()
    if jacobian is not None:
        pure_jacobian, jacobian_constants = _purify("jacobian", jacobian, z0, like, 2 * z0.shape, z0.shape)
    problem = Problem(pure_step, pure_jacobian, (step_constants, jacobian_constants), z0, inputs)
    if guess is None:
        guess = jnp.broadcast_to(z0, (length, *z0.shape))
    guess = jax.lax.stop_gradient(jnp.asarray(guess, z0.dtype))
    if guess.shape != (length, *z0.shape):
        raise ValueError(
            f"guess has shape {guess.shape}; pass one state for each of the {length} inputs: {(length, *z0.shape)}"
        )
    return problem, guess, solver


def _state(z0: Any) -> Array:
    if not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(z0)) or len(jax.tree.leaves(z0)) != 1:
        raise TypeError(f"z0 is {type(z0).__name__}; pass one array of shape (M,), several states stacked into one")
    z0 = jnp.asarray(z0)
    if z0.ndim != 1 or not z0.size or z0.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"z0 is {z0.dtype} of shape {z0.shape}; pass float32 or float64 of shape (M,), batches by jax.vmap"
        )
    return jnp.asarray(z0, z0.dtype)


def _length(inputs: PyTree) -> int:
    lengths = {u.shape[0] if u.ndim else None for u in jax.tree.leaves(inputs)}
    if len(lengths) != 1 or None in lengths or 0 in lengths:
        raise ValueError(
            f"inputs have lengths {sorted(map(str, lengths))} along their first axis; pass the same T >= 1 for all "
            "(for a step without inputs: inputs=jnp.zeros((T, 0)))"
        )
    return int(lengths.pop() or 0)


def _purify(name: str, function: Callable, z: Array, u: PyTree, *shapes: tuple[int, ...]) -> tuple[Callable, list]:
    """`function` as a pure function of its constants too: arrays it closes over, tracers among them."""
    jaxpr, out = jax.make_jaxpr(function, return_shape=True)(jax.ShapeDtypeStruct(z.shape, z.dtype), u)
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape not in shapes or out.dtype != z.dtype:
        came = jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", out)
        raise ValueError(
            f"{name} returns {came} for a state {z.dtype}{list(z.shape)}; it must return {z.dtype}{list(shapes[0])}"
        )

    def pure(constants: list, z: Array, u: PyTree) -> Array:
        return jaxpr_as_fun(ClosedJaxpr(jaxpr.jaxpr, constants))(z, *jax.tree.leaves(u))[0]

    return pure, list(jaxpr.consts)
