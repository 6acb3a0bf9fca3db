"""Sequential evaluation: one step after the other, `z_t = f(z_{t-1}, u_t)` (`lax.scan`).

The reference that every other solver is held against. Exact, never iterates, T steps deep. Its gradient is the
same implicit-function gradient as everyone's (`gtfdeer.solve`), which is faster than differentiating the loop:
the reverse loop carries only states, and the parameters get one batched product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .. import scan
from .base import Problem, Solver

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

__all__ = ["Sequential", "dense_adjoint", "vjp_adjoint"]

# Up to this many latent dimensions, all Jacobians at once are cheaper than a VJP in each step of the loop
# (measured on 2 CPU cores with H = 50: 3 dimensions 1.5 times faster, 10 dimensions slower).
_SMALL = 4


@dataclass(frozen=True)
class Sequential(Solver):
    """One step after the other; no settings.

    >>> import gtfdeer as gd
    >>> gd.solve(lambda z, u: 0.5 * z + u, jnp.zeros(1), jnp.ones((3, 1)), solver=Sequential()).states[:, 0]
    Array([1.  , 1.5 , 1.75], dtype=float32)
    """

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> tuple[Array, Int[Array, ""]]:
        return self.improve(problem, guess), jnp.asarray(1)

    def improve(self, problem: Problem, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        def step(z: Array, u: Any) -> tuple[Array, Array]:
            z = problem.step(z, u)
            return z, z

        return jax.lax.scan(step, problem.z0, problem.inputs)[1]

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        if states.shape[1] <= _SMALL:
            return dense_adjoint(problem, states, cotangents, scan.sequential)
        return vjp_adjoint(problem, states, cotangents)

    def tolerance(self, dtype: Any) -> float:
        return math.inf  # what was computed step by step satisfies its equation by construction


def dense_adjoint(
    problem: Problem, states: Array, cotangents: Array, method: scan.Method
) -> Float[Array, "time latent"]:
    """`l_t = g_t + J_{t+1}^T l_{t+1}` as one reversed affine scan over all Jacobians: `T M^2` numbers of memory."""
    J = problem.jacobians(states)
    transposed = jnp.swapaxes(J, 1, 2)
    after = jnp.concatenate([transposed[1:], jnp.zeros_like(transposed[:1])])
    return scan.affine(after, cotangents, reverse=True, method=method)


def vjp_adjoint(problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
    """The same recurrence, one vector-Jacobian product a step: `T M` numbers of memory."""

    def back(carry: Array, element: tuple) -> tuple[Array, Array]:
        z, u, g = element
        _, vjp = jax.vjp(lambda z: problem.step(z, u), z)
        adjoint = g + carry
        return vjp(adjoint)[0], adjoint

    elements = (problem.previous(states), problem.inputs, cotangents)
    return jax.lax.scan(back, jnp.zeros_like(problem.z0), elements, reverse=True)[1]
