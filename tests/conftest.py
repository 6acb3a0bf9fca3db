"""What several test files share: a compiler in a hurry, and precision without touching jax's global configuration."""

import os
from importlib.metadata import version

# Tests mostly compile: XLA takes a quarter of the time if it optimises less. `XLA_FLAGS= pytest` runs what a user runs,
# as `make test-long`, `fast-floor` and `fast-newest` do. Read by XLA with its first program, and by child processes.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    # other versions end the process at a flag that they do not know
    + (" --xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""),
)

import jax.numpy as jnp
import pytest

try:
    from jax import enable_x64
except ImportError:  # jax 0.7
    from jax.experimental import enable_x64


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions in turn; float64 is switched on for the duration of one test only."""
    with enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)


@pytest.fixture
def x64():
    """Double precision for the duration of one test."""
    with enable_x64(True):
        yield
