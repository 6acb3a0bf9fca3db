"""Bit for bit again, for what a checkpoint holds beyond the plainest run: schedules, solvers, inputs, gaps."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd

QUICK = {"window": 12, "batch": 2, "updates": 30, "noise": 0.05, "key": jax.random.key(7), "progress": False}
STOP = 13


def driven(series):
    """An input that moves with the data, a schedule that moves with the model, and Newton's method."""
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, input_dim=1, rngs=nnx.Rngs(0))
    u = np.sin(np.arange(series.length, dtype=np.float32) / 7)
    adaptive = gd.forcing.Adaptive(every=3, decay=0.9, estimator=gd.forcing.product_upper_bound)
    return model, series, {"u": u, "forcing": adaptive, "solver": gd.solvers.DEER(tol=1e-5)}


def with_gaps(series):
    """Two recordings with gaps that windows cross, seen through an affine observation, and a strength for each step."""
    values = series.values.copy()
    values[np.arange(len(values)) % 20 < 3] = np.nan
    pieces = [
        gd.data.Series(values[:700], dt=series.dt, name="a"),
        gd.data.Series(values[700:], dt=series.dt, name="b"),
    ]
    sizes = {"latent_dim": 4, "hidden_dim": 5, "observation": gd.models.AffineObservation, "observed_dim": 3}
    model = gd.models.ClippedShallowPLRNN(**sizes, rngs=nnx.Rngs(0))
    alpha = np.linspace(0.3, 0.9, QUICK["window"] - 1, dtype=np.float32)
    settings = {"allow_missing": True, "forcing": gd.forcing.Constant(alpha), "solver": gd.solvers.Shooting(length=4)}
    return model, pieces, settings


def linear(series):
    """A linear state-space model of lags of one column, unscaled."""
    model = gd.models.LRU(latent_dim=4, width=4, depth=1, rngs=nnx.Rngs(0))
    lags = series.select([0]).delay_embed(3, 5)
    return model, lags, {"standardise": False, "validations": 3}


def gated(series):
    """A gated network, whose best moment is looked for at every second update."""
    model = gd.models.LSTM(latent_dim=6, rngs=nnx.Rngs(0))
    return (
        model,
        series,
        {"validations": 15, "solver": gd.solvers.Sequential(), "forcing": gd.forcing.Annealed(last=0.1)},
    )


@pytest.mark.parametrize("case", [driven, with_gaps, linear, gated])
def test_a_resumed_run_is_the_run_that_was_never_stopped(case, series, same, tmp_path):
    model, data, settings = case(series)
    settings = {"validations": 0, **QUICK, **settings}

    def stop(moment):
        if moment.update >= STOP:
            moment.stop()

    path = tmp_path / "run.npz"
    whole = gd.fit(model, data, **settings)
    begun = gd.fit(model, data, checkpoint=path, every=STOP, callbacks=[stop], **settings)
    assert (len(begun.history["loss"]), begun.ending) == (STOP, "stopped by a callback")
    assert np.ptp(whole.history["loss"]) > 0
    same(gd.resume(path, progress=False), whole)
