"""The damped affine recurrence against least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import _damped as damped


def recurrence(length, size):
    """Random transitions of norm about 1 and offsets."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(length, size, size)) / np.sqrt(size), rng.normal(size=(length, size))


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("damping", [0.0, 1e-6, 0.1, 10.0])
@pytest.mark.usefixtures("x64")
def test_the_damped_recurrence_is_a_least_squares_problem(length, damping):
    """min sum |z_t - A_t z_{t-1} - b_t|^2 + damping |z_t|^2, written out as one tall matrix for `lstsq`."""
    A, b = recurrence(length, 2)
    L = np.eye(2 * length)
    for t in range(1, length):
        L[2 * t : 2 * t + 2, 2 * t - 2 : 2 * t] = -A[t]
    tall = np.concatenate([L, np.sqrt(damping) * np.eye(2 * length)])
    expected = np.linalg.lstsq(tall, np.concatenate([b.ravel(), np.zeros(2 * length)]), rcond=None)[0]
    found = damped.damped_affine(jnp.asarray(A), jnp.asarray(b), jnp.asarray(damping))
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-9)  # float64 and a condition number below 1e3


@pytest.mark.usefixtures("x64")
def test_the_filter_in_a_tree_is_the_filter_in_a_loop():
    """Accelerators get the tree; its compilation takes seconds for each doubling of the length."""
    A, b = recurrence(7, 2)
    A[0] = 0
    tree, loop = (
        jax.jit(f)(jnp.asarray(A), jnp.asarray(b), 0.1) for f in (damped._filter_in_a_tree, damped._filter_in_a_loop)
    )
    np.testing.assert_allclose(tree[0], loop[0], atol=1e-12)
    np.testing.assert_allclose(tree[1], loop[1], atol=1e-12)
