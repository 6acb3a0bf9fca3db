"""How good a reconstruction is: five numbers, and beside each what a perfect model would get.

    D_stsp        distance of the invariant distributions       (`gtfdeer.measures.state_space_divergence`)
    D_H           distance of the power spectra                 (`gtfdeer.measures.power_spectrum_error`)
    PE(n)         mean squared error n steps ahead              (`gtfdeer.measures.prediction_error`)
    valid time    until the error passes 0.4 std                (`gtfdeer.measures.valid_prediction_time`)
    lambda_max    largest Lyapunov exponent per unit of time    (`gtfdeer.measures.lyapunov_spectrum`)

Protocol: `gtfdeer.training._rollout.rollout_for_comparison`, everything in standardised units.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import measures
from .._checks import docs_url
from ..models import Model
from ._filter import filter_series
from ._rollout import rollout_for_comparison, rollout_side_by_side

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_EXPONENT_STARTS, _EXPONENT_PERIODS = 8, 500  # orbits, and oscillations of the data over all of them
_EXPONENT_STEPS = 50_000, 5_000_000  # the fewest and the most that they take together
_VALID_STARTS, _HORIZON = 20, 5_000  # forecasts, and their longest length
_SHORTEST = 100  # steps of a trial that is scored
_FORECASTS = 100_000  # rows at most from which PE(n) starts
WARM_UP = 1_000
_MAX_OUTSIDE = 0.05  # share of generated points, beyond that of true ones, above which the table says so (ours)


@dataclass(frozen=True)
class Scores:
    """The measures of one reconstruction; `print(scores)` gives a table, `scores.as_dict()` plain numbers.

    Attributes:
        D_stsp, D_H: smaller is better; `inf` and 1.0 where the free run left all bounds.
        PE: mean squared error `steps` steps ahead, in standardised units (1 is the variance of the data), from all rows
            or 100,000 evenly spaced ones.
        lambda_max: per unit of time; None where the free run leaves all bounds or external inputs drive the model.
        lambda_max_spread: its standard error, from several starts.
        valid_time: how long a forecast stays within 0.4 standard deviations, in units of time: the median of 20 starts
            (`gtfdeer.measures.valid_prediction_time`); None with external inputs, gaps or too few rows.
        valid_time_quartiles: over the starts.
        outside: share of generated points outside the data's range.
        floor_D_stsp, floor_D_H, floor_outside: the same measures between two recordings of the true system. PE has the
            floor 0, from states without noise; lambda_max has none: a recording does not tell its system's exponent.
        PE_persistence: the error of the forecast "nothing changes".
        floor_source: what the floors were computed from.
        steps: n of PE(n).
    """

    D_stsp: float
    D_H: float
    PE: float
    lambda_max: float | None
    lambda_max_spread: float | None
    valid_time: float | None
    valid_time_quartiles: tuple[float, float] | None
    outside: float
    floor_D_stsp: float
    floor_D_H: float
    floor_outside: float
    PE_persistence: float
    floor_source: str
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        rows = [
            ("measure", "model", "floor", ""),
            ("D_stsp", f"{self.D_stsp:.4g}", f"{self.floor_D_stsp:.4g}", "state space divergence, 0 is perfect"),
            ("D_H", f"{self.D_H:.4g}", f"{self.floor_D_H:.4g}", "power spectrum error, 0 to 1"),
            (f"PE({self.steps})", f"{self.PE:.4g}", "0", f"squared error; persistence {self.PE_persistence:.4g}"),
        ]
        if self.valid_time is not None and self.valid_time_quartiles is not None:
            words = "time until a forecast fails; quartiles {:.3g} and {:.3g}".format(*self.valid_time_quartiles)
            rows.append(("valid time", f"{self.valid_time:.3g}", "unknown", words))
        exponent = _format_exponent(self.lambda_max, self.lambda_max_spread)
        rows.append(("lambda_max", exponent, "unknown", "largest Lyapunov exponent per unit of time"))
        rows.append(("outside", f"{self.outside:.2%}", f"{self.floor_outside:.2%}", "points outside the data's range"))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        lines.append(f"floor: {self.floor_source}")
        if self.outside > self.floor_outside + _MAX_OUTSIDE:
            lines.append(f"the free run leaves the data's range: {docs_url('the-free-run-runs-away')}")
        elif self.lambda_max is not None and self.lambda_max <= 0:
            where = docs_url("the-free-run-is-flat-or-settles-on-a-cycle")
            lines.append(f"the free run comes to rest, or to a cycle; if the system does not: {where}")
        return "\n".join(lines)

    __repr__ = __str__


def score_model(
    model: Model,
    trials: Sequence[Float[np.ndarray, "time observed"]],
    dt: float,
    gain: Float[np.ndarray, "latent observed"] | None = None,
    *,
    steps: int = 20,
    floor: Sequence[Float[np.ndarray, "time2 observed"]] | None = None,
    u: Sequence[Float[np.ndarray, "time inputs"]] | None = None,
) -> Scores:
    """Score `model` against standardised recordings, as `Reconstruction.score` does; too short ones are left out.

    Where cells are missing (NaN), D_stsp is of the complete rows, PE of the cells that are there, and D_H of values
    interpolated in time. D_H is a mean over trials, weighted by their rows. Runs and forecasts begin with states found
    by `gain` (`gtfdeer.training._filter`).
    """
    shortest = max(2 * steps, _SHORTEST)
    kept = [k for k, x in enumerate(trials) if len(x) >= shortest]
    if not kept:
        longest = max(map(len, trials), default=0)
        raise ValueError(f"the test series has {longest} steps without a gap; pass at least {shortest}")
    if len(kept) < len(trials):
        short = len(trials) - len(kept)
        warnings.warn(f"{short} of {len(trials)} trials are not scored: fewer than {shortest} steps", stacklevel=3)
    trials, inputs = [trials[k] for k in kept], [None if u is None else u[k] for k in kept]
    states = [filter_series(model, x, gain, v)[0] for x, v in zip(trials, inputs, strict=True)]
    warm = [warm_up(x) if u is None and gain is not None else 0 for x in trials]
    starts = [z[k] for z, k in zip(states, warm, strict=True)]
    seen, generated = zip(*map(partial(rollout_for_comparison, model), trials, inputs, starts), strict=True)
    bounded = all(bool(np.isfinite(run).all()) for run in generated)
    forecasts, truth, now = _forecast_rows(model, steps, trials, states, inputs, warm)
    ours, other = zip(*map(_cut_alike, trials, trials if floor is None else floor), strict=False)
    rows, our_rows, other_rows = (complete_rows(np.concatenate(x)) for x in (seen, ours, other))
    run = np.concatenate(generated)
    valid = _measure_valid_time(model, trials, states, dt, steps) if u is None else None
    exponents = _estimate_exponents(model, generated, dt) if bounded and u is None else None
    halves = f"the two halves of {'the test series' if len(trials) == 1 else 'every trial'}"
    return Scores(
        D_stsp=measures.state_space_divergence(rows, run) if bounded else float("inf"),
        D_H=_compare_spectra(seen, generated) if bounded else 1.0,
        PE=_mean_squared(forecasts - truth),
        lambda_max=None if exponents is None else float(exponents.mean()),
        lambda_max_spread=None if exponents is None else float(exponents.std(ddof=1) / len(exponents) ** 0.5),
        valid_time=None if valid is None else valid.median,
        valid_time_quartiles=None if valid is None else valid.quartiles,
        outside=measures.outside_fraction(rows, run),
        floor_D_stsp=measures.state_space_divergence(our_rows, other_rows),
        floor_D_H=_compare_spectra(ours, other),
        floor_outside=measures.outside_fraction(our_rows, other_rows),
        PE_persistence=_mean_squared(now - truth),
        floor_source=halves if floor is None else "another recording of the same system",
        steps=steps,
    )


def warm_up(x: Float[np.ndarray, "time observed"]) -> int:
    """Return how many rows the filter takes to find units that are not observed: a tenth, at most 1,000."""
    return min(WARM_UP, len(x) // 10)


def _compare_spectra(reference: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    pairs = zip(map(interpolate, reference), map(interpolate, other), strict=True)
    errors = [measures.power_spectrum_error(*pair) for pair in pairs]
    return float(np.average(errors, weights=[len(x) for x in reference]))


def complete_rows(x: Float[np.ndarray, "time observed"]) -> Float[np.ndarray, "rows observed"]:
    """Return the rows in which nothing is missing."""
    missing = np.isnan(x)
    return x[~missing.any(axis=1)] if missing.any() else x


def interpolate(x: Float[np.ndarray, "time observed"]) -> Float[np.ndarray, "time observed"]:
    """Return `x` with missing cells filled in linearly in time, column by column."""
    if not np.isnan(x).any():
        return x
    rows = np.arange(len(x))
    columns = [np.interp(rows, rows[seen], column[seen]) for column in x.T for seen in [~np.isnan(column)]]
    return np.stack(columns, axis=1).astype(x.dtype)


def _mean_squared(errors: Float[np.ndarray, "starts observed"]) -> float:
    return float(np.nanmean(errors.astype(np.float64) ** 2))


def _cut_alike(reference: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two true recordings of equal length: the halves of one, or as much of both as there is."""
    if other is reference:
        half = len(reference) // 2
        return reference[:half], reference[half : 2 * half]
    common = min(len(reference), len(other))
    return reference[:common], other[:common]


def _measure_valid_time(
    model: Model, trials: Sequence[np.ndarray], states: Sequence[np.ndarray], dt: float, steps: int
) -> measures.ValidTime | None:
    """Return how long forecasts from states evenly along the trials hold; None where one is too short or has gaps."""
    horizon = min(_HORIZON, *((len(x) - warm_up(x)) // 4 for x in trials))
    if horizon < 2 * steps or any(np.isnan(x).any() for x in trials):
        return None
    truth, starts = [], []
    for x, z in zip(trials, states, strict=True):
        for start in np.linspace(warm_up(x), len(x) - horizon - 1, -(-_VALID_STARTS // len(trials))).astype(int):
            truth.append(x[start + 1 : start + 1 + horizon])
            starts.append(z[start])
    forecasts = rollout_side_by_side(model, horizon, np.stack(starts))
    return measures.valid_prediction_time(np.stack(truth), forecasts, dt=dt)


def _forecast_rows(
    model: Model,
    steps: int,
    trials: Sequence[np.ndarray],
    states: Sequence[np.ndarray],
    u: Sequence[np.ndarray | None],
    warm: Sequence[int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the forecasts `steps` ahead from evenly spaced rows of all trials, what came, and the rows themselves."""
    every = -(-sum(map(len, trials)) // _FORECASTS)
    begins = np.cumsum([0, *map(len, trials[:-1])])
    rows = [begin + np.arange(k, len(x) - steps, every) for begin, x, k in zip(begins, trials, warm, strict=True)]
    rows, x, z = np.concatenate(rows), np.concatenate(trials), np.concatenate(states)
    inputs = None if u[0] is None else jnp.asarray(np.concatenate([v for v in u if v is not None]), jnp.float32)
    graph, parameters = nnx.split(model)
    forecasts = _run_from_rows(graph, steps, parameters, jnp.asarray(z[rows]), jnp.asarray(rows), inputs)
    return np.asarray(forecasts), x[rows + steps], x[rows]


@partial(jax.jit, static_argnums=(0, 1))
def _run_from_rows(graph: Any, steps: int, parameters: Any, z: Array, rows: Array, u: Array | None) -> Array:
    model = nnx.merge(graph, parameters)

    def step(z: Array, k: Array) -> tuple[Array, None]:
        now = None if u is None else u[rows + k + 1]
        return jax.vmap(model.step, in_axes=(0, None if u is None else 0))(z, now), None

    return jax.vmap(model.decode)(jax.lax.scan(step, z, jnp.arange(steps))[0])


def _estimate_exponents(model: Model, runs: Sequence[np.ndarray], dt: float) -> np.ndarray | None:
    """Return lambda_max from `_EXPONENT_STARTS` points of free runs, over a time that their oscillations set.

    None where an orbit diverges within the steps that an exponent takes, although the scored run did not.
    """
    x = np.concatenate(runs)
    above = [run > x.mean(axis=0) for run in runs]
    oscillations = max(1.0, float(np.mean(sum(np.sum(each[1:] & ~each[:-1], axis=0) for each in above))))
    wanted = _EXPONENT_PERIODS * len(x) / oscillations
    steps = 10 * (int(np.clip(wanted, *_EXPONENT_STEPS)) // (10 * _EXPONENT_STARTS))
    rows = x[np.linspace(len(x) // 4, len(x) - 1, _EXPONENT_STARTS).astype(int)]
    starts = jax.vmap(model.initial_state)(jnp.asarray(rows, jnp.float32))
    settings: Any = {"transient": max(1000, steps // 5), "reorthonormalise_every": 10, "exponents": 1}
    try:
        spectrum = measures.lyapunov_spectrum(model.step, starts, steps=steps, dt=dt, **settings)
    except ValueError:  # an orbit without exponents; the table then says "none"
        return None
    return spectrum.exponents[:, 0]


def _format_exponent(value: float | None, spread: float | None) -> str:
    """Return the exponent with no more digits than its spread leaves."""
    if value is None or spread is None:
        return "none"
    if not spread > 1e-4 * abs(value):  # NaN included: an exponent of -inf has no spread
        return f"{value:.4g}"
    digits = max(0, int(np.ceil(-np.log10(spread))))
    return f"{value:.{digits}f} ± {spread:.{digits}f}"
