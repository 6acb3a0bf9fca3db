"""PE(n): by hand, and how failed forecasts score."""

import math

import numpy as np
import pytest

from gtfdeer.measures import prediction_error


def test_error_is_the_mean_over_starts_and_dimensions_at_that_step_only():
    x = np.random.default_rng(0).normal(size=(30, 3))
    forecasts = np.random.default_rng(1).normal(size=(25, 3))
    total = sum((forecasts[t, i] - x[t + 5, i]) ** 2 for t in range(25) for i in range(3))
    assert prediction_error(x, forecasts, steps=5) == pytest.approx(total / 75, rel=1e-12)


def test_perfect_forecasts_have_no_error():
    x = np.random.default_rng(0).normal(size=(30, 3))
    assert prediction_error(x, x[20:]) == 0.0


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_persistence_on_a_ramp_errs_by_the_distance_walked(steps):
    x = 2.0 * np.arange(10.0)[:, None]
    assert prediction_error(x, x[:-steps], steps=steps) == (2.0 * steps) ** 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_diverged_forecasts_have_infinite_error(value):
    x = np.arange(10.0)[:, None]
    forecasts = x[1:].copy()
    forecasts[3] = value
    assert prediction_error(x, forecasts, steps=1) == math.inf


@pytest.mark.parametrize(
    ("rows", "columns", "steps", "message"),
    [
        (
            10,
            2,
            3,
            r"10 rows but 10 - 3 = 7 were expected; pass one forecast for each of reference\[:-3\]",
        ),
        (7, 1, 3, "forecasts has 1 columns but reference has 2"),
        (10, 2, 0, "steps=0 cannot be forecast.*pass steps from 1 to 9"),
        (0, 2, 10, "forecasts has shape .* holds no points"),
        (1, 2, 10, "steps=10 cannot be forecast within a reference of 10 time steps"),
    ],
)
def test_refusals_say_what_to_type(rows, columns, steps, message):
    with pytest.raises(ValueError, match=message):
        prediction_error(np.ones((10, 2)), np.ones((rows, columns)), steps=steps)
