"""Sequential evaluation: one step after the other, `z_t = f(z_{t-1}, u_t)` (`lax.scan`).

The reference that every other solver is held against. Exact, never iterates, T steps deep. Its gradient is the
same implicit-function gradient as everyone's (`gtfdeer.solve`), which is faster than differentiating a long loop:
the reverse loop carries only states, and the parameters get one batched product. Short loops are differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from . import scan
from ._adjoint import dense_adjoint, gradient_from, vjp_adjoint
from ._base import Problem, Solver, SolverResult, default_tolerance

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["Sequential"]

# Up to this many latent dimensions, all Jacobians at once are cheaper than a VJP in each step of the loop
# (measured on 2 CPU cores with H = 50: 3 dimensions 1.5 times faster, 10 dimensions slower).
_SMALL = 4
# Below this many steps, what each of them computed may stay in memory: a GRU's gradient (20 units, T 200, B 16) takes
# 3.6 ms that way, and 9 to 11 by steps that are computed anew (2 CPU cores).
_SHORT = 512


@dataclass(frozen=True)
class Sequential(Solver):
    """One step after the other; no settings.

    >>> import gtfdeer as gd
    >>> gd.solve(lambda z, u: 0.5 * z + u, jnp.zeros(1), jnp.ones((3, 1)), solver=Sequential()).states[:, 0]
    Array([1.  , 1.5 , 1.75], dtype=float32)
    """

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> SolverResult:
        def step(z: Array, u: Any) -> tuple[Array, Array]:
            z = problem.step(z, u)
            return z, z

        states = jax.lax.scan(step, problem.z0, problem.inputs)[1]
        return SolverResult(states, jnp.asarray(1), converged=jnp.asarray(True), exact=True)

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        states = result.states
        if states.shape[1] <= _SMALL:
            adjoints = dense_adjoint(problem, states, cotangents, scan.sequential)
        else:
            adjoints = vjp_adjoint(problem, states, cotangents)
        return gradient_from(problem, states, adjoints)

    def differentiates_scan(self, length: int, latent_dim: int, dtype: Any) -> bool:
        return length < _SHORT and latent_dim > _SMALL

    def tolerance(self, dtype: Any) -> float:
        return default_tolerance(dtype)  # not asked for: its results are exact
