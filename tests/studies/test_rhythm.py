"""Measures of a slow rhythm, on signals whose rhythm is known."""

import numpy as np
import pytest

from gtfdeer.measures import interval_error, intervals
from studies.rhythm import low_frequency_error

PERIOD, LENGTH = 500, 20_000


def signal(slow_period=PERIOD, slow=1.0, seed=0):
    """A fast oscillation on top of a slow one, and a little noise."""
    t = np.arange(LENGTH)
    noise = 0.1 * np.random.default_rng(seed).normal(size=LENGTH)
    return slow * np.sin(2 * np.pi * t / slow_period) + np.sin(2 * np.pi * t / 17) + noise


def test_equal_signals_have_no_error_and_another_noise_has_hardly_any():
    assert low_frequency_error(signal()[:, None], signal()[:, None], PERIOD) == 0
    assert low_frequency_error(signal()[:, None], signal(seed=1)[:, None], PERIOD) < 0.03
    assert interval_error(signal(), signal(seed=1), PERIOD) < 0.02
    assert np.median(intervals(signal(), PERIOD)) == pytest.approx(PERIOD, rel=0.01)


def test_a_lost_rhythm_is_seen():
    without = signal(slow=0.0)
    assert low_frequency_error(signal()[:, None], without[:, None], PERIOD) > 0.4


@pytest.mark.parametrize("other", [400, 650])
def test_a_wrong_rhythm_is_seen_by_as_much_as_it_is_wrong(other):
    wrong = signal(slow_period=other)
    assert interval_error(signal(), wrong, PERIOD) == pytest.approx(abs(other / PERIOD - 1), abs=0.02)
    assert low_frequency_error(signal()[:, None], wrong[:, None], PERIOD) > 0.2


@pytest.mark.parametrize("dead", [np.zeros(LENGTH), np.full(LENGTH, np.nan)])
def test_a_run_without_motion_or_bounds_is_worst(dead):
    assert low_frequency_error(signal()[:, None], dead[:, None], PERIOD) == 1
    assert interval_error(signal(), dead, PERIOD) == np.inf
