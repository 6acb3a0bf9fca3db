"""A training job: everything that decides what is learned, checked and standardised before the first update.

model + recordings + inputs + recipe + key  ->  the same result, always, on the same machine
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ..data import Scaling, Series
from ..models import Model
from . import _storage as storage
from ._config import Recipe

if TYPE_CHECKING:
    from jaxtyping import Array

__all__ = ["Job", "longest_stretch", "prepare", "standardised"]

_MOST_LOOKS = 10_000  # a look is up to sixteen free runs as long as the data


@dataclass(frozen=True)
class Job:
    """What is to be trained, on what and how.

    Attributes:
        model: observes the columns of the recordings.
        recordings: in the units that the model lives in.
        inputs: external inputs `(T, K)`, one array a recording, or None.
        recipe: how to train.
        key: for windows and noise.
        validations: how often the free run is judged in the second half, see `gtfdeer.training._validation`.
    """

    model: Model
    recordings: Sequence[Series]
    inputs: Sequence[np.ndarray] | None
    recipe: Recipe
    key: Array
    validations: int

    @property
    def longest_stretch(self) -> np.ndarray:
        """The longest stretch without a gap of all recordings."""
        return max((longest_stretch(s) for s in self.recordings), key=len)

    @property
    def first(self) -> np.ndarray:
        """`(N,)` the first complete row."""
        row = next(s.values[start] for s in self.recordings for start, _ in s.segments())
        return np.asarray(row, np.float32)


def standardised(series: Any, *, standardise: bool) -> list[Series]:
    """The recordings in the model's units: scaled by what they share, or by mean and std over all of them."""
    recordings = [series] if isinstance(series, Series) else list(series) if isinstance(series, list | tuple) else None
    if not recordings or not all(isinstance(s, Series) for s in recordings):
        came = type(series).__name__ if recordings is None else ", ".join(type(s).__name__ for s in recordings)
        raise TypeError(
            f"series is {came or 'an empty list'}; pass a Series or a list of them, made by "
            "gtfdeer.data.read_series(values, dt=...)"
        )
    _require_alike(recordings)
    scaling = _scaling(recordings) if standardise else recordings[0].scaling
    return [s.unscaled() if scaling is None else s.scaled_by(scaling) for s in recordings]


def prepare(model: Any, recordings: Sequence[Series], u: Any, recipe: Recipe, key: Any, validations: Any) -> Job:
    """The job, or one sentence about what does not fit together.

    Raises:
        ValueError, TypeError: with what came, what was expected and what to type.
    """
    model = _observing(model, recordings[0].columns)
    _require_float32(recordings)
    inputs = _check_inputs(model, u, recordings)
    new_style = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not new_style or key.shape != ():
        raise TypeError(f"key is {key!r}; pass one key, jax.random.key(0)")
    if (
        isinstance(validations, bool)
        or not isinstance(validations, int | np.integer)
        or not 0 <= validations <= _MOST_LOOKS
    ):
        raise ValueError(
            f"validations is {validations!r}; pass a whole number of at least 0 and at most {_MOST_LOOKS:,}"
        )
    return Job(model, recordings, inputs, recipe, key, int(validations) if inputs is None else 0)


def longest_stretch(series: Series) -> np.ndarray:
    """The longest stretch of a series without a gap."""
    start, stop = max(series.segments(), key=lambda s: s[1] - s[0])
    return series.values[start:stop]


def _require_alike(recordings: list[Series]) -> None:
    first = recordings[0]
    for other in recordings[1:]:
        if other.columns != first.columns or not np.isclose(other.dt, first.dt) or other.embedding != first.embedding:
            raise ValueError(
                f"recordings differ: {other!r} against {first!r}; pass recordings with the same columns, dt and "
                "embedding"
            )


def _scaling(recordings: list[Series]) -> Scaling:
    """The scaling that the recordings share already, or mean and standard deviation over all of them."""
    first = recordings[0].scaling
    if first is not None:
        return first
    rows, names = np.concatenate([s.unscaled().values for s in recordings]), ", ".join(s.name for s in recordings)
    pooled = Series(rows, dt=recordings[0].dt, name=names, wide=True)
    scaling = pooled.standardise().scaling
    assert scaling is not None
    return scaling


def _require_float32(recordings: Sequence[Series]) -> None:
    largest = max(float(np.nanmax(np.abs(s.values))) for s in recordings)
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            f"the values reach {largest:.3g}, more than float32 holds; leave standardise=True, or take another unit"
        )


def _observing(model: Model, columns: int) -> Model:
    """The model, or, where it was built without `observed_dim`, a copy of it that observes these columns."""
    if not isinstance(model, Model):
        raise TypeError(f"model is {model!r}; pass one from gtfdeer.models, such as ShallowPLRNN(latent_dim=3, ...)")
    if model.observed_dim == columns:
        return model
    config = model.config()
    if config["observed_dim"] is not None:
        raise ValueError(
            f"series has {columns} columns but the model observes {model.observed_dim}; pass observed_dim={columns}"
        )
    build: Any = type(model)
    adapted = build(**{**config, "observed_dim": columns}, rngs=nnx.Rngs(0))
    kept = storage.flat_parameters(model)
    fresh = storage.flat_parameters(adapted)
    storage.set_parameters(
        adapted, {k: kept[k] if k in kept and kept[k].shape == v.shape else v for k, v in fresh.items()}
    )
    return adapted


def _check_inputs(model: Model, u: Any, recordings: Sequence[Series]) -> list[np.ndarray] | None:
    input_dim = getattr(model, "input_dim", 0)
    if u is None:
        if input_dim:
            raise ValueError(f"the model has input_dim={input_dim} but no input came; pass u, one row a time step")
        return None
    came = [np.asarray(a) for a in (u if isinstance(u, list | tuple) else [u])]
    for array in came:
        if array.dtype.kind not in "fiub":
            kind = "complex numbers" if array.dtype.kind == "c" else f"{array.dtype}"
            raise TypeError(f"u holds {kind}; pass real numbers, one row a time step")
    arrays = [a[:, None] if a.ndim == 1 else a for a in (array.astype(np.float32) for array in came)]
    shapes, wanted = [a.shape for a in arrays], [(s.length, input_dim) for s in recordings]
    if shapes != wanted and [shape[::-1] for shape in shapes] == wanted:
        raise ValueError(f"u has shapes {shapes}, with time along the second axis; pass u.T, of shapes {wanted}")
    if shapes != wanted or not all(np.isfinite(a).all() for a in arrays):
        raise ValueError(
            f"u has shapes {shapes}; pass finite arrays of shapes {wanted}, one for each recording, and a model with "
            f"input_dim={shapes[0][-1]}"
        )
    return arrays
