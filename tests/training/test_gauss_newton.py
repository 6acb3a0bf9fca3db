"""Gauss-Newton steps after the updates: the system they solve, what they lower, and that they can be resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.training._filter import filter_series
from gtfdeer.training._gauss_newton import solve_normal_equations
from gtfdeer.training._validation import BestCheckpoint

SETTINGS = {"window": 40, "batch": 8, "updates": 60, "polish": 8, "validations": 4, "progress": False}


@pytest.fixture(scope="module")
def series():
    return gd.data.simulate(gd.data.Lorenz63(), length=3000, key=jax.random.key(0))


def polish(series, **settings):
    """Of a recording as it is and one with gaps, both with inputs."""
    values = series.values.copy()
    values[100:130] = np.nan
    values[200:900:7, 1] = np.nan
    u = np.sin(np.arange(3000) * 0.01)[:, None]
    model = gd.models.GRU(latent_dim=5, observed_dim=3, input_dim=1, rngs=nnx.Rngs(0))
    return gd.fit(model, [gd.data.Series(values, dt=series.dt), series], u=[u, u], **SETTINGS, **settings)


@pytest.fixture(scope="module")
def polished(series):
    return polish(series)


def test_without_damping_a_linear_problem_is_solved_by_one_step():
    A = np.random.default_rng(0).normal(size=(40, 6))
    b, theta = A @ np.arange(6.0), np.ones(6)
    errors = lambda theta: jnp.asarray(A, jnp.float32) @ theta - jnp.asarray(b, jnp.float32)  # noqa: E731
    gradient = A.T @ (A @ theta - b)
    move = solve_normal_equations(
        errors, jnp.asarray(theta, jnp.float32), jnp.asarray(gradient, jnp.float32), 0.0, jax.random.key(0)
    )
    np.testing.assert_allclose(theta - move, np.linalg.lstsq(A, b)[0], atol=1e-2)  # 1e-3 of the gradient is left


def test_they_lower_the_one_step_error_and_follow_the_updates(polished):
    loss, gain = polished.history["loss"], polished.history["gain"]
    assert len(loss) == 68
    assert loss[-1] < 0.5 * loss[60]
    assert np.ptp(gain[60:]) == 0  # K stays as it was learned


def test_a_run_stopped_among_them_is_resumed_bit_for_bit(series, polished, same, tmp_path):
    path = tmp_path / "run.npz"
    stop = lambda moment: moment.update >= 63 and moment.stop()  # noqa: E731
    rec = polish(series, checkpoint=path, callbacks=[stop])
    assert len(rec.history["loss"]) == 63
    same(gd.resume(path, progress=False), polished)


def test_they_are_what_free_runs_choose_among(series, polished):
    assert BestCheckpoint(series.values, 60, 4, 8).validation_steps == {64, 68}
    assert BestCheckpoint(series.values, 60, 4).validation_steps == {38, 45, 53, 60}
    assert polished.update in (64, 68)


def test_a_free_run_begins_where_the_filter_ends(series):
    windows = series.standardise().values[:300].reshape(3, 100, 3)
    model = gd.models.GRU(latent_dim=5, observed_dim=3, rngs=nnx.Rngs(0))
    gain = 0.5 * np.eye(5, 3)
    ends, predicted = filter_series(model, windows, gain)
    for end, guess, window in zip(ends[:, -1], predicted, windows, strict=True):
        states, alone = filter_series(model, window, gain)
        np.testing.assert_allclose(end, states[-1], atol=1e-5)
        np.testing.assert_allclose(guess, alone, atol=1e-5)
