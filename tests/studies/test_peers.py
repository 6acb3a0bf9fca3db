"""The peers: the closed loops are those of their libraries, and the measures see what is known."""

import numpy as np
import pytest

from gtfdeer import data
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


def test_the_reservoir_is_reservoirpys():
    nodes = pytest.importorskip("reservoirpy.nodes")
    x = np.random.default_rng(0).normal(size=(300, 2)).cumsum(axis=0) / 10
    settings = peers.RESERVOIRS["ESN, tutorial"]
    peer = peers.fit_reservoir(x, 20, seed=3, linear=True, **settings)
    esn = nodes.Reservoir(20, seed=3, **settings) >> nodes.Ridge(ridge=1e-8)
    esn.fit(x[:-1], x[1:], warmup=200)
    esn.reset()
    theirs = esn.run(x)[-1]
    np.testing.assert_allclose(peer.forecast(peer.warm(x[None]))[0], theirs, rtol=1e-6)


def test_sparse_regression_finds_the_lorenz_equations():
    pytest.importorskip("pysindy")
    import jax

    system = data.Lorenz63()
    clean = data.simulate(system, length=4000, dt=0.01, key=jax.random.key(0)).standardise()
    values, scaling = clean.values.astype(float), clean.scaling
    peer = peers.fit_equations(values * scaling.std + scaling.mean, 0.01, scaling)
    assert peer.parameters == 7
    np.testing.assert_allclose(peer.step(values[:-1]), values[1:], atol=0.01)  # differences of float32 samples
