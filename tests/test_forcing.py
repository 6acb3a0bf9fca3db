"""Forcing against its formulas in NumPy, and the schedules of alpha."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfdeer import forcing
from gtfdeer.forcing import Adaptive, Annealed, Constant, Forced, force, force_jacobian

W = jnp.array([[1.2, -0.7, 0.3], [0.5, 0.9, -1.1], [0.2, 0.4, 1.3]])
Z, TEACHER = jnp.array([0.3, -0.2, 0.5]), jnp.array([-1.0, 0.4, 0.8])
ALPHAS = [0.0, 0.25, 1.0, np.float32([0.7]), np.float32([0.0, 0.5, 1.0])]


def step(z, u):
    return jnp.tanh(W @ z + (0 if u is None else u))


def jacobian(z, u):
    return (1 - step(z, u) ** 2)[:, None] * W


# --- force ---


def test_alpha_one_forgets_the_state():
    inputs = Forced(TEACHER, 1.0)
    for z in (Z, 100 * Z, -Z):
        np.testing.assert_array_equal(force(step)(z, inputs), step(TEACHER, None))
    np.testing.assert_array_equal(jax.jacfwd(force(step))(Z, inputs), np.zeros((3, 3)))


def test_alpha_zero_is_the_free_step_and_an_external_input_passes_through():
    for u in (None, jnp.array([0.1, 0.2, 0.3])):
        np.testing.assert_array_equal(force(step)(Z, Forced(TEACHER, 0.0, u)), step(Z, u))


@pytest.mark.parametrize("alpha", ALPHAS, ids=str)
def test_the_step_starts_between_state_and_teacher(alpha):
    blend = (1 - alpha) * np.asarray(Z) + alpha * np.asarray(TEACHER)
    found = force(step)(Z, Forced(TEACHER, jnp.asarray(alpha)))
    np.testing.assert_allclose(found, np.tanh(np.asarray(W) @ blend), rtol=1e-6)  # float32


@pytest.mark.parametrize("alpha", ALPHAS, ids=str)
def test_the_forced_jacobian_carries_one_minus_alpha(alpha):
    inputs = Forced(TEACHER, jnp.asarray(alpha), jnp.ones(3))
    found = force_jacobian(jacobian)(Z, inputs)
    np.testing.assert_allclose(found, jax.jacfwd(force(step))(Z, inputs), atol=1e-6)  # float32
    blend = (1 - alpha) * Z + alpha * TEACHER
    by_columns = np.asarray(jacobian(blend, jnp.ones(3))) * (1 - np.broadcast_to(alpha, 3))[None, :]
    np.testing.assert_allclose(found, by_columns, atol=1e-6)


def test_forcing_one_unit_leaves_the_others_free():
    found = jax.jacfwd(force(step))(Z, Forced(TEACHER, jnp.array([1.0, 0.0, 0.0])))
    np.testing.assert_array_equal(found[:, 0], np.zeros(3))
    assert np.all(found[:, 1:] != 0)


def test_sparse_forces_every_interval_th_step_from_the_first_on():
    for length, interval in [(7, 3), (1, 1), (5, 1), (4, 10)]:
        expected = [float(t % interval == 0) for t in range(length)]
        np.testing.assert_array_equal(forcing.sparse(length, interval), expected)


@pytest.mark.parametrize(("length", "interval"), [(0, 3), (5, 0), (5, -1)])
def test_sparse_refuses_lengths_below_one(length, interval):
    with pytest.raises(ValueError, match=rf"length is {length} and interval {interval}; pass positive"):
        forcing.sparse(length, interval)


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


def test_spectral_norm_of_special_matrices():
    assert forcing.spectral_norm(jnp.zeros((3, 3))) == 0
    assert float(forcing.spectral_norm(jnp.eye(4))) == pytest.approx(4 ** (1 / 256), rel=1e-6)  # the bound is met
    nilpotent = jnp.array([[0.0, 5.0], [0.0, 0.0]])  # all eigenvalues 0, norm 5
    assert float(forcing.spectral_norm(nilpotent)) == pytest.approx(5, rel=1e-6)
    rotation = 3 * jnp.array([[0.0, -1.0], [1.0, 0.0]])
    assert float(forcing.spectral_norm(rotation)) == pytest.approx(3 * 2 ** (1 / 256), rel=1e-6)


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
    forcing.batch_maximum: lambda J: np.max(_norm(J)),
    forcing.arithmetic_mean: lambda J: np.max(_norm(np.mean(J, axis=-3))),
    forcing.explog_approx: lambda J: np.max(_norm(np.exp(np.mean(np.log(np.abs(J)), axis=-3)))),
}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.__name__)
@pytest.mark.parametrize("shape", [(1, 3, 3), (20, 3, 3), (4, 20, 3, 3), (4, 20, 1, 1)], ids=str)
def test_estimators_are_their_formulas(estimator, shape):
    J = random_jacobians(*shape)
    found = float(estimator(jnp.asarray(J)))
    exact = ESTIMATORS[estimator](J)
    assert exact * (1 - 1e-5) <= found <= exact * shape[-1] ** (1 / 256) * (1 + 1e-5)  # spectral_norm's factor


def test_the_product_bound_bounds_the_product():
    J = random_jacobians(30, 3, 3).astype(float)
    product = np.linalg.norm(np.linalg.multi_dot(list(J)), 2)
    assert product <= float(forcing.product_upper_bound(jnp.asarray(J, jnp.float32))) ** 30


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


# --- schedules ---


def of_size(size):
    """Jacobians of one unit: the estimators give exactly their size."""
    return lambda: jnp.full((2, 7, 1, 1), size)


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


@pytest.mark.parametrize("alpha", [np.full(3, 0.5), np.full((7, 3), 0.5), np.full((1, 1, 1), 0.5)], ids=np.shape)
def test_contraction_refuses_an_alpha_of_another_shape(alpha):
    with pytest.raises(ValueError, match=re.escape(f"alpha has shape {alpha.shape}; pass a number, (7,)")):
        forcing.contraction(lambda z: z, jnp.zeros((7, 2)), alpha)


def test_constant_stays():
    for strength in (0.15, jnp.linspace(0, 1, 6), jnp.ones((1, 3))):
        schedule = Constant(strength)
        state = schedule.advance(schedule.start(), 3, 10, of_size(5.0))
        np.testing.assert_array_equal(schedule.alpha(state), jnp.asarray(strength))


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
    for wrong in (-1, 2.5):
        with pytest.raises(ValueError, match="pass a whole number of at least 0"):
            Annealed(least_updates=wrong)


def test_adaptive_starts_at_full_forcing_jumps_up_at_once_and_comes_down_with_memory():
    schedule = Adaptive(decay=0.9)
    assert schedule.alpha(schedule.start()) == 1
    assert float(schedule.advance(jnp.float32(0.1), 0, 100, of_size(4.0))) == pytest.approx(0.75)
    assert float(schedule.advance(schedule.start(), 0, 100, of_size(1.25))) == pytest.approx(0.9 * 1 + 0.1 * 0.2)


def test_adaptive_looks_every_fifth_update_only():
    schedule, changed = Adaptive(decay=0.5), []
    for update in range(12):
        before = schedule.start()
        after = schedule.advance(before, jnp.asarray(update), jnp.asarray(100), of_size(1.0))
        changed.append(bool(after != before))
    assert [k for k, change in enumerate(changed) if change] == [0, 5, 10]


def test_adaptive_follows_its_rule_for_many_updates():
    """The rule as a loop over numbers, with sizes that go up and down."""
    sizes = 1 + np.random.default_rng(0).exponential(size=40)
    schedule, state, alpha = Adaptive(decay=0.9, every=2), Adaptive().start(), 1.0
    advance = jax.jit(lambda state, update, size: schedule.advance(state, update, 40, of_size(size)))
    for update, size in enumerate(sizes):
        state = advance(state, update, size)
        if update % 2 == 0:
            a = 1 - 1 / size
            alpha = a if a > alpha else 0.9 * alpha + 0.1 * a
        assert float(schedule.alpha(state)) == pytest.approx(alpha, abs=1e-5)  # float32, 40 updates


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


@pytest.mark.parametrize("schedule", [Constant(0.3), Annealed(), Adaptive()], ids=lambda s: type(s).__name__)
def test_schedules_run_inside_a_compiled_loop(schedule):
    @jax.jit
    def training():
        def body(update, state):
            return schedule.advance(state, update, 20, of_size(1.5))

        return schedule.alpha(jax.lax.fori_loop(0, 20, body, schedule.start()))

    assert 0 <= float(training()) <= 1


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), float("inf")])
def test_alpha_outside_zero_to_one_is_refused(bad):
    message = r"pass a number in [\[(]0, 1\]"
    for attempt in (
        lambda: Constant(bad),
        lambda: Constant(jnp.array([0.5, bad])),
        lambda: Annealed(first=bad),
        lambda: Annealed(last=bad),
        lambda: Adaptive(first=bad),
    ):
        with pytest.raises(ValueError, match=message) as refusal:
            attempt()
        assert str(bad) in str(refusal.value)
