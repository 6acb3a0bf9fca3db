"""Vanilla, GRU, LSTM and AL-RNN: flax's own cells say the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gtfdeer.models import GRU, LSTM, AlmostLinearRNN, VanillaRNN

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


def test_a_gru_is_flax_s_gru_cell_with_a_bias_inside_the_reset_product():
    """flax keeps its gates in the order r, g, p, and has no bias c of its own: once without it, once by hand."""
    model = randomised(GRU(latent_dim=M, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    (Wg, Wr, Wq), (Cg, Cr, Cp), (bg, br, bp) = (np.split(np.asarray(p[...]), 3) for p in (model.W, model.C, model.b))
    g, r = (1 / (1 + np.exp(-v)) for v in (Wg @ z + Cg @ u + bg, Wr @ z + Cr @ u + br))
    p = np.tanh(r * (Wq @ z + np.asarray(model.c[...])) + Cp @ u + bp)
    np.testing.assert_allclose(model.step(z, u), (1 - g) * p + g * z, atol=1e-6)  # float32
    assert np.all(np.asarray(model.c[...]) != 0)
    model.c[...] = jnp.zeros(M)
    cell = nnx.GRUCell(in_features=K, hidden_features=M, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = jnp.asarray(np.concatenate([Cr, Cg, Cp]).T)
    cell.dense_i.bias[...] = jnp.asarray(np.concatenate([br, bg, bp]))
    cell.dense_h.kernel[...] = jnp.asarray(np.concatenate([Wr, Wg, Wq]).T)
    np.testing.assert_allclose(model.step(z, u), cell(z, u)[0], atol=1e-6)  # float32


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


def test_an_almost_linear_network_is_its_equation():
    model = randomised(AlmostLinearRNN(latent_dim=M, relu_units=2, observed_dim=N, input_dim=K, rngs=nnx.Rngs(0)))
    z, u = state_and_input()
    A, W, h, C = (np.asarray(p[...], float) for p in (model.A, model.W, model.h, model.C))
    phi = np.concatenate([z[:-2], np.maximum(z[-2:], 0)])
    np.testing.assert_allclose(model.step(z, u), A * z + W @ phi + h + C @ u, atol=1e-6)  # float32
