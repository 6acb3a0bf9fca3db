"""What several test files share: precision without touching jax's global configuration."""

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
