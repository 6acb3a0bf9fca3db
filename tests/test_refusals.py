"""A table of bad input at every door: the right class of error, what came, and what to type. Nothing is trained.

Rows that a door's own tests hold (tests/data, tests/solvers, tests/test_main.py) are not repeated here.
"""

from __future__ import annotations

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd

from .training.small import model as small_model

V, T = ValueError, TypeError
TABLE = np.random.default_rng(0).normal(size=(200, 3)).cumsum(axis=0)


def series(values=TABLE, dt=0.1, **more):
    return gd.data.Series(values, dt=dt, **more)


def fit(data=None, model=None, **settings):
    """A fit that must be refused at the door: were it not, it would train for one update and fail the test."""
    quick = {"window": 20, "batch": 2, "updates": 1, "progress": False, "checkpoint": "run.npz"}
    return gd.fit(small_model() if model is None else model, series() if data is None else data, **quick | settings)


def driven():
    return gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=4, input_dim=2, rngs=nnx.Rngs(0))


def plrnn(**sizes):
    return gd.models.ShallowPLRNN(**{"latent_dim": 3, "hidden_dim": 4, "rngs": nnx.Rngs(0)} | sizes)


def rec():
    return gd.Reconstruction(small_model(), series().standardise().scaling, dt=0.1, first=np.zeros(3, np.float32))


def moved():
    return gd.Reconstruction(driven(), None, dt=0.1, first=np.zeros(3, np.float32))


def read(tmp_path, raw, **more):
    path = tmp_path / "x.csv"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return gd.data.read_series(path, **more)


def with_nan(values, row, column):
    values = values.copy()
    values[row, column] = np.nan
    return values


SERIES = {
    "axes swapped": (lambda: series(TABLE.T), V, ["3, 200", "values.T", "(T, N)"]),
    "dates": (lambda: series(np.arange("2024-01", "2024-03", dtype="datetime64[D]")), T, ["datetime64", "float32"]),
    "objects": (lambda: series(np.array([{}, None])), T, ["no table of numbers", "dict"]),
    "complex": (lambda: series(TABLE + 1j), T, ["complex", "values.real"]),
    "text": (lambda: series(np.array([["a", "b"]])), T, ["pass an array of real numbers"]),
    "durations": (lambda: series(np.arange(3).astype("m8[s]")), T, ["timedelta64"]),
    "text among objects": (lambda: series(np.array(["a", 1.0], dtype=object)), V, ["no table of numbers", "'a'"]),
    "ragged": (lambda: series([[1.0, 2.0], [3.0]]), V, ["rows of equal length"]),
    "no rows": (lambda: series(np.zeros((0, 3))), V, ["(0, 3)"]),
    "no columns": (lambda: series(np.zeros((3, 0))), V, ["(3, 0)"]),
    "a number": (lambda: series(3.0), V, ["shape ()", "(T, N)"]),
    "trials": (lambda: series(np.ones((2, 3, 4))), V, ["shape (2, 3, 4)", "(T, N)"]),
    "infinite": (lambda: series([[1.0], [np.inf]]), V, ["infinite in row 1, column 0; pass finite numbers, NaN"]),
    "a column of gaps": (lambda: series([[1.0, np.nan], [2.0, np.nan]]), V, ["column 1 of values is NaN throughout"]),
    "no name": (lambda: series(name=3), T, ["name is 3; pass a text"]),
    "scaling of other columns": (
        lambda: series(scaling=gd.data.Scaling([0], [1])),
        V,
        ["have 3 columns", "scaling has 1"],
    ),
    "scaling by a number": (lambda: series().scaled_by(2.0), T, ["pass a Scaling, for example train.scaling"]),
    "means and stds of two lengths": (lambda: gd.data.Scaling([0.0, 1.0], [1.0]), V, ["std has shape (1,)", "(2,)"]),
    "a std of zero": (lambda: gd.data.Scaling([0.0], [0.0]), V, ["std is [0.0]; pass positive numbers"]),
    "a mean of NaN": (lambda: gd.data.Scaling([np.nan], [1.0]), V, ["mean", "not finite"]),
    "dt of zero": (lambda: series(dt=0), V, ["dt", "positive"]),
    "dt below zero": (lambda: series(dt=-0.1), V, ["-0.1", "positive"]),
    "dt not a number": (lambda: series(dt=float("nan")), V, ["nan", "positive"]),
    "dt as text": (lambda: series(dt="0.1"), T, ["'0.1'", "dt=0.01"]),
    "dt complex": (lambda: series(dt=1j), T, ["dt=0.01"]),
    "dt as array": (lambda: series(dt=np.array([0.1, 0.2])), T, ["dt=0.01"]),
    "a constant column": (lambda: series(with_nan(TABLE, 0, 0) * [1, 0, 1]).standardise(), V, ["column 1", "[0, 2]"]),
    "a constant of 0.1": (lambda: series(np.full(50, 0.1)).standardise(), V, ["always 0.1", "series that moves"]),
    "an empty part": (lambda: series([1.0, 2.0, 3.0]).split(0.99), V, ["3 rows into 3 and 0", "no complete row"]),
    "a part that is one gap": (lambda: series([1.0, 2.0, np.nan, np.nan]).split(0.5), V, ["no complete row"]),
    "means of half a row": (lambda: series().coarsen(2.5), V, ["factor is 2.5", "whole number", "factor=3"]),
    "means of more rows than there are": (lambda: series().coarsen(201), V, ["factor is 201", "at most 200"]),
    "means of lags": (lambda: series().delay_embed(2, 1).coarsen(2), V, ["coarsen the original series"]),
    "lags of lags between gaps": (lambda: series([1.0, np.nan] * 9).delay_embed(2, 1), V, ["every stretch of 2 rows"]),
    "a delay of ten rows": (lambda: series(TABLE[:10]).delay_embed(2), V, ["10 rows", "pass delay="]),
    "a delay of zero": (lambda: gd.data.Embedding(3, 0), V, ["delay is 0; pass a whole number of at least 1"]),
    "noise below zero": (
        lambda: series().with_noise(-1.0, key=jax.random.key(0)),
        V,
        ["fraction is -1.0", "at least 0"],
    ),
    "no window": (lambda: gd.data.window_starts(series(), 0), V, ["window is 0; pass a whole number"]),
    "weather of three sites": (lambda: gd.data.Lorenz96(dimension=3), V, ["dimension is 3", "at least 4"]),
    "a clock without a period": (lambda: gd.data.SlowFastLorenz(period=0.0), V, ["period is 0.0", "at least 1"]),
    "no substeps": (lambda: gd.data.rk4_step(lambda z: z, 0.1, 0), V, ["substeps is 0", "at least 1"]),
    "split by a number of rows": (lambda: series().split(100), V, ["100", "fraction=0.8"]),
    "split by text": (lambda: series().split("half"), T, ["'half'", "fraction=0.8"]),
    "a column that is not there": (lambda: series().select([0, 3]), V, ["column 3", "0, 1, 2"]),
    "an embedding longer than the data": (lambda: series().delay_embed(5, 100), V, ["400 rows", "200"]),
    "an embedding of half a lag": (lambda: series().delay_embed(2.5, 1), V, ["2.5", "whole number"]),
    "an embedding of an embedding": (lambda: series().delay_embed(2, 1).delay_embed(2, 1), V, ["embedded already"]),
    "noise without a key": (lambda: series().with_noise(0.1, key=None), T, ["None", "jax.random.key(0)"]),
    "noise of two keys": (lambda: series().with_noise(0.1, key=jax.random.split(jax.random.key(0))), T, ["key(0)"]),
}

READING = {
    "bytes": (lambda p: gd.data.read_series(b"x.csv"), T, ["bytes", "path"]),
    "a number": (lambda p: gd.data.read_series(3), T, ["pass a path, a DataFrame, an array"]),
    "an open file": (lambda p: gd.data.read_series(io.StringIO("1,2")), T, ["StringIO", "pass a path"]),
    "an array on its side": (lambda p: gd.data.read_series(TABLE.T), V, ["values.T", "wide=True"]),
    "a rate of text": (lambda p: read(p, "1\n2\n", rate="250"), T, ["rate is '250'", "rate=250"]),
    "a rate of zero": (lambda p: read(p, "1\n2\n", rate=0), V, ["rate is 0", "rate=250"]),
    "a generator": (lambda p: gd.data.read_series(x for x in [1]), T, ["generator", "array (T, N)"]),
    "an address": (lambda p: gd.data.read_series("https://a.b/c.csv"), V, ["nothing is downloaded"]),
    "a folder": (lambda p: gd.data.read_series(p), V, ["folder", "one file"]),
    "UTF-16 without its mark": (lambda p: read(p, "1,2\n3,4\n".encode("utf-16-le")), V, ["UTF-8"]),
    "a mark and nothing else": (lambda p: read(p, b"\xef\xbb\xbf"), V, ["no line of numbers"]),
    "decimal commas behind a mark": (lambda p: read(p, b"\xef\xbb\xbfx;y\r\n0,5;1,5\r\n"), V, ["decimal comma"]),
    "another separator": (lambda p: read(p, "1|2\n3|4\n5|6\n"), V, ["'1|2'"]),
    "ragged": (lambda p: read(p, "1,2\n3,4\n5,6\n7\n8,9\n"), V, ["line 4", "1 cells", "2"]),
    "stamps repeated": (lambda p: read(p, "t,x\n0,1\n0,2\n1,3\n"), V, ["row 1", "repeated"]),
    "stamps with too few digits": (
        lambda p: read(p, "t,x\n" + "".join(f"{1000 + k / 360:.6g},{k}\n" for k in range(50))),
        V,
        ["more digits", "dt="],
    ),
    "columns by a fraction": (lambda p: read(p, "1,2\n3,4\n", columns=0.5), V, ["0.5", "columns= out of these"]),
    "no columns": (lambda p: read(p, "1,2\n3,4\n", columns=[]), V, ["at least one"]),
    "a column that is not there": (lambda p: read(p, "x,y\n1,2\n3,4\n", columns="z"), V, ["'z'", "'x'", "'y'"]),
    "a field of a text file": (lambda p: read(p, "1,2\n3,4\n", field="x"), V, ["leave field out"]),
    "a name that is none": (lambda p: read(p, "1\n2\n3\n", name=3), T, ["name='heart'"]),
    "one row of many columns": (lambda p: read(p, "1,2,3,4\n"), V, ["1 time step", "values.T"]),
}

FITTING = {
    "no series": (lambda: fit([]), T, ["empty list", "read_series"]),
    "an array among series": (lambda: fit([series(), TABLE]), T, ["ndarray", "read_series"]),
    "a path": (lambda: fit("x.csv"), T, ["str", "read_series"]),
    "a number": (lambda: fit(3), T, ["int", "read_series"]),
    "no model": (lambda: gd.fit(None, series()), T, ["None", "ShallowPLRNN"]),
    "a class of models": (lambda: gd.fit(gd.models.ShallowPLRNN, series()), T, ["latent_dim"]),
    "a model of two columns": (lambda: fit(model=plrnn(latent_dim=2, observed_dim=2)), V, ["observed_dim=3"]),
    "series of two steps": (lambda: fit([series(), series(dt=0.2)]), V, ["dt=0.1", "dt=0.2", "same columns, dt"]),
    "a constant column": (lambda: fit(series(TABLE * [1, 0, 1])), V, ["column 1"]),
    "one time step": (lambda: fit(series(TABLE[:1], wide=True)), V, ["always"]),
    "a window longer than the data": (lambda: fit(window=201), V, ["201", "200"]),
    "a window longer than any stretch": (
        lambda: fit(series(with_nan(TABLE, slice(100, 150), slice(None))), window=150),
        V,
        ["150", "100"],
    ),
    "a window of text": (lambda: fit(window="20"), T, ["'20'", "whole number"]),
    "a window of True": (lambda: fit(window=True), T, ["True", "whole number"]),
    "no updates": (lambda: fit(updates=0), V, ["updates is 0", "at least 1"]),
    "a fraction of a batch": (lambda: fit(batch=0.5), V, ["batch is 0.5"]),
    "a gain of another shape": (
        lambda: fit(forcing=gd.forcing.LearnedGain(gain=np.zeros((2, 3)))),
        V,
        ["gain has shape (2, 3)", "(3, 3)"],
    ),
    "a gain that corrects too much": (lambda: gd.forcing.LearnedGain(last=1.5), V, ["last is 1.5", "pass"]),
    "a gain of a linear model": (
        lambda: fit(
            model=gd.models.LRU(latent_dim=4, width=4, depth=1, observed_dim=3, rngs=nnx.Rngs(0)),
            forcing=gd.forcing.LearnedGain(),
        ),
        T,
        ["LearnedGain", "LRU", "ShallowPLRNN"],
    ),
    "alpha instead of a schedule": (lambda: fit(forcing=0.2), T, ["0.2", "Constant(0.15)"]),
    "a class of schedules": (lambda: fit(forcing=gd.forcing.Constant), T, ["Constant(0.15)"]),
    "a class of solvers": (lambda: fit(solver=gd.solvers.DEER), T, ["Auto()"]),
    "alpha above one": (lambda: gd.forcing.Constant(1.5), V, ["1.5", "[0, 1]"]),
    "alpha below zero": (lambda: gd.forcing.Annealed(first=-0.1), V, ["-0.1", "(0, 1]"]),
    "a last alpha of zero": (lambda: gd.forcing.Annealed(last=0.0), V, ["last is 0.0", "(0, 1]"]),
    "never looking": (lambda: gd.forcing.Adaptive(every=0), V, ["every is 0"]),
    "no decay": (lambda: gd.forcing.Adaptive(decay=1.0), V, ["decay is 1"]),
    "alpha that is no number": (lambda: gd.forcing.Constant(float("nan")), V, ["nan", "[0, 1]"]),
    "alpha for other times": (lambda: fit(forcing=gd.forcing.Constant(np.ones(7))), V, ["shape (7,)", "(19,)"]),
    "noise of NaN": (lambda: fit(noise=float("nan")), V, ["noise", "at least 0"]),
    "noise as text": (lambda: fit(noise="much"), T, ["'much'", "0.05"]),
    "an infinite rate": (lambda: fit(learning_rate=float("inf")), V, ["inf", "1e-2"]),
    "a rate as text": (lambda: fit(learning_rate="fast"), T, ["'fast'", "1e-2"]),
    "an optimiser by name": (lambda: fit(optimiser="adam"), T, ["'adam'", "optax.adam(1e-3)"]),
    "a seed for a key": (lambda: fit(key=7), T, ["7", "jax.random.key(0)"]),
    "two keys": (lambda: fit(key=jax.random.split(jax.random.key(0))), T, ["one JAX random key"]),
    "more looks than updates could be": (lambda: fit(validations=10**9), V, ["1000000000", "at most 10,000"]),
    "a checkpoint in no folder": (lambda: fit(checkpoint="no/run.npz"), FileNotFoundError, ["no/run.npz", "folder"]),
    "a checkpoint of another format": (lambda: fit(checkpoint="run.pt"), V, ["run.pt", ".npz"]),
    "no updates between checkpoints": (lambda: fit(every=0), V, ["every is 0", "1000"]),
    "more devices than there are": (lambda: fit(devices=4096), V, ["4096", "at most"]),
    "no device": (lambda: fit(devices=0), V, ["devices is 0; pass a whole number"]),
    "devices of True": (lambda: fit(devices=True), T, ["devices is True; pass a whole number"]),
    "devices in words": (lambda: fit(devices="all"), T, ["pass how many"]),
    "an empty list of devices": (lambda: fit(devices=[]), T, ["pass how many"]),
    "looks below zero": (lambda: fit(validations=-1), V, ["-1", "at least 0"]),
    "a callback that cannot be called": (lambda: fit(callbacks=[3]), T, ["3", "callbacks", "functions of a Progress"]),
    "inputs for a model without": (lambda: fit(u=np.zeros((200, 2))), V, ["input_dim=0", "leave u out"]),
    "no inputs for a model with": (lambda: fit(model=driven()), V, ["input_dim=2", "pass u"]),
    "inputs with axes swapped": (lambda: fit(model=driven(), u=np.zeros((2, 200))), V, ["(2, 200)", "u.T"]),
    "inputs with gaps": (lambda: fit(model=driven(), u=np.full((200, 2), np.nan)), V, ["not finite", "row 0"]),
    "complex inputs": (lambda: fit(model=driven(), u=np.zeros((200, 2), complex)), T, ["complex", "u"]),
    "inputs of text": (lambda: fit(model=driven(), u=np.full((200, 2), "a")), T, ["u"]),
}

USING = {
    "no steps": (lambda: rec().simulate(0), V, ["steps is 0", "at least 1"]),
    "steps of True": (lambda: rec().simulate(True), T, ["True"]),
    "a start of two columns": (lambda: rec().simulate(5, start=np.zeros(2)), V, ["start has shape (2,)", "(3,)"]),
    "a start with a gap": (lambda: rec().simulate(5, start=np.array([0, np.nan, 0])), V, ["finite"]),
    "a table as start": (lambda: rec().simulate(5, start=TABLE), V, ["(200, 3)", "start[0]"]),
    "a complex start": (lambda: rec().simulate(5, start=np.zeros(3, complex)), T, ["complex", "start"]),
    "text as start": (lambda: rec().simulate(5, start="first"), T, ["start"]),
    "a series of two columns as start": (lambda: rec().simulate(5, start=series(TABLE[:, :2])), V, ["2 columns", "3"]),
    "inputs for a model without": (lambda: rec().simulate(5, u=np.zeros((5, 1))), V, ["input_dim=0", "leave u out"]),
    "an array to score": (lambda: rec().score(TABLE), T, ["ndarray", "read_series"]),
    "an array as floor": (lambda: rec().score(series(), floor=TABLE), T, ["ndarray", "read_series"]),
    "another step": (lambda: rec().score(series(dt=0.2)), V, ["dt=0.2", "dt=0.1"]),
    "a test of two columns": (lambda: rec().score(series(TABLE[:, :2])), V, ["2 columns but the model observes 3"]),
    "too short a test": (lambda: rec().score(series(TABLE[:50])), V, ["50 steps", "at least 100"]),
    "no steps ahead": (lambda: rec().score(series(), steps=0), V, ["steps", "at least 1"]),
    "half a step ahead": (lambda: rec().score(series(), steps=0.5), V, ["steps", "whole number"]),
    "a score without inputs": (lambda: moved().score(series()), V, ["u holds 0 arrays", "input_dim=2", "(200, 2)"]),
    "a score with too few inputs": (lambda: moved().score(series(), u=np.zeros((199, 2))), V, ["(199, 2)", "(200, 2)"]),
    "no path": (lambda: gd.load(None), T, ["None", "path"]),
    "no path to resume": (lambda: gd.resume(None), T, ["None", "path"]),
    "no path to save": (lambda: rec().save(None), T, ["None", "path"]),
}

BUILDING = {
    "no units": (lambda: plrnn(latent_dim=0), V, ["latent_dim is 0", "latent_dim=3"]),
    "half a unit": (lambda: plrnn(latent_dim=2.5), V, ["2.5", "whole number"]),
    "hidden units of text": (lambda: plrnn(hidden_dim="50"), T, ["'50'", "whole number"]),
    "more columns than units": (lambda: plrnn(observed_dim=5), V, ["observed_dim=5", "AffineObservation"]),
    "inputs below zero": (lambda: plrnn(input_dim=-1), V, ["-1", "at least 0"]),
    "an observation by name": (lambda: plrnn(observation="affine"), T, ["'affine'", "AffineObservation"]),
    "alpha above one in a forecast": (
        lambda: plrnn().forecast(jnp.ones((5, 3)), 1.5, gd.solvers.Sequential()),
        V,
        ["1.5", "[0, 1]"],
    ),
    "a window of other columns": (
        lambda: plrnn().forecast(jnp.ones((5, 2)), 0.5, gd.solvers.Sequential()),
        V,
        ["(5, 2)", "(T, 3)"],
    ),
}


EYE, MOVING = np.eye(3), np.arange(6.0)[:, None] ** 2
M = gd.measures


def henon(z):
    return jnp.stack([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])


def exponents(z0=(0.1, 0.1), step=henon, **options):
    return M.lyapunov_spectrum(step, z0, **{"steps": 10, "dt": 1.0, **options})


def valid(truth=MOVING, forecasts=MOVING, **options):
    return M.valid_prediction_time(truth, forecasts, **{"dt": 1.0, **options})


MEASURING = {
    "a vector": (lambda: M.binned_divergence(np.zeros(5), EYE), V, ["reference has shape (5,)", "reference[:, None]"]),
    "several trajectories": (lambda: M.state_space_divergence(np.ones((2, 3, 4)), EYE), V, ["one at a time", "[0]"]),
    "no points": (lambda: M.binned_divergence(np.zeros((0, 2)), EYE), V, ["holds no number"]),
    "other columns": (lambda: M.binned_divergence(EYE, np.zeros((5, 2))), V, ["generated has shape (5, 2)", "3)"]),
    "a broken reference": (
        lambda: M.binned_divergence(np.array([[0.0], [np.nan], [np.inf]]), MOVING),
        V,
        ["2 values that are not finite", "row 1, column 0"],
    ),
    "a constant column": (lambda: M.binned_divergence([[0.0, 1.0], [1.0, 1.0]], EYE[:, :2]), V, ["in column 1"]),
    "no bins": (lambda: M.binned_divergence(EYE, EYE, bins=0), V, ["bins is 0", "bins=30"]),
    "bins by halves": (lambda: M.binned_divergence(EYE, EYE, bins=2.5), V, ["2.5", "whole number"]),
    "too many cells": (lambda: M.binned_divergence(np.eye(40), np.eye(40)), V, ["mixture_divergence"]),
    "no pseudocount": (lambda: M.binned_divergence(EYE, EYE, pseudocount=0.0), V, ["pseudocount is 0.0", "positive"]),
    "complex": (lambda: M.binned_divergence(EYE * 1j, EYE), T, ["complex", "reference.real"]),
    "an object": (lambda: M.binned_divergence(object(), EYE), T, ["reference is no table of numbers", "object"]),
    "no variance": (lambda: M.mixture_divergence(EYE, EYE, variance=0.0), V, ["variance is 0.0", "positive"]),
    "variance of NaN": (lambda: M.mixture_divergence(EYE, EYE, variance=np.nan), V, ["variance is nan"]),
    "no draws": (lambda: M.mixture_divergence(EYE, EYE, draws=0), V, ["draws is 0", "draws=1000"]),
    "no centres": (lambda: M.mixture_divergence(EYE, EYE, points=0), V, ["points is 0"]),
    "spectra of two lengths": (
        lambda: M.power_spectrum_error(MOVING, MOVING[:4]),
        V,
        ["6 time steps and generated 4", "reference[:4]"],
    ),
    "a reference at rest": (lambda: M.power_spectrum_error(np.ones((6, 1)), MOVING), V, ["constant in column 0"]),
    "values at rest": (lambda: M.power_spectrum(np.ones((6, 1))), V, ["values", "constant in column 0"]),
    "smoothing below zero": (lambda: M.power_spectrum_error(MOVING, MOVING, smoothing=-1.0), V, ["smoothing is -1.0"]),
    "a forecast too many": (lambda: M.prediction_error(MOVING, MOVING, steps=3), V, ["forecasts has shape", "(3, 1)"]),
    "no steps ahead": (lambda: M.prediction_error(MOVING, MOVING, steps=0), V, ["steps is 0", "at most 5"]),
    "steps beyond the end": (lambda: M.prediction_error(MOVING, MOVING, steps=6), V, ["steps is 6", "at most 5"]),
    "forecasts of another shape": (lambda: valid(forecasts=MOVING[1:]), V, ["forecasts has shape (5, 1)", "(6, 1)"]),
    "four axes": (lambda: valid(truth=np.zeros((1, 2, 3, 4))), V, ["(S, T, N)"]),
    "a truth at rest": (lambda: valid(truth=np.ones((6, 1))), V, ["truth", "constant in column 0"]),
    "a truth with gaps": (lambda: valid(truth=MOVING * np.nan), V, ["truth holds 6 values", "not finite"]),
    "no time": (lambda: valid(dt=0), V, ["dt is 0", "positive"]),
    "no threshold": (lambda: valid(threshold=0.0), V, ["threshold is 0.0", "0.4"]),
    "an exponent of order": (lambda: valid(lambda_max=-0.1), V, ["lambda_max is -0.1", "positive"]),
    "three axes of starts": (lambda: exponents(jnp.zeros((1, 4, 2))), V, ["z0 has shape (1, 4, 2)", "(M,)"]),
    "a step from three to two": (lambda: exponents(jnp.zeros(3)), V, ["step maps float32(3,) to float32(2,)"]),
    "a step to a pair": (lambda: exponents(step=lambda z: (z, z)), V, ["('float32(2,)', 'float32(2,)')"]),
    "three exponents of two": (lambda: exponents(exponents=3), V, ["exponents is 3", "at most 2"]),
    "no exponents": (lambda: exponents(exponents=0), V, ["exponents is 0"]),
    "no steps to average": (lambda: exponents(steps=0), V, ["steps is 0"]),
    "no time a step": (lambda: exponents(dt=0.0), V, ["dt is 0.0", "positive"]),
    "a transient below zero": (lambda: exponents(transient=-1), V, ["transient is -1", "at least 0"]),
    "rounds that do not fit": (lambda: exponents(reorthonormalise_every=3), V, ["not a multiple", "steps=12"]),
    "an orbit that escapes": (
        lambda: exponents(jnp.ones(2), lambda z: 2 * z, steps=100),
        V,
        ["non-finite after 127 steps of 1100", "pass a z0 on the"],
    ),
    "a derivative that does": (
        lambda: exponents(jnp.ones(2), lambda z: jnp.sqrt(z * 0.0) + z),
        V,
        ["tangent vectors became non-finite"],
    ),
}


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path_factory, monkeypatch):
    """What is refused has left nothing behind, not even the checkpoint that every `fit` here asks for."""
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []


def check(case, kind, words):
    with pytest.raises((V, T, OSError)) as caught:
        case()
    sentence = str(caught.value)
    assert caught.type is kind, f"{caught.type.__name__}: {sentence}"
    assert not [word for word in words if word not in sentence], sentence


@pytest.mark.parametrize("name", SERIES)
def test_series(name):
    check(*SERIES[name])


@pytest.mark.parametrize("name", READING)
def test_reading(name, tmp_path):
    case, kind, words = READING[name]
    check(lambda: case(tmp_path), kind, words)


@pytest.mark.parametrize("name", FITTING)
def test_fitting(name):
    check(*FITTING[name])


@pytest.mark.parametrize("name", USING)
def test_using(name):
    check(*USING[name])


@pytest.mark.parametrize("name", BUILDING)
def test_building(name):
    check(*BUILDING[name])


@pytest.mark.parametrize("name", MEASURING)
def test_measuring(name):
    check(*MEASURING[name])


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e300, 1e-200])
def test_huge_and_tiny_units_are_as_good_as_any(scale):
    """Not refused: standardised values are of order one whatever the unit."""
    plain, scaled = series(TABLE), series(scale * TABLE)
    np.testing.assert_allclose(scaled.standardise().values, plain.standardise().values, rtol=1e-6)  # float64
    np.testing.assert_allclose(scaled.standardise().unscaled().values, scale * TABLE, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("digits", ["%.6g", "%.7g", "%.4f", "%.17g"])
def test_a_clock_may_be_written_with_few_digits(digits, tmp_path):
    clock = np.arange(40_000) / 360  # 111 seconds: six digits leave a thousandth, a third of a step
    path = tmp_path / "x.csv"
    path.write_text("t,x\n" + "".join(f"{digits % t},{k % 7}\n" for k, t in enumerate(clock)))
    assert gd.data.read_series(path).dt == pytest.approx(1 / 360, rel=1e-5)


@pytest.mark.parametrize("gone", [100, 20_000, 39_990])
def test_a_missing_row_is_seen_however_few_the_digits(gone, tmp_path):
    clock = np.delete(np.arange(40_000) / 360, gone)
    path = tmp_path / "x.csv"
    path.write_text("t,x\n" + "".join(f"{t:.6g},{k % 7}\n" for k, t in enumerate(clock)))
    with pytest.warns(UserWarning, match="1 of 40000 rows are missing"):
        assert gd.data.read_series(path).segments() == [(0, gone), (gone + 1, 40_000)]
