"""How much memory this machine has left, and whether a training run fits into it.

The host's is what /proc/meminfo says, within the control group's limit (containers); an accelerator's is what JAX says.
What cannot be known, forbids nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
from jax.sharding import Mesh

from .job import Job
from .manual import trouble
from .solvers import Shooting, Solver, memory_needed

__all__ = ["Memory", "available_memory", "host_memory", "require_memory_for"]

_UNLIMITED = 2**60  # bytes; control groups without a limit name a number near 2^63


@dataclass(frozen=True)
class Memory:
    """In bytes; None where nobody says.

    Attributes:
        total: of the machine, or what the control group allows.
        available: without taking it from other programs.
        limited: whether the control group allows less than the machine has.
    """

    total: int | None
    available: int | None
    limited: bool


def host_memory(proc: Path = Path("/proc"), control_group: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Memory of the host, within the container's limit if there is one."""
    total, available = _machine_memory(proc)
    limit, used = _group_memory(control_group)
    if limit is not None and (total is None or limit < total):
        left = None if used is None else max(limit - used, 0)
        available = left if available is None else available if left is None else min(available, left)
        return Memory(limit, available, limited=True)
    return Memory(total, available, limited=False)


def available_memory() -> int | None:
    """Bytes that the device which computes has left."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return host_memory().available
    stats = device.memory_stats() or {}
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None


def require_memory_for(job: Job, mesh: Mesh | None) -> None:
    """Refuse a run that would not fit, before anything is compiled.

    Raises:
        MemoryError: with what is needed, what there is, and what to pass instead.
    """
    there = available_memory()
    shares = 1 if mesh is None else mesh.size

    def needed(solver: Solver) -> int:
        recipe, latent_dim = job.recipe, job.model.latent_dim
        return memory_needed(solver, length=recipe.window, latent_dim=latent_dim, batch=recipe.batch) // shares

    asked = needed(job.recipe.solver)
    if there is None or asked <= there:
        return
    leaner = "solver=gtfdeer.solvers.Shooting(), " if needed(Shooting()) <= there else ""
    raise MemoryError(
        f"{type(job.recipe.solver).__name__} needs about {asked / 2**30:.1f} GiB for {job.recipe.batch} sequences of "
        f"{job.recipe.window:,} steps of {job.model.latent_dim} units, and {there / 2**30:.1f} GiB are left; pass "
        f"{leaner}a smaller batch or a shorter window ({trouble('the-kernel-died')})"
    )


def _machine_memory(proc: Path) -> tuple[int | None, int | None]:
    """Bytes in total and available, from /proc/meminfo."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        kibibytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    except (OSError, ValueError, IndexError):
        return None, None
    sizes = [kibibytes.get(name) for name in ("MemTotal", "MemAvailable")]
    total, available = (None if size is None else 1024 * size for size in sizes)
    return total, available


def _group_memory(group: Path) -> tuple[int | None, int | None]:
    """Bytes that this control group may use and does use; version 2, else version 1; None without a limit."""
    for limit, used in (
        (group / "memory.max", group / "memory.current"),
        (group / "memory" / "memory.limit_in_bytes", group / "memory" / "memory.usage_in_bytes"),
    ):
        allowed = _number(limit)
        if allowed is not None and allowed < _UNLIMITED:
            return allowed, _number(used)
    return None, None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" means no limit
        return None
