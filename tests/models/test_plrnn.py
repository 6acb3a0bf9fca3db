"""Shallow PLRNNs: their equations in NumPy, and their initial values as documented."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gtfdeer.models import AffineObservation, ClippedShallowPLRNN, IdentityObservation, ScaledObservation, ShallowPLRNN

both = pytest.mark.parametrize("model_class", [ShallowPLRNN, ClippedShallowPLRNN], ids=lambda c: c.__name__)


def relu(v):
    return np.maximum(v, 0)


def numbers(model):
    return {name: np.asarray(getattr(model, name)[...], float) for name in ("A", "W1", "W2", "h1", "h2", "C")}


def shallow(p, z):
    return p["A"] * z + p["W1"] @ relu(p["W2"] @ z + p["h2"]) + p["h1"]


def clipped(p, z):
    return p["A"] * z + p["W1"] @ (relu(p["W2"] @ z + p["h2"]) - relu(p["W2"] @ z)) + p["h1"]


@pytest.mark.parametrize(("model_class", "equation"), [(ShallowPLRNN, shallow), (ClippedShallowPLRNN, clipped)])
def test_the_step_is_its_equation(model_class, equation):
    model = model_class(latent_dim=3, hidden_dim=7, input_dim=2, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    model.h1[...] = jnp.asarray(rng.normal(size=3), jnp.float32)
    model.h2[...] = jnp.asarray(rng.normal(size=7), jnp.float32)
    z, u = rng.normal(size=3).astype("float32"), rng.normal(size=2).astype("float32")
    p = numbers(model)
    np.testing.assert_allclose(model.step(jnp.asarray(z)), equation(p, z), atol=1e-5)  # float32, sums of 7
    np.testing.assert_allclose(model.step(jnp.asarray(z), jnp.asarray(u)), equation(p, z) + p["C"] @ u, atol=1e-5)


@both
def test_initial_values_are_those_documented(model_class):
    M, H = 20, 400
    model = model_class(latent_dim=M, hidden_dim=H, observed_dim=4, rngs=nnx.Rngs(0))
    p = numbers(model)
    for values, bound in ((p["W1"], 1 / np.sqrt(H)), (p["W2"], 1 / np.sqrt(M))):
        assert np.max(np.abs(values)) <= bound
        # 8000 uniform numbers: standard deviation bound / sqrt(3), known to 1 %
        assert np.std(values) == pytest.approx(bound / np.sqrt(3), rel=0.03)
        assert abs(np.mean(values)) < 0.03 * bound
    np.testing.assert_array_equal(p["h1"], np.zeros(M))
    assert np.max(np.abs(np.asarray(model.observation.L[...]))) <= np.sqrt(6 / M)


@both
def test_the_linear_part_starts_as_the_scaled_diagonal_of_a_covariance(model_class):
    """A = diag(K) / lambda_max(K), K = R^T R / M + I: recomputed from the same random numbers."""
    M = 6
    model = model_class(latent_dim=M, hidden_dim=3, rngs=nnx.Rngs(5))
    R = np.asarray(jax.random.normal(nnx.Rngs(5).params(), (M, M)), float)
    K = R.T @ R / M + np.eye(M)
    np.testing.assert_allclose(model.A[...], np.diag(K) / np.linalg.eigvalsh(K)[-1], rtol=1e-5)  # float32 eigenvalues
    assert np.all((np.asarray(model.A[...]) > 0) & (np.asarray(model.A[...]) <= 1))


def test_thresholds_start_at_zero_but_never_for_the_clipped_one():
    """With h2 = 0 the clipped network would be linear, and its hidden layer without gradient."""
    np.testing.assert_array_equal(ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0)).h2[...], np.zeros(50))
    for seed in range(20):
        h2 = np.asarray(ClippedShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(seed)).h2[...])
        assert np.all(h2 != 0)
        assert np.max(np.abs(h2)) <= 1 / np.sqrt(50)


# --- observations ---


@pytest.mark.parametrize(("M", "N"), [(5, 3), (3, 3), (3, 5)])
@pytest.mark.usefixtures("x64")
def test_affine_teacher_is_the_pseudo_inverse(M, N):
    affine = AffineObservation(M, N, rngs=nnx.Rngs(0))
    B, x = np.asarray(affine.B[...]), np.random.default_rng(0).normal(size=N)
    np.testing.assert_allclose(affine.encode(jnp.asarray(x)), np.linalg.lstsq(B, x, rcond=None)[0], atol=1e-10)
    np.testing.assert_allclose(affine.decode(jnp.ones(M)), B @ np.ones(M), atol=1e-12)
    np.testing.assert_array_equal(affine.forced_units(), np.ones(M))
    np.testing.assert_array_equal(affine.initial_state(jnp.asarray(x)), affine.encode(jnp.asarray(x)))


def test_affine_readout_starts_kaiming_normal():
    B = np.asarray(AffineObservation(50, 200, rngs=nnx.Rngs(0)).B[...])
    assert np.std(B) == pytest.approx(np.sqrt(2 / 50), rel=0.03)  # 10,000 numbers: known to 0.7 %


def test_identity_teaches_the_first_units_and_starts_the_others_from_them():
    identity = IdentityObservation(5, 2, rngs=nnx.Rngs(0))
    x = jnp.array([1.5, -0.5])
    L = np.asarray(identity.L[...])
    np.testing.assert_array_equal(identity.decode(jnp.arange(5.0)), [0, 1])
    np.testing.assert_array_equal(identity.encode(x), [1.5, -0.5, 0, 0, 0])
    np.testing.assert_allclose(identity.initial_state(x), np.concatenate([x, L @ np.asarray(x)]), rtol=1e-6)
    np.testing.assert_array_equal(identity.forced_units(), [1, 1, 0, 0, 0])


def test_scaled_units_are_the_observation_over_a_gain():
    scaled = ScaledObservation(5, 2, rngs=nnx.Rngs(0))
    scaled.g[...] = jnp.array([2.0, -4.0])
    x, L = jnp.array([1.0, 8.0]), np.asarray(scaled.L[...])
    np.testing.assert_array_equal(scaled.encode(x), [0.5, -2, 0, 0, 0])
    np.testing.assert_allclose(scaled.initial_state(x), np.concatenate([[0.5, -2], L @ np.array([0.5, -2])]), rtol=1e-6)
    np.testing.assert_array_equal(scaled.decode(scaled.initial_state(x)), x)
    np.testing.assert_array_equal(scaled.forced_units(), [1, 1, 0, 0, 0])
