"""LRU, S5 and Mamba: published first values, discretisation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gtfdeer.models import LRU, S5, Mamba
from gtfdeer.models._linear import _hippo_normal

S, H, N = 6, 10, 3


def sizes(**more):
    return {"latent_dim": S, "width": H, "observed_dim": N, "rngs": nnx.Rngs(0), **more}


def test_lru_transitions_start_in_their_ring_and_keep_the_size_of_what_comes():
    layer = LRU(**sizes(latent_dim=500)).layer_0
    A, _ = layer.transition(jnp.ones(H))
    assert np.all((np.abs(A) >= 0.5 - 1e-4) & (np.abs(A) <= 0.99 + 1e-4))
    assert np.all((np.angle(A) >= 0) & (np.angle(A) <= math.pi / 5))
    np.testing.assert_allclose(np.exp(layer.log_gamma[...]) ** 2, 1 - np.abs(A) ** 2, atol=1e-4)  # float32


def test_s5_begins_with_the_eigenvalues_of_hippo():
    """LegS plus its rank-one part: A + p p^T is -1/2 plus a skew matrix, in exact numbers."""
    n = np.arange(8)
    root = np.sqrt(2 * n + 1)
    legs = -(np.tril(np.outer(root, root), -1) + np.diag(n + 1.0))
    normal = legs + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
    decay, frequency, V = _hippo_normal(8)
    np.testing.assert_allclose(decay, -0.5)
    expected = np.sort_complex(np.linalg.eigvals(normal))
    np.testing.assert_allclose(np.sort(frequency), np.sort(expected.imag), atol=1e-4)  # float32
    V, eigenvalues = np.asarray(V), np.asarray(decay) + 1j * np.asarray(frequency)
    np.testing.assert_allclose(V * eigenvalues @ V.conj().T, normal, atol=1e-4)  # float32
    kept = S5(**sizes()).layer_0.frequency[...]
    assert np.all(kept > 0)


def test_s5_holds_its_input_for_a_step():
    """The exact solution of h' = Lambda h + B v after the time d, v held: here at rest, h -> -B v / Lambda."""
    layer = S5(**sizes()).layer_0
    v = jnp.linspace(-1, 1, H)
    A, b = layer.transition(v)
    eigenvalues = layer.decay[...] + 1j * layer.frequency[...]
    np.testing.assert_allclose(b / (1 - A), -layer._driven(v) / eigenvalues, rtol=1e-3)  # 1 - A loses digits
    step = np.exp(layer.log_step[...])
    np.testing.assert_allclose(A, np.exp(eigenvalues * step), rtol=1e-5)
    assert np.all((step >= 1e-3) & (step <= 1e-1))


def test_mamba_s_step_sizes_follow_the_input():
    """Selectivity: another input, another A; without input the step size is softplus of its bias."""
    layer = Mamba(**sizes()).layer_0
    here, there = (layer.transition(v)[0] for v in (jnp.ones(H), -2 * jnp.ones(H)))
    assert not np.allclose(here, there)
    at_rest = layer.transition(jnp.zeros(H))[0].reshape(2 * H, S)
    step = jax.nn.softplus(layer.b_d[...])
    np.testing.assert_allclose(at_rest, np.exp(-np.outer(step, np.arange(1, S + 1))), rtol=1e-5)  # float32
    assert np.all((step >= 1e-3 * 0.99) & (step <= 1e-1 * 1.01))
