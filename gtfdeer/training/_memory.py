"""What this machine computes on, how much memory it has left, and whether a training run fits into it.

The host's is what /proc/meminfo says, within the limits of the control groups around this process (containers, batch
systems) and of the shell (`ulimit -v`); an accelerator's is what JAX says. What cannot be known, forbids nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from .._checks import trouble
from ..forcing import Adaptive
from ..models._counting import kept_by_a_step
from ..models._ssm import StateSpaceModel
from ..solvers import Shooting, Solver, memory_needed
from ._job import Job

__all__ = [
    "Memory",
    "available_memory",
    "device_in_words",
    "host_memory",
    "memory_for",
    "require_memory_for",
    "usable_cores",
]

_ITEMSIZE = 4  # bytes: training is in float32
_UNLIMITED = 2**60  # bytes; control groups without a limit name a number near 2^63


def device_in_words() -> str:
    """What JAX computes on, such as "2 CPU cores"; what results name beside them."""
    device = jax.devices()[0]
    cores = usable_cores()
    return f"{cores} CPU core{'s' * (cores != 1)}" if device.platform == "cpu" else device.device_kind


def usable_cores() -> int | None:
    """Cores that this process may run on; None if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class _Files(NamedTuple):
    """What control groups call their files and the entry of pages that only keep files at hand."""

    limit: str
    used: str
    idle: str


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Files("memory.max", "memory.current", "inactive_file")


@dataclass(frozen=True)
class Memory:
    """In bytes; None where nobody says.

    Attributes:
        total: of the machine, or what this process is allowed.
        available: without taking it from other programs.
        limited: what allows this process less than the machine has, if anything does.
    """

    total: int | None
    available: int | None
    limited: str | None


def host_memory(proc: Path = Path("/proc"), control_group: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Memory of the host, within what this process is allowed."""
    total, available = _machine_memory(proc)
    limited = None
    for name, limit, used in (*_group_limits(proc, control_group), *_address_space(proc)):
        if total is None or limit < total:
            total, limited = limit, name
        if used is not None:
            left = max(limit - used, 0)
            available = left if available is None else min(available, left)
    return Memory(total, available, limited)


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
    asked = memory_for(job) // shares
    if there is None or asked <= there:
        return
    recipe, model = job.recipe, job.model
    what = type(model if isinstance(model, StateSpaceModel) else recipe.solver).__name__
    leaner = "solver=gtfdeer.solvers.Shooting(), " if memory_for(job, Shooting()) // shares <= there else ""
    raise MemoryError(
        f"{what} needs about {asked / 2**30:.1f} GiB for {recipe.batch} sequences of {recipe.window:,} steps of "
        f"{model.latent_dim} units, and {there / 2**30:.1f} GiB are left; pass {leaner}a smaller batch or a shorter "
        f"window ({trouble('the-kernel-died')})"
    )


def memory_for(job: Job, solver: Solver | None = None) -> int:
    """Estimate the bytes that an update works with, on all its devices together.

    Args:
        job: what is trained and how.
        solver: in place of the job's own.
    """
    recipe, model = job.recipe, job.model
    steps = recipe.batch * recipe.window
    if isinstance(model, StateSpaceModel):  # one scan a layer, whatever the solver
        numbers = model.numbers_per_step(sensitive=isinstance(recipe.forcing, Adaptive))
        return int(_ITEMSIZE * steps * numbers)
    chosen, latent_dim = solver or recipe.solver, model.latent_dim
    if chosen.keeps_its_loop(recipe.window, latent_dim, jnp.float32):
        solving = steps * (kept_by_a_step(model) + 2 * _ITEMSIZE * latent_dim)  # states and their gradients
    else:
        solving = memory_needed(chosen, length=recipe.window, latent_dim=latent_dim, batch=recipe.batch)
    taught = latent_dim + 1 + 2 * model.observed_dim  # teacher signal, alpha; data and predictions
    return solving + _ITEMSIZE * steps * taught


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


def _group_limits(proc: Path, root: Path) -> Iterator[tuple[str, int, int | None]]:
    """Bytes that each control group around this process may use and does use; those without a limit are left out.

    A limit stands in the process's own group (`systemd-run --scope`, a SLURM job) or in any around it; in a container
    the root is its own. Pages that only keep files at hand are given back when they are needed: they are not in use.
    """
    for line in _text(proc / "self" / "cgroup").splitlines() or ["0::/", "1:memory:/"]:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top, files = (root / "memory", _VERSION_1) if kinds else (root, _VERSION_2)
        own = top / path.lstrip("/")
        for group in (own, *own.parents):
            limit = _number(group / files.limit)
            if limit is not None and limit < _UNLIMITED:
                used, idle = _number(group / files.used), _entry(group / "memory.stat", files.idle)
                yield "control group", limit, None if used is None else used - idle
            if group == top:
                break


def _address_space(proc: Path) -> Iterator[tuple[str, int, int | None]]:
    """Bytes of address space that the shell allows this process (`ulimit -v`) and those that it has."""
    name = "Max address space"
    for line in _text(proc / "self" / "limits").splitlines():
        if line.startswith(name) and (allowed := line.removeprefix(name).split()[0]).isdigit():
            sizes = _text(proc / "self" / "status").partition("VmSize:")[2].split()
            yield "ulimit -v", int(allowed), 1024 * int(sizes[0]) if sizes else None


def _entry(file: Path, name: str) -> int:
    """An entry of a table of names and numbers; 0 where there is none."""
    table = dict(line.split(maxsplit=1) for line in _text(file).splitlines())
    return int(table.get(name, 0))


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None  # "max" means no limit


def _text(file: Path) -> str:
    """What a file of the system says; nothing where there is none, as on other systems, or where it may not be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
