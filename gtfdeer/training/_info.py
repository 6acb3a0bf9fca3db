"""What results and faults may depend on: versions, device, cores, memory; and what to type to change the device."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

import jax
import psutil

_PACKAGES = ("gtfdeer", "jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "tqdm", "psutil", "ipywidgets")
_CUDA13 = 580  # the oldest driver that serves CUDA 13 (JAX's installation page)


def describe_device() -> str:
    """Return what JAX computes on, such as "2 CPU cores"."""
    device, cores = jax.devices()[0], _count_cores()
    return f"{cores} CPU core{'s' * (cores != 1)}" if device.platform == "cpu" else device.device_kind


class Info(dict[str, Any]):
    """A dictionary that prints as a table, one fact a line."""

    def __repr__(self) -> str:
        flat = {**self["versions"], **{name: value for name, value in self.items() if name != "versions"}}
        return "\n".join(f"{name:<18}{value}" for name, value in flat.items())


def info() -> Info:
    """Collect "versions", "platform", "device", "cores", "memory available", "float64", and "advice" on the device.

    >>> "jax" in info()["versions"]
    True
    """
    return Info(
        versions={"python": platform.python_version(), **{name: _find_version(name) for name in _PACKAGES}},
        platform=platform.platform(),
        device=describe_device(),
        cores=_count_cores(),
        **{"memory available": f"{psutil.virtual_memory().available / 2**30:.1f} GiB"},
        float64=jax.numpy.zeros(0).dtype == "float64",
        advice=advise(jax.devices()[0].platform, _find_gpu(), os.environ.get("JAX_PLATFORMS", "")),
    )


def notebook() -> bool:
    """Print version, device and advice in one line, at the top of a notebook, and choose its sizes.

    Returns:
        True where the environment variable `GTFDEER_FAST` is 1: automatic tests ask for small sizes so.

    >>> FAST = notebook()  # doctest: +ELLIPSIS
    gtfdeer ...
    """
    facts = info()
    sys.stdout.write(f"gtfdeer {facts['versions']['gtfdeer']} on {facts['device']}: {facts['advice']}\n")
    return os.environ.get("GTFDEER_FAST") == "1"


def advise(backend: str, gpu: tuple[str, str] | None, platforms: str) -> str:
    """Say what computes here, by JAX's first device, the GPU that answers and `JAX_PLATFORMS`, and how to change that.

    >>> advise("cpu", ("NVIDIA T4", "550.54.15"), "")
    "the NVIDIA T4 is idle, because JAX does not find it; type: pip install --upgrade 'jax[cuda12]'"
    """
    if backend != "cpu":
        return f"JAX computes on the {backend}; set JAX_PLATFORMS=cpu to compute on the CPU"
    if gpu is None:
        return "no NVIDIA GPU answers, JAX computes on the CPU; on Colab: Runtime, Change runtime type, GPU"
    name, driver = gpu
    if platforms:
        return f"the {name} is idle, because JAX_PLATFORMS={platforms} forbids it; type: unset JAX_PLATFORMS"
    major = driver.split(".")[0]
    extra = "cuda13" if major.isdigit() and int(major) >= _CUDA13 else "cuda12"
    return f"the {name} is idle, because JAX does not find it; type: pip install --upgrade 'jax[{extra}]'"


def _count_cores() -> int | None:
    """Return how many cores this process may run on; None if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _find_gpu() -> tuple[str, str] | None:
    """Name and driver version of the first NVIDIA GPU; None where no driver answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    name, comma, driver = answer.stdout.partition("\n")[0].rpartition(",")
    return None if answer.returncode or not comma else (name.strip(), driver.strip())


def _find_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
