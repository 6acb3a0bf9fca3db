"""`gtfdeer info`: versions, devices and memory, to paste into a bug report; and which device to choose."""

from __future__ import annotations

import json
import os
import platform
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .command import Command
from .devices import advice, cuda_plugin, graphics

__all__ = ["COMMAND", "environment", "memory", "provenance", "versions"]

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "tqdm", "ipywidgets")
_PROVENANCE = ("versions", "backend", "devices", "machine", "cpu", "float64", "matmul precision")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: Namespace) -> None:
    facts = environment()
    if options.json:
        print(json.dumps(facts, indent=2, allow_nan=False))
        return
    for name, value in _flat(facts):
        print(f"{name:<{24}}{value}")


def environment() -> dict[str, Any]:
    """Everything about this machine and installation that a result or a fault may depend on."""
    import jax

    flags: Any = jax.config  # whose attributes are made at run time
    gpu, plugin = graphics(), cuda_plugin()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "backend": jax.default_backend(),
        "devices": [_device(device) for device in jax.devices()],
        "NVIDIA GPU": f"{gpu.name}, driver {gpu.driver}" if gpu else "none answers",
        "CUDA plugin": plugin or "not installed",
        "advice": advice(jax.default_backend(), gpu, plugin, os.environ.get("JAX_PLATFORMS", "")),
        "cpu": _cpu(),
        "memory": memory(),
        "needs": _needs(),
        "float64": bool(flags.jax_enable_x64),
        "matmul precision": str(flags.jax_default_matmul_precision or "default"),
    }


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """What results kept in a file name beside them: the command, as a shell takes it, and what they depend on."""
    from ..training._memory import device_in_words

    known = environment()
    return {"command": shlex.join(command), "device": device_in_words(), **{name: known[name] for name in _PROVENANCE}}


def versions() -> dict[str, str]:
    """Versions of Python, gtfdeer and what it stands on; "not installed" where a package is absent."""
    from .. import __version__

    found = {"python": platform.python_version(), "gtfdeer": __version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def memory(proc: Path = Path("/proc"), control_group: Path = Path("/sys/fs/cgroup")) -> dict[str, str]:
    """Total and available memory, within what this process is allowed; "unknown" without /proc."""
    from ..training._memory import host_memory

    found = host_memory(proc, control_group)
    sizes = {"total": _size(found.total), "available": _size(found.available)}
    return {**sizes, "limited by": found.limited} if found.limited else sizes


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"


def _needs() -> dict[str, str]:
    """What a solver's loss and gradient need on one sequence of 100,000 steps, to hold against the memory there is."""
    from .. import solvers

    def mebibytes(solver: Any, latent_dim: int) -> str:
        return f"{solvers.memory_needed(solver, length=100_000, latent_dim=latent_dim) / 2**20:.0f} MiB"

    every = (solvers.Sequential(), solvers.Shooting(), solvers.DEER())
    return {
        type(solver).__name__: f"{mebibytes(solver, 3)} at M 3, {mebibytes(solver, 30)} at M 30 (T 100,000, B 1)"
        for solver in every
    }


def _cpu() -> dict[str, Any]:
    """Cores of the machine, and those that this process may run on."""
    from ..training._memory import usable_cores

    return {"cores": os.cpu_count() or "unknown", "usable": usable_cores() or "unknown"}


def _device(device: Any) -> dict[str, Any]:
    """Kind and memory of a JAX device; CPUs, and some others, keep no count of their memory."""
    try:
        limit = (device.memory_stats() or {}).get("bytes_limit")
    except (RuntimeError, NotImplementedError):
        limit = None
    return {"id": device.id, "platform": device.platform, "kind": device.device_kind, "memory": _size(limit)}


def _flat(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """One line a fact."""
    lines: list[tuple[str, str]] = []
    for name, value in facts.items():
        if name == "versions":
            lines += value.items()
        elif isinstance(value, dict):
            lines += [(f"{name} {key}", str(entry)) for key, entry in value.items()]
        elif isinstance(value, list):
            lines += [(f"device {entry['id']}", ", ".join(map(str, entry.values()))) for entry in value]
        else:
            lines.append((name, str(value)))
    return lines


COMMAND = Command(
    name="info",
    summary="show versions, devices and memory",
    description=(
        "Show versions, devices and memory: paste it into a bug report. The line `advice` says which device "
        "computes\n"
        "and what to type to change that."
    ),
    example="  gtfdeer info\n  gtfdeer info --json > info.json",
    add_options=add_options,
    run=run,
)
