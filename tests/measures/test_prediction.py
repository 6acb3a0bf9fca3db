"""PE(n) and the valid prediction time: by hand, and how failed forecasts score."""

import math

import numpy as np
import pytest

from gtfdeer.measures import prediction_error, valid_prediction_time


def test_error_is_the_mean_over_starts_and_dimensions_at_that_step_only():
    x = np.random.default_rng(0).normal(size=(30, 3))
    forecasts = np.random.default_rng(1).normal(size=(25, 3))
    total = sum((forecasts[t, i] - x[t + 5, i]) ** 2 for t in range(25) for i in range(3))
    assert prediction_error(x, forecasts, steps=5) == pytest.approx(total / 75, rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_diverged_forecasts_have_infinite_error(value):
    x = np.arange(10.0)[:, None]
    forecasts = x[1:].copy()
    forecasts[3] = value
    assert prediction_error(x, forecasts, steps=1) == math.inf


def wave(starts=4, length=50):
    t = np.arange(length)[:, None] + 10.0 * np.arange(starts)[:, None, None]
    return np.concatenate([np.sin(t), 3 * np.cos(t)], axis=-1)


def test_a_growing_error_passes_the_threshold_when_it_should():
    truth = wave()
    std = truth.reshape(-1, 2).std(axis=0)
    growth = 0.05 * np.arange(50.0)[:, None] * np.array([1.0, 2.0, 4.0, 0.0])[:, None, None] * std
    found = valid_prediction_time(truth, truth + growth, dt=0.1, lambda_max=2.0)
    # e(t) = 0.05 t c, above 0.4 from t = 9, 5, 3 on; at exactly 0.4 the forecast is still good, up to rounding
    assert found.times[3] == found.horizon == 5.0
    np.testing.assert_allclose(found.times[:3] / 0.1, [8.5, 4.5, 2.5], atol=0.6)
    np.testing.assert_allclose(found.lyapunov_times, 2 * found.times)
    assert found.median == np.median(found.times)
    assert "1 of them to the end" in str(found)


def test_one_bad_column_of_two_counts_half():
    truth = wave(1)[0]
    off = np.array([1.0, 0.0]) * truth.std(axis=0)
    for size, good in ((0.56, True), (0.57, False)):  # e = size / sqrt(2), 0.396 and 0.403
        assert (valid_prediction_time(truth, truth + size * off, dt=1.0).median == 50) is good


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_forecast_that_is_not_finite_has_failed_for_good(value):
    truth = wave(2)
    forecasts = truth.copy()
    forecasts[0, 7], forecasts[1, 0] = value, value
    found = valid_prediction_time(truth, forecasts, dt=0.5)
    assert found.times.tolist() == [3.5, 0.0]
    assert found.lyapunov_times is None


def test_units_of_the_columns_do_not_matter():
    truth, noise = wave(), np.cumsum(np.random.default_rng(0).normal(size=(4, 50, 2)), axis=1) / 10
    units = np.array([1e-3, 50.0])
    one, other = (valid_prediction_time(truth * s, (truth + noise) * s, dt=1.0).times for s in (1.0, units))
    np.testing.assert_array_equal(one, other)
