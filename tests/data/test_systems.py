"""Known answers of the known systems: means, periods, sums of exponents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer import measures
from gtfdeer.data import BurstingNeuron, Lorenz96, Rossler, SlowFastLorenz, simulate


def upward_crossings(values, level):
    """Times in samples, interpolated linearly, at which the series rises through the level."""
    before = np.flatnonzero((values[:-1] < level) & (values[1:] >= level))
    return before + (level - values[before]) / (values[before + 1] - values[before])


LORENZ96 = 1.181, 0.701, 0.089, 0.0, -0.435, -0.874, -1.319, -1.942, -2.810, -4.592


# Tolerances: three times the scatter over starts of a mean over this many steps (.004, .056, .03); for the
# neuron, whose orbit is closed, what the ends of a period add; of the sum, which is constant, the error of Runge-Kutta.
@pytest.mark.parametrize(
    ("system", "dt", "steps", "known", "tolerance"),
    [
        (Rossler(), 0.08, 25_000, {0: 0.071, 1: 0.0, 2: -5.394}, 0.012),
        (Lorenz96(), 0.04, 20_000, dict(enumerate(LORENZ96)), 0.17),
        (BurstingNeuron(), 0.5, 2_960, {0: 0.0, 1: -0.070}, 1e-3),
        (SlowFastLorenz(period=20.0), 0.01, 20_000, {0: 1.04, 1: 0.0, 2: 0.0, 3: -2.0}, 0.09),
    ],
)
def test_the_exponents_are_those_of_the_docstring(system, dt, steps, known, tolerance):
    flow = system.step(dt)
    start = system.initial_state(jax.random.key(0))
    every = 1 if isinstance(system, BurstingNeuron) else 5  # its vectors collapse within a few steps
    settings = {"steps": steps, "dt": dt, "transient": 2000, "reorthonormalise_every": every}
    found = measures.lyapunov_spectrum(flow, start, **settings).exponents
    for place, exponent in known.items():
        assert found[place] == pytest.approx(exponent, abs=tolerance)
    if isinstance(system, Lorenz96):
        assert found.sum() == pytest.approx(-10, abs=1e-2)
    if isinstance(system, SlowFastLorenz):
        assert found.sum() == pytest.approx(-41 / 3 - 2, abs=1e-2)


def test_the_vector_field_of_lorenz96_is_its_loop():
    z = np.random.default_rng(0).normal(size=9).astype(np.float32)
    loop = [(z[(i + 1) % 9] - z[i - 2]) * z[i - 1] - z[i] + 8 for i in range(9)]
    np.testing.assert_allclose(Lorenz96(dimension=9).vector_field(jnp.asarray(z)), loop, rtol=1e-5)


def test_the_neuron_bursts_every_148_milliseconds():
    values = simulate(BurstingNeuron(), 8000, 0.2, key=jax.random.key(0)).values
    spikes = upward_crossings(values[:, 0], -30.0) * 0.2
    pauses = np.diff(spikes)
    first_spikes = spikes[1:][pauses > 50]
    period = np.diff(first_spikes).mean()
    assert period == pytest.approx(148.0, abs=0.2)
    assert len(spikes[(spikes >= first_spikes[0]) & (spikes < first_spikes[-1])]) == 15 * (len(first_spikes) - 1)
    assert pauses.max() == pytest.approx(84, abs=4)  # silence, and pauses of 4 to 8 ms within the burst


def test_the_slow_clock_keeps_its_period():
    system = SlowFastLorenz(period=25.0)
    values = simulate(system, 50_000, key=jax.random.key(0)).values
    periods = np.diff(upward_crossings(values[:, 3], 0.0)) * 0.01
    # float32 rounding of the clock moves a crossing by less than a tenth of a sample.
    np.testing.assert_allclose(periods, 25.0, atol=2e-3)
    np.testing.assert_allclose(np.hypot(values[:, 3], values[:, 4]), 1.0, atol=1e-5)
