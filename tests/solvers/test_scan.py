"""Affine recurrences against a plain loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import scan

METHODS = [scan.sequential, scan.associative, *(scan.Blocked(n) for n in (None, 1, 5, 100))]
DENSE_OR_DIAGONAL = pytest.mark.parametrize("diagonal", [False, True], ids=["dense", "diagonal"])
EVERY_METHOD = pytest.mark.parametrize("method", METHODS, ids=lambda m: getattr(m, "__name__", str(m)))


def recurrence(length, size, diagonal, seed=0):
    """Random transitions of norm about 1 and offsets, float64."""
    rng = np.random.default_rng(seed)
    A = rng.uniform(-1, 1, (length, size)) if diagonal else rng.normal(size=(length, size, size)) / np.sqrt(size)
    return A, rng.normal(size=(length, size))


def loop(A, b, reverse=False):
    z, states = np.zeros(b.shape[1]), np.zeros(b.shape)
    for t in reversed(range(len(b))) if reverse else range(len(b)):
        z = (A[t] * z if A.ndim == 2 else A[t] @ z) + b[t]
        states[t] = z
    return states


@EVERY_METHOD
@DENSE_OR_DIAGONAL
@pytest.mark.parametrize(("length", "size", "reverse"), [(1, 1, False), (13, 5, True), (64, 3, False)])
@pytest.mark.usefixtures("x64")
def test_equals_a_plain_loop(method, diagonal, length, size, reverse):
    A, b = recurrence(length, size, diagonal)
    found = jax.jit(functools.partial(scan.affine, reverse=reverse, method=method))(A, b)
    assert found.dtype == jnp.float64
    expected = loop(A, b, reverse)
    # rounding of up to 64 matrix products whose factors have norm 1 to 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))


@EVERY_METHOD
@DENSE_OR_DIAGONAL
@pytest.mark.usefixtures("x64")
def test_gradients_equal_finite_differences(method, diagonal):
    A, b = recurrence(11, 2, diagonal)
    weights = np.random.default_rng(1).normal(size=b.shape)
    rng = np.random.default_rng(2)
    dA, db, h = rng.normal(size=A.shape), rng.normal(size=b.shape), 1e-6

    gradient = jax.jit(jax.grad(lambda A, b: jnp.sum(weights * scan.affine(A, b, method=method)), (0, 1)))(A, b)
    along = np.sum(gradient[0] * dA) + np.sum(gradient[1] * db)
    central = np.sum(weights * (loop(A + h * dA, b + h * db) - loop(A - h * dA, b - h * db))) / (2 * h)
    assert along == pytest.approx(central, rel=1e-6)  # h^2 truncation and 1e-16 / h rounding


@EVERY_METHOD
@DENSE_OR_DIAGONAL
def test_a_batch_is_its_members(method, diagonal):
    members = [recurrence(9, 3, diagonal, seed) for seed in range(4)]
    A, b = (jnp.asarray(np.stack(x), jnp.float32) for x in zip(*members, strict=True))
    found = jax.jit(jax.vmap(lambda A, b: scan.affine(A, b, method=method)))(A, b)
    for member, (one_A, one_b) in zip(found, members, strict=True):
        np.testing.assert_allclose(member, loop(one_A, one_b), rtol=1e-4, atol=1e-4)  # float32, 9 products


@pytest.mark.parametrize("strength", [0.2, 0.97, 1.5], ids=["forgets", "forgets slowly", "grows"])
@pytest.mark.usefixtures("x64")
def test_windows_that_forget_and_windows_that_do_not(strength):
    """Windows of 32 steps: in the first case nothing of a start is left at their ends, in the last one all of it."""
    rng = np.random.default_rng(0)
    A = strength * np.linalg.qr(rng.normal(size=(100, 3, 3)))[0]
    b = rng.normal(size=(100, 3))
    expected = loop(A, b)
    found = jax.jit(functools.partial(scan.affine, method=scan.Blocked(32)))(A, b)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.max(np.abs(expected)))  # 100 products


@pytest.mark.parametrize("sizes", [(1.0, 1.0), (1e6, 1.0), (1.0, 1e6)])
def test_one_of_a_batch_that_does_not_forget_is_right_beside_one_that_does(sizes):
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.normal(size=(2, 90, 2, 2)))[0] * np.array([0.1, 0.7])[:, None, None, None]
    b = rng.normal(size=(2, 90, 2)) * np.array(sizes)[:, None, None]
    A, b = A.astype("float32"), b.astype("float32")
    found = jax.vmap(lambda A, b: scan.affine(A, b, method=scan.Blocked(20)))(A, b)
    for member, one_A, one_b, size in zip(found, A, b, sizes, strict=True):
        np.testing.assert_allclose(member, loop(one_A, one_b), rtol=0, atol=1e-5 * size)  # float32, a few sums


@pytest.mark.parametrize("place", [0, 25, 59])
def test_what_is_not_finite_stays_so(place):
    A, b = (jnp.asarray(x, jnp.float32) for x in recurrence(60, 2, diagonal=False))
    found = scan.affine(0.1 * A, b.at[place].set(jnp.nan), method=scan.Blocked(20))
    assert np.isfinite(found[:place]).all()
    assert np.isnan(found[place:]).all()


def test_a_diagonal_recurrence_may_be_complex():
    """As linear state-space models need it: z_t = exp(i w) z_{t-1} + b_t turns."""
    turn = np.exp(0.3j) * np.ones((20, 1))
    b = np.zeros((20, 1), complex)
    b[0] = 1
    for method in (scan.sequential, scan.associative, scan.Blocked()):
        found = scan.affine(jnp.asarray(turn, jnp.complex64), jnp.asarray(b, jnp.complex64), method=method)
        np.testing.assert_allclose(found[:, 0], np.exp(0.3j * np.arange(20)), atol=1e-5)  # complex64, 20 turns


def test_the_device_that_computes_is_the_default_one_where_it_is_set():
    device = jax.devices("cpu")[0]
    for chosen in (device, "cpu"):
        with jax.default_device(chosen):
            assert scan.this_device() == device
            assert scan.for_this_device() == scan.Blocked()
