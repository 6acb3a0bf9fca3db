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
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .. import scan
from .base import Problem, Solver, check_cap, default_tolerance, fixed_point, tolerance_for
from .deer import scan_for_this_device
from .shooting import windowed_adjoint

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

__all__ = ["QuasiDEER"]


@dataclass(frozen=True)
class QuasiDEER(Solver):
    """Newton's method with diagonal Jacobians: more iterations, each `T M` work; for many latent units.

    Args:
        tol: as in `DEER`.
        max_iterations: the cap; where units interact strongly it needs many.
        method: the diagonal affine scan; `None` chooses for this device.

    >>> import gtfdeer as gd
    >>> W = jnp.array([[0.5, 0.1], [-0.2, 0.4]])
    >>> gd.solve(lambda z, u: jnp.tanh(W @ z + u), jnp.zeros(2), jnp.ones((100, 2)), solver=QuasiDEER()).status.name
    'CONVERGED'
    """

    tol: float | None = None
    max_iterations: int = 200
    method: scan.Method | None = None

    def __post_init__(self) -> None:
        check_cap(self.tol, self.max_iterations)

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> tuple[Array, Int[Array, ""]]:
        return fixed_point(
            lambda z, r, memory: (self._move(problem, z, r), memory, True),
            lambda z: problem.images(z) - z,
            guess,
            memory=None,
            tol=self.tolerance(guess.dtype),
            max_iterations=self.max_iterations,
        )

    def improve(self, problem: Problem, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        return self._move(problem, states, problem.images(states) - states)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        tol = min(self.tolerance(states.dtype), default_tolerance(states.dtype))
        return windowed_adjoint(problem, states, cotangents, tol=tol)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)

    def _move(self, problem: Problem, states: Array, residuals: Array) -> Array:
        basis = jnp.eye(states.shape[1], dtype=states.dtype)

        def diagonal(z: Array, u: Any) -> Array:
            def entry(e: Array) -> Array:
                return jnp.vdot(e, jax.jvp(lambda z: problem.step(z, u), (z,), (e,))[1])

            return jax.lax.map(entry, basis)  # one direction at a time: memory stays T M

        D = jax.vmap(diagonal)(problem.previous(states), problem.inputs)
        return states + scan.affine(D, residuals, method=self.method or scan_for_this_device())
