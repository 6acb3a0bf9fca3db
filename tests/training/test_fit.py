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


@pytest.fixture(scope="module")
def lorenz() -> gd.data.Series:
    return gd.data.simulate(gd.data.Lorenz63(), length=5000, dt=0.01, key=jax.random.key(3))


def plrnn(**settings) -> gd.models.ShallowPLRNN:
    return gd.models.ShallowPLRNN(**{"latent_dim": 3, "hidden_dim": 20, **settings}, rngs=nnx.Rngs(0))


def quick(model, series, **settings) -> gd.Reconstruction:
    settings = {"window": 50, "batch": 4, "updates": 20, "progress": False, **settings}
    return gd.fit(model, series, **settings)


def test_two_hundred_updates_halve_the_loss(lorenz):
    forcing = gd.forcing.Constant(0.5)  # fixed: the loss of another alpha is another loss
    loss = quick(plrnn(), lorenz, batch=16, updates=200, forcing=forcing, learning_rate=2e-2).history["loss"]
    assert loss[-20:].mean() < 0.5 * loss[:3].mean()


def with_gaps(series, every=30, length=5):
    rows = np.arange(series.length) % every
    return gd.data.Series(np.where((rows >= every - length)[:, None], np.nan, series.values), dt=series.dt)


@pytest.mark.parametrize("forcing", [gd.forcing.Constant(0.5), gd.forcing.Adaptive()], ids=["constant", "adaptive"])
@pytest.mark.parametrize("kind", [gd.models.ShallowPLRNN, gd.models.S5], ids=lambda kind: kind.__name__)
def test_across_gaps_a_model_learns_from_what_there_is(kind, forcing, lorenz):
    sizes = {"hidden_dim": 20} if kind is gd.models.ShallowPLRNN else {"width": 8, "depth": 1}
    model = kind(latent_dim=3, observed_dim=3, **sizes, rngs=nnx.Rngs(0))
    full, gaps = lorenz.standardise(), with_gaps(lorenz)
    rec = quick(model, gaps, forcing=forcing, batch=16, updates=200)
    assert rec.history["skipped"].sum() == 0
    x = np.asarray(full.values[:50], np.float32)
    before, after = (np.mean((m.forecast(x, 0.5, gd.solvers.Sequential()) - x[1:]) ** 2) for m in (model, rec.model))
    assert after < 0.5 * before


def test_one_missing_cell_in_a_recording_hardly_changes_training(lorenz):
    values = lorenz.values.copy()
    values[0, 0] = np.nan
    holed = gd.data.Series(values, dt=lorenz.dt, scaling=lorenz.scaling)
    plain, other = (quick(plrnn(), series, standardise=False).history["loss"] for series in (lorenz, holed))
    np.testing.assert_allclose(plain, other, rtol=1e-4)  # float32: the mean over one more order of sums


def test_a_learned_gain_is_a_filter_that_is_kept(lorenz, tmp_path):
    noisy = lorenz.with_noise(0.2, key=jax.random.key(5))
    rec = quick(plrnn(), noisy, forcing=gd.forcing.LearnedGain(last=0.1), updates=41, batch=16)
    s, size = rec.history["alpha"], rec.history["gain"] / rec.history["alpha"]
    assert (s[:20] == 1).all()
    assert (np.diff(size[:20]) != 0).all()  # learned
    assert (size <= 1.001 * 0.1 ** (np.arange(41) / 40))[:20].all()  # float32
    np.testing.assert_allclose(size[20:], size[20], rtol=1e-5)  # frozen
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


def test_the_forecast_goes_on_from_the_last_row_and_an_ensemble_spreads(lorenz):
    rec = quick(plrnn(), lorenz, updates=40)
    ahead = rec.forecast(lorenz, 30)
    z = jnp.asarray(rec.filter(lorenz)[-1])
    for row in ahead[:3]:
        z = rec.model.step(z)
        np.testing.assert_allclose(row, rec.scaling.undo(np.asarray(rec.model.decode(z))), rtol=1e-4)  # float32
    members = rec.forecast(lorenz, 30, samples=6)
    assert members.shape == (6, 30, 3)
    assert (members.std(axis=0) > 0).all()


def test_inputs_are_standardised_as_the_series_is(lorenz):
    u = np.sin(np.arange(lorenz.length) / 7)[:, None]
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=8, input_dim=1, rngs=nnx.Rngs(0))
    first, other = (quick(model, lorenz, u=v, updates=20) for v in (u, 1e4 * u + 1e6))
    np.testing.assert_allclose(first.history["loss"], other.history["loss"], rtol=1e-3)  # float32
    runs = first.simulate(20, u=u[:20]), other.simulate(20, u=1e4 * u[:20] + 1e6)
    np.testing.assert_allclose(*runs, rtol=1e-3)


def test_the_default_window_uses_the_short_trials(lorenz):
    trials = [gd.data.Series(lorenz.values[i : i + 150], dt=lorenz.dt) for i in range(0, 600, 150)]
    whole, short = gd.data.Series(lorenz.values[:500], dt=lorenz.dt), trials
    alone, together = (quick(plrnn(), data, window=None, updates=5) for data in (whole, [whole, *short]))
    assert not np.array_equal(alone.history["loss"], together.history["loss"])
    with pytest.warns(UserWarning, match="4 of 5 segments, 600 of 1,100 rows, are shorter than window=180"):
        quick(plrnn(), [whole, *short], window=180, updates=1)


def test_the_history_has_one_entry_an_update(lorenz):
    history = quick(plrnn(), lorenz, updates=23).history
    assert set(history) == {
        "loss",
        "alpha",
        "iterations",
        "seconds",
        "retried",
        "sequential",
        "skipped",
    }
    assert {v.shape for v in history.values()} == {(23,)}
    assert (history["seconds"] > 0).all()


def test_the_same_key_gives_the_same_model_and_another_key_another(lorenz):
    first, again, other = (name_parameters(quick(plrnn(), lorenz, key=jax.random.key(k)).model) for k in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["W1"], other["W1"])


def test_the_users_model_is_left_untouched(lorenz):
    model = plrnn()
    before = name_parameters(model)
    trained = name_parameters(quick(model, lorenz).model)
    after = name_parameters(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not np.array_equal(before["W1"], trained["W1"])


def test_every_solver_trains_to_the_same_losses(lorenz):
    solvers = [gd.solvers.Sequential(), gd.solvers.DEER(), gd.solvers.Shooting(length=16), gd.solvers.Auto()]
    losses = [quick(plrnn(), lorenz, solver=s, updates=10).history["loss"] for s in solvers]
    for other in losses[1:]:  # float32: ten updates amplify rounding of 1e-7 and tolerances of 1e-5
        np.testing.assert_allclose(other, losses[0], rtol=1e-3)


def test_a_solve_that_fails_is_done_again_step_by_step_and_counted(lorenz):
    settings = {"updates": 10, "forcing": gd.forcing.Constant(0.3)}
    model = gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=20, rngs=nnx.Rngs(0))
    failing = quick(model, lorenz, solver=gd.solvers.DEER(tol=1e-7, max_iterations=1), **settings).history
    exact = quick(model, lorenz, solver=gd.solvers.Sequential(), **settings).history
    assert failing["retried"].sum() == 10
    np.testing.assert_allclose(failing["loss"], exact["loss"], rtol=1e-4)  # the same float32 computation, fused anew


def test_a_fallback_of_auto_is_counted(lorenz):
    """One sweep is never enough for windows that do not know of each other. Short sequences go step by step anyway."""
    settings = {
        "updates": 3,
        "batch": 4,
        "forcing": gd.forcing.Constant(0.0),
        "solver": gd.solvers.Auto(max_iterations=1),
    }
    model = gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=20, rngs=nnx.Rngs(0))
    long = quick(model, lorenz, window=600, validations=0, **settings).history
    np.testing.assert_array_equal(long["sequential"], [1, 1, 1])
    np.testing.assert_array_equal(long["retried"], [1, 1, 1])
    assert not long["skipped"].any()
    short = quick(model, lorenz, window=50, validations=0, **settings).history
    assert not short["sequential"].any()


def test_auto_knows_how_many_sequences_share_the_memory():
    settings = {"window": 50, "updates": 1, "forcing": gd.forcing.Constant(0.5)}
    assert TrainConfig(batch=7, solver=gd.solvers.Auto(tol=1e-4), **settings).solver == gd.solvers.Auto(
        tol=1e-4, batch=7
    )
    assert TrainConfig(batch=7, solver=gd.solvers.DEER(), **settings).solver == gd.solvers.DEER()


def test_an_update_that_is_not_finite_is_skipped_and_ten_in_a_row_end_the_run(lorenz):
    model = plrnn()
    model.W1[...] = 1e20 * model.W1[...]  # overflows within a few steps of the first window
    rec = quick(model, lorenz, updates=50, forcing=gd.forcing.Constant(0.0))
    assert "not finite" in rec.ending
    assert 10 <= len(rec.history["loss"]) < 50
    assert rec.history["skipped"].all()
    assert np.array_equal(name_parameters(rec.model)["W1"], name_parameters(model)["W1"])


def test_an_interrupt_keeps_what_was_learned(lorenz):
    def interrupt(moment):
        if moment.update >= 5:
            raise KeyboardInterrupt

    rec = quick(plrnn(), lorenz, updates=500, callbacks=[interrupt])
    assert rec.ending == "interrupted"
    assert 5 <= len(rec.history["loss"]) < 500
    assert rec.simulate(10).shape == (10, 3)


def test_what_a_callback_keeps_of_the_history_stays_as_it_was(lorenz):
    kept = []

    def keep(moment):
        loss = moment.history["loss"]
        kept.append((loss, loss.copy()))
        with pytest.raises(ValueError, match="read-only"):
            loss[0] = 0

    rec = quick(plrnn(), lorenz, updates=600, callbacks=[keep])
    assert len(kept) > 2
    for loss, then in kept:
        np.testing.assert_array_equal(loss, then)
        np.testing.assert_array_equal(loss, rec.history["loss"][: len(then)])
    rec.history["loss"][0] = 0  # what fit returns is the user's own


def test_a_callback_sees_the_model_grow_and_can_stop(lorenz):
    seen = []

    def watch(moment):
        seen.append((moment.update, moment.updates, float(moment.model.A[0]), len(moment.history["loss"])))
        assert moment.pace == np.median(moment.history["seconds"][-50:])
        if len(seen) == 3:
            moment.stop()

    rec = quick(plrnn(), lorenz, updates=500, callbacks=[watch])
    assert rec.ending == "stopped by a callback"
    assert len(seen) == 3
    assert [s[0] for s in seen] == [s[3] for s in seen]
    assert len({s[2] for s in seen}) == 3


def test_recordings_of_different_lengths_and_gaps_are_welcome(lorenz):
    values = lorenz.values.copy()
    values[1000:1010] = np.nan
    pieces = [gd.data.Series(values[:2000], dt=0.01), gd.data.Series(values[2000:2300], dt=0.01)]
    rec = quick(plrnn(), pieces)
    assert np.isfinite(rec.history["loss"]).all()
    pooled = np.concatenate([values[:1000], values[1010:2300]])
    np.testing.assert_allclose(rec.scaling.mean, pooled.mean(axis=0), rtol=1e-4)  # float32 sums


def test_an_external_input_is_used():
    # x_t = 0.5 x_{t-1} + u_t: without u the input is noise of variance 1, with it everything is predictable.
    u = np.random.default_rng(0).standard_normal((3000, 1)).astype(np.float32)
    x = np.zeros((3000, 1), np.float32)
    for t in range(1, 3000):
        x[t] = 0.5 * x[t - 1] + u[t]
    series = gd.data.Series(x, dt=1.0)
    settings = {"updates": 1500, "batch": 16, "learning_rate": 5e-2, "forcing": gd.forcing.Constant(0.5)}
    blind = quick(plrnn(latent_dim=1), series, **settings).history["loss"][-20:].mean()
    informed = quick(plrnn(latent_dim=1, input_dim=1), series, u=u, **settings).history["loss"][-20:].mean()
    assert informed < 0.05 * blind


def test_noise_is_added_to_the_input_not_to_the_target(lorenz):
    frozen = {"optimiser": optax.sgd(0.0), "forcing": gd.forcing.Constant(1.0), "updates": 3}
    model = plrnn()
    model.A[...] = 0 * model.A[...]
    model.W1[...] = 0 * model.W1[...]  # a model that predicts zero: its loss sees the targets only
    clean = quick(model, lorenz, **frozen).history["loss"]
    noisy = quick(model, lorenz, noise=5.0, **frozen).history["loss"]
    np.testing.assert_allclose(noisy, clean, rtol=1e-6)


def test_a_standardised_series_keeps_its_scaling(lorenz):
    train, _ = lorenz.standardise().split(0.5)
    rec = quick(plrnn(), train)
    np.testing.assert_allclose(rec.scaling.mean, lorenz.values.mean(axis=0), rtol=1e-4)  # float32 sums


def test_a_model_without_observed_dim_observes_the_columns_of_the_series(lorenz):
    model = plrnn(latent_dim=5)
    rec = quick(model, lorenz, forcing=gd.forcing.Constant(0.5))
    assert rec.model.observed_dim == 3
    assert rec.simulate(5).shape == (5, 3)


def test_a_log_file_gets_a_line_every_tenth_of_the_way(lorenz, capsys):
    quick(plrnn(), lorenz, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 10
    assert lines[-1].startswith("update 20 of 20: loss ")


def test_the_file_keeps_the_preparation(lorenz, tmp_path):
    named = gd.data.Series(lorenz.values, dt=lorenz.dt, column_names=("x", "y", "z"))
    rec = quick(plrnn(), named.coarsen(3), updates=60)
    rec.save(tmp_path / "model.npz")
    rec = gd.load(tmp_path / "model.npz")
    expected = rec.score(named.coarsen(3)).PE
    coarsened, reordered = rec.score(named), rec.score(named.select(["z", "x", "y"]))
    assert coarsened.PE == reordered.PE == expected
    with pytest.raises(ValueError, match="columns x, y, w but the model was trained on x, y, z; pass a series with z"):
        rec.score(gd.data.Series(lorenz.values, dt=lorenz.dt, column_names=("x", "y", "w")))


def test_a_raw_recording_and_raw_inputs_are_not_coarsened_one_without_the_other(lorenz):
    u = np.sin(np.arange(lorenz.length) / 7)[:, None]
    coarse = lorenz.coarsen(2)
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=8, input_dim=1, rngs=nnx.Rngs(0))
    rec = quick(model, coarse, u=u[: 2 * len(coarse)].reshape(-1, 2, 1).mean(axis=1), updates=5)
    with pytest.raises(ValueError, match="dt=0.01 but the model was trained at dt=0.02"):
        rec.filter(lorenz, u=u)


def test_counts_far_from_zero_keep_their_digits(lorenz, tmp_path):
    counts = np.round(1e9 + 200 * lorenz.standardise().values.astype(np.float64)).astype(np.int64)
    near, far = (quick(plrnn(), gd.data.read_series(v, dt=0.01), updates=40) for v in (counts - 10**9, counts))
    runs = near.simulate(50), far.simulate(50) - 1e9
    np.testing.assert_allclose(*runs, atol=0.5)  # of 200: float32 of the network
    starts = [rec.simulate(1, start=row)[0] for rec, row in ((near, counts[7] - 10**9), (far, counts[7]))]
    np.testing.assert_allclose(starts[1] - 1e9, starts[0], atol=0.5)
    far.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(gd.load(tmp_path / "model.npz").simulate(50), far.simulate(50))
