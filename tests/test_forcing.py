"""Forcing against its formulas in NumPy, and the schedules of alpha."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfdeer import forcing
from gtfdeer.forcing import Adaptive, Annealed, Forced, force, force_jacobian

W = jnp.array([[1.2, -0.7, 0.3], [0.5, 0.9, -1.1], [0.2, 0.4, 1.3]])
Z, TEACHER = jnp.array([0.3, -0.2, 0.5]), jnp.array([-1.0, 0.4, 0.8])
ALPHAS = [0.0, 0.25, 1.0, np.float32([0.7]), np.float32([0.0, 0.5, 1.0])]


def step(z, u):
    return jnp.tanh(W @ z + (0 if u is None else u))


def jacobian(z, u):
    return (1 - step(z, u) ** 2)[:, None] * W


# --- force ---


@pytest.mark.parametrize("alpha", ALPHAS, ids=str)
def test_the_step_starts_between_state_and_teacher_and_its_jacobian_carries_one_minus_alpha(alpha):
    """The external input passes through."""
    blend = (1 - alpha) * np.asarray(Z) + alpha * np.asarray(TEACHER)
    for u in (None, jnp.array([0.1, 0.2, 0.3])):
        inputs = Forced(TEACHER, jnp.asarray(alpha), u)
        np.testing.assert_allclose(force(step)(Z, inputs), step(blend, u), rtol=1e-6)  # float32
        found = force_jacobian(jacobian)(Z, inputs)
        np.testing.assert_allclose(found, jax.jacfwd(force(step))(Z, inputs), atol=1e-6)
        by_columns = np.asarray(jacobian(blend, u)) * (1 - np.broadcast_to(alpha, 3))[None, :]
        np.testing.assert_allclose(found, by_columns, atol=1e-6)


# --- how large a Jacobian is ---


def random_jacobians(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.sampled_from([1, 2, 3, 10]), seed=st.integers(0, 1000), scale=st.sampled_from([1e-15, 1.0, 1e15]))
def test_spectral_norm_is_an_upper_bound_within_its_factor(size, seed, scale):
    J = scale * np.random.default_rng(seed).normal(size=(size, size))
    exact = np.linalg.norm(J, 2)
    found = float(forcing.spectral_norm(jnp.asarray(J, jnp.float32)))
    # rounding: float32, seven squarings whose errors a root of at least 2, 4, .. 128 divides
    assert exact * (1 - 1e-6) <= found <= exact * size ** (1 / 256) * (1 + 1e-6)


def test_spectral_norm_works_on_batches_and_in_double_precision(dtype):
    J = random_jacobians(2, 5, 3, 3)
    found = forcing.spectral_norm(jnp.asarray(J, dtype))
    assert found.dtype == dtype
    exact = np.linalg.norm(J, 2, axis=(-2, -1))
    np.testing.assert_allclose(found, exact, rtol=3 ** (1 / 256) - 1 + 1e-6)


def _norm(J):
    return np.linalg.norm(J, 2, axis=(-2, -1))


ESTIMATORS = {  # over (batch, time, M, M): the largest of a batch
    forcing.product_upper_bound: lambda J: np.max(np.exp(np.mean(np.log(_norm(J)), axis=-1))),
    forcing.arithmetic_mean: lambda J: np.max(_norm(np.mean(J, axis=-3))),
}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.__name__)
@pytest.mark.parametrize("shape", [(1, 3, 3), (20, 3, 3), (4, 20, 3, 3), (4, 20, 1, 1)], ids=str)
def test_estimators_are_their_formulas(estimator, shape):
    J = random_jacobians(*shape)
    found = float(estimator(jnp.asarray(J)))
    exact = ESTIMATORS[estimator](J)
    assert exact * (1 - 1e-5) <= found <= exact * shape[-1] ** (1 / 256) * (1 + 1e-5)  # spectral_norm's factor


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.__name__)
def test_estimators_of_jacobians_that_overflowed_ask_for_full_forcing(estimator):
    for bad in (np.inf, np.nan):
        J = random_jacobians(5, 3, 3)
        J[2, 1, 1] = bad
        assert forcing.optimal_alpha(estimator(jnp.asarray(J))) == 1


@pytest.mark.parametrize(
    ("size", "alpha"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (1.25, 0.2), (4.0, 0.75), (np.inf, 1.0), (np.nan, 1.0)]
)
def test_optimal_alpha_brings_the_size_to_one_and_no_lower(size, alpha):
    assert float(forcing.optimal_alpha(jnp.asarray(size))) == pytest.approx(alpha, abs=1e-6)


# --- does the forced map contract? ---


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
def test_contraction_of_a_linear_map_is_its_largest_eigenvalue(alpha):
    """Forcing all units shifts every exponent by ln(1 - alpha)."""
    A = jnp.array([[1.2, 5.0], [0.0, 0.5]])
    found = forcing.contraction(lambda z: A @ z, jnp.zeros((400, 2)), alpha, dt=0.1)
    expected = math.log(1.2 * (1 - alpha)) / 0.1
    assert float(found.exponent) == pytest.approx(expected, abs=0.1)  # ln(condition) / 40 units of time
    norm = np.linalg.norm(np.asarray(A), 2) * (1 - alpha)
    assert float(found.bound) == pytest.approx(math.log(norm) / 0.1, abs=0.3)  # spectral_norm is 3 % high at most
    assert found.bound > found.exponent


def test_a_unit_that_is_never_forced_keeps_its_expansion():
    states, two = jnp.zeros((50, 2)), jnp.array([2.0, 1.5])
    partly = forcing.contraction(lambda z: two * z, states, jnp.array([[0.9, 0.0]]))
    assert float(partly.exponent) == pytest.approx(math.log(1.5), abs=0.01)  # the Frobenius-like norm: ln M / T
    assert float(forcing.contraction(lambda z: two * z, states, 0.9).exponent) == pytest.approx(math.log(0.2), abs=0.01)


def test_sparse_forcing_forgets_at_every_interval():
    """alpha 1 once: the product of Jacobians is zero, its exponent minus infinity, and no NaN."""
    found = forcing.contraction(lambda z: 2 * z, jnp.zeros((7, 1)), forcing.sparse(7, 3))
    assert float(found.exponent) == -np.inf
    assert float(found.bound) == -np.inf


# --- schedules ---


def of_size(size):
    """Jacobians of one unit: the estimators give exactly their size."""
    return lambda: jnp.full((2, 7, 1, 1), size)


def test_annealed_goes_from_first_to_last_by_equal_factors():
    schedule = Annealed(first=0.8, last=0.05)
    assert float(schedule.alpha(schedule.start())) == pytest.approx(0.8)
    found = [float(schedule.alpha(schedule.advance(schedule.start(), k, 21, None))) for k in range(21)]
    np.testing.assert_allclose(found, np.geomspace(0.8, 0.05, 21), rtol=1e-5)  # float32 exponentials
    assert float(schedule.alpha(schedule.advance(schedule.start(), 0, 1, None))) == pytest.approx(0.8)


def test_annealed_goes_no_faster_than_in_its_least_updates():
    patient, plain = Annealed(0.8, 0.05, least_updates=21), Annealed(0.8, 0.05)
    for update, updates in ((0, 5), (4, 5), (20, 21), (30, 100)):
        found = patient.advance(patient.start(), update, updates, None)
        np.testing.assert_array_equal(found, plain.advance(plain.start(), update, max(updates, 21), None))


def test_adaptive_starts_at_full_forcing_and_every_fifth_update_jumps_up_at_once_or_comes_down_with_memory():
    """The rule as a loop over numbers, with sizes that go up and down."""
    sizes = 1 + np.random.default_rng(0).exponential(size=100)
    schedule, alpha = Adaptive(decay=0.9), 1.0
    state = schedule.start()
    advance = jax.jit(lambda state, update, size: schedule.advance(state, update, 100, of_size(size)))
    for update, size in enumerate(sizes):
        before, state = state, advance(state, update, size)
        if update % 5 == 0:
            a = 1 - 1 / size
            alpha = a if a > alpha else 0.9 * alpha + 0.1 * a
        assert bool(state != before) == (update % 5 == 0)
        assert float(schedule.alpha(state)) == pytest.approx(alpha, abs=1e-5)  # float32, 20 steps


def test_adaptive_goes_back_to_full_forcing_when_jacobians_overflow_whatever_its_estimator():
    for size in (np.inf, np.nan):
        assert float(Adaptive().advance(jnp.float32(0.1), 0, 10, of_size(size))) == 1
    found = Adaptive(estimator=lambda J: jnp.asarray(2.0)).advance(jnp.float32(0.0), 0, 10, of_size(100.0))
    assert float(found) == pytest.approx(0.5)


@pytest.mark.parametrize(("updates", "constant"), [(250_000, 5000), (40_000, 800), (25_000, 500), (2500, 500)])
def test_adaptive_forgets_within_a_fiftieth_of_the_run_but_not_below_500_updates(updates, constant):
    """An estimate of zero every 5 updates: alpha falls by e^(-5 / constant); 0.999 for the published run."""
    after = float(Adaptive().advance(jnp.float32(1.0), 0, updates, of_size(1.0)))
    assert -5 / math.log(after) == pytest.approx(constant, rel=1e-3)  # float32 near 1
    if updates == 250_000:
        assert after == pytest.approx(0.999, abs=1e-6)
