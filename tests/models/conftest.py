"""Programs of these tests run once, on small arrays: their compiler is told not to optimise them."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _compile_quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
