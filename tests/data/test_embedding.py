"""Delay embedding: which row holds what, and how the delay is chosen."""

import jax
import numpy as np
import pytest

from gtfdeer.data import Lorenz63, Series, autocorrelation_delay, mutual_information_delay, simulate


def autoregressive(persistence, rows=20_000, seed=0):
    noise = np.random.default_rng(seed).normal(size=rows)
    values = np.zeros(rows)
    for t in range(1, rows):
        values[t] = persistence * values[t - 1] + noise[t]
    return values


def test_a_row_holds_the_present_and_the_past():
    values = np.random.default_rng(0).normal(size=(40, 2))
    embedded = Series(values, dt=0.1).delay_embed(3, 4)
    assert embedded.values.shape == (32, 6)
    for row, state in enumerate(embedded.values):
        now = row + 8
        np.testing.assert_array_equal(state, [*values[now], *values[now - 4], *values[now - 8]])
    assert (embedded.embedding.dimension, embedded.embedding.delay, embedded.dt) == (3, 4, 0.1)


def test_a_row_that_reaches_into_a_gap_is_a_gap():
    values = np.arange(20.0)
    values[10] = np.nan
    gaps = np.isnan(Series(values).delay_embed(2, 3).values)
    np.testing.assert_array_equal(gaps.all(axis=1), gaps.any(axis=1))
    assert np.flatnonzero(gaps.all(axis=1)).tolist() == [7, 10]  # times 10 and 13


def test_embedding_and_scaling_may_come_in_any_order():
    series = Series(np.random.default_rng(0).normal(size=(50, 2)) * [1, 100])
    there = series.standardise().delay_embed(3, 2).unscaled().values
    np.testing.assert_allclose(there, series.delay_embed(3, 2).values, rtol=1e-12)


def test_the_first_minimum_of_information_on_lorenz():
    x = simulate(Lorenz63(), 20_000, key=jax.random.key(0)).values[:, 0]
    # Published first minima for x at dt = 0.01 lie around 16 to 19; the number of bins moves it by some rows.
    assert 14 <= mutual_information_delay(x) <= 24
    assert Series(x).delay_embed(3).embedding.chosen_by == "mutual information"


@pytest.mark.parametrize("rows", [1000, 10_000])
def test_noise_on_a_slow_wave_makes_no_minimum(rows):
    wave = np.sin(2 * np.pi * np.arange(rows) / 1000)
    for seed in range(3):
        noise = 0.1 * np.random.default_rng(seed).normal(size=rows)
        # A quarter period is 250; one period alone has no clear minimum, and the autocorrelation gives 222.
        assert 220 <= Series(wave + noise).delay_embed(2).embedding.delay <= 260


def test_noise_has_no_minimum_so_the_autocorrelation_decides():
    noise = np.random.default_rng(0).normal(size=5000)
    assert mutual_information_delay(noise) is None
    embedding = Series(noise).delay_embed(2).embedding
    assert (embedding.delay, embedding.chosen_by) == (1, "autocorrelation")


def test_the_autocorrelation_of_an_autoregression_falls_as_it_must():
    # 0.95^lag < 1/e first at lag 20; its estimate from 20 000 rows is off by about 0.03, and a row is 0.02.
    assert 16 <= autocorrelation_delay(autoregressive(0.95)) <= 24


def test_gaps_do_not_move_the_delays():
    values = autoregressive(0.95)
    holed = np.where(np.random.default_rng(1).uniform(size=len(values)) < 0.2, np.nan, values)
    assert abs(autocorrelation_delay(holed) - autocorrelation_delay(values)) <= 1


def test_a_series_that_hardly_moves_has_a_delay():
    slow = np.concatenate([np.zeros(25), np.full(2, 1.0), np.zeros(2)])
    assert autocorrelation_delay(slow) >= 1
