"""What a trained model is good for: run, be judged, be kept."""

from __future__ import annotations

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tqdm import tqdm

import gtfdeer as gd
from gtfdeer.data import Scaling
from gtfdeer.models import Model
from gtfdeer.training import _rollout as free
from gtfdeer.training import rollout_for_comparison


@pytest.fixture(scope="module")
def lorenz() -> gd.data.Series:
    return gd.data.simulate(gd.data.Lorenz63(), length=4000, dt=0.01, key=jax.random.key(3))


@pytest.fixture(scope="module")
def rec(lorenz) -> gd.Reconstruction:
    model = gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=20, rngs=nnx.Rngs(0))
    return gd.fit(model, lorenz, window=50, batch=4, updates=30, progress=False)


@pytest.fixture(scope="module")
def scores(rec, lorenz) -> gd.training.Scores:
    return rec.score(lorenz)


class Known(Model):
    """A known system, which is observed as it is and not taught."""

    decode = encode = initial_state = lambda self, x: x

    def teacher_forced(self, x, alpha, solver, u=None):
        raise AssertionError("a known system is not taught")

    teacher_jacobians = teacher_forced

    def config(self):
        return {"observed_dim": self.observed_dim}


class TrueLorenz(Known):
    """Lorenz-63 itself, in standardised units: what a perfect reconstruction would be."""

    def __init__(self, scaling: Scaling) -> None:
        self.latent_dim = self.observed_dim = 3
        self.mean, self.std = nnx.Variable(jnp.asarray(scaling.mean)), nnx.Variable(jnp.asarray(scaling.std))

    def step(self, z, u=None):
        flow = gd.data.Lorenz63().step(0.01)
        return (flow(z * self.std[...] + self.mean[...]) - self.mean[...]) / self.std[...]


class Echo(Known):
    """x_t = x_{t-1} / 2 + u_t, observed with or without its past: a driven system that is known."""

    def __init__(self, columns: int = 1) -> None:
        self.latent_dim = self.observed_dim = columns
        self.input_dim = 1

    def step(self, z, u=None):
        return jnp.concatenate([z[:1] / 2 + u, z[:-1]])


def test_a_free_run_is_the_models_own_step_repeated_in_data_units(rec, lorenz):
    z = (lorenz.values[0] - rec.scaling.mean) / rec.scaling.std
    expected = []
    for _ in range(20):
        z = np.asarray(rec.model.step(jnp.asarray(z, jnp.float32)))
        expected.append(z * rec.scaling.std + rec.scaling.mean)
    np.testing.assert_allclose(rec.simulate(20, start=lorenz), expected, rtol=1e-4, atol=1e-3)  # float32, 20 steps


def test_a_run_starts_at_a_series_a_point_or_the_training_data(rec, lorenz):
    runs = [rec.simulate(5, start=start) for start in (lorenz, lorenz.values[0], None, lorenz.standardise())]
    for run in runs[1:]:
        np.testing.assert_allclose(run, runs[0], rtol=1e-4, atol=1e-4)  # scaled and unscaled once more in float32


def test_the_true_system_scores_like_a_second_recording_of_it(lorenz):
    series = gd.data.simulate(gd.data.Lorenz63(), length=40_000, dt=0.01, key=jax.random.key(4))
    second = gd.data.simulate(gd.data.Lorenz63(), length=40_000, dt=0.01, key=jax.random.key(5))
    scaling = series.standardise().scaling
    perfect = gd.Reconstruction(TrueLorenz(scaling), scaling, dt=0.01, first=np.zeros(3, np.float32))
    scores = perfect.score(series, floor=second)
    assert scores.D_stsp < 3 * scores.floor_D_stsp  # both are noise around the same small number
    assert 2 * scores.floor_D_H > scores.D_H
    assert abs(scores.lambda_max - 0.9056) < 0.05  # 500 time units: spread of about 0.01 between orbits
    assert scores.PE < 1e-4  # 20 steps multiply float32 rounding by less than 10
    assert abs(scores.PE_persistence - 1.34) < 0.05  # reference value for this system, n = 20


def test_trials_are_scored_together_and_nothing_straddles_two(rec, scores, lorenz):
    assert rec.score([lorenz]).as_dict() == scores.as_dict()
    trials = [gd.data.Series(lorenz.values[:400], dt=0.01), gd.data.Series(lorenz.values[600:], dt=0.01)]
    together, alone = rec.score(trials), [rec.score(trial) for trial in trials]
    for name in ("PE", "PE_persistence", "D_H", "floor_D_H"):
        # a tenth goes to the filter, 20 rows to the forecast
        rows = [len(trial) - (20 + len(trial) // 10 if name.startswith("PE") else 0) for trial in trials]
        expected = np.average([getattr(scores, name) for scores in alone], weights=rows)
        assert getattr(together, name) == pytest.approx(expected, rel=1e-4)  # sums in float32
    with pytest.warns(UserWarning, match="1 of 2 trials are not scored: fewer than 100 steps"):
        rec.score([lorenz, gd.data.Series(lorenz.values[:50], dt=0.01)])


@pytest.fixture(scope="module")
def driven() -> tuple[gd.data.Series, np.ndarray]:
    """A recording of it with a gap early on, and what drove it."""
    u, x = np.random.default_rng(0).normal(size=(400, 1)), np.zeros((400, 1))
    for t in range(1, 400):
        x[t] = x[t - 1] / 2 + u[t]
    x[70:73] = np.nan
    return gd.data.Series(x, dt=0.1), u


@pytest.mark.parametrize("embedded", [None, "by hand", "by itself"])
def test_inputs_follow_the_series_through_gap_and_embedding(driven, embedded):
    series, u = driven
    scaling = Scaling(np.zeros(1), np.ones(1))
    rec = gd.Reconstruction(Echo(), scaling, dt=0.1, first=np.zeros(1, np.float32))
    if embedded:
        embedding = gd.data.Embedding(2, 1)
        rec = gd.Reconstruction(Echo(2), scaling.tiled(2), 0.1, np.zeros(2, np.float32), embedding=embedding)
    if embedded == "by hand":
        series, u = series.delay_embed(2, 1), u[1:]
    scores = rec.score(series, u=u, steps=5)
    assert scores.PE < 1e-10  # float32, squared
    assert scores.D_stsp < 0.01  # the same points, some rounded into the neighbouring bin
    assert scores.D_H < 1e-4
    assert scores.outside == 0
    assert scores.lambda_max is None
    assert rec.score(series, u=np.roll(u, 1, axis=0), steps=5).PE > 0.1  # one row off is seen
    assert rec.score([series, series], u=[u, u], steps=5).PE < 1e-10
    with pytest.raises(ValueError, match="u holds 1 arrays for 2 series; pass one for each"):
        rec.score([series, series], u=[u])


def test_a_driven_run_begins_with_the_input_of_its_first_row_and_ends_beside_the_last_of_the_recording(driven):
    series, u = driven
    rec = gd.Reconstruction(Echo(), None, dt=0.1, first=np.zeros(1, np.float32))
    np.testing.assert_allclose(rec.simulate(69, series, u=u[1:70]), series.values[1:70], atol=1e-5)  # float32
    np.testing.assert_array_equal(rec.simulate(69, series, u=u[1:70, 0]), rec.simulate(69, series, u=u[1:70]))
    seen, generated = rollout_for_comparison(Echo(), series.values[100:].astype(np.float32), u[100:].astype(np.float32))
    np.testing.assert_allclose(generated, seen, atol=1e-5)


def test_a_long_run_is_that_of_its_pieces_and_an_interrupted_one_keeps_what_there_is(rec, lorenz, monkeypatch):
    """20,000 steps: two pieces, of which the last is cut."""
    whole = rec.simulate(20_000, start=lorenz)
    assert whole.shape == (20_000, 3)
    z = jnp.asarray(rec.standardised(lorenz).values[0])
    step = jax.jit(lambda z: jax.lax.scan(lambda z, _: (rec.model.step(z), z), z, length=16_385)[0])
    expected = rec.scaling.undo(np.asarray(step(z)))
    np.testing.assert_allclose(whole[16_384], expected, rtol=1e-4, atol=1e-3)  # float32; not chaotic after 30 updates
    monkeypatch.setattr(free, "tqdm", Impatient)
    with pytest.warns(UserWarning, match=r"interrupted after 16,384 of 20,000 steps, which are returned"):
        begun = rec.simulate(20_000, start=lorenz)
    np.testing.assert_array_equal(begun, whole[:16_384])
    with pytest.raises(KeyboardInterrupt):
        rec.score(lorenz)  # a score of less than the protocol would be another number


class Impatient(tqdm):
    """A bar that meets Ctrl-C when it first moves."""

    def update(self, n=1):
        raise KeyboardInterrupt  # as the handler of SIGINT does, where the parent process has not switched that off


def test_scores_do_not_depend_on_the_units_of_the_test_series(rec, scores, lorenz):
    scaled = rec.score(lorenz.standardise())
    # a chaotic run is not asked to repeat itself after rounding; floors and persistence are functions of the data
    assert scores.floor_D_H == pytest.approx(scaled.floor_D_H, rel=1e-3)
    assert scores.PE_persistence == pytest.approx(scaled.PE_persistence, rel=1e-4)


def test_a_run_that_escapes_is_refused_by_simulate_and_judged_badly_by_score(lorenz):
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    model.A[...] = jnp.full(3, 3.0)
    exploding = gd.Reconstruction(model, lorenz.standardise().scaling, dt=0.01, first=np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"left all bounds after \d+ of 1000 steps"):
        exploding.simulate(1000)
    scores = exploding.score(lorenz)
    assert scores.D_stsp == np.inf
    assert scores.D_H == 1.0
    assert scores.lambda_max is None
    assert scores.as_dict()["D_stsp"] is None  # JSON knows no infinity


def test_what_was_saved_is_what_is_loaded_to_the_bit(rec, lorenz, tmp_path):
    rec.save(tmp_path / "m.npz")
    again = gd.load(tmp_path / "m.npz")
    assert np.array_equal(again.simulate(500, start=lorenz), rec.simulate(500, start=lorenz))
    assert (again.dt, again.name, again.ending, again.embedding) == (rec.dt, rec.name, rec.ending, rec.embedding)
    assert all(np.array_equal(again.history[k], rec.history[k]) for k in rec.history)
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_a_pickle_in_a_model_file_is_never_opened_and_an_unwritable_path_is_named(rec, tmp_path):
    path, ran = tmp_path / "m.npz", tmp_path / "ran"
    rec.save(path)

    class Bomb:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    with zipfile.ZipFile(path, "a") as archive, archive.open("history/extra.npy", "w") as member:
        np.save(member, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a model file"):
        gd.load(path)
    with pytest.raises(OSError, match="cannot write"):
        rec.save(path / "m.npz")
    assert list(tmp_path.iterdir()) == [path]
