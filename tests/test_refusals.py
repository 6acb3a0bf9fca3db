"""A table of bad input at every door: the call, the class of its error, what came and what to type. Nothing is trained.

Rows that a door's own tests hold (tests/data, tests/solvers, tests/test_main.py) are not repeated here.
"""

from __future__ import annotations

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer import data, forcing, models, plots, solvers
from gtfdeer import measures as M
from gtfdeer.data import Scaling, read_series
from gtfdeer.solvers import scan
from gtfdeer.training._equations import write_equations

from .training.small import model as small_model

V, T, MISSING = ValueError, TypeError, FileNotFoundError
KEY = jax.random.key(0)
TABLE = np.random.default_rng(0).normal(size=(200, 3)).cumsum(axis=0)
EYE, MOVING = np.eye(3), np.arange(6.0)[:, None] ** 2
CAPS = {kind: "max_iterations" for kind in (solvers.DEER, solvers.QuasiDEER, solvers.ELK, solvers.Auto)}
CAPS |= {solvers.Shooting: "max_sweeps"}
KEEP = "or keep flax.nnx.state(rec.model)"


def series(values=TABLE, dt=0.1, **more):
    return data.Series(values, dt=dt, **more)


def fit(data=None, model=None, **settings):
    """A fit that must be refused at the door: were it not, it would train for one update and fail the test."""
    quick = {"window": 20, "batch": 2, "updates": 1, "progress": False, "checkpoint": "run.npz"}
    return gd.fit(small_model() if model is None else model, series() if data is None else data, **quick | settings)


def plrnn(kind=models.ShallowPLRNN, **sizes):
    return kind(**{"latent_dim": 3, "hidden_dim": 4, "rngs": nnx.Rngs(0)} | sizes)


def driven():
    return plrnn(input_dim=2)


def linear(**more):
    return models.LRU(latent_dim=4, width=4, depth=1, observed_dim=3, rngs=nnx.Rngs(0), **more)


def lstm():
    return models.LSTM(latent_dim=4, rngs=nnx.Rngs(0))


def forecast(x=TABLE[:12], alpha=0.5, u=None, of=plrnn):
    return of().forecast(jnp.asarray(x, jnp.float32), alpha, solvers.Sequential(), u)


class OwnReadout(models.IdentityObservation):
    """A readout that the package does not know."""


def own(name="Own"):
    """A model of a class that the package does not know, whatever it is called."""
    return plrnn(type(name, (models.ShallowPLRNN,), {}))


def rec(model=None):
    return gd.Reconstruction(model or small_model(), series().standardise().scaling, 0.1, np.zeros(3, np.float32))


def moved():
    return gd.Reconstruction(driven(), None, dt=0.1, first=np.zeros(3, np.float32))


def read(content, file="x.csv", **more):
    """`read_series` of a file outside the folder that has to stay empty."""
    path = Path("..", file)
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_series(path, **more)


def with_nan(values, row, column):
    values = values.copy()
    values[row, column] = np.nan
    return values


def simulate(system=data.Lorenz63(), length=10, key=KEY, **more):  # noqa: B008
    return data.simulate(system, length, key=key, **more)


def affine(A, b, types=("float32", "float32"), **more):
    return scan.affine(jnp.zeros(A, types[0]), jnp.zeros(b, types[1]), **more)


def henon(z):
    return jnp.stack([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])


def exponents(z0=(0.1, 0.1), step=henon, **options):
    return M.lyapunov_spectrum(step, z0, **{"steps": 10, "dt": 1.0, **options})


def valid(truth=MOVING, forecasts=MOVING, **options):
    return M.valid_prediction_time(truth, forecasts, **{"dt": 1.0, **options})


ROWS = [
    # --- a series, and what is made of it ---
    (lambda: series(TABLE.T), V, "3, 200 | values.T | (T, N)"),
    (lambda: series(np.arange("2024-01", "2024-03", dtype="datetime64[D]")), T, "datetime64 | float32"),
    (lambda: series(np.array([{}, None])), T, "no table of numbers | dict"),
    (lambda: series(TABLE + 1j), T, "complex | values.real"),
    (lambda: series(np.array([["a", "b"]])), T, "pass an array of real numbers"),
    (lambda: series(dt=np.array([0.1, 0.2])), T, "dt=0.01"),
    (lambda: series(np.array(["a", 1.0], dtype=object)), V, "no table of numbers | 'a'"),
    (lambda: series([[1.0, 2.0], [3.0]]), V, "rows of equal length"),
    (lambda: series(np.zeros((0, 3))), V, "(0, 3)"),
    (lambda: series(np.zeros((3, 0))), V, "(3, 0)"),
    (lambda: series(3.0), V, "shape () | (T, N)"),
    (lambda: series(np.ones((2, 3, 4))), V, "shape (2, 3, 4) | (T, N)"),
    (lambda: series([[1.0], [np.inf]]), V, "infinite in row 1, column 0; pass finite numbers, NaN"),
    (lambda: series([[1.0, np.nan], [2.0, np.nan]]), V, "column 1 of values is NaN throughout"),
    (lambda: series(name=3), T, "name is 3; pass a text"),
    (lambda: series(scaling=Scaling([0], [1])), V, "have 3 columns | scaling has 1"),
    (lambda: series().scaled_by(2.0), T, "pass a Scaling, for example train.scaling"),
    (lambda: Scaling([0.0, 1.0], [1.0]), V, "std has shape (1,) | (2,)"),
    (lambda: Scaling([0.0], [0.0]), V, "std is [0.0]; pass positive numbers"),
    (lambda: Scaling([np.nan], [1.0]), V, "mean | not finite"),
    (lambda: series(dt=-0.1), V, "-0.1 | positive"),
    (lambda: series(dt="0.1"), T, "'0.1' | dt=0.01"),
    (lambda: series(with_nan(TABLE, 0, 0) * [1, 0, 1]).standardise(), V, "column 1 | [0, 2]"),
    (lambda: series(np.full(50, 0.1)).standardise(), V, "always 0.1 | series that moves"),
    (lambda: series([1.0, 2.0, 3.0]).split(0.99), V, "3 rows into 3 and 0 | no complete row"),
    (lambda: series([1.0, 2.0, np.nan, np.nan]).split(0.5), V, "no complete row"),
    (lambda: series().coarsen(2.5), V, "factor is 2.5 | whole number | factor=3"),
    (lambda: series().coarsen(201), V, "factor is 201 | at most 200"),
    (lambda: series().delay_embed(2, 1).coarsen(2), V, "coarsen the original series"),
    (lambda: series([1.0, np.nan] * 9).delay_embed(2, 1), V, "every stretch of 2 rows"),
    (lambda: series(TABLE[:10]).delay_embed(2), V, "10 rows | pass delay="),
    (lambda: data.Embedding(3, 0), V, "delay is 0; pass a whole number of at least 1"),
    (lambda: series().with_noise(-1.0, key=KEY), V, "fraction is -1.0 | at least 0"),
    (lambda: data.window_starts(series(), 0), V, "window is 0; pass a whole number"),
    (lambda: data.Lorenz96(dimension=3), V, "dimension is 3 | at least 4"),
    (lambda: data.SlowFastLorenz(period=0.0), V, "period is 0.0 | at least 1"),
    (lambda: data.rk4_step(lambda z: z, 0.1, 0), V, "substeps is 0 | at least 1"),
    (lambda: series().split(100), V, "100 | fraction=0.8"),
    (lambda: series().split("half"), T, "'half' | fraction=0.8"),
    (lambda: series().select([0, 3]), V, "column 3 | 0, 1, 2"),
    (lambda: series().delay_embed(5, 100), V, "400 rows | 200"),
    (lambda: series().delay_embed(2.5, 1), V, "2.5 | whole number"),
    (lambda: series().delay_embed(2, 1).delay_embed(2, 1), V, "embedded already"),
    (lambda: series().with_noise(0.1, key=None), T, "None | jax.random.key(0)"),
    (lambda: series([[1.0, np.nan], [np.nan, 2.0]]).longest_segment(), V, "every row of | holds a gap"),
    (lambda: data.autocorrelation_delay(np.full(50, 2.0)), V, "is always 2, so it has no autocorrelation"),
    (
        lambda: data.window_starts([series(with_nan(np.zeros((300, 1)), slice(80, 140), 0))], 200),
        V,
        "longest segment without a gap of more than 50 rows has 160 steps but window=200; pass window=160 or less",
    ),
    # --- simulate ---
    (lambda: simulate(length=0), V, "length is 0; pass a whole number of at least 1"),
    (lambda: simulate(length=1e5), V, "length is 100000.0; pass a whole number | such as length=10_000"),
    (lambda: simulate(dt=-0.01), V, "dt is -0.01; pass a positive number such as dt=0.01"),
    (lambda: simulate(dt=50.0), V, "dt=50.0 is 5000 inner steps of 0.01 | pass dt=10 or less, for example dt=0.01"),
    (lambda: simulate(transient=-1.0), V, "transient is -1.0; pass a number of at least 0"),
    (lambda: simulate(key=np.random.default_rng(0)), T, "key is a Generator; pass one JAX random key"),
    (lambda: simulate(data.Lorenz63), T, "pass a System object, for example gtfdeer.data.Lorenz63()"),
    (lambda: simulate(dtype=np.float64), V, "numpy.float64 after jax.config.update('jax_enable_x64', True)"),
    (lambda: simulate(dtype=int), V, "dtype is int64; pass dtype=numpy.float32"),
    (lambda: simulate(data.Rossler(c=-50.0)), V, "left the range of numbers at sample"),
    # --- read_series ---
    (lambda: read_series(b"x.csv"), T, "bytes | path"),
    (lambda: read_series(3), T, "pass a path, a DataFrame, an array"),
    (lambda: read_series(io.StringIO("1,2")), T, "StringIO | pass a path"),
    (lambda: read_series(TABLE.T), V, "values.T | wide=True"),
    (lambda: read("1\n2\n", rate="250"), T, "rate is '250' | rate=250"),
    (lambda: read("1\n2\n", rate=0), V, "rate is 0 | rate=250"),
    (lambda: read_series(x for x in [1]), T, "generator | array (T, N)"),
    (lambda: read_series("https://a.b/c.csv"), V, "nothing is downloaded"),
    (lambda: read_series("."), V, "folder | one file"),
    (lambda: read("1,2\n3,4\n".encode("utf-16-le")), V, "UTF-8"),
    (lambda: read(b"\xef\xbb\xbf"), V, "no line of numbers"),
    (lambda: read(b"\xef\xbb\xbfx;y\r\n0,5;1,5\r\n"), V, "decimal comma"),
    (lambda: read("1|2\n3|4\n5|6\n"), V, "'1|2'"),
    (lambda: read("t,x\n0,1\n0,2\n1,3\n"), V, "row 1 | repeated"),
    (lambda: read("t,x\n" + "".join(f"{1000 + k / 360:.6g},{k}\n" for k in range(50))), V, "more digits | dt="),
    (lambda: read("1,2\n3,4\n", columns=0.5), V, "0.5 | columns= out of these"),
    (lambda: read("1,2\n3,4\n", columns=[]), V, "at least one"),
    (lambda: read("1,2\n3,4\n", field="x"), V, "leave field out"),
    (lambda: read("1\n2\n3\n", name=3), T, "name='heart'"),
    (lambda: read("1,2,3,4\n"), V, "1 time step | values.T"),
    (lambda: read({"first": TABLE, "second": TABLE}, "x.npz"), V, "holds 2 arrays; pass field= one of 'first'"),
    (lambda: read({"first": TABLE}, "x.npz", field="third"), V, "holds no array 'third'; pass field= one of 'first'"),
    (lambda: read(TABLE, "x.npy", field="x"), V, "names an array in an .npz file but 'x.npy' is none; leave field out"),
    (lambda: read("1", "x.xlsx"), V, "'x.xlsx' is not one of .npy, | rename it if it is text, as in 'x.csv'"),
    (lambda: read_series("nowhere/x.csv"), MISSING, "pass the full path of the recording"),
    (lambda: read_series(pd.DataFrame({"who": ["a"]})), V, "column 'who' of the data frame | and not numbers; convert"),
    (lambda: read_series(pd.DataFrame()), V, "has shape (0, 0); pass one with rows"),
    # --- fit, and its settings ---
    (lambda: fit([]), T, "empty list | read_series"),
    (lambda: fit([series(), TABLE]), T, "ndarray | read_series"),
    (lambda: fit("x.csv"), T, "str | read_series"),
    (lambda: fit(3), T, "int | read_series"),
    (lambda: gd.fit(None, series()), T, "None | ShallowPLRNN"),
    (lambda: gd.fit(models.ShallowPLRNN, series()), T, "latent_dim"),
    (lambda: fit(model=plrnn(latent_dim=2, observed_dim=2)), V, "observed_dim=3"),
    (lambda: fit([series(), series(dt=0.2)]), V, "dt=0.1 | dt=0.2 | same columns, dt"),
    (lambda: fit(series(TABLE * [1, 0, 1])), V, "column 1"),
    (lambda: fit(series(TABLE[:1], wide=True)), V, "always"),
    (lambda: fit(window=201), V, "201 | 200"),
    (lambda: fit(series(with_nan(TABLE, slice(100, 150), slice(None))), window=150), V, "150 | 100"),
    (lambda: fit(window="20"), T, "'20' | whole number"),
    (lambda: fit(updates=0), V, "updates is 0 | at least 1"),
    (lambda: fit(batch=0.5), V, "batch is 0.5"),
    (lambda: fit(forcing=forcing.LearnedGain(gain=np.zeros((2, 3)))), V, "gain has shape (2, 3) | (3, 3)"),
    (lambda: forcing.LearnedGain(last=1.5), V, "last is 1.5 | pass"),
    (lambda: fit(model=linear(), forcing=forcing.LearnedGain()), T, "LearnedGain | LRU | ShallowPLRNN"),
    (lambda: fit(forcing=0.2), T, "0.2 | Constant(0.15)"),
    (lambda: fit(forcing=forcing.Constant), T, "Constant(0.15)"),
    (lambda: fit(solver=solvers.DEER), T, "Auto()"),
    (lambda: forcing.Annealed(last=0.0), V, "last is 0.0 | (0, 1]"),
    (lambda: forcing.Adaptive(every=0), V, "every is 0"),
    (lambda: forcing.Adaptive(decay=1.0), V, "decay is 1"),
    (lambda: fit(forcing=forcing.Constant(np.ones(7))), V, "shape (7,) | (19,)"),
    (lambda: fit(noise=float("nan")), V, "noise | at least 0"),
    (lambda: fit(noise="much"), T, "'much' | 0.05"),
    (lambda: fit(learning_rate=float("inf")), V, "inf | 1e-2"),
    (lambda: fit(learning_rate="fast"), T, "'fast' | 1e-2"),
    (lambda: fit(optimiser="adam"), T, "'adam' | optax.adam(1e-3)"),
    (lambda: fit(key=jax.random.split(KEY)), T, "one JAX random key"),
    (lambda: fit(key=7), T, "7 | jax.random.key(0)"),
    (lambda: fit(validations=10**9), V, "1000000000 | at most 10,000"),
    (lambda: fit(checkpoint="no/run.npz"), FileNotFoundError, "no/run.npz | folder"),
    (lambda: fit(checkpoint="run.pt"), V, "run.pt | .npz"),
    (lambda: fit(every=0), V, "every is 0 | 1000"),
    (lambda: fit(devices=4096), V, "4096 | at most"),
    (lambda: fit(devices=0), V, "devices is 0; pass a whole number"),
    (lambda: fit(devices="all"), T, "pass how many"),
    (lambda: fit(devices=[]), T, "pass how many"),
    (lambda: fit(callbacks=[3]), T, "3 | callbacks | functions of a Progress"),
    (lambda: fit(u=np.zeros((200, 2))), V, "input_dim=0 | leave u out"),
    (lambda: fit(model=driven()), V, "input_dim=2 | pass u"),
    (lambda: fit(model=driven(), u=np.zeros((2, 200))), V, "(2, 200) | u.T"),
    (lambda: fit(model=driven(), u=np.full((200, 2), np.nan)), V, "not finite | row 0"),
    (lambda: fit(model=driven(), u=np.zeros((200, 2), complex)), T, "complex | u"),
    (lambda: fit(optimiser=optax.adam(1e-3)), T, "of your own cannot be kept in a checkpoint"),
    (lambda: fit(model=own()), T, "a class of your own, Own,"),
    (lambda: fit(forcing=forcing.Adaptive(estimator=max)), T, "function_or_method of your own cannot be kept"),
    (lambda: fit(checkpoint="run.previous.npz"), V, "run.npz"),
    (lambda: fit(polish=3, forcing=forcing.Constant(0.2)), V, "pass polish=0, or a LearnedGain"),
    # --- forcing ---
    (lambda: forcing.sparse(0, 3), V, "length is 0 and interval 3; pass positive"),
    (lambda: forcing.sparse(5, 0), V, "length is 5 and interval 0; pass positive"),
    (lambda: forcing.sparse(5, -1), V, "length is 5 and interval -1; pass positive"),
    *(
        (lambda refused=refused, bad=bad: refused(bad), V, f"pass a number in  | 0, 1] | {bad}")
        for refused in (
            forcing.Constant,
            lambda bad: forcing.Constant(jnp.array([0.5, bad])),
            lambda bad: forcing.Annealed(first=bad),
            lambda bad: forcing.Annealed(last=bad),
            lambda bad: forcing.Adaptive(first=bad),
        )
        for bad in (-0.1, 1.1, float("nan"), float("inf"))
    ),
    (lambda: forcing.Annealed(least_updates=-1), V, "least_updates | pass a whole number of at least 0"),
    (lambda: forcing.Annealed(least_updates=2.5), V, "least_updates | pass a whole number of at least 0"),
    *(
        (
            lambda shape=shape: forcing.contraction(lambda z: z, jnp.zeros((7, 2)), np.full(shape, 0.5)),
            V,
            f"alpha has shape {shape}; pass a number, (7,)",
        )
        for shape in ((3,), (7, 3), (1, 1, 1))
    ),
    # --- a reconstruction ---
    (lambda: rec().simulate(0), V, "steps is 0 | at least 1"),
    (lambda: rec().simulate(True), T, "True"),
    (lambda: rec().simulate(5, start=np.zeros(2)), V, "start has shape (2,) | (3,)"),
    (lambda: rec().simulate(5, start=np.array([0, np.nan, 0])), V, "finite"),
    (lambda: rec().simulate(5, start=TABLE), V, "(200, 3) | start[0]"),
    (lambda: rec().simulate(5, start=np.zeros(3, complex)), T, "complex | start"),
    (lambda: rec().simulate(5, start=series(TABLE[:, :2])), V, "2 columns | 3"),
    (lambda: rec().simulate(5, u=np.zeros((5, 1))), V, "input_dim=0 | leave u out"),
    (lambda: rec().score(TABLE), T, "ndarray | read_series"),
    (lambda: rec().score(series(), floor=TABLE), T, "ndarray | read_series"),
    (lambda: rec().score(series(dt=0.2)), V, "dt=0.2 | dt=0.1"),
    (lambda: rec().score(series(TABLE[:, :2])), V, "2 columns but the model observes 3"),
    (lambda: rec().score(series(TABLE[:50])), V, "50 steps | at least 100"),
    (lambda: rec().score(series(), steps=0), V, "steps | at least 1"),
    (lambda: moved().score(series()), V, "u holds 0 arrays | input_dim=2 | (200, 2)"),
    (lambda: moved().score(series(), u=np.zeros((199, 2))), V, "(199, 2) | (200, 2)"),
    (lambda: gd.load(None), T, "None | path"),
    (lambda: gd.resume(None), T, "None | path"),
    (lambda: rec().save(None), T, "None | path"),
    (lambda: gd.resume("none.npz"), MISSING, "none.npz"),
    (lambda: gd.load("missing.npz"), MISSING, "no file"),
    (lambda: write_equations(lstm()), T, "no short equations"),
    *(
        (lambda own=own: rec(own).save("own.npz"), T, f"a class of your own, {name}, | , {KEEP}")
        for own, name in (
            (own(), "Own"),
            (own("ShallowPLRNN"), "ShallowPLRNN"),
            (plrnn(observation=OwnReadout), "OwnReadout"),
        )
    ),
    # --- models ---
    (lambda: plrnn(latent_dim=0), V, "latent_dim is 0 | latent_dim=3"),
    (lambda: plrnn(observed_dim=5), V, "observed_dim=5 | AffineObservation"),
    (lambda: plrnn(observation="affine"), T, "'affine' | AffineObservation"),
    (lambda: plrnn().forecast(jnp.ones((5, 2)), 0.5, solvers.Sequential()), V, "(5, 2) | (T, 3)"),
    (lambda: models.LSTM(latent_dim=1, rngs=nnx.Rngs(0)), V, "pass latent_dim=2 or more"),
    (
        lambda: models.AlmostLinearRNN(latent_dim=6, relu_units=7, rngs=nnx.Rngs(0)),
        V,
        "relu_units=7 exceeds latent_dim=6; pass at most 6",
    ),
    (
        lambda: models.matched(models.GRU, 1000, latent_dim=5, rngs=nnx.Rngs(0)),
        V,
        "latent_dim=5 came, but it is what matched",
    ),
    (lambda: models.matched(models.GRU, 0, rngs=nnx.Rngs(0)), V, "parameters is 0"),
    # every family checks a state by the same function, either base class what it forecasts
    *(
        (lambda of=of, z=z: of().step(z), V, f"the state is {came} | ; pass one vector of shape ({size},)")
        for of, size in ((plrnn, 3), (lstm, 4), (linear, 11))
        for z, came in (
            ((jnp.zeros(3), jnp.zeros(3)), "a tuple"),
            (jnp.zeros((1, size)), f"an array of shape (1, {size})"),
            (jnp.zeros(size + 1), f"an array of shape ({size + 1},)"),
        )
    ),
    *(
        (lambda of=of, given=given: forecast(**given, of=of), V, words)
        for of in (plrnn, linear)
        for given, words in (
            *(({"alpha": alpha}, f"{alpha} | pass a number in [0, 1]") for alpha in (-0.1, 1.5, float("nan"))),
            *(({"x": np.zeros(n)}, f"x has shape {n} | (T, 3)") for n in ((12, 4), (12,), (1, 3), (3, 12, 3))),
            ({"u": np.zeros((12, 2))}, "pass u=None, or build the model with input_dim"),
        )
    ),
    *(
        (lambda of=of, n=n: forecast(u=jnp.zeros(n), of=of), V, "pass u of shape (12, 2)")
        for of in (driven, lambda: linear(input_dim=2))
        for n in ((12, 3), (11, 2), (17, 2))
    ),
    *(
        (lambda n=n: forecast(alpha=jnp.full(n, 0.5)), V, f"alpha has shape {n} | (11,) per step")
        for n in ((12,), (12, 3), (11, 4), (1, 1, 1))
    ),
    # --- solvers ---
    *(
        (lambda A=A, b=b: affine(A, b), V, f"pass b as (T, M) and A as (T, M, M) or, diagonal, (T, M) | {A} | {b}")
        for A, b in (((5, 3, 2), (5, 3)), ((4, 3, 3), (5, 3)), ((5, 2), (5, 3)), ((5,), (5,)), ((2, 5, 3), (2, 5, 3)))
    ),
    *(
        (lambda n=n, method=method: affine(n, (0, 3), method=method), V, "no step at all; pass T >= 1")
        for n in ((0, 3), (0, 3, 3))
        for method in (scan.sequential, scan.associative, scan.Blocked())
    ),
    *(
        (
            lambda types=types: affine((5, 3), (5, 3), types),
            T,
            "A is {} and b {}; pass both as one dtype, such as float32".format(*types),
        )
        for types in (("int32", "int32"), ("float32", "int32"), ("complex64", "float32"))
    ),
    (lambda: affine((5, 3), (5, 3), method="sequential"), T, "'sequential'; pass gtfdeer.scan.sequential"),
    *(
        (lambda n=n: affine((5, 1), (5, 1), method=scan.Blocked(n)), kind, "length")
        for n, kind in ((0, V), (-3, V), (2.5, V), (True, T))
    ),
    (lambda: solvers.benchmark({}, repeats=0), V, "repeats is 0; pass at least 1"),
    *(
        (lambda kind=kind, tol=tol: kind(tol=tol), error, f"tol is {tol!r}; pass a positive number")
        for kind in CAPS
        for tol, error in ((0.0, V), (float("inf"), V), ("1e-5", T), (True, T))
    ),
    *(
        (
            lambda kind=kind, n=n: kind(**{CAPS[kind]: n}),
            error,
            f"{CAPS[kind]} is {n!r}; pass a whole number of at least 1",
        )
        for kind in CAPS
        for n, error in ((0, V), (2.5, V), ("3", T))
    ),
    (lambda: solvers.Shooting(length=0), V, "length is 0; pass a"),
    (lambda: solvers.ELK(damping=0.0), V, "damping is 0"),
    (lambda: solvers.ELK(damping=float("inf")), V, "damping is inf"),
    (lambda: solvers.ELK(damping="1e-8"), T, "damping is '1e-8'"),
    (lambda: solvers.ELK(change=1.0), V, "change is 1.0"),
    (lambda: solvers.DEER(method="associative"), T, "'associative'; pass gtfdeer.scan"),
    (lambda: solvers.QuasiDEER(method="blocked"), T, "'blocked'; pass gtfdeer.scan"),
    (lambda: solvers.Auto(batch=0.5), V, "batch is 0.5; pass a whole number"),
    # --- measures ---
    (lambda: M.binned_divergence(np.zeros(5), EYE), V, "reference has shape (5,) | reference[:, None]"),
    (lambda: M.state_space_divergence(np.ones((2, 3, 4)), EYE), V, "one at a time | [0]"),
    (lambda: M.binned_divergence(np.zeros((0, 2)), EYE), V, "holds no number"),
    (lambda: M.binned_divergence(EYE, np.zeros((5, 2))), V, "generated has shape (5, 2) | 3)"),
    (
        lambda: M.binned_divergence(np.array([[0.0], [np.nan], [np.inf]]), MOVING),
        V,
        "2 values that are not finite | row 1, column 0",
    ),
    (lambda: M.binned_divergence([[0.0, 1.0], [1.0, 1.0]], EYE[:, :2]), V, "in column 1"),
    (lambda: M.binned_divergence(EYE, EYE, bins=0), V, "bins is 0 | bins=30"),
    (lambda: M.binned_divergence(EYE, EYE, bins=2.5), V, "2.5 | whole number"),
    (lambda: M.binned_divergence(np.eye(40), np.eye(40)), V, "mixture_divergence"),
    (lambda: M.binned_divergence(EYE, EYE, pseudocount=0.0), V, "pseudocount is 0.0 | positive"),
    (lambda: M.binned_divergence(EYE * 1j, EYE), T, "complex | reference.real"),
    (lambda: M.binned_divergence(object(), EYE), T, "reference is no table of numbers | object"),
    (lambda: M.mixture_divergence(EYE, EYE, variance=0.0), V, "variance is 0.0 | positive"),
    (lambda: M.mixture_divergence(EYE, EYE, draws=0), V, "draws is 0 | draws=1000"),
    (lambda: M.mixture_divergence(EYE, EYE, points=0), V, "points is 0"),
    (lambda: M.power_spectrum_error(MOVING, MOVING[:4]), V, "6 time steps and generated 4 | reference[:4]"),
    (lambda: M.power_spectrum_error(np.ones((6, 1)), MOVING), V, "constant in column 0"),
    (lambda: M.power_spectrum(np.ones((6, 1))), V, "values | constant in column 0"),
    (lambda: M.power_spectrum_error(MOVING, MOVING, smoothing=-1.0), V, "smoothing is -1.0"),
    (lambda: M.prediction_error(MOVING, MOVING, steps=3), V, "forecasts has shape | (3, 1)"),
    (lambda: M.prediction_error(MOVING, MOVING, steps=0), V, "steps is 0 | at most 5"),
    (lambda: M.prediction_error(MOVING, MOVING, steps=6), V, "steps is 6 | at most 5"),
    (lambda: valid(forecasts=MOVING[1:]), V, "forecasts has shape (5, 1) | (6, 1)"),
    (lambda: valid(truth=np.zeros((1, 2, 3, 4))), V, "(S, T, N)"),
    (lambda: valid(truth=np.ones((6, 1))), V, "truth | constant in column 0"),
    (lambda: valid(truth=MOVING * np.nan), V, "truth holds 6 values | not finite"),
    (lambda: valid(dt=0), V, "dt is 0 | positive"),
    (lambda: valid(threshold=0.0), V, "threshold is 0.0 | 0.4"),
    (lambda: valid(lambda_max=-0.1), V, "lambda_max is -0.1 | positive"),
    (lambda: exponents(jnp.zeros((1, 4, 2))), V, "z0 has shape (1, 4, 2) | (M,)"),
    (lambda: exponents(jnp.zeros(3)), V, "step maps float32(3,) to float32(2,)"),
    (lambda: exponents(step=lambda z: (z, z)), V, "('float32(2,)', 'float32(2,)')"),
    (lambda: exponents(exponents=3), V, "exponents is 3 | at most 2"),
    (lambda: exponents(exponents=0), V, "exponents is 0"),
    (lambda: exponents(steps=0), V, "steps is 0"),
    (lambda: exponents(dt=0.0), V, "dt is 0.0 | positive"),
    (lambda: exponents(transient=-1), V, "transient is -1 | at least 0"),
    (lambda: exponents(reorthonormalise_every=3), V, "not a multiple | steps=12"),
    (
        lambda: exponents(jnp.ones(2), lambda z: 2 * z, steps=100),
        V,
        "non-finite after 127 steps of 1100 | pass a z0 on the",
    ),
    (lambda: exponents(jnp.ones(2), lambda z: jnp.sqrt(z * 0.0) + z), V, "tangent vectors became non-finite"),
    # --- plots ---
    (lambda: plots.attractor(np.zeros((2, 3, 4))), V, "one trajectory of shape"),
    (lambda: plots.attractor(TABLE, ax=plots.figure().add_subplot()), V, "projection='3d'"),
    (lambda: plots.attractor(TABLE, names=["x"]), V, "one name a column"),
    (lambda: plots.attractors(TABLE, TABLE[:, :2]), V, "3 columns but the generated series has 2"),
    (lambda: plots.attractors(np.nan * TABLE, TABLE), V, "without a finite number"),
    (lambda: plots.time_series(TABLE, TABLE, dt=0.0), V, "dt is 0.0"),
    (lambda: plots.time_series(TABLE, TABLE, dt=1.0, columns=[0, 9]), V, "numbers from 0 to 2"),
    (lambda: plots.spectra([0, 1, 2], [1, 2], [1, 2]), V, "3 frequencies"),
    (lambda: plots.training({"loss": [1.0]}), V, "lacks alpha, iterations"),
    (lambda: plots.newton_heatmap([[1.0, -1.0]]), V, "logarithmic"),
    (lambda: plots.exponents([1.0], [[1.0], [2.0]]), V, "one row a time"),
]


@pytest.mark.parametrize(("call", "kind", "words"), ROWS, ids=[words for _, _, words in ROWS])
def test_it_is_refused_in_a_sentence_and_leaves_nothing_behind(call, kind, words, tmp_path, monkeypatch):
    """Not even the checkpoint that every `fit` here asks for."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises((V, T, OSError)) as caught:
        call()
    sentence = str(caught.value)
    assert caught.type is kind, f"{caught.type.__name__}: {sentence}"
    assert not [word for word in words.split(" | ") if word not in sentence], sentence
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e300, 1e-200])
def test_huge_and_tiny_units_are_as_good_as_any(scale):
    """Not refused: standardised values are of order one whatever the unit."""
    plain, scaled = series(TABLE), series(scale * TABLE)
    np.testing.assert_allclose(scaled.standardise().values, plain.standardise().values, rtol=1e-6)  # float64
    np.testing.assert_allclose(scaled.standardise().unscaled().values, scale * TABLE, rtol=1e-6, atol=1e-6 * scale)
