"""Which device JAX computes on, which it could compute on, and what to type to change that.

An NVIDIA GPU serves JAX when three things are there: a driver that answers, JAX's CUDA plugin of jaxlib's version, and
nothing that forbids it (`JAX_PLATFORMS`). JAX itself falls back on the CPU where one is missing.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata

from .._checks import trouble

__all__ = ["Graphics", "advice", "cuda_plugin", "graphics"]

_PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")
_CUDA13 = 580  # the oldest driver that serves CUDA 13; JAX's installation page


@dataclass(frozen=True)
class Graphics:
    """An NVIDIA GPU that its driver knows: name, and version of the driver."""

    name: str
    driver: str

    @property
    def extra(self) -> str:
        """The extra of jax (and of gtfdeer) that this driver can serve."""
        major = self.driver.split(".")[0]
        return "cuda13" if major.isdigit() and int(major) >= _CUDA13 else "cuda12"


def graphics() -> Graphics | None:
    """The first NVIDIA GPU of this machine, whether JAX uses it or not; None where no driver answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    first = answer.stdout.partition("\n")[0]
    if answer.returncode or "," not in first:
        return None
    name, driver = (part.strip() for part in first.rsplit(",", 1))
    return Graphics(name, driver)


def cuda_plugin() -> str | None:
    """Name and version of JAX's CUDA plugin, or None."""
    for plugin in _PLUGINS:
        try:
            return f"{plugin} {metadata.version(plugin)}"
        except metadata.PackageNotFoundError:
            continue
    return None


def advice(backend: str, gpu: Graphics | None, plugin: str | None, platforms: str) -> str:
    """One sentence: what computes here, and what to change.

    Args:
        backend: `jax.default_backend()`.
        gpu: what the driver knows.
        plugin: JAX's CUDA plugin.
        platforms: the environment variable `JAX_PLATFORMS`.

    >>> advice("cpu", Graphics("NVIDIA T4", "550.54.15"), None, "")
    "the NVIDIA T4 is idle, because JAX has no CUDA plugin; type: pip install 'jax[cuda12]'"
    """
    if backend != "cpu":
        return f"JAX computes on the {backend}; set JAX_PLATFORMS=cpu to compute on the CPU"
    if gpu is None:
        return "no NVIDIA GPU answers, JAX computes on the CPU; on Colab: Runtime, Change runtime type, GPU"
    if platforms:
        return f"the {gpu.name} is idle, because JAX_PLATFORMS={platforms} forbids it; type: unset JAX_PLATFORMS"
    if plugin is None:
        return f"the {gpu.name} is idle, because JAX has no CUDA plugin; type: pip install 'jax[{gpu.extra}]'"
    return (
        f"the {gpu.name} is idle although {plugin} is installed, which must be of jaxlib's version; type: "
        f"pip install --upgrade 'jax[{gpu.extra}]' (more: {trouble('no-gpu')})"
    )
