"""What would a user have had from something else? Echo state networks and sparse regression on the same recordings.

    gtfdeer         `gd.fit` as it comes on a GRU of 16 units, or three a column, as `gtfdeer fit` takes by default
    ESN             reservoirpy: 500 units, spectral radius 0.9, inputs scaled by 0.1, leak 1 or 0.2, a ridge readout of
                    r and r^2 (H. Jaeger 2001; squares: Z. Lu, B. Hunt, E. Ott, Chaos 2018)
    ESN, tutorial   reservoirpy's own settings for forecasting chaos: leak 0.3, spectral radius 1.25, inputs by 1, a
                    linear readout
    PySINDy         sequentially thresholded least squares on smoothed differences, terms up to degree 2, where the
                    system is made of such terms (S. Brunton, J. Proctor, J. N. Kutz, PNAS 2016)

Trained on one noisy run, judged on a clean, independent one: D_stsp, D_H and the largest exponent of a free run, and
the valid time of forecasts, median of 20 clean starts (`gd.measures.valid_prediction_time`). Needs
`pip install -e '.[peers]'`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd

from .common import compare, record, strips, train
from .sweep import Run

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure

SEEDS = (1, 5)
STARTS, WARMUP = 20, 1000


class Case(NamedTuple):
    """A system, its sampling step, training noise, and the columns that are observed."""

    system: gd.data.System
    dt: float
    noise: float = 0.05
    columns: tuple[int, ...] | None = None
    polynomial: bool = False


CASES = {
    "Lorenz-63": Case(gd.data.Lorenz63(), 0.01, polynomial=True),
    "Lorenz-63, clean": Case(gd.data.Lorenz63(), 0.01, 0.0, polynomial=True),
    "Lorenz-96": Case(gd.data.Lorenz96(), 0.01, polynomial=True),
    "neuron, 0.1 ms": Case(gd.data.BurstingNeuron(), 0.1),
    "neuron, 0.5 ms": Case(gd.data.BurstingNeuron(), 0.5, 0.1),
    "Lorenz-63, hidden clock": Case(gd.data.SlowFastLorenz(period=20.0), 0.01, columns=(0, 1, 2)),
}
TUTORIAL = {"lr": 0.3, "sr": 1.25, "input_scaling": 1.0, "rc_connectivity": 0.1, "input_connectivity": 0.2}
TEXTBOOK = {"sr": 0.9, "input_scaling": 0.1, "rc_connectivity": 0.02, "input_connectivity": 1.0}
OURS = "gtfdeer"
RESERVOIRS: dict[str, dict[str, float]] = {
    "ESN, leak 1": {"lr": 1.0, **TEXTBOOK},
    "ESN, leak 0.2": {"lr": 0.2, **TEXTBOOK},
    "ESN, tutorial": TUTORIAL,
}


class Peer(NamedTuple):
    """A trained peer in standardised units, float64; states are rows, `(batch, state)`."""

    warm: Callable[[Float[np.ndarray, "batch time observed"]], np.ndarray]
    """The state after the last row."""
    forecast: Callable[[np.ndarray], Float[np.ndarray, "batch observed"]]
    """The next observation."""
    step: Callable[[np.ndarray], np.ndarray]
    """The next state, fed with its own forecast."""
    parameters: int


def plan(full: bool, seed: int) -> list[Run]:
    """The miniature: Lorenz-63, shorter and with fewer updates."""
    length, updates, units = (50_000, 4_000, 500) if full else (10_000, 1000, 200)
    return [
        {"seed": seed, "system": name, "method": method, "length": length, "updates": updates, "units": units}
        for name, case in CASES.items()
        if full or name == "Lorenz-63"
        for method in (OURS, *RESERVOIRS, *(("PySINDy",) if case.polynomial else ()))
    ]


def measure(seed: int, system: str, method: str, length: int, updates: int, units: int) -> Run:
    """Train one of them, run it freely, forecast."""
    case = CASES[system]
    length = 3 * length if case.columns else length
    runs = record(case.system, length, case.dt, seed, case.columns, case.noise)
    began = time.perf_counter()
    if method == OURS:
        return _measure_ours(runs, updates, seed, began)
    scaling = runs.train.standardise().scaling
    noisy, test = (run.scaled_by(scaling).values.astype(float) for run in (runs.train, runs.test))
    if method == "PySINDy":
        peer = fit_equations(noisy * scaling.std + scaling.mean, case.dt, scaling)
    else:
        peer = fit_reservoir(noisy, units, seed, linear=method == "ESN, tutorial", **RESERVOIRS[method])
    seconds = time.perf_counter() - began
    orbit = run_freely(peer, test[None, :1000], len(test) + len(test) // 4)[0]
    starts, ahead = choose_starts(test)
    warmups = np.stack([test[start - WARMUP : start] for start in starts])
    return {
        "parameters": peer.parameters,
        "seconds": seconds,
        **compare(test, orbit[len(test) // 4 :]),
        "exponent": largest_exponent(peer, test[None, :1000], case.dt),
        "valid_time": valid_time(test, starts, run_freely(peer, warmups, ahead), case.dt),
    }


def _measure_ours(runs: Any, updates: int, seed: int, began: float) -> Run:
    model = gd.models.GRU(observed_dim=runs.train.columns, rngs=nnx.Rngs(seed))
    rec = train(model, runs.train, updates=updates, key=jax.random.key(seed))
    seconds = time.perf_counter() - began
    scores, test = rec.score(runs.test), rec.standardised(runs.test).values
    starts, ahead = choose_starts(test)
    known = [replace(runs.test, values=runs.test.values[start - WARMUP : start]) for start in starts]
    forecasts = (np.stack([rec.forecast(each, ahead) for each in known]) - rec.scaling.mean) / rec.scaling.std
    return {
        "parameters": gd.models.parameter_count(rec.model),
        "seconds": seconds,
        "D_stsp": scores.D_stsp,
        "D_H": scores.D_H,
        "exponent": scores.lambda_max,
        "valid_time": valid_time(test, starts, forecasts, runs.test.dt),
    }


def fit_reservoir(
    noisy: Float[np.ndarray, "time observed"], units: int, seed: int, *, linear: bool, **settings: Any
) -> Peer:
    """An echo state network: its states by reservoirpy, a ridge readout of r, and of r^2 unless it is linear."""
    from reservoirpy import mat_gen
    from reservoirpy.nodes import Reservoir, Ridge

    bias = 0.0 if linear else mat_gen.uniform(low=-0.5, high=0.5)
    reservoir = Reservoir(units, bias=bias, seed=seed, **settings)

    def features(r: np.ndarray) -> np.ndarray:
        return r if linear else np.concatenate([r, r**2], -1)

    states = reservoir.run(noisy[:-1])[200:]
    readout = Ridge(ridge=1e-8 if linear else 1e-8 * len(states)).fit(features(states), noisy[201:])
    leak, offset = settings["lr"], np.ravel(reservoir.bias)

    def drive(r: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (1 - leak) * r + leak * np.tanh((reservoir.W @ r.T + reservoir.Win @ x.T).T + offset)

    def forecast(r: np.ndarray) -> np.ndarray:
        return features(r) @ readout.Wout + np.ravel(readout.bias)

    def warm(rows: np.ndarray) -> np.ndarray:
        r = np.zeros((len(rows), units))
        for t in range(rows.shape[1]):
            r = drive(r, rows[:, t])
        return r

    return Peer(warm, forecast, lambda r: drive(r, forecast(r)), readout.Wout.size + noisy.shape[1])


def fit_equations(noisy: Float[np.ndarray, "time observed"], dt: float, scaling: Any) -> Peer:
    """A vector field of polynomials up to degree 2 in data units by PySINDy, integrated by Runge-Kutta steps of dt."""
    import pysindy

    library = pysindy.PolynomialLibrary(degree=2)
    model = pysindy.SINDy(feature_library=library, differentiation_method=pysindy.SmoothedFiniteDifference())
    model.fit(noisy, t=dt)
    coefficients, powers = model.coefficients(), library.powers_

    def field(x: np.ndarray) -> np.ndarray:
        return np.prod(x[:, None, :] ** powers, -1) @ coefficients.T

    def step(z: np.ndarray) -> np.ndarray:
        x = z * scaling.std + scaling.mean
        k1 = field(x)
        k2 = field(x + dt / 2 * k1)
        k3 = field(x + dt / 2 * k2)
        k4 = field(x + dt * k3)
        return (x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4) - scaling.mean) / scaling.std

    return Peer(lambda rows: rows[:, -1], step, step, int(np.count_nonzero(coefficients)))


def run_freely(peer: Peer, rows: Float[np.ndarray, "batch time observed"], steps: int) -> np.ndarray:
    """Forecasts `(batch, steps, observed)` after the rows; not finite once out of bounds."""
    z, found = peer.warm(rows), np.full((len(rows), steps, rows.shape[-1]), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps):
            found[:, t] = peer.forecast(z)
            if not (np.abs(found[:, t]) < 1e6).any():
                break
            z = peer.step(z)
    return found


def largest_exponent(peer: Peer, rows: np.ndarray, dt: float, steps: int = 20_000, apart: float = 1e-8) -> float | None:
    """From two orbits that are brought close again after every step; None where they leave all bounds."""
    z, growth = peer.warm(rows), 0.0
    z = np.concatenate([z, z + apart / np.sqrt(z.shape[1])])
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1000):
            z = peer.step(z)
            distance = np.linalg.norm(z[1] - z[0])
            growth += np.log(distance / apart) if t >= 1000 else 0.0
            z[1] = z[0] + (z[1] - z[0]) * apart / distance
    return float(growth / (steps * dt)) if np.isfinite(growth) else None


def choose_starts(test: np.ndarray) -> tuple[np.ndarray, int]:
    """Rows of the test at which forecasts begin, and how far they go."""
    ahead = min(1500, len(test) // 4)
    return np.linspace(1000, len(test) - ahead, STARTS).astype(int), ahead


def valid_time(test: np.ndarray, starts: np.ndarray, forecasts: np.ndarray, dt: float) -> float:
    """Median over the starts of `gd.measures.valid_prediction_time`."""
    truth = np.stack([test[start : start + forecasts.shape[1]] for start in starts])
    return float(np.median(gd.measures.valid_prediction_time(truth, forecasts, dt=dt).times))


def draw(table: pd.DataFrame) -> Figure:
    """Scores and valid time of every method, a row of panels for every system."""
    systems = list(table.system.unique())
    sheet = gd.plots.figure(11, 0.5 + 1.7 * len(systems))
    panels = sheet.subplots(len(systems), 4, squeeze=False)
    for line, system in zip(panels, systems, strict=True):
        own = table[table.system == system]
        names = list(own.method.unique())
        colours = [gd.plots.MODEL.colour if name == OURS else gd.plots.ERROR.colour for name in names]
        for ax, column in zip(line, ("D_stsp", "D_H", "valid_time", "seconds"), strict=True):
            strips(ax, own, "method", names, column, colours, log=column in ("D_stsp", "seconds"))
        for ax in line[1:]:
            ax.set_yticklabels([])
        line[0].set_title(system, loc="left")
    return sheet
