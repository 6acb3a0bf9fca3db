"""The peers: the closed loops are those of their libraries, and the measures see what is known."""

import numpy as np
import pytest

from studies import peers


def test_forecast_and_exponent_of_a_known_map():
    """The doubling of a distance every step; an orbit of the logistic map."""
    logistic = peers.Peer(lambda rows: rows[:, -1], lambda z: 4 * z * (1 - z), lambda z: 4 * z * (1 - z), 0)
    assert peers.largest_exponent(logistic, np.array([[[0.3]]]), dt=0.5) == pytest.approx(2 * np.log(2), rel=0.03)
    found = peers.run_freely(logistic, np.array([[[0.3]], [[0.5]]]), 3)
    np.testing.assert_allclose(found[1, :, 0], [1, 0, 0])
    explosion = peers.Peer(logistic.warm, lambda z: 10 * z, lambda z: 10 * z, 0)
    run = peers.run_freely(explosion, np.ones((1, 1, 1)), 400)
    assert np.isfinite(run[0, 2])
    assert np.isnan(run[0, -1])
