"""Input checks of `fit`: recordings in the model's units, a model that observes their columns, external inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx

from ..data import Scaling, Series
from ..models import Model

__all__ = ["check_inputs", "check_recordings", "set_observed_dim"]


def check_recordings(series: Any, *, standardise: bool) -> list[Series]:
    """Return the recordings under one scaling: the one that they share, else mean and std over all of them."""
    recordings = [series] if isinstance(series, Series) else list(series) if isinstance(series, list | tuple) else None
    if not recordings or not all(isinstance(s, Series) for s in recordings):
        came = type(series).__name__ if recordings is None else ", ".join(type(s).__name__ for s in recordings)
        raise TypeError(
            f"series is {came or 'an empty list'}; pass a Series or a list of them, made by "
            "gtfdeer.data.read_series(values, dt=...)"
        )
    first = recordings[0]
    for other in recordings[1:]:
        if other.columns != first.columns or not np.isclose(other.dt, first.dt) or other.embedding != first.embedding:
            raise ValueError(
                f"recordings differ: {other!r} against {first!r}; pass recordings with the same columns, dt and "
                "embedding"
            )
    scaling = _pool_scaling(recordings) if standardise else first.scaling
    recordings = [s.unscaled() if scaling is None else s.scaled_by(scaling) for s in recordings]
    largest = max(float(np.nanmax(np.abs(s.values))) for s in recordings)
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"the values reach {largest:.3g}, more than float32 holds; leave standardise=True, or take another unit"
        )
    return recordings


def _pool_scaling(recordings: list[Series]) -> Scaling | None:
    if recordings[0].scaling is not None:
        return recordings[0].scaling
    rows, names = np.concatenate([s.unscaled().values for s in recordings]), ", ".join(s.name for s in recordings)
    return Series(rows, dt=recordings[0].dt, name=names, wide=True).standardise().scaling


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
        raise ValueError(
            f"series has {columns} columns but the model observes {model.observed_dim}; pass observed_dim={columns}"
        )
    build: Any = type(model)
    copy = build(**{**config, "observed_dim": columns}, rngs=nnx.Rngs(0))
    old, new = (dict(nnx.to_flat_state(nnx.state(each, nnx.Param))) for each in (model, copy))
    kept = {path: old[path] if path in old and old[path].shape == fresh.shape else fresh for path, fresh in new.items()}
    nnx.update(copy, nnx.from_flat_state(kept))
    return copy


def check_inputs(model: Model, u: Any, rows: Sequence[int]) -> list[np.ndarray] | None:
    """Return external inputs as float32 arrays `(T, K)`, one a recording of so many rows; None for a model without.

    Raises:
        ValueError, TypeError: if they are not one finite row of real numbers a step.
    """
    input_dim = getattr(model, "input_dim", 0)
    wanted = [(length, input_dim) for length in rows]
    shapes_wanted = str(wanted[0] if len(wanted) == 1 else wanted)
    if u is None:
        if input_dim:
            raise ValueError(
                f"the model has input_dim={input_dim} but no input came; pass u of shape {shapes_wanted}, one row a "
                "time step"
            )
        return None
    came = [np.asarray(a) for a in (u if isinstance(u, list | tuple) else [u])]
    for array in came:
        if array.dtype.kind not in "fiub":
            kind = "complex numbers" if array.dtype.kind == "c" else f"{array.dtype}"
            raise TypeError(f"u holds {kind}; pass real numbers, one row a time step")
    arrays = [a[:, None] if a.ndim == 1 else a for a in (array.astype(np.float32) for array in came)]
    shapes = [a.shape for a in arrays]
    shapes_came = str(shapes[0] if len(shapes) == 1 else shapes)
    if shapes != wanted and [shape[::-1] for shape in shapes] == wanted:
        raise ValueError(f"u has shape {shapes_came}, time along the second axis; pass u.T, of shape {shapes_wanted}")
    if shapes != wanted:
        advice = (
            f"pass u of shape {shapes_wanted}"
            if input_dim
            else f"pass u=None, or a model with input_dim={shapes[0][-1]}"
        )
        raise ValueError(
            f"u has shape {shapes_came} for {', '.join(map(str, rows))} steps and a model with input_dim={input_dim}; "
            f"{advice}"
        )
    for array in arrays:
        finite = np.isfinite(array).all(axis=1)
        if not finite.all():
            raise ValueError(f"u is not finite in row {int(finite.argmin())}; pass finite numbers")
    return arrays
