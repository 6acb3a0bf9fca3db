"""D_H: smoothing against SciPy, closed forms, what it is blind to, and how failed runs score."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from gtfdeer.measures import power_spectrum_error
from gtfdeer.measures._spectrum import smooth


@pytest.mark.parametrize("rows", [1, 7, 50, 501])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 7.5, 20.0])
def test_smoothing_is_that_of_scipy_even_when_the_kernel_is_longer_than_the_series(rows, sigma):
    power = np.random.default_rng(0).exponential(size=(rows, 2))
    expected = gaussian_filter1d(power, sigma, axis=0)
    np.testing.assert_allclose(smooth(power, sigma), expected, rtol=1e-12)  # sums of 161 terms, in another order


def test_error_equals_the_formula_written_with_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 1000, 2)).cumsum(axis=1)
    distances = []
    for a, b in zip(x.T, y.T, strict=True):
        f, g = (gaussian_filter1d(np.abs(np.fft.rfft((s - s.mean()) / s.std())) ** 2, 20.0) for s in (a, b))
        distances.append(np.sqrt(1 - np.sum(np.sqrt(f / f.sum() * g / g.sum()))))
    # 1 - sum cancels to about 1e-16, whose effect on a square root near 0.1 is 1e-15
    assert power_spectrum_error(x, y) == pytest.approx(np.mean(distances), rel=1e-10)


def test_offset_scale_and_direction_of_time_are_invisible():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 2)).cumsum(axis=1)
    error = power_spectrum_error(x, y)
    # rounding of the offset copy: 1e-13 relative in y, at most its square root in a Hellinger distance
    assert power_spectrum_error(x, -7.0 * y + 100.0) == pytest.approx(error, abs=1e-7)
    assert power_spectrum_error(x, y[::-1]) == pytest.approx(error, abs=1e-7)
    assert power_spectrum_error(y, x) == pytest.approx(error, abs=1e-12)


def test_failed_columns_count_as_one_and_the_others_are_still_compared():
    x = np.random.default_rng(0).normal(size=(400, 4))
    y = x.copy()
    y[:, 1], y[7, 2], y[:, 3] = 0.1, np.nan, 1e200
    assert power_spectrum_error(x, y) == 0.75


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fixed_point_that_rounding_shakes_is_a_fixed_point(dtype):
    x = np.random.default_rng(0).normal(size=(100, 1)).astype(dtype)
    shaken = np.full_like(x, 3.0)
    shaken[::2] = np.nextafter(dtype(3.0), dtype(4.0))
    assert power_spectrum_error(x, shaken) == 1.0
    assert power_spectrum_error(x, 3.0 + 1e-4 * x) < 1.0
