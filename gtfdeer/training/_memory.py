"""How much memory is left, and whether a compiled update fits into it.

The host's memory is what psutil says, within the limits of the control groups around this process (containers, batch
systems); an accelerator's is what JAX says. Unknown limits are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import psutil

from .._checks import docs_url
from ..models import Model
from ._config import TrainConfig

_UNLIMITED = 2**60  # bytes; control groups without a limit name a number near 2^63
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
_V2 = ("memory.max", "memory.current", "inactive_file ")


def available_memory() -> int | None:
    """Return the bytes that the device which computes has left; None if unknown."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return min([psutil.virtual_memory().available, *control_group_memory()])
    stats = device.memory_stats() or {}
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None


def control_group_memory(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Yield the bytes left in each control group with a limit around this process; cached file pages count as free.

    A limit stands in the process's own group (`systemd-run --scope`, a SLURM job) or in any around it; in a container
    the root is its own.
    """
    for line in _read(own).splitlines() or ["0::/", "1:memory:/"]:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top, (limit, used, cached) = (root / "memory", _V1) if kinds else (root, _V2)
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            size, taken, stat = (_read(folder / name) for name in (limit, used, "memory.stat"))
            if size.strip().isdigit() and int(size) < _UNLIMITED and taken.strip().isdigit():
                free = [int(entry.split()[1]) for entry in stat.splitlines() if entry.startswith(cached)]
                yield max(0, int(size) - int(taken) + sum(free))
            if folder == top:
                break


def _read(file: Path) -> str:
    """Return the text of a system file; empty where there is none, as on other systems, or where it may not be read."""
    try:
        return file.read_text()
    except OSError:
        return ""


def require_countable(config: TrainConfig, model: Model) -> None:
    """Refuse, before it is compiled, an update whose arrays have more numbers than JAX counts in int32."""
    numbers = config.batch * config.window * max(model.latent_dim, model.observed_dim)
    if numbers >= 2**31:
        raise _too_large(4 * numbers, available_memory() or 0, config, model)


def require_memory(program: Any, config: TrainConfig, model: Model, devices: int = 1) -> None:
    """Refuse a compiled update that does not fit into memory; devices that are CPUs share the host's."""
    sizes, there = program.memory_analysis(), available_memory()
    if sizes is not None and there is not None:
        needed = sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes
        needed *= devices if jax.local_devices()[0].platform == "cpu" else 1
        if needed > there:
            raise _too_large(needed, there, config, model)


def _too_large(needed: int, there: int, config: TrainConfig, model: Model) -> MemoryError:
    name = type(config.solver).__name__
    leaner = "" if name in ("Shooting", "Sequential") else "solver=gtfdeer.solvers.Shooting(), "
    return MemoryError(
        f"{name} needs about {needed / 2**30:.1f} GiB for {config.batch} sequences of {config.window:,} steps of "
        f"{model.latent_dim} units, and {there / 2**30:.1f} GiB are left; pass {leaner}a smaller batch or a shorter "
        f"window ({docs_url('the-kernel-died')})"
    )
