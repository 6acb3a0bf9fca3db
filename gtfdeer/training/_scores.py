"""How good a reconstruction is: five numbers, and beside each what a perfect model would get.

    D_stsp        distance of the invariant distributions       (`gtfdeer.measures.state_space_divergence`)
    D_H           distance of the power spectra                 (`gtfdeer.measures.power_spectrum_error`)
    PE(n)         mean squared error n steps ahead              (`gtfdeer.measures.prediction_error`)
    valid time    until the error passes 0.4 std                (`gtfdeer.measures.valid_prediction_time`)
    lambda_max    largest Lyapunov exponent per unit of time    (`gtfdeer.measures.lyapunov_spectrum`)

Protocol: `gtfdeer.training._rollout.rollout_for_comparison`, everything in standardised units.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import measures
from .._checks import docs_url
from ..forcing import fill_gaps
from ..models import Model
from ._filter import filter_series
from ._rollout import rollout_for_comparison, rollout_side_by_side

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["Scores", "complete_rows", "interpolate", "score_model"]

_EXPONENT_STARTS, _EXPONENT_PERIODS = 8, 500  # orbits, and oscillations of the data over all of them
_EXPONENT_STEPS = 50_000, 5_000_000  # the fewest and the most that they take together
_VALID_STARTS, _HORIZON = 20, 5_000  # forecasts, and their longest length
_WARM_UP = 1_000  # rows that the filter takes to find units that are not observed, at most
_MAX_OUTSIDE = 0.05  # share of generated points, beyond that of true ones, above which the table says so (ours)


@dataclass(frozen=True)
class Scores:
    """The measures of one reconstruction; `print(scores)` gives a table, `scores.as_dict()` plain numbers.

    Attributes:
        D_stsp, D_H: smaller is better; `inf` and 1.0 where the free run left all bounds.
        PE: mean squared error `steps` steps ahead, in standardised units (1 is the variance of the data).
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
        return "\n".join([*lines, f"floor: {self.floor_source}", *self._warnings()])

    def _warnings(self) -> list[str]:
        """Return what the numbers suggest, with the place in the manual that says more."""
        if self.outside > self.floor_outside + _MAX_OUTSIDE:
            return [f"the free run leaves the data's range: {docs_url('the-free-run-runs-away')}"]
        if self.lambda_max is not None and self.lambda_max <= 0:
            where = docs_url("the-free-run-is-flat-or-settles-on-a-cycle")
            return [f"the free run comes to rest, or to a cycle; if the system does not: {where}"]
        return []

    __repr__ = __str__


def score_model(
    model: Model,
    reference: Float[np.ndarray, "time observed"],
    dt: float,
    gain: Float[np.ndarray, "latent observed"] | None = None,
    *,
    steps: int = 20,
    floor: Float[np.ndarray, "time2 observed"] | None = None,
    u: Float[np.ndarray, "time inputs"] | None = None,
) -> Scores:
    """Score `model` against a standardised reference.

    Args:
        model: from `gtfdeer.models`.
        reference: `(T, N)` the test series. Where cells are missing (NaN), D_stsp is of the complete rows, PE of the
            cells that are there, and D_H of values interpolated in time.
        dt: its sampling step in units of time.
        gain: s K, with which the states that the free run and the valid time begin with are found
            (`gtfdeer.training._filter`); PE is from one observation alone, as published.
        steps: n of PE(n).
        floor: another recording of the same system; None compares the two halves of the reference.
        u: `(T, K)` external inputs along the reference, or None.

    Raises:
        ValueError: if the reference is too short.
    """
    length = reference.shape[0]
    shortest = max(2 * steps, 100)
    if length < shortest:
        raise ValueError(f"the test series has {length} steps without a gap; pass at least {shortest}")
    states, _ = filter_series(model, reference, gain, u)
    warm = 0 if u is not None or gain is None else min(_WARM_UP, length // 10)
    seen, generated = rollout_for_comparison(model, reference, u, states[warm])
    bounded = bool(np.isfinite(generated).all())
    forecasts, persisted = _forecasts(model, reference, steps, u), reference[:-steps]
    ours, other = _cut_alike(reference, floor)
    valid = _measure_valid_time(model, reference, states, dt, steps) if u is None else None
    exponents = _estimate_exponents(model, generated, dt) if bounded and u is None else None
    return Scores(
        D_stsp=measures.state_space_divergence(complete_rows(seen), generated) if bounded else float("inf"),
        D_H=measures.power_spectrum_error(interpolate(seen), generated) if bounded else 1.0,
        PE=_mean_squared(forecasts - reference[steps:]),
        lambda_max=None if exponents is None else float(exponents.mean()),
        lambda_max_spread=None if exponents is None else float(exponents.std(ddof=1) / len(exponents) ** 0.5),
        valid_time=None if valid is None else valid.median,
        valid_time_quartiles=None if valid is None else valid.quartiles,
        outside=measures.outside_fraction(complete_rows(seen), generated),
        floor_D_stsp=measures.state_space_divergence(complete_rows(ours), complete_rows(other)),
        floor_D_H=measures.power_spectrum_error(interpolate(ours), interpolate(other)),
        floor_outside=measures.outside_fraction(complete_rows(ours), complete_rows(other)),
        PE_persistence=_mean_squared(persisted - reference[steps:]),
        floor_source="the two halves of the test series" if floor is None else "another recording of the same system",
        steps=steps,
    )


def complete_rows(x: Float[np.ndarray, "time observed"]) -> Float[np.ndarray, "rows observed"]:
    """Return the rows in which nothing is missing."""
    return x[~np.isnan(x).any(axis=1)]


def interpolate(x: Float[np.ndarray, "time observed"]) -> Float[np.ndarray, "time observed"]:
    """Return `x` with missing cells filled in linearly in time, column by column."""
    if not np.isnan(x).any():
        return x
    rows = np.arange(len(x))
    columns = [np.interp(rows, rows[seen], column[seen]) for column in x.T for seen in [~np.isnan(column)]]
    return np.stack(columns, axis=1).astype(x.dtype)


def _mean_squared(errors: np.ndarray) -> float:
    return float(np.nanmean(errors.astype(np.float64) ** 2))


def _cut_alike(reference: np.ndarray, floor: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return two true recordings of equal length."""
    if floor is None:
        half = reference.shape[0] // 2
        return reference[:half], reference[half : 2 * half]
    common = min(reference.shape[0], floor.shape[0])
    return reference[:common], floor[:common]


def _measure_valid_time(
    model: Model, reference: np.ndarray, states: np.ndarray, dt: float, steps: int
) -> measures.ValidTime | None:
    """Return how long forecasts from states evenly along the reference hold; None where it is too short or has gaps."""
    warm = min(_WARM_UP, len(reference) // 10)
    horizon = min(_HORIZON, (len(reference) - warm) // 4)
    if horizon < 2 * steps or np.isnan(reference).any():
        return None
    starts = np.linspace(warm, len(reference) - horizon - 1, _VALID_STARTS).astype(int)
    truth = np.stack([reference[start + 1 : start + 1 + horizon] for start in starts])
    return measures.valid_prediction_time(truth, rollout_side_by_side(model, horizon, states[starts]), dt=dt)


def _forecasts(model: Model, reference: np.ndarray, steps: int, u: Any) -> np.ndarray:
    """Return in row t the forecast of `reference[t + steps]` from `reference[t]` alone."""
    graph, parameters = nnx.split(model)
    inputs = None if u is None else jnp.asarray(u, jnp.float32)
    known, _ = fill_gaps(jnp.asarray(reference[:-steps], jnp.float32))
    return np.asarray(_run_from_each(graph, steps, parameters, known, inputs))


@partial(jax.jit, static_argnums=(0, 1))
def _run_from_each(graph: Any, steps: int, parameters: Any, x: Array, u: Array | None) -> Array:
    model = nnx.merge(graph, parameters)

    def step(z: Array, k: Array) -> tuple[Array, None]:
        now = None if u is None else jax.lax.dynamic_slice_in_dim(u, k + 1, x.shape[0])
        return jax.vmap(model.step, in_axes=(0, None if u is None else 0))(z, now), None

    z, _ = jax.lax.scan(step, jax.vmap(model.initial_state)(x), jnp.arange(steps))
    return jax.vmap(model.decode)(z)


def _estimate_exponents(model: Model, x: Float[np.ndarray, "time observed"], dt: float) -> np.ndarray | None:
    """Return lambda_max from `_EXPONENT_STARTS` points of a free run, over a time that its oscillations set.

    None where an orbit diverges within the steps that an exponent takes, although the scored run did not.
    """
    above = x > x.mean(axis=0)
    oscillations = max(1.0, float(np.mean(np.sum(above[1:] & ~above[:-1], axis=0))))
    wanted = _EXPONENT_PERIODS * len(x) / oscillations
    steps = 10 * (int(np.clip(wanted, *_EXPONENT_STEPS)) // (10 * _EXPONENT_STARTS))
    rows = x[np.linspace(len(x) // 4, len(x) - 1, _EXPONENT_STARTS).astype(int)]
    starts = jax.vmap(model.initial_state)(jnp.asarray(rows, jnp.float32))
    try:
        spectrum = measures.lyapunov_spectrum(
            model.step,
            starts,
            steps=steps,
            dt=dt,
            transient=max(1000, steps // 5),
            reorthonormalise_every=10,
            exponents=1,
        )
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
