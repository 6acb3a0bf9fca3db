"""What a batch does together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers._batching import shared, together


@pytest.mark.parametrize("axes", [(None, 0), (0, 0), (0, None)], ids=str)
def test_together_means_one_after_the_other(axes):
    calls = []

    def function(common, trajectories):
        calls.append(trajectories.shape)
        return trajectories * common, trajectories.sum(axis=1)

    common = jnp.arange(2.0) if axes[0] == 0 else jnp.asarray(3.0)
    x = jnp.arange(8.0).reshape(2, 4) if axes[1] == 0 else jnp.arange(4.0)
    scaled, total = jax.vmap(together(function), in_axes=axes)(common, x)
    x = jnp.broadcast_to(x, (2, 4))
    np.testing.assert_array_equal(scaled, x * jnp.reshape(common, (-1, 1)))
    np.testing.assert_array_equal(total, x.sum(axis=1))
    assert ((2, 4) in calls) == (axes[0] is None)


def test_together_takes_a_batch_of_batches_as_one():
    found = jax.vmap(jax.vmap(together(lambda c, x: x.sum(axis=1) + c), (None, 0)), (None, 0))(1.0, jnp.ones((2, 3, 4)))
    np.testing.assert_array_equal(found, jnp.full((2, 3), 5.0))


def test_a_shared_condition_is_true_while_it_is_for_anyone():
    def halvings(x):
        return jax.lax.while_loop(lambda c: shared(c[0] > 1), lambda c: (c[0] / 2, c[1] + 1), (x, 0))[1]

    np.testing.assert_array_equal(jax.vmap(halvings)(jnp.array([1.0, 8.0, 2.0])), [3, 3, 3])
    assert halvings(8.0) == 3
