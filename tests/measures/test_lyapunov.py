"""Lyapunov exponents of systems solvable by hand, and of Lorenz-63 and Henon as the literature has them."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.data import Lorenz63
from gtfdeer.measures import LyapunovSpectrum, lyapunov_spectrum

from ..conftest import enable_x64

lorenz63 = Lorenz63().step(0.01)  # one Runge-Kutta step


def henon(z):
    return jnp.stack([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])


@pytest.mark.parametrize("x64", [True, False])
def test_lorenz63_has_its_published_spectrum(x64):
    with enable_x64(x64):
        z0 = jnp.array([1.0, 1.0, 25.0])
        spectrum = lyapunov_spectrum(lorenz63, z0, steps=100_000, dt=0.01, reorthonormalise_every=5)
    # the mean over 1000 time units scatters by 0.005, measured over starts, in either precision: times 4
    np.testing.assert_allclose(spectrum.exponents[:2], [0.906, 0.0], atol=0.02)
    assert spectrum.exponents[2] == pytest.approx(-14.57, abs=0.02)
    # the trace of the Jacobian is constant, so the sum has no scatter: RK4's error, 1e-4, and rounding remain
    assert spectrum.exponents.sum() == pytest.approx(-41 / 3, abs=1e-3)


@pytest.mark.usefixtures("x64")
def test_henon_map_has_its_published_spectrum():
    spectrum = lyapunov_spectrum(henon, jnp.array([0.1, 0.1]), steps=200_000, dt=1.0, reorthonormalise_every=5)
    # scatters by 0.001 over starts: times 4
    np.testing.assert_allclose(spectrum.exponents, [0.419, -1.623], atol=0.004)
    assert spectrum.exponents.sum() == pytest.approx(math.log(0.3), abs=1e-12)  # the determinant is constant


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.usefixtures("x64")
def test_linear_map_has_the_logarithms_of_its_eigenvalues_per_unit_of_time(every):
    eigenvalues, basis = np.array([-1.2, 0.9, 0.5, -0.1]), np.random.default_rng(0).normal(size=(4, 4))
    matrix = jnp.asarray(basis @ np.diag(eigenvalues) @ np.linalg.inv(basis))
    settings = {"steps": 200, "dt": 0.5, "transient": 400, "reorthonormalise_every": every}
    spectrum = lyapunov_spectrum(lambda z: matrix @ z, jnp.zeros(4), **settings)
    # after the transient the frame has aligned to (0.9 / 1.2)^400 = 1e-50: rounding only
    np.testing.assert_allclose(spectrum.exponents, np.log(np.abs(eigenvalues)) / 0.5, atol=1e-10)


def test_fewer_exponents_are_the_largest_ones_wherever_they_point():
    def step(z):
        return jnp.array([0.5, 0.25, 2.0]) * z

    spectrum = lyapunov_spectrum(step, jnp.zeros(3), steps=100, dt=1.0, exponents=2)
    np.testing.assert_allclose(spectrum.exponents, np.log([2.0, 0.5]), atol=1e-5)  # float32


def test_history_is_the_running_estimate_and_ends_with_the_exponents():
    run = lyapunov_spectrum(henon, jnp.array([0.1, 0.1]), steps=300, dt=0.1, reorthonormalise_every=3)
    shorter = lyapunov_spectrum(henon, jnp.array([0.1, 0.1]), steps=150, dt=0.1, reorthonormalise_every=3)
    assert isinstance(run, LyapunovSpectrum)
    assert run.history.shape == (100, 2)
    np.testing.assert_allclose(run.times, 0.3 * np.arange(1, 101))
    np.testing.assert_array_equal(run.history[-1], run.exponents)
    np.testing.assert_allclose(run.history[49], shorter.exponents, rtol=1e-12)


def test_model_that_learnt_between_two_calls_is_judged_anew():
    class Model:
        slope = 2.0

        def step(self, z):
            return self.slope * z

    model = Model()
    before = lyapunov_spectrum(model.step, jnp.zeros(1), steps=10, dt=1.0).exponents[0]
    model.slope = 0.5
    after = lyapunov_spectrum(model.step, jnp.zeros(1), steps=10, dt=1.0).exponents[0]
    assert (before, after) == pytest.approx((math.log(2), -math.log(2)), abs=1e-6)


def test_forgotten_direction_has_exponent_minus_infinity():
    def step(z):
        return jnp.stack([0.5 * z[0], 0.0 * z[1], 2.0 * z[2]])

    exponents = lyapunov_spectrum(step, jnp.zeros(3), steps=100, dt=1.0).exponents
    np.testing.assert_allclose(exponents[:2], np.log([2.0, 0.5]), atol=1e-5)
    assert exponents[2] == -math.inf


def test_several_starts_are_each_an_estimate_of_its_own():
    starts = jnp.array([[0.1, 0.1], [0.2, 0.0], [-0.3, 0.2]])
    options = {"steps": 400, "dt": 0.5, "reorthonormalise_every": 4}
    together = lyapunov_spectrum(henon, starts, **options)
    assert (together.exponents.shape, together.history.shape) == ((3, 2), (3, 100, 2))
    alone = [lyapunov_spectrum(henon, start, **options).exponents for start in starts]
    # the orbits part by rounding, and so does what is averaged: the means over 400 steps scatter by 0.02 / 0.5
    np.testing.assert_allclose(together.exponents, alone, atol=0.2)
    np.testing.assert_allclose(together.exponents.sum(axis=1), math.log(0.3) / 0.5, atol=1e-4)
