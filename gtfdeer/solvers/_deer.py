"""DEER: Newton's method over the whole trajectory, each iteration one affine scan.

With `r_t = f(z_{t-1}, u_t) - z_t` and `J_t = df/dz` at `z_{t-1}`, the Newton move d solves

    d_t = J_t d_{t-1} + r_t,    d_0 = 0;        z <- z + d

which is the affine recurrence of the paper, `y_t = J_t y_{t-1} + (f_t - J_t z_{t-1})`, written for the move
instead of the state: the same in exact arithmetic, and in floating point its rounding shrinks with the move.
After k iterations the first k steps are exact, whatever the guess.

Lim, Zhu, Selfridge, Kasim, "Parallelizing non-linear sequential models over the sequence length", ICLR 2024,
arXiv 2309.12252. Not to be confused with `QuasiDEER` (diagonal Jacobian) and `ELK` (damped).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import scan
from ._adjoint import dense_adjoint
from ._base import NewtonLike, Problem

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["DEER"]


@dataclass(frozen=True)
class DEER(NewtonLike):
    """Newton's method with dense Jacobians: fewest iterations, `4 B T M^2` bytes a Jacobian, `T M^3` work each.

    Args:
        tol: the iteration ends when no state moves by more than `tol * (1 + max |z|)`, and the answer counts as
            converged when its recomputed residual is below the same; `None`: 1e-5 in float32, 1e-10 in float64.
        max_iterations: the cap. Under forcing that contracts, 3 to 8 iterations are enough at any length.
        method: the affine scan, see `gtfdeer.scan`; `None` chooses `associative` on accelerators, `Blocked()` on CPUs.

    >>> import gtfdeer as gd, jax.numpy as jnp
    >>> solution = gd.solve(lambda z, u: jnp.tanh(z + u), jnp.zeros(1), jnp.ones((50, 1)), solver=DEER(tol=1e-6))
    >>> solution.status
    <Status.CONVERGED: 0>
    """

    tol: float | None = None
    max_iterations: int = 50
    method: scan.Method | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scan.check_method(self.method)

    def move(self, problem: Problem, states: Array, residuals: Array) -> Float[Array, "time latent"]:
        return states + scan.affine(problem.jacobians(states), residuals, method=self._method())

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        return dense_adjoint(problem, states, cotangents, self._method())

    def _method(self) -> scan.Method:
        return self.method or scan.for_this_device()
