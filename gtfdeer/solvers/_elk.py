"""ELK: DEER with a trust region, a Levenberg-Marquardt method whose every step is a parallel Kalman smoother.

With `r_t = f(z_{t-1}, u_t) - z_t` and `J_t = df/dz` at `z_{t-1}`, the move d minimises

    sum_t |d_t - J_t d_{t-1} - r_t|^2 + damping |d_t|^2,    d_0 = 0;        z <- z + d  if that lowers sum |r|^2

damping = 0 is DEER's step. A step that fails to lower the merit is not taken, and the damping grows tenfold; one that
succeeds lets it shrink tenfold. Damping moves the path only: where r = 0, d = 0 whatever the damping. A damped
iteration never leaves all bounds, even where the map does: where it fails, the map is followed step by step, to see.

Gonzalez, Warrington, Smith, Linderman, "Towards scalable and stable parallelization of nonlinear RNNs", NeurIPS 2024,
arXiv 2407.19115 (damping is its 1/sigma^2, there fixed at 1e-8). Not to be confused with forcing, which changes the
equation that is solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .._checks import real
from ._adjoint import dense_adjoint
from ._base import Attempt, NewtonLike, Problem, fixed_point
from ._batching import shared
from ._damped import damped_affine
from ._sequential import Sequential
from .scan import for_this_device

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["ELK"]


@dataclass(frozen=True)
class ELK(NewtonLike):
    """Damped Newton: slower than DEER where DEER works, and often still right where DEER overflows.

    Args:
        tol: as in `DEER`.
        max_iterations: the cap, steps not taken included.
        damping: at the start; the paper's 1/sigma^2.
        change: factor by which the damping grows after a step that failed and shrinks after one that succeeded.

    >>> import gtfdeer as gd
    >>> gd.solve(lambda z, u: jnp.tanh(z + u), jnp.zeros(1), jnp.ones((50, 1)), solver=ELK()).status.name
    'CONVERGED'
    """

    tol: float | None = None
    max_iterations: int = 100
    damping: float = 1e-8
    change: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.damping, "damping", above=0, example="1e-8")
        real(self.change, "change", above=1, example=10)

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> Attempt:
        def move(z: Array, r: Array, damping: Array) -> tuple[Array, Array, Array]:
            new = self.move(problem, z, r, damping)
            better = jnp.sum((problem.images(new) - new) ** 2) < jnp.sum(r**2)  # false for NaN
            damping = jnp.where(better, damping / self.change, damping * self.change)
            return jnp.where(better, new, z), jnp.maximum(damping, 1e-30), better

        attempt = fixed_point(
            move,
            lambda z: problem.images(z) - z,
            guess,
            memory=jnp.asarray(self.damping, guess.dtype),
            tol=self.tolerance(guess.dtype),
            max_iterations=self.max_iterations,
        )

        def unless_the_map_blows_up() -> Attempt:
            truth = Sequential().run(problem, guess).states
            return attempt._replace(states=jnp.where(jnp.all(jnp.isfinite(truth)), attempt.states, truth))

        return jax.lax.cond(shared(~attempt.met), unless_the_map_blows_up, lambda: attempt)

    def move(
        self, problem: Problem, states: Array, residuals: Array, damping: Array | None = None
    ) -> Float[Array, "time latent"]:
        J = problem.jacobians(states)
        J = J if J.ndim == 3 else jax.vmap(jnp.diag)(J)
        damping = jnp.asarray(self.damping, states.dtype) if damping is None else damping
        return states + damped_affine(J, residuals, damping)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        return dense_adjoint(problem, states, cotangents, for_this_device())
