"""How much memory a solve takes, known before it runs.

    bytes = itemsize * batch * T * c(M),        c(M) = numbers held for each time step of each trajectory

c is counted on compiled programs (XLA's buffer assignment), for a shallow PLRNN under forcing, and belongs to each
solver (`Solver.numbers_per_step`). Inputs are apart: training counts M + 1 for teacher and alpha.
Hidden layers do not appear: they exist for one stretch of time only (`gtfdeer.solvers._base.stretch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from ._base import Solver

if TYPE_CHECKING:
    from jax.typing import DTypeLike

__all__ = ["memory_needed"]


def memory_needed(
    solver: Solver,
    *,
    length: int,
    latent_dim: int,
    batch: int = 1,
    dtype: DTypeLike = jnp.float32,
    gradient: bool = True,
) -> int:
    """Estimate the working memory of a solve in bytes, beside its inputs and outputs.

    Args:
        solver: from `gtfdeer.solvers`.
        length: T, time steps.
        latent_dim: M, latent units.
        batch: trajectories solved at once.
        dtype: float32 or float64.
        gradient: of the solve and its gradient, or of the solve alone.

    Raises:
        ValueError: if a size is not a positive whole number.

    >>> from gtfdeer.solvers import DEER, Shooting
    >>> a_million = {"length": 1_000_000, "latent_dim": 30}
    >>> memory_needed(DEER(), **a_million) > 6 * memory_needed(Shooting(), **a_million)
    True
    """
    for name, size in {"length": length, "latent_dim": latent_dim, "batch": batch}.items():
        if not _is_whole(size) or size < 1:
            raise ValueError(f"{name} is {size!r}; pass a positive whole number")
    if not isinstance(solver, Solver):
        raise TypeError(f"solver is {solver!r}; pass an instance such as gtfdeer.solvers.Shooting()")
    numbers = solver.numbers_per_step(length, latent_dim, gradient=gradient)
    return int(jnp.dtype(dtype).itemsize * batch * length * numbers)


def _is_whole(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool)
