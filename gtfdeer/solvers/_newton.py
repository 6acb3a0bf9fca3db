"""Newton's method over the whole trajectory: DEER, with diagonal Jacobians QuasiDEER, with a trust region ELK.

With `r_t = f(z_{t-1}, u_t) - z_t` and `J_t = df/dz` at `z_{t-1}`, the Newton move d solves

    d_t = J_t d_{t-1} + r_t,    d_0 = 0;        z <- z + d

which is the affine recurrence of the paper, `y_t = J_t y_{t-1} + (f_t - J_t z_{t-1})`, written for the move
instead of the state: the same in exact arithmetic, and in floating point its rounding shrinks with the move.
After k iterations the first k steps are exact, whatever the guess. The three differ in how they choose d only: where
r = 0, d = 0 for each of them, so that the answer is the same.

Lim, Zhu, Selfridge, Kasim, "Parallelizing non-linear sequential models over the sequence length", ICLR 2024,
arXiv 2309.12252 (DEER). Gonzalez, Warrington, Smith, Linderman, "Towards scalable and stable parallelization of
nonlinear RNNs", NeurIPS 2024, arXiv 2407.19115 (QuasiDEER, section 4.1, and ELK).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._checks import real
from . import scan
from ._adjoint import dense_adjoint, gradient_from, windowed_gradient
from ._base import Iterative, Problem, SolverResult, check_cap, iterate, largest, rounding, tolerance_for
from ._columns import any_in_batch
from ._damped import damped_affine
from ._sequential import Sequential

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = ["DEER", "ELK", "QuasiDEER"]


class _State(NamedTuple):
    """An iterate, and what the iteration knows about it."""

    states: Float[Array, "time latent"]
    residuals: Float[Array, "time latent"]
    moved: Float[Array, ""]  # max |d|, infinite after a step that was rejected
    damping: Float[Array, ""]  # of ELK
    iterations: Int[Array, ""]


@dataclass(frozen=True)
class _Newton(Iterative):
    tol: float | None = None
    max_iterations: int = 50

    def __post_init__(self) -> None:
        check_cap(self.tol, self.max_iterations, "max_iterations")

    @abc.abstractmethod
    def move(self, problem: Problem, state: _State) -> Float[Array, "time latent"]:
        """Return d."""

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> SolverResult:
        return self.finish(problem, iterate(partial(self.step, problem), self.done, self.init(problem, guess)))

    def init(self, problem: Problem, guess: Float[Array, "time latent"]) -> _State:
        far = jnp.asarray(inf, guess.dtype)
        return _State(guess, problem.map_steps(guess) - guess, far, jnp.zeros((), guess.dtype), jnp.asarray(0))

    def step(self, problem: Problem, state: _State) -> _State:
        new = state.states + self.move(problem, state)
        moved = largest(new - state.states)
        return _State(new, problem.map_steps(new) - new, moved, state.damping, state.iterations + 1)

    def done(self, state: _State) -> Bool[Array, ""]:
        """It ends early when the residual has reached rounding: chaos amplifies rounding, so that moves may then never
        get smaller, although nothing is left to improve.
        """
        residual, size = largest(state.residuals), 1 + largest(state.states)
        stands_still = state.moved <= self.tolerance(size.dtype) * size
        solved = residual <= rounding(size.dtype) * size
        finite = jnp.isfinite(residual) & jnp.isfinite(size)
        return stands_still | solved | ~finite | (state.iterations >= self.max_iterations)

    def finish(self, problem: Problem, state: _State) -> SolverResult:
        residual = largest(state.residuals)
        converged = residual <= self.tolerance(residual.dtype) * (1 + largest(state.states))
        return SolverResult(state.states, state.iterations, converged, residual)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)


@dataclass(frozen=True)
class DEER(_Newton):
    """Newton's method with dense Jacobians: fewest iterations, `4 B T M^2` bytes a Jacobian, `T M^3` work each.

    Args:
        tol: the iteration ends when no state moves by more than `tol * (1 + max |z|)`, and the answer counts as
            converged when its residual is below the same; `None`: 1e-5 in float32, 1e-10 in float64.
        max_iterations: the cap. Under forcing that contracts, 3 to 8 iterations are enough at any length.
        method: the affine scan, see `gtfdeer.scan`; `None` chooses `associative` on accelerators, `Blocked()` on CPUs.

    >>> import gtfdeer as gd, jax.numpy as jnp
    >>> solution = gd.solve(lambda z, u: jnp.tanh(z + u), jnp.zeros(1), jnp.ones((50, 1)), solver=DEER(tol=1e-6))
    >>> solution.status
    <Status.CONVERGED: 0>
    """

    method: scan.Method | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scan.check_method(self.method)

    def move(self, problem: Problem, state: _State) -> Float[Array, "time latent"]:
        return scan.affine(problem.jacobians(state.states), state.residuals, method=self._method())

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        return gradient_from(problem, result.states, dense_adjoint(problem, result.states, cotangents, self._method()))

    def _method(self) -> scan.Method:
        return self.method or scan.for_this_device()


@dataclass(frozen=True)
class QuasiDEER(_Newton):
    """Newton's method with the diagonals of the Jacobians: more iterations, each `T M` work; for many latent units.

    The gradient uses the full Jacobian (by vector-Jacobian products) and is exact, unlike that of other public
    implementations.

    Args:
        tol: as in `DEER`.
        max_iterations: the cap; where units interact strongly it needs many.
        method: the diagonal affine scan; `None` chooses for this device.

    >>> import gtfdeer as gd, jax.numpy as jnp
    >>> W = jnp.array([[0.5, 0.1], [-0.2, 0.4]])
    >>> gd.solve(lambda z, u: jnp.tanh(W @ z + u), jnp.zeros(2), jnp.ones((100, 2)), solver=QuasiDEER()).status.name
    'CONVERGED'
    """

    max_iterations: int = 200
    method: scan.Method | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scan.check_method(self.method)

    def move(self, problem: Problem, state: _State) -> Float[Array, "time latent"]:
        method = self.method or scan.for_this_device()
        return scan.affine(problem.diagonals(state.states), state.residuals, method=method)

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        return windowed_gradient(problem, result, cotangents, tol=self.tolerance(cotangents.dtype))


@dataclass(frozen=True)
class ELK(_Newton):
    """Damped Newton: slower than DEER where DEER works, and often still right where DEER overflows.

    A Levenberg-Marquardt method, whose every move is a parallel Kalman smoother: d minimises

        sum_t |d_t - J_t d_{t-1} - r_t|^2 + damping |d_t|^2,    d_0 = 0;        z <- z + d  if that lowers sum |r|^2

    damping = 0 is DEER's move. After one that fails to lower the merit, z stays and the damping grows tenfold; after
    one that succeeds it shrinks tenfold. A damped iteration never leaves all bounds, even where the map does: where it
    fails, the map is followed step by step, to see. Not to be confused with forcing, which changes the equation that
    is solved.

    Args:
        tol: as in `DEER`.
        max_iterations: the cap, steps not taken included.
        damping: at the start; the paper's 1/sigma^2.
        change: factor by which the damping grows after a step that failed and shrinks after one that succeeded.

    >>> import gtfdeer as gd
    >>> gd.solve(lambda z, u: jnp.tanh(z + u), jnp.zeros(1), jnp.ones((50, 1)), solver=ELK()).status.name
    'CONVERGED'
    """

    max_iterations: int = 100
    damping: float = 1e-8
    change: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.damping, "damping", above=0, example="1e-8")
        real(self.change, "change", above=1, example=10)

    def init(self, problem: Problem, guess: Float[Array, "time latent"]) -> _State:
        return super().init(problem, guess)._replace(damping=jnp.asarray(self.damping, guess.dtype))

    def move(self, problem: Problem, state: _State) -> Float[Array, "time latent"]:
        J = problem.jacobians(state.states)
        return damped_affine(J if J.ndim == 3 else jax.vmap(jnp.diag)(J), state.residuals, state.damping)

    def step(self, problem: Problem, state: _State) -> _State:
        new = super().step(problem, state)
        accepted = jnp.sum(new.residuals**2) < jnp.sum(state.residuals**2)  # false for NaN
        damping = jnp.where(accepted, state.damping / self.change, state.damping * self.change)
        return _State(
            jnp.where(accepted, new.states, state.states),
            jnp.where(accepted, new.residuals, state.residuals),
            jnp.where(accepted, new.moved, inf),  # a rejected step does not stop the iteration
            jnp.maximum(damping, 1e-30),
            new.iterations,
        )

    def finish(self, problem: Problem, state: _State) -> SolverResult:
        result = super().finish(problem, state)

        def unless_the_map_overflows() -> SolverResult:
            truth = Sequential().run(problem, state.states).states
            finite = jnp.all(jnp.isfinite(truth))
            residual = jnp.where(finite, largest(state.residuals), inf)
            return result._replace(states=jnp.where(finite, result.states, truth), residual=residual)

        return jax.lax.cond(any_in_batch(~result.converged), unless_the_map_overflows, lambda: result)

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        return gradient_from(
            problem, result.states, dense_adjoint(problem, result.states, cotangents, scan.for_this_device())
        )
