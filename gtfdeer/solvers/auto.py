"""Auto: the solver that is fastest here, checked, with the sequential one as its safety net.

    CPU            T < 512: Sequential (nothing to win)    otherwise: Shooting
    accelerators   T < 64: Sequential                      otherwise: DEER up to 8 latent units and while it needs less
                                                           than a quarter of the device's memory, else Shooting

Where the chosen solver itself does not hold its answer for solved (the last residuals of Newton's method, the edges of
the windows), the answer is computed step by step; `gtfdeer.solve` judges what comes out.
Gradients come from the chosen solver's adjoint, which is exact for any trajectory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .base import Attempt, Problem, Solver, check_cap, shared, tolerance_for
from .deer import DEER
from .memory import memory_needed
from .sequential import Sequential
from .shooting import Shooting

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["Auto", "choose"]


@dataclass(frozen=True)
class Auto(Solver):
    """Choose by device, length and latent dimension; fall back on `Sequential` where the choice fails.

    Args:
        tol: as in the other solvers; `None`: 1e-5 in float32, 1e-10 in float64.
        max_iterations: after how many iterations or sweeps it gives up and goes step by step.

    >>> import gtfdeer as gd
    >>> solution = gd.solve(lambda z, u: 3.9 * z * (1 - z), jnp.full(1, 0.3), jnp.zeros((5000, 0)), solver=Auto())
    >>> solution.status.name  # chaotic and not forced: no parallel solver can do it, step by step can
    'CONVERGED'
    """

    tol: float | None = None
    max_iterations: int = 8

    def __post_init__(self) -> None:
        check_cap(self.tol, self.max_iterations)

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> Attempt:
        chosen = self.choice(*guess.shape)
        attempt = chosen.run(problem, guess)
        if isinstance(chosen, Sequential):
            return attempt
        return jax.lax.cond(
            shared(~attempt.met),
            lambda: Sequential().run(problem, guess)._replace(iterations=attempt.iterations + 1),
            lambda: attempt._replace(met=jnp.asarray(True)),
        )

    def improve(self, problem: Problem, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        return self.choice(*states.shape).improve(problem, states)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        return self.choice(*states.shape).adjoint(problem, states, cotangents)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)

    def numbers_per_step(self, length: int, latent_dim: int, *, gradient: bool) -> float:
        return self.choice(length, latent_dim).numbers_per_step(length, latent_dim, gradient=gradient)

    def choice(self, length: int, latent_dim: int) -> Solver:
        """The solver that this device is given for `length` steps of `latent_dim` units."""
        device = jax.local_devices()[0]
        memory = (device.memory_stats() or {}).get("bytes_limit", math.inf)
        return choose(length, latent_dim, device.platform, memory, self.tol, self.max_iterations)


def choose(length: int, latent_dim: int, platform: str, memory: float, tol: float | None, cap: int) -> Solver:
    """The rules, as a function of everything they depend on; `memory` in bytes.

    >>> for length, platform in [(200, "cpu"), (20_000, "cpu"), (20_000, "gpu"), (10**9, "gpu")]:
    ...     print(type(choose(length, 3, platform, 16 * 2**30, None, 8)).__name__)
    Sequential
    Shooting
    DEER
    Shooting
    """
    if length < (512 if platform == "cpu" else 64):
        return Sequential()
    newton = DEER(tol=tol, max_iterations=cap)
    fits = memory_needed(newton, length=length, latent_dim=latent_dim) < memory / 4
    if platform != "cpu" and latent_dim <= 8 and fits:
        return newton
    return Shooting(tol=tol, max_sweeps=cap)
