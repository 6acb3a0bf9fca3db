"""The sparse histogram divergence against a dense one, closed forms, and what it is blind to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfdeer.measures import binned_divergence, outside_fraction


def edges_of(reference, bins):
    margin = 0.1 * reference.std(axis=0, ddof=1)
    return list(np.linspace(reference.min(axis=0) - margin, reference.max(axis=0) + margin, bins + 1).T)


def dense_divergence(reference, generated, bins, pseudocount=1e-5):
    """The same formula with all bins^N cells written out."""
    edges = edges_of(reference, bins)
    p, q = (np.histogramdd(x, bins=edges)[0] + pseudocount for x in (reference, generated))
    p, q = p / p.sum(), q / q.sum()
    return np.sum(p * np.log(p / q))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    dimension=st.integers(1, 3),
    bins=st.integers(1, 9),
    spread=st.sampled_from([0.01, 1.0, 5.0, 1000.0]),
)
def test_sparse_sum_equals_dense_histogram(seed, dimension, bins, spread):
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(60, dimension))
    generated = spread * rng.normal(size=(80, dimension)) + 0.2
    # summation order over at most 729 cells of order-one terms: a few hundred roundings of 1e-16
    expected = dense_divergence(reference, generated, bins)
    assert binned_divergence(reference, generated, bins=bins) == pytest.approx(expected, abs=1e-11)


def test_equal_series_have_no_divergence_and_no_point_outside():
    x = np.random.default_rng(5).normal(size=(2000, 3))
    assert binned_divergence(x, x) == outside_fraction(x, x) == 0.0


def test_points_outside_are_discarded_before_normalising():
    rng = np.random.default_rng(3)
    reference, generated = rng.normal(size=(300, 2)), 0.5 * rng.normal(size=(200, 2))
    escaped = np.concatenate([generated, np.full((500, 2), 1e300), np.full((9, 2), np.nan), [[-np.inf, 0.0]]])
    assert binned_divergence(reference, escaped) == binned_divergence(reference, generated)
    assert outside_fraction(reference, escaped) == pytest.approx(510 / 710)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, 50.0])
def test_run_that_left_altogether_is_compared_with_the_uniform_distribution(value):
    reference = np.random.default_rng(4).normal(size=(300, 2))
    generated = np.full((40, 2), value)
    counts = np.histogramdd(reference, bins=edges_of(reference, 30))[0] + 1e-5
    p = counts / counts.sum()
    expected = np.sum(p * np.log(p * 900))
    assert binned_divergence(reference, generated) == pytest.approx(expected, rel=1e-10)
    assert outside_fraction(reference, generated) == 1.0


def test_cells_beyond_any_memory_are_summed():
    # 30^12 cells, 5e17 of them: p differs from q in two occupied cells only
    reference = np.array([[0.0] * 12, [1.0] * 12])
    generated = np.array([[0.0] * 12, [0.0] * 12])
    cells = 30.0**12
    total = 2 + 1e-5 * cells
    expected = (1 / total) * np.log(1 / 2) + (1 / total) * np.log(1 / 1e-5)
    # 1e-5 relative is the pseudocount beside a count of 1
    assert binned_divergence(reference, generated) == pytest.approx(expected, rel=1e-4)
