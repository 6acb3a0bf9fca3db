"""simulate and rk4_step: against SciPy's integrator, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gtfdeer.data import BurstingNeuron, Lorenz63, Lorenz96, Rossler, SlowFastLorenz, rk4_step, simulate

SYSTEMS = [Lorenz63(), Rossler(), Lorenz96(), BurstingNeuron(), SlowFastLorenz()]
NAMES = [type(system).__name__ for system in SYSTEMS]


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_samples_follow_the_vector_field(system):
    dt = system.default_dt
    series = simulate(system, 21, key=jax.random.key(3))
    field = jax.jit(system.vector_field)
    exact = solve_ivp(
        lambda _, z: np.asarray(field(jnp.asarray(z, jnp.float32)), np.float64),
        (0, 20 * dt),
        series.values[0].astype(float),
        t_eval=np.arange(21) * dt,
        rtol=1e-6,
        atol=1e-6,
        max_step=system.step_size,
    ).y.T
    # float32 rounding and Runge-Kutta errors of 20 samples; a wrong step or order is off by 0.1 and more.
    spread = np.maximum(np.abs(exact).max(axis=0), 1e-2)
    assert (np.abs(series.values - exact) / spread).max() < 5e-3


def test_no_start_of_rossler_escapes():
    system = Rossler()  # the one system here with starts that do
    starts = jax.jit(jax.vmap(system.initial_state))(jax.random.split(jax.random.key(0), 500))
    step = jax.vmap(system.step(system.step_size))
    ends = jax.jit(lambda z: jax.lax.fori_loop(0, 5000, lambda _, z: step(z), z))(starts)
    assert np.abs(ends).max() < 30


def test_the_method_is_of_order_four():
    errors = [abs(float(rk4_step(lambda z: -z, 2.0, n)(jnp.float32(1.0))) - np.exp(-2.0)) for n in (2, 4)]
    assert 12 < errors[0] / errors[1] < 26  # 2^4 = 16, from above as the next order still counts


def test_the_step_is_a_map_for_solvers():
    step = Lorenz63().step(0.02)
    z = jnp.array([1.0, 2.0, 20.0])
    np.testing.assert_array_equal(step(z, None), step(z))
    assert jax.jit(jax.jacfwd(step))(z).shape == (3, 3)
    # Exact volume contraction of the Lorenz flow: det = exp(-(sigma + 1 + beta) dt).
    assert np.linalg.det(jax.jit(jax.jacrev(step))(z)) == pytest.approx(np.exp(-(11 + 8 / 3) * 0.02), rel=1e-4)


def test_substeps_are_the_smallest_whole_number():
    z = jnp.array([1.0, 2.0, 20.0])
    for dt, substeps in ((0.001, 1), (0.01, 1), (0.0100001, 2), (0.03, 3), (0.07, 7), (0.1, 10)):
        plain = rk4_step(Lorenz63().vector_field, dt, substeps)
        np.testing.assert_array_equal(Lorenz63().step(dt)(z), plain(z))


def test_the_same_key_gives_the_same_series_and_another_another():
    first, again, other = (simulate(Rossler(), 50, key=jax.random.key(k)).values for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_without_transient_the_first_sample_is_the_start():
    key = jax.random.key(5)
    series = simulate(Lorenz96(), 1, key=key, transient=0.0)
    np.testing.assert_array_equal(series.values[0], Lorenz96().initial_state(key))


@pytest.mark.usefixtures("x64")
def test_double_precision_is_computed_when_it_is_switched_on():
    series = simulate(Lorenz63(), 10, key=jax.random.key(0), dtype=np.float64)
    assert series.values.dtype == np.float64
    assert (series.values != series.values.astype(np.float32)).any()
    assert simulate(Lorenz63(), 10, key=jax.random.key(0)).values.dtype == np.float32
