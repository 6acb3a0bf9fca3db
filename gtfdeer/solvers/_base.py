"""What every solver works on, and what it has to answer.

The problem is one nonlinear recurrence, written as a system of T equations for the whole trajectory:

    z_t = f(z_{t-1}, u_t),    t = 1..T,    z_0 given;        r_t(z) = f(z_{t-1}, u_t) - z_t = 0

A solver is a frozen dataclass. It runs a whole solve, and gives the gradient at the solution; one that iterates does so
by `init`, `step` and `done`, in one loop for all of them. Solvers know no model and no forcing.

    state = solver.init(problem, guess)
    while not solver.done(state):
        state = solver.step(problem, state)          # state.states is the iterate, (T, M)
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._checks import real, whole
from ._columns import any_in_batch, batched, vmap_last
from .scan import on_cpu

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = [
    "Iterative",
    "Problem",
    "Solver",
    "SolverResult",
    "check_cap",
    "chunk_size",
    "default_tolerance",
    "from_chunks",
    "iterate",
    "largest",
    "rounding",
    "single_cpu",
    "to_chunks",
    "tolerance_for",
]


_FOR_JACOBIANS = 4096  # time steps whose Jacobians are one product, large enough for all cores of a CPU


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["constants", "z0", "inputs"],
    meta_fields=["pure_step", "pure_jacobian"],
)
@dataclass(frozen=True)
class Problem:
    """One recurrence: a pure step, what it closes over, where it starts, what enters from outside."""

    pure_step: Callable[[PyTree, Array, PyTree], Array]
    pure_jacobian: Callable[[PyTree, Array, PyTree], Array] | None
    constants: tuple[PyTree, PyTree]
    z0: Float[Array, " latent"]
    inputs: PyTree
    length: int = field(init=False)

    def __post_init__(self) -> None:
        leaves = jax.tree.leaves(self.inputs)
        object.__setattr__(self, "length", jnp.shape(leaves[0])[0] if leaves and jnp.ndim(leaves[0]) else 0)

    def step(self, z: Float[Array, " latent"], u: Any) -> Float[Array, " latent"]:
        """`f(z, u)`."""
        return self.pure_step(self.constants[0], z, u)

    def previous(self, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        """`z_0, z_1, .., z_{T-1}`: the states that the steps start from."""
        return jnp.concatenate([self.z0[None], states[:-1]])

    def following(self, x: Array, last: Array) -> Array:
        """`x_2, .., x_T, last`: what belongs to the next step."""
        return jnp.concatenate([x[1:], last[None]])

    def map_steps(self, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        """`f(z_{t-1}, u_t)` for all t at once."""
        return _for_all_times(self.pure_step, self.constants[0], self.previous(states), self.inputs)

    def jacobians(self, states: Float[Array, "time latent"]) -> Float[Array, "time latent latent"]:
        """`J_t = df/dz` at `z_{t-1}` for all t at once; `(T, M)` where they were given as diagonal."""
        jacobian, constants = self._jacobian()
        size = max(chunk_size(), _FOR_JACOBIANS)
        return _for_all_times(jacobian, constants, self.previous(states), self.inputs, size)

    def diagonals(self, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        """The diagonals of `J_t` for all t at once; where no Jacobian was given, one direction at a time."""
        jacobian, constants = self._jacobian()

        def diagonal(constants: PyTree, z: Array, u: PyTree) -> Array:
            if self.pure_jacobian is not None:
                J = jacobian(constants, z, u)
                return J if J.ndim == 1 else jnp.diagonal(J)

            def entry(e: Array) -> Array:
                return jnp.vdot(e, jax.jvp(lambda z: self.pure_step(constants, z, u), (z,), (e,))[1])

            return jax.lax.map(entry, jnp.eye(z.size, dtype=z.dtype))

        return _for_all_times(diagonal, constants, self.previous(states), self.inputs)

    def vjps(
        self, states: Float[Array, "time latent"], adjoints: Float[Array, "time latent"]
    ) -> Float[Array, "time latent"]:
        """`J_t^T l_t` for all t at once, by vector-Jacobian products."""

        def pullback(constants: PyTree, z: Array, u_and_adjoint: tuple) -> Array:
            u, adjoint = u_and_adjoint
            return jax.vjp(lambda z: self.pure_step(constants, z, u), z)[1](adjoint)[0]

        return _for_all_times(pullback, self.constants[0], self.previous(states), (self.inputs, adjoints))

    def _jacobian(self) -> tuple[Callable[[PyTree, Array, PyTree], Array], PyTree]:
        if self.pure_jacobian is None:
            return jax.jacfwd(self.pure_step, argnums=1), self.constants[0]
        return self.pure_jacobian, self.constants[1]


class SolverResult(NamedTuple):
    """Where a solver ended."""

    states: Float[Array, "time latent"]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]
    """The solver's own flag; `solve` re-checks it."""
    residual: Float[Array, ""] | None = None
    """`max |f(z_{t-1}, u_t) - z_t|` of these states where the solver knows it; otherwise `solve` computes it."""
    exact: Bool[Array, ""] | bool = False
    """Whether it was computed step by step, so that it satisfies its equation by construction."""
    fallback: Bool[Array, ""] | bool = False
    """Whether it was, after the solver that had been chosen for the problem failed."""
    memory: Int[Array, ""] | None = None
    """After how many steps an error was forgotten, where the solver saw it."""


class Solver(abc.ABC):
    """A way to solve `z_t = f(z_{t-1}, u_t)` for all t; its settings are the fields of a frozen dataclass."""

    @abc.abstractmethod
    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> SolverResult:
        """Return the result of a whole solve, from the first iterate `(T, M)` on."""

    @abc.abstractmethod
    def gradient(
        self, problem: Problem, result: SolverResult, cotangents: Float[Array, "time latent"]
    ) -> tuple[PyTree, Array, PyTree]:
        """Return the gradients of constants, start and inputs from that of `result.states`; exact for every solver."""

    @abc.abstractmethod
    def tolerance(self, dtype: Any) -> float:
        """Return the relative residual up to which a trajectory counts as converged."""

    def differentiates_scan(self, length: int, latent_dim: int, dtype: Any) -> bool:
        """Whether the gradient goes back through the loop itself, which then keeps what each step computed."""
        return False


class Iterative(Solver):
    """A solver that improves a whole trajectory until nothing is left to improve.

    Its state is a pytree with the present iterate, `state.states` `(T, M)`, and the count, `state.iterations`.
    """

    @abc.abstractmethod
    def init(self, problem: Problem, guess: Float[Array, "time latent"]) -> Any:
        """Return the state before the first iteration."""

    @abc.abstractmethod
    def step(self, problem: Problem, state: Any) -> Any:
        """Return the state after one iteration."""

    @abc.abstractmethod
    def done(self, state: Any) -> Bool[Array, ""]:
        """Whether it has converged, met its cap, or overflowed."""

    @abc.abstractmethod
    def finish(self, problem: Problem, state: Any) -> SolverResult:
        """Return the result of the last state."""


def iterate(step: Callable[[Any], Any], done: Callable[[Any], Array], state: Any) -> Any:
    """Step until done; under `vmap` until all members of the batch are."""
    return jax.lax.while_loop(lambda state: any_in_batch(~done(state)), step, state)


def chunk_size() -> int:
    """Time steps that are worked on at once: as many as fit into a cache on CPUs, as fill the device elsewhere."""
    return 256 if on_cpu() else 65_536


def to_chunks(elements: PyTree, size: int | None = None) -> tuple[PyTree, PyTree]:
    """`(T, ..)` as chunks `(K, S, ..)`, by default of `chunk_size()`, and the rest, which fills none."""
    length = len(jax.tree.leaves(elements)[0])
    size = min(length, size or chunk_size())
    count = length // size
    chunks = jax.tree.map(lambda x: x[: count * size].reshape(count, size, *x.shape[1:]), elements)
    return chunks, jax.tree.map(lambda x: x[count * size :], elements)


def from_chunks(chunks: Array) -> Array:
    """`(K, S, ..)` as `(K S, ..)`."""
    count, size, *shape = chunks.shape
    return chunks.reshape(count * size, *shape)


def single_cpu() -> bool:
    """Whether one CPU does the work: one trajectory after the other is faster there, chunks that fit into its cache.

    Devices that share a batch would have to gather it for that.
    """
    return on_cpu() and jax.device_count() == 1


def _for_all_times(
    function: Callable[[PyTree, Array, Any], Array],
    constants: PyTree,
    states: Float[Array, "time latent"],
    inputs: Any,
    size: int | None = None,
) -> Array:
    """`function(constants, z, u)` for every time, one chunk after the other; a whole batch as one long trajectory."""

    def at_once(constants: PyTree, chunk: PyTree) -> Array:
        last = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), chunk)
        return jnp.moveaxis(vmap_last(partial(function, constants))(*last), -1, 0)

    def one(constants: PyTree, trajectory: PyTree) -> Array:
        chunks, rest = to_chunks(trajectory, size)
        found = from_chunks(jax.lax.map(partial(at_once, constants), chunks))
        return jnp.concatenate([found, at_once(constants, rest)]) if len(jax.tree.leaves(rest)[0]) else found

    def of_all(constants: PyTree, trajectories: PyTree) -> Array:
        if not single_cpu():
            return jax.vmap(partial(one, constants))(trajectories)
        batch, length = jax.tree.leaves(trajectories)[0].shape[:2]
        found = one(constants, jax.tree.map(lambda x: x.reshape(batch * length, *x.shape[2:]), trajectories))
        return found.reshape(batch, length, *found.shape[1:])

    return batched(of_all)(constants, (states, inputs))


def largest(x: Array) -> Float[Array, ""]:
    """`max |x|`, infinity where anything is not finite: XLA's maximum on CPUs passes over NaN in long arrays."""
    return jnp.where(jnp.all(jnp.isfinite(x)), jnp.max(jnp.abs(x)), jnp.inf)


def default_tolerance(dtype: Any) -> float:
    """1e-5 in float32 and 1e-10 in float64: about a hundred roundings, relative to the size of the states."""
    return 1e-10 if jnp.finfo(dtype).bits == 64 else 1e-5


def rounding(dtype: Any) -> float:
    """Four units of the last place, relative to the size of the states: below it nothing is left to improve."""
    return 4 * float(jnp.finfo(dtype).eps)


def tolerance_for(tol: float | None, dtype: Any) -> float:
    """The tolerance asked for, though never below rounding, which nothing could meet; or the default of this dtype."""
    return default_tolerance(dtype) if tol is None else max(tol, rounding(dtype))


def check_cap(tol: float | None, cap: int, name: str) -> None:
    """Refuse a tolerance or a cap with which no solve could succeed, or any would."""
    if tol is not None:
        real(tol, "tol", above=0, example="1e-5, or None for the default of the dtype")
    whole(cap, name)
