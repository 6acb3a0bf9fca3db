"""Vanilla, GRU, LSTM and AL-RNN: flax's own cells say the same, parameters counted, first values as documented."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gtfdeer.models import GRU, LSTM, AlmostLinearRNN, IdentityObservation, VanillaRNN, parameter_count

M, N, K = 6, 3, 2


def randomised(model):
    rng = np.random.default_rng(0)
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda p: p + jnp.asarray(0.5 * rng.normal(size=p.shape), p.dtype), state))
    return model


def state_and_input(seed=1):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=M), jnp.float32), jnp.asarray(rng.normal(size=K), jnp.float32)


def test_a_vanilla_network_is_flax_s_simple_cell():
    model = randomised(VanillaRNN(latent_dim=M, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    cell = nnx.SimpleCell(in_features=K, hidden_features=M, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...], cell.dense_i.bias[...] = model.C[...].T, model.b[...]
    cell.dense_h.kernel[...] = model.W[...].T
    np.testing.assert_allclose(model.step(z, u), cell(z, u)[0], atol=1e-6)  # float32


def test_a_gru_is_flax_s_gru_cell():
    """flax keeps its gates in the order r, g, p, and the bias inside the reset product apart."""
    model = randomised(GRU(latent_dim=M, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    cell = nnx.GRUCell(in_features=K, hidden_features=M, rngs=nnx.Rngs(0))

    def reordered(rows):
        g, r, p = np.split(np.asarray(rows), 3)
        return np.concatenate([r, g, p])

    expected = gru_by_hand(cell, reordered(model.W[...]), reordered(model.C[...]), reordered(model.b[...]), model, z, u)
    np.testing.assert_allclose(model.step(z, u), expected, atol=1e-6)  # float32


def gru_by_hand(cell, W, C, b, model, z, u):
    """`dense_h` of flax's cell has no bias of its own: c enters as one more input of the hidden product."""
    assert np.all(np.asarray(model.c[...]) != 0)
    model.c[...] = jnp.zeros(M)
    cell.dense_i.kernel[...], cell.dense_i.bias[...] = jnp.asarray(C.T), jnp.asarray(b)
    cell.dense_h.kernel[...] = jnp.asarray(W.T)
    return cell(z, u)[0]


def test_the_bias_inside_the_reset_product_does_what_its_equation_says():
    model = randomised(GRU(latent_dim=M, observed_dim=N, rngs=nnx.Rngs(0)))
    z, _ = state_and_input()
    Wg, Wr, Wq = np.split(np.asarray(model.W[...], float), 3)
    bg, br, bp = np.split(np.asarray(model.b[...], float), 3)

    def sig(v):
        return 1 / (1 + np.exp(-v))

    h = np.asarray(z, float)
    g, r = sig(Wg @ h + bg), sig(Wr @ h + br)
    p = np.tanh(r * (Wq @ h + np.asarray(model.c[...], float)) + bp)
    np.testing.assert_allclose(model.step(z), (1 - g) * p + g * h, atol=1e-6)  # float32


def test_an_lstm_is_flax_s_lstm_cell():
    """Its order is i, f, p, o, and its state a pair."""
    model = randomised(LSTM(latent_dim=M, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    half = M // 2
    cell = nnx.OptimizedLSTMCell(in_features=K, hidden_features=half, rngs=nnx.Rngs(0))

    def reordered(rows):
        f, i, p, o = np.split(np.asarray(rows), 4)
        return jnp.asarray(np.concatenate([i, f, p, o]))

    cell.dense_i.kernel[...] = reordered(model.C[...]).T
    cell.dense_h.kernel[...], cell.dense_h.bias[...] = reordered(model.W[...]).T, reordered(model.b[...])
    (c, h), _ = cell((z[:half], z[half:]), u)
    np.testing.assert_allclose(model.step(z, u), np.concatenate([c, h]), atol=1e-6)  # float32


@pytest.mark.parametrize("latent_dim", [2, 3, 7])
def test_an_lstm_may_have_any_number_of_numbers_from_two(latent_dim):
    model = LSTM(latent_dim=latent_dim, observed_dim=1, rngs=nnx.Rngs(0))
    z = jnp.linspace(-1, 1, latent_dim)
    np.testing.assert_allclose(jax.jit(model.jacobian)(z), jax.jit(jax.jacfwd(model.step))(z), atol=1e-6)  # float32


def test_an_lstm_of_one_number_is_refused():
    with pytest.raises(ValueError, match="pass latent_dim=2 or more"):
        LSTM(latent_dim=1, rngs=nnx.Rngs(0))


def test_an_almost_linear_network_is_its_equation():
    model = randomised(AlmostLinearRNN(latent_dim=M, relu_units=2, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    A, W, h, C = (np.asarray(p[...], float) for p in (model.A, model.W, model.h, model.C))
    phi = np.concatenate([z[:-2], np.maximum(z[-2:], 0)])
    np.testing.assert_allclose(model.step(z, u), A * z + W @ phi + h + C @ u, atol=1e-6)  # float32


def test_more_relu_units_than_units_are_refused():
    with pytest.raises(ValueError, match="relu_units=7 exceeds latent_dim=6; pass at most 6"):
        AlmostLinearRNN(latent_dim=M, relu_units=7, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("inputs", [0, K])
@pytest.mark.parametrize(
    ("model_class", "own"),
    [
        (AlmostLinearRNN, M + M**2 + M),
        (VanillaRNN, M**2 + M),
        (GRU, 3 * M**2 + 4 * M),
        (LSTM, M**2 + 2 * M),  # 4 m^2 + 4 m for m = M / 2
    ],
    ids=lambda c: getattr(c, "__name__", ""),
)
def test_parameters_are_as_many_as_documented(model_class, own, inputs):
    model = model_class(
        latent_dim=M, observed_dim=N, input_dim=inputs, observation=IdentityObservation, rngs=nnx.Rngs(0)
    )
    rows = {AlmostLinearRNN: M, VanillaRNN: M, GRU: 3 * M, LSTM: 2 * M}[model_class]
    assert parameter_count(model) == own + rows * inputs + (M - N) * N


@pytest.mark.parametrize("model_class", [VanillaRNN, GRU, LSTM], ids=lambda c: c.__name__)
def test_units_stay_bounded(model_class):
    """h of a state of any size is inside (-1, 1), an LSTM's c is not."""
    model = randomised(model_class(latent_dim=M, observed_dim=N, rngs=nnx.Rngs(0)))
    start = jnp.linspace(-0.9, 0.9, M) * (50 if model_class is VanillaRNN else 1)
    units = jax.jit(model.step)(start)[M // 2 :]
    assert np.all(np.abs(units) <= 1)
