"""Memory: what would not fit is refused with the numbers before it is compiled; what compiling used is given back."""

from __future__ import annotations

import ctypes
import gc
import sys

from ..solvers import QuasiDEER, Shooting, Solver, memory_needed
from ..training._memory import available_memory

__all__ = ["give_back", "require_memory"]

_LEANER = (QuasiDEER(), Shooting())


def require_memory(
    solver: Solver, *, length: int, latent_dim: int, iterates: int = 0, there: int | None = None
) -> None:
    """Refuse a solve that does not fit.

    Args:
        solver: from `gtfdeer.solvers`.
        length: T, time steps.
        latent_dim: M, latent units.
        iterates: how many whole trajectories are kept beside it, on the device and as a copy.
        there: bytes; by default what the machine has left. Where nobody knows, nothing is refused.

    Raises:
        MemoryError: with what is needed, what there is, and what to choose instead.

    >>> require_memory(Shooting(), length=1000, latent_dim=3)
    """
    there = available_memory() if there is None else there

    def needed(solver: Solver) -> int:
        kept = 2 * 4 * iterates * length * latent_dim  # float32
        return kept + memory_needed(solver, length=length, latent_dim=latent_dim, gradient=False)

    asked = needed(solver)
    if there is None or asked <= there:
        return
    leaner = [type(other).__name__ for other in _LEANER if needed(other) <= there]
    raise MemoryError(
        f"{type(solver).__name__} needs about {asked / 2**20:,.0f} MiB for {length:,} steps of {latent_dim:,} units, "
        f"and {there / 2**20:,.0f} MiB are left; choose a shorter length T{''.join(f' or {name}' for name in leaner)}"
    )


def give_back() -> None:
    """Return freed memory to the system: glibc keeps the 100 MB or more that compiling needed for a moment.

    First, programs that made room for others go: they refer to themselves, and wait for the garbage collector.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
