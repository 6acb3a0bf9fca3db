"""Input checks of `fit`: recordings in the model's units, a model that observes their columns, external inputs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import nnx

from .._checks import array
from ..data import Scaling, Series, segments_between_gaps
from ..models import Model

if TYPE_CHECKING:
    from jaxtyping import Float

_WINDOWS = 200, 1_000  # the shortest and the longest of long recordings
_PERIODS = 10  # of a slow rhythm, which a recording has to show before it sets the window
_STEPS, _LEAST = 3_200, 4  # time steps of an update, and sequences
_SHORT_SEGMENT = 100  # rows, below which a segment does not shorten the window of all others by itself
_SHORT_GAP = 50  # rows: a quarter of the default window
_FEW_ROWS = 1_000  # as `gtfdeer.training._validation`


def check_recordings(series: Any, *, standardise: bool) -> list[Series]:
    """Return the recordings under one scaling: the one that they share, else mean and std over all of them."""
    recordings = list(series) if isinstance(series, list | tuple) else [series]
    if not recordings or not all(isinstance(s, Series) for s in recordings):
        came = ", ".join(type(s).__name__ for s in recordings) or "an empty list"
        raise TypeError(f"series is {came}; pass Series, from gtfdeer.data.read_series(values, dt=...)")
    first = recordings[0]
    for other in recordings[1:]:
        if other.columns != first.columns or not np.isclose(other.dt, first.dt) or other.embedding != first.embedding:
            raise ValueError(f"{other!r} differs from {first!r}; pass series with the same columns, dt and embedding")
    scaling = first.scaling
    if scaling is None and standardise:
        rows, names = np.concatenate([s.unscaled().values for s in recordings]), ", ".join(s.name for s in recordings)
        scaling = Series(rows, dt=first.dt, name=names, wide=True).standardise().scaling
    return [s.unscaled() if scaling is None else s.scaled_by(scaling) for s in recordings]


def longest_segment(
    recordings: Sequence[Series], inputs: Sequence[np.ndarray] | None = None
) -> tuple[Float[np.ndarray, "time observed"], Float[np.ndarray, "time inputs"] | None]:
    """Return values and inputs of the longest segment of all recordings; single cells in it may be NaN.

    Where segments without an empty row are too short to compare a free run with, short gaps are part of a segment.
    """
    total = sum(len(s) for s in recordings)
    for gap in (0, _SHORT_GAP):
        found = [(b - a, i, a, b) for i, s in enumerate(recordings) for a, b in segments_between_gaps(s, gap)]
        length, i, start, stop = max(found, key=lambda segment: segment[0])
        if length >= min(_FEW_ROWS, total / 2):
            break
    return recordings[i].values[start:stop], None if inputs is None else inputs[i][start:stop]


def choose_window(recordings: Sequence[Series]) -> int:
    """Return the default window: two thirds of the slowest period, from 200 to 1,000; at most half a segment.

    Segments that are not worth it, less than a twentieth of all rows together with the shorter ones, are left out.
    """
    window = int(np.clip(2 / 3 * _find_slowest_period(longest_segment(recordings)[0]), *_WINDOWS))
    while True:
        lengths = sorted(b - a for s in recordings for a, b in segments_between_gaps(s, window // 4))
        kept = np.cumsum(lengths) > 0.05 * sum(lengths)
        shortest = lengths[0] if lengths[0] >= _SHORT_SEGMENT else lengths[int(np.argmax(kept))]
        if window <= max(2, shortest // 2):
            return window
        window = max(2, shortest // 2)


def choose_batch(window: int) -> int:
    """Return how many windows of the default length an update has: 16, fewer where they are longer than 200."""
    return max(_LEAST, min(16, _STEPS // window))


def _find_slowest_period(x: Float[np.ndarray, "time observed"]) -> float:
    """Return the longest period, in steps, that halves the power of a column; 0 where fewer than ten of it are there.

    Noise, which is spread over all frequencies, hardly moves it. (Ours, as its share is: docs/findings.md.)
    """
    swings = np.nan_to_num(x - np.nanmean(x, axis=0))
    power = np.abs(np.fft.rfft(swings, axis=0)) ** 2
    places = (np.cumsum(power, axis=0) >= power.sum(axis=0) / 2).argmax(axis=0)
    return float(np.max(len(x) / places[places >= _PERIODS], initial=0))


def warn_of_unused(recordings: Sequence[Series], window: int) -> None:
    """Warn of segments in which no window fits, and of recordings too short to judge a free run by."""
    lengths = [b - a for s in recordings for a, b in segments_between_gaps(s, window // 4)]
    unused = [length for length in lengths if length < window]
    if len(unused) == len(lengths):
        return  # no window fits at all, which is refused in a moment
    if unused:
        came = f"{len(unused)} of {len(lengths)} segments, {sum(unused):,} of {sum(lengths):,} rows, are shorter than"
        advice = f"pass window={max(2, min(unused))} to use them"
        warnings.warn(f"{came} window={window} and are not used; {advice}", stacklevel=3)
    if sum(lengths) < _FEW_ROWS:
        windows = sum(max(0, length - window + 1) for length in lengths)
        came = f"{sum(lengths):,} rows, {windows:,} windows of {window}, are too few to judge a free run by"
        warnings.warn(f"{came}, so the last update is kept; record {_FEW_ROWS:,} rows or more", stacklevel=3)


def set_observed_dim(model: Any, columns: int) -> Model:
    """Return the model, or, where it was built without `observed_dim`, a copy that observes this many columns.

    The copy is built by the model's constructor; it keeps all parameters whose shapes fit.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model is {model!r}; pass one from gtfdeer.models, such as ShallowPLRNN(latent_dim=3, ...)")
    if model.observed_dim == columns:
        return model
    config = model.config()
    if config["observed_dim"] is not None:
        observes = model.observed_dim
        raise ValueError(f"series has {columns} columns but the model observes {observes}; pass observed_dim={columns}")
    build: Any = type(model)
    copy = build(**{**config, "observed_dim": columns}, rngs=nnx.Rngs(0))
    old, new = (dict(nnx.to_flat_state(nnx.state(each, nnx.Param))) for each in (model, copy))
    kept = {path: old[path] if path in old and old[path].shape == fresh.shape else fresh for path, fresh in new.items()}
    nnx.update(copy, nnx.from_flat_state(kept))
    return copy


def scale_inputs(inputs: list[np.ndarray]) -> Scaling:
    """Return mean and standard deviation of external inputs over all recordings; a constant column keeps its size."""
    rows = np.concatenate(inputs).astype(np.float64)
    std = rows.std(axis=0)
    return Scaling(rows.mean(axis=0), np.where(std > 0, std, 1))


def check_inputs(model: Model, u: Any, rows: Sequence[int]) -> list[np.ndarray] | None:
    """Return external inputs as float64 arrays `(T, K)`, one a recording of so many rows; None for a model without."""
    input_dim = getattr(model, "input_dim", 0)
    came = [] if u is None else list(u) if isinstance(u, list | tuple) else [u]
    if len(came) != len(rows) * bool(input_dim):
        wanted = ", ".join(f"({length}, {input_dim})" for length in rows)
        advice = f"pass u of shape {wanted}" if input_dim else "leave u out, or pass a model with input_dim"
        raise ValueError(f"u holds {len(came)} arrays and the model has input_dim={input_dim}; {advice}")
    names = ["u"] if len(came) == 1 else [f"u[{k}]" for k in range(len(came))]
    came = [each[:, None] if getattr(each, "ndim", 2) == 1 else each for each in came]
    checked = [array(each, name, (length, input_dim)) for each, name, length in zip(came, names, rows, strict=False)]
    return [each.astype(np.float64) for each in checked] or None
