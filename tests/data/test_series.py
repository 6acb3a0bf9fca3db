"""Series and Scaling: what is kept, what is undone, what is refused at the door."""

import jax
import numpy as np
import pytest
import scipy.stats

from gtfdeer.data import Scaling, Series


def walk(rows=200, columns=3, dtype=np.float64, seed=0):
    steps = np.random.default_rng(seed).normal(size=(rows, columns))
    return (np.cumsum(steps, axis=0) * [1, 20, 0.01][:columns] + [5, -300, 0][:columns]).astype(dtype)


def test_precision_is_kept_and_whole_numbers_become_float32():
    kinds = {np.float64: (np.float64, ">f8"), np.float32: (np.float32, ">f4", np.int64, np.uint16, bool, np.float16)}
    for kept, given in kinds.items():
        for dtype in given:
            assert Series(np.array([[1], [0], [1]], dtype=dtype)).values.dtype == kept


def test_values_cannot_be_changed_by_accident():
    series = Series(walk())
    with pytest.raises(ValueError, match="read-only"):
        series.values[0, 0] = 0.0


def test_standardising_is_the_z_score_of_scipy():
    values = walk()
    values[5, 0] = np.nan
    expected = scipy.stats.zscore(values, axis=0, nan_policy="omit")
    np.testing.assert_allclose(Series(values).standardise().values, expected, rtol=1e-12, atol=1e-12)


def test_a_large_offset_does_not_spoil_float32():
    values = (1e6 + np.arange(64)[:, None] / 16).astype(np.float32)  # exact in float32
    # A sum of 1e6 in float32 would be off by 0.06, a z-score by 0.05.
    np.testing.assert_allclose(Series(values).standardise().values[:, 0], scipy.stats.zscore(np.arange(64)), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-7), (np.float64, 1e-15)])
def test_a_scaling_can_be_undone(dtype, tolerance):
    series = Series(walk(dtype=dtype))
    back = series.standardise().unscaled()
    assert back.scaling is None
    np.testing.assert_allclose(series.standardise().standardise().values, series.standardise().values, atol=1e-6)
    assert back.values.dtype == dtype
    # Rounding twice, relative to the largest entry of the column.
    assert np.abs(back.values - series.values).max(axis=0) / np.abs(series.values).max(axis=0) == pytest.approx(
        0, abs=tolerance
    )


def test_test_data_take_the_scaling_of_the_training_data():
    train, test = Series(walk()).split(0.5)
    scaled = test.standardise().scaled_by(train.standardise().scaling)
    np.testing.assert_allclose(scaled.values, (test.values - train.values.mean(0)) / train.values.std(0), rtol=1e-9)


def test_scalings_are_equal_by_their_numbers():
    assert Scaling([1, 2], [3, 4]) == Scaling([1.0, 2.0], [3.0, 4.0])
    assert Scaling([1, 2], [3, 4]) != Scaling([1, 2], [3, 5])
    assert len({Scaling([1, 2], [3, 4]), Scaling([1, 2], [3, 4])}) == 1


def test_a_split_is_a_cut_in_time_that_loses_nothing():
    series = Series(walk(), dt=0.1).standardise()
    train, test = series.split(0.75)
    np.testing.assert_array_equal(np.concatenate([train.values, test.values]), series.values)
    assert len(train) == 150
    assert train.scaling == test.scaling == series.scaling
    assert train.dt == test.dt == 0.1
    assert Series(walk(10, 3)).split(0.9)[1].values.shape == (1, 3)  # fewer rows than columns


def test_a_coarser_series_holds_means_and_a_mean_over_a_gap_is_a_gap():
    series = Series(np.arange(14.0).reshape(7, 2), dt=0.5).standardise()
    coarse = series.coarsen(3)
    assert (coarse.dt, coarse.scaling) == (1.5, series.scaling)
    np.testing.assert_allclose(coarse.unscaled().values, [[2, 3], [8, 9]], atol=1e-5)  # float32; row 6 fills no mean
    np.testing.assert_array_equal(series.coarsen(1).values, series.values)
    values = np.where(np.arange(9) == 4, np.nan, np.arange(9.0))
    np.testing.assert_array_equal(Series(values, dt=1.0).coarsen(3).values[:, 0], [1, np.nan, 7])


def test_selected_columns_keep_their_scaling():
    series = Series(walk()).standardise()
    chosen = series.select([2, 0])
    np.testing.assert_allclose(chosen.unscaled().values, series.unscaled().values[:, [2, 0]])
    assert series.select(1).columns == 1


def test_noise_has_the_asked_size_in_every_column_is_reproducible_and_leaves_gaps_alone():
    values = walk(20_000)
    values[3, 1] = np.nan
    clean = Series(values)
    # an old key is taken, too
    first, second = (clean.with_noise(0.05, key=key(7)).values for key in (jax.random.key, jax.random.PRNGKey))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.isnan(first), np.isnan(values))
    # The std of 20 000 draws has a relative error of 1 / sqrt(40 000) = 0.5 %; four of them.
    np.testing.assert_allclose(np.nanstd(first - values, 0), 0.05 * np.nanstd(values, 0), rtol=0.02)


def test_segments_are_the_stretches_between_gaps_and_the_longest_a_series_of_its_own():
    nan = np.nan
    series = Series([nan, 1.0, 2.0, 3.0, nan, nan, 4.0, 5.0], dt=0.5, name="heart")
    assert series.segments() == [(1, 4), (6, 8)]
    longest = series.standardise().longest_segment()
    assert (longest.unscaled().values[:, 0].tolist(), longest.dt, longest.name) == ([1, 2, 3], 0.5, "heart")
