"""Quasi-DEER: DEER with the diagonal of the Jacobian, `T M` numbers of memory instead of `T M^2`.

With `r_t = f(z_{t-1}, u_t) - z_t` and `D_t = diag(df/dz)` at `z_{t-1}`, the move d solves

    d_t = D_t d_{t-1} + r_t,    d_0 = 0;        z <- z + d

A fixed point has r = 0, so that the answer is the same as everyone's; only the path is longer. The gradient uses
the full Jacobian (by vector-Jacobian products) and is exact, unlike that of other public implementations.

Gonzalez, Warrington, Smith, Linderman, "Towards scalable and stable parallelization of nonlinear RNNs", NeurIPS 2024,
arXiv 2407.19115, section 4.1. Not to be confused with `DEER` (full Jacobian).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import scan
from ._base import NewtonLike, Problem, default_tolerance
from ._shooting import windowed_adjoint

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["QuasiDEER"]


@dataclass(frozen=True)
class QuasiDEER(NewtonLike):
    """Newton's method with diagonal Jacobians: more iterations, each `T M` work; for many latent units.

    Args:
        tol: as in `DEER`.
        max_iterations: the cap; where units interact strongly it needs many.
        method: the diagonal affine scan; `None` chooses for this device.

    >>> import gtfdeer as gd, jax.numpy as jnp
    >>> W = jnp.array([[0.5, 0.1], [-0.2, 0.4]])
    >>> gd.solve(lambda z, u: jnp.tanh(W @ z + u), jnp.zeros(2), jnp.ones((100, 2)), solver=QuasiDEER()).status.name
    'CONVERGED'
    """

    tol: float | None = None
    max_iterations: int = 200
    method: scan.Method | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        scan.check_method(self.method)

    def move(self, problem: Problem, states: Array, residuals: Array) -> Float[Array, "time latent"]:
        method = self.method or scan.for_this_device()
        return states + scan.affine(problem.diagonals(states), residuals, method=method)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        tol = min(self.tolerance(states.dtype), default_tolerance(states.dtype))
        return windowed_adjoint(problem, states, cotangents, tol=tol)
