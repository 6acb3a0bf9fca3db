"""The training loop: what it learns, what it survives, what it refuses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.training import TrainConfig, name_parameters
from gtfdeer.training._prepare import choose_batch, choose_window, warn_of_unused

CONSTANT = gd.forcing.Constant(0.5)


@pytest.fixture(scope="module")
def lorenz() -> gd.data.Series:
    return gd.data.simulate(gd.data.Lorenz63(), length=2500, dt=0.01, key=jax.random.key(3))


def plrnn(**settings) -> gd.models.ShallowPLRNN:
    return gd.models.ShallowPLRNN(**{"latent_dim": 3, "hidden_dim": 20, **settings}, rngs=nnx.Rngs(0))


def quick(model, series, **settings) -> gd.Reconstruction:
    """Trained for a moment; runs of equal settings and sizes share one program."""
    small = {"window": 50, "batch": 4, "updates": 20, "validations": 0, "progress": False}
    return gd.fit(model, series, **small | {"solver": gd.solvers.Sequential(), "forcing": CONSTANT} | settings)


DEFAULT = {"solver": gd.solvers.Auto(), "forcing": gd.forcing.LearnedGain(), "key": jax.random.key(1)}


@pytest.fixture(scope="module")
def rec(lorenz) -> gd.Reconstruction:
    return quick(plrnn(), lorenz, **DEFAULT)


def test_a_run_has_one_entry_an_update_and_follows_from_its_key(rec, lorenz, capsys):
    assert set(rec.history) == {"loss", "alpha", "iterations", "seconds", "retried", "skipped", "gain"}
    assert {v.shape for v in rec.history.values()} == {(20,)}
    assert (rec.history["seconds"] > 0).all()
    model = plrnn()
    again, other = (quick(model, lorenz, **DEFAULT | {"key": jax.random.key(k)}, progress=True) for k in (1, 2))
    first, second, third, before = (name_parameters(each) for each in (rec.model, again.model, other.model, model))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["W1"], third["W1"])
    assert all(np.array_equal(before[name], value) for name, value in name_parameters(plrnn()).items())  # untouched
    told = capsys.readouterr().err
    lines = [line for line in told.splitlines() if line.startswith("update")]
    assert "\r" not in told
    assert 4 <= len(lines) <= 20  # of two runs: a log file gets a line every tenth of the way
    assert lines[-1].startswith("update 20 of 20: loss ")


def test_one_missing_cell_in_a_recording_hardly_changes_training(rec, lorenz):
    standard = lorenz.standardise()
    values = standard.values.copy()
    values[0, 0] = np.nan
    holed = gd.data.Series(values, dt=lorenz.dt, scaling=standard.scaling)
    other = quick(plrnn(), holed, **DEFAULT).history["loss"]
    np.testing.assert_allclose(rec.history["loss"], other, rtol=1e-4)  # float32: the mean over one more order of sums


def test_a_learned_gain_is_a_filter_that_is_kept(lorenz, tmp_path):
    noisy = lorenz.with_noise(0.2, key=jax.random.key(5))
    rec = quick(plrnn(), noisy, forcing=gd.forcing.LearnedGain(last=0.1, learn=0.5), updates=41, batch=16)
    s, size = rec.history["alpha"], rec.history["gain"] / rec.history["alpha"]
    assert (s[:21] == 1).all()
    assert (np.diff(size[:21]) != 0).all()  # learned
    assert (size <= 1.001 * 0.1 ** (np.arange(41) / 40))[:21].all()  # float32
    np.testing.assert_allclose(size[21:], size[21], rtol=1e-5)  # frozen
    np.testing.assert_allclose(rec.history["gain"][-1], 0.1, rtol=1e-5)
    assert (np.diff(s[22:]) < 0).all()
    rec.save(tmp_path / "model.npz")
    kept = gd.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(kept.gain, rec.gain)
    np.testing.assert_array_equal(kept.forecast(noisy, 5), rec.forecast(noisy, 5))
    states, rows = rec.filter(noisy), rec.standardised(noisy).values
    step = jax.vmap(rec.model.step)(jnp.asarray(states[:-1]))
    by_hand = step + (rows[1:] - np.asarray(jax.vmap(rec.model.decode)(step))) @ rec.gain.T
    np.testing.assert_allclose(states[1:], by_hand, atol=1e-4)  # float32
    assert "gain" in str(rec)


def test_the_forecast_goes_on_from_the_last_row_and_an_ensemble_spreads(rec, lorenz):
    ahead = rec.forecast(lorenz, 30)
    z = jnp.asarray(rec.filter(lorenz)[-1])
    for row in ahead[:3]:
        z = rec.model.step(z)
        np.testing.assert_allclose(row, rec.scaling.undo(np.asarray(rec.model.decode(z))), rtol=1e-4)  # float32
    members = rec.forecast(lorenz, 30, samples=6)
    assert members.shape == (6, 30, 3)
    assert (members.std(axis=0) > 0).all()


def test_inputs_are_standardised_and_coarsened_as_the_series_is(lorenz):
    u = np.sin(np.arange(lorenz.length) / 7)[:, None]
    coarse, means = lorenz.coarsen(2), u.reshape(-1, 2, 1).mean(axis=1)
    first, other = (quick(plrnn(input_dim=1), coarse, u=v) for v in (means, 1e4 * means + 1e6))
    np.testing.assert_allclose(first.history["loss"], other.history["loss"], rtol=1e-3)  # float32
    runs = first.simulate(20, u=means[:20]), other.simulate(20, u=1e4 * means[:20] + 1e6)
    np.testing.assert_allclose(*runs, rtol=1e-3)
    with pytest.raises(ValueError, match=r"dt=0\.01 but the model was trained at dt=0\.02"):
        first.filter(lorenz, u=u)  # a raw recording and raw inputs are not coarsened one without the other


def test_an_external_input_is_used():
    # x_t = 0.5 x_{t-1} + u_t: without u the input is noise of variance 1, with it everything is predictable.
    u = np.random.default_rng(0).standard_normal((3000, 1)).astype(np.float32)
    x = np.zeros((3000, 1), np.float32)
    for t in range(1, 3000):
        x[t] = 0.5 * x[t - 1] + u[t]
    series = gd.data.Series(x, dt=1.0)
    settings = {"updates": 150, "batch": 16, "window": 12, "learning_rate": 5e-2}
    blind = quick(plrnn(latent_dim=1), series, **settings).history["loss"][-20:].mean()
    informed = quick(plrnn(latent_dim=1, input_dim=1), series, u=u, **settings).history["loss"][-20:].mean()
    assert informed < 0.05 * blind


def test_the_default_window_uses_the_short_trials(lorenz):
    trials = [gd.data.Series(lorenz.values[i : i + 150], dt=lorenz.dt) for i in range(0, 600, 150)]
    whole = gd.data.Series(lorenz.values[:500], dt=lorenz.dt)
    assert (choose_window([whole]), choose_window([whole, *trials])) == (200, 75)
    with pytest.warns(UserWarning, match=r"4 of 5 segments, 600 of 1,100 rows, are shorter than window=180"):
        warn_of_unused([whole, *trials], 180)


def test_recordings_of_different_lengths_and_gaps_are_welcome(lorenz):
    values = lorenz.values.copy()
    values[1000:1010] = np.nan
    pieces = [gd.data.Series(values[:2000], dt=0.01), gd.data.Series(values[2000:2300], dt=0.01)]
    rec = quick(plrnn(latent_dim=5), pieces)
    assert rec.model.observed_dim == 3  # a model without observed_dim observes the columns of the series
    assert np.isfinite(rec.history["loss"]).all()
    pooled = np.concatenate([values[:1000], values[1010:2300]])
    np.testing.assert_allclose(rec.scaling.mean, pooled.mean(axis=0), rtol=1e-4)  # float32 sums


def test_every_solver_trains_to_the_same_losses_even_one_that_fails(lorenz):
    """A solve that does not converge is done again step by step, and counted."""
    failing = gd.solvers.DEER(tol=1e-7, max_iterations=1)
    solvers = [gd.solvers.Sequential(), gd.solvers.Shooting(length=16), failing]
    runs = [quick(plrnn(), lorenz, solver=s).history for s in solvers]
    for run in runs[1:]:  # float32: ten updates amplify rounding of 1e-7 and tolerances of 1e-5
        np.testing.assert_allclose(run["loss"][:10], runs[0]["loss"][:10], rtol=1e-3)
    assert [run["retried"].sum() for run in runs] == [0, 0, 20]


def test_what_auto_chose_is_tried_ever_more_rarely_where_it_fails(lorenz):
    """One sweep is never enough for windows that do not know of each other."""
    model = gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=20, rngs=nnx.Rngs(0))
    auto = gd.solvers.Auto(max_iterations=1)
    settings = {"window": 600, "updates": 10, "forcing": gd.forcing.Constant(0.0)}
    history = quick(model, lorenz, solver=auto, **settings).history
    np.testing.assert_array_equal(history["retried"], [1, 0, 1, 0, 1, 0, 0, 0, 1, 0])
    exact = quick(model, lorenz, solver=gd.solvers.Sequential(), **settings).history
    np.testing.assert_allclose(history["loss"], exact["loss"], rtol=1e-6)  # roundings of two programs


def test_auto_knows_how_many_sequences_share_the_memory():
    auto = gd.solvers.Auto(tol=1e-4)
    assert TrainConfig(batch=7, solver=auto).solver == gd.solvers.Auto(tol=1e-4, batch=7)
    assert TrainConfig(batch=7, solver=gd.solvers.DEER()).solver == gd.solvers.DEER()


def test_an_update_that_is_not_finite_is_skipped_and_ten_in_a_row_end_the_run(lorenz):
    model = plrnn()
    model.W1[...] = 1e20 * model.W1[...]  # overflows within a few steps of the first window
    rec = quick(model, lorenz, updates=50, forcing=gd.forcing.Constant(0.0))
    assert "not finite" in rec.ending
    assert 10 <= len(rec.history["loss"]) < 50
    assert rec.history["skipped"].all()
    assert np.array_equal(name_parameters(rec.model)["W1"], name_parameters(model)["W1"])


def test_callbacks_see_a_model_that_grows_and_a_history_that_stays_and_an_interrupt_keeps_both(lorenz):
    kept, seen = [], []

    def watch(moment):
        loss = moment.history["loss"]
        kept.append((loss, loss.copy()))
        seen.append((moment.update, len(loss), float(moment.model.A[0])))
        assert moment.pace == np.median(moment.history["seconds"][-50:])
        with pytest.raises(ValueError, match="read-only"):
            loss[0] = 0
        if len(seen) == 5:
            raise KeyboardInterrupt

    rec = quick(plrnn(), lorenz, updates=5000, callbacks=watch)
    assert rec.ending == "interrupted"
    assert all(update == entries for update, entries, _ in seen)
    assert len({parameter for *_, parameter in seen}) == len(seen) == 5
    for loss, then in kept:
        np.testing.assert_array_equal(loss, then)
        np.testing.assert_array_equal(loss, rec.history["loss"][: len(then)])
    rec.history["loss"][0] = 0  # what fit returns is the user's own
    assert rec.simulate(10).shape == (10, 3)
    stopped = quick(plrnn(), lorenz, updates=5000, callbacks=[lambda moment: moment.stop()])
    assert stopped.ending == "stopped by a callback"
    assert len(stopped.history["loss"]) == 1


def test_noise_is_added_to_the_input_not_to_the_target(lorenz):
    frozen = {"optimiser": optax.sgd(0.0), "forcing": gd.forcing.Constant(1.0), "updates": 3}
    model = plrnn()
    model.A[...] = 0 * model.A[...]
    model.W1[...] = 0 * model.W1[...]  # a model that predicts zero: its loss sees the targets only
    clean = quick(model, lorenz, **frozen).history["loss"]
    noisy = quick(model, lorenz, noise=5.0, **frozen).history["loss"]
    np.testing.assert_allclose(noisy, clean, rtol=1e-6)


def test_the_file_keeps_the_preparation(lorenz, tmp_path):
    """Scaling, names, coarsening: of the training data, wherever the model goes."""
    named = gd.data.Series(lorenz.values, dt=lorenz.dt, column_names=("x", "y", "z"))
    train = named.standardise().coarsen(3).split(0.5)[0]
    rec = quick(plrnn(), train)
    np.testing.assert_allclose(rec.scaling.mean, lorenz.values.mean(axis=0), rtol=1e-4)  # kept; float32 sums
    rec.save(tmp_path / "model.npz")
    rec = gd.load(tmp_path / "model.npz")
    expected, coarsened, reordered = (
        rec.standardised(series).values for series in (named.coarsen(3), named, named.select(["z", "x", "y"]))
    )
    np.testing.assert_array_equal(coarsened, expected)
    np.testing.assert_array_equal(reordered, expected)
    with pytest.raises(ValueError, match="columns x, y, w but the model was trained on x, y, z; pass a series with z"):
        rec.score(gd.data.Series(lorenz.values, dt=lorenz.dt, column_names=("x", "y", "w")))


def test_counts_far_from_zero_keep_their_digits(lorenz, tmp_path):
    counts = np.round(1e9 + 200 * lorenz.standardise().values.astype(np.float64)).astype(np.int64)
    near, far = (quick(plrnn(), gd.data.read_series(v, dt=0.01)) for v in (counts - 10**9, counts))
    runs = near.simulate(50), far.simulate(50) - 1e9
    np.testing.assert_allclose(*runs, atol=0.5)  # of 200: float32 of the network
    starts = [rec.simulate(1, start=row)[0] for rec, row in ((near, counts[7] - 10**9), (far, counts[7]))]
    np.testing.assert_allclose(starts[1] - 1e9, starts[0], atol=0.5)
    far.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(gd.load(tmp_path / "model.npz").simulate(50), far.simulate(50))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", [gd.models.GRU, gd.models.AlmostLinearRNN])
@pytest.mark.filterwarnings("error")
def test_double_precision_elsewhere_changes_no_dtype_here(lorenz, kind):
    model = kind(latent_dim=3, rngs=nnx.Rngs(0))  # float64 parameters; the data are float32 all the same
    quick(model, lorenz, updates=2, validations=1, batch=1, window=10).forecast(lorenz, 3)


def test_units_that_rotate_are_trained_and_scored(lorenz):
    model = plrnn(latent_dim=7, observed_dim=3, periods=[10, 1000])
    assert np.isfinite(quick(model, lorenz, updates=2, window=10).score(lorenz.split(0.2)[0]).PE)


@pytest.mark.parametrize(
    ("period", "window", "batch"), [(90, 200, 16), (900, 600, 5), (1900, 1000, 4), (9000, 200, 16)]
)
def test_the_default_window_follows_the_slowest_column(period, window, batch):
    """Ten periods have to be there: 20,000 rows hold two of 9,000."""
    turns = np.arange(20_000) / np.array([[20], [period]])
    noisy = np.sin(2 * np.pi * turns).T + 0.2 * np.random.default_rng(0).normal(size=(20_000, 2))
    chosen = choose_window([gd.data.Series(noisy, dt=1.0)])
    assert chosen == pytest.approx(window, rel=0.05)
    assert choose_batch(chosen) == batch
