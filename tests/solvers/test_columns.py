"""Functions of all columns at once against `vmap` over the last axis, and what a batch does in one call."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers._columns import any_in_batch, batched, vmap_last

W = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
X = jnp.asarray(np.random.default_rng(1).normal(size=(3, 5)), jnp.float32)

FUNCTIONS = {
    "a shared matrix": lambda x: W @ x,
    "a shared matrix on the right": lambda x: x @ W,
    "a product of two of its own": lambda x: jnp.dot(x, 2 * x) * x,
    "a matrix of its own": lambda x: jnp.outer(x, x + 1) @ x,
    "a number of its own": lambda x: x[0] * x + jnp.sum(x),
    "a shared number": lambda x: jnp.maximum(x, 0.5) - 2,
    "shared entries": lambda x: jnp.where(x > W[0], x, W[1]) + jnp.clip(x, W[0] - 1, W[0] + 1),
    "relu and its kin": lambda x: jax.nn.relu(x) + jax.nn.softplus(x) + jax.nn.sigmoid(x) + jnp.tanh(x),
    "pieces": lambda x: jnp.concatenate([x[1:], W[0, :1], x[::2]])[:3].reshape(1, 3)[0],
    "nothing of the column": lambda x: W[0],
    "an inner loop": lambda x: jax.lax.fori_loop(0, 3, lambda i, z: jnp.tanh(W @ z), x),
    "rolled and sorted": lambda x: jnp.roll(x, 1) + jnp.sort(x),
    "complex numbers": lambda x: jnp.abs(jax.lax.complex(x, x[::-1]) * 1j) ** 2,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_columns_are_what_vmap_makes_of_them(name):
    function = FUNCTIONS[name]
    by_vmap = jax.jit(jax.vmap(function, in_axes=-1, out_axes=-1))(X)
    # 1e-6: another order of summation
    np.testing.assert_allclose(jax.jit(vmap_last(function))(X), by_vmap, rtol=1e-6, atol=1e-6)


def test_batched_takes_a_batch_of_batches_as_one():
    found = jax.vmap(jax.vmap(batched(lambda c, x: x.sum(axis=1) + c), (None, 0)), (None, 0))(1.0, jnp.ones((2, 3, 4)))
    np.testing.assert_array_equal(found, jnp.full((2, 3), 5.0))


def test_a_condition_of_a_batch_is_true_while_it_is_for_anyone():
    def halvings(x):
        return jax.lax.while_loop(lambda c: any_in_batch(c[0] > 1), lambda c: (c[0] / 2, c[1] + 1), (x, 0))[1]

    np.testing.assert_array_equal(jax.vmap(halvings)(jnp.array([1.0, 8.0, 2.0])), [3, 3, 3])
    assert halvings(8.0) == 3
