"""The mixture divergence against a loop over draws, and the switch between both kinds of D_stsp."""

import math

import jax
import numpy as np
import pytest

from gtfdeer.measures import binned_divergence, mixture_divergence, state_space_divergence


def log_mixture(x, centres, variance):
    """ln of the mixture's density at one point, one centre at a time."""
    density = 0.0
    for centre in centres:
        distance = sum((a - b) ** 2 for a, b in zip(x, centre, strict=True))
        density += math.exp(-distance / (2 * variance)) / (2 * math.pi * variance) ** (len(x) / 2)
    return math.log(density / len(centres))


def test_estimate_equals_a_loop_with_its_own_draws():
    # same formula, other draws: five standard errors of the difference of two means
    rng = np.random.default_rng(0)
    reference, generated = rng.normal(size=(30, 2)), rng.normal(size=(20, 2)) + 1.0
    variance = 0.7
    draws = reference[rng.integers(0, 30, 2000)] + math.sqrt(variance) * rng.normal(size=(2000, 2))
    ratios = [log_mixture(x, reference, variance) - log_mixture(x, generated, variance) for x in draws]
    estimate = mixture_divergence(reference, generated, variance=variance, draws=2000)
    assert estimate == pytest.approx(np.mean(ratios), abs=5 * 2**0.5 * np.std(ratios) / 2000**0.5)


def test_equal_series_have_no_divergence_and_unequal_ones_that_of_their_key():
    x = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    assert mixture_divergence(x, jax.numpy.asarray(x), key=jax.random.key(7)) == 0.0
    assert mixture_divergence(x, x + 1) == mixture_divergence(x, x + 1, key=jax.random.key(0))
    assert mixture_divergence(x, x + 1) != mixture_divergence(x, x + 1, key=jax.random.key(1))


def test_far_draws_do_not_underflow():
    reference, generated = np.zeros((3, 6)), np.full((3, 6), 100.0)
    # 60 000 / 2 nats, far below the smallest exp(); a draw spreads by |difference| = 245, 1000 of them by 8
    assert mixture_divergence(reference, generated) == pytest.approx(30_000, abs=40)


def test_common_offset_changes_nothing():
    x = np.random.default_rng(0).normal(size=(100, 6))
    # float64 keeps 10 digits of a unit spread at 1e6
    shifted = mixture_divergence(x + 1e6, 1.5 * x + 1e6)
    assert shifted == pytest.approx(mixture_divergence(x, 1.5 * x), abs=1e-6)


def test_non_finite_points_are_points_infinitely_far_away():
    x = np.random.default_rng(0).normal(size=(50, 6))
    broken, far = (np.concatenate([x, np.full((50, 6), value)]) for value in (np.nan, 1e30))
    assert mixture_divergence(x, broken) == pytest.approx(math.log(2), abs=1e-12)
    assert mixture_divergence(x, far) == pytest.approx(math.log(2), abs=1e-12)
    for value in (np.nan, np.inf, 1e308):
        assert mixture_divergence(x, np.full((5, 6), value)) == math.inf


def test_only_the_first_points_are_used():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 6)), rng.normal(size=(90, 6))
    cut, changed = x.copy(), np.concatenate([y[:40], x])
    cut[40:] = -cut[40:]
    # what lies beyond moves the centre, hence the last digits, and nothing else
    assert mixture_divergence(cut, changed, points=40) == pytest.approx(mixture_divergence(x, y, points=40), rel=1e-12)


def test_histograms_up_to_five_dimensions_and_mixtures_beyond():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 6)), rng.normal(size=(100, 6))
    assert state_space_divergence(x[:, :5], y[:, :5], bins=4) == binned_divergence(x[:, :5], y[:, :5], bins=4)
    assert state_space_divergence(x, y, variance=0.5) == mixture_divergence(x, y, variance=0.5)
