"""One trajectory as a table, names of its columns, limits that two orbits share, values for a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike


def as_table(values: ArrayLike, name: str) -> Float[np.ndarray, "time columns"]:
    """One trajectory as a (T, N) array of floats; a vector becomes one column."""
    array = np.asarray(values, dtype=float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; pass one trajectory of shape (time, columns): {name}[0]")
    return array


def as_pair(
    reference: ArrayLike, generated: ArrayLike
) -> tuple[Float[np.ndarray, "time columns"], Float[np.ndarray, "steps columns"]]:
    """Two trajectories with the same columns; the reference sets the limits, so it needs a finite number."""
    data, model = as_table(reference, "reference"), as_table(generated, "generated")
    N, generates = data.shape[1], model.shape[1]
    if generates != N:
        raise ValueError(f"the reference has {N} columns but the generated series has {generates}; pass the same")
    return data, model


def as_vector(values: ArrayLike, name: str) -> Float[np.ndarray, " length"]:
    """A non-empty (K,) array of floats."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; pass a vector, such as {name}.ravel()")
    return array


def column_names(total: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """One name a column: x_1, x_2, ... where none is given."""
    if names is None:
        return tuple(f"$x_{{{column + 1}}}$" for column in range(total))
    if len(names) != total:
        raise ValueError(f"{len(names)} names were given for {total} columns; pass one name a column")
    return tuple(names)


def common_limits(data: Float[np.ndarray, " time"], model: Float[np.ndarray, " steps"]) -> tuple[float, float]:
    """Axis limits that hold all the data, and the model as far as half the data's range beyond them."""
    known = data[np.isfinite(data)]
    if not known.size:
        raise ValueError("the reference has a column without a finite number; pass columns that hold data")
    low, high = float(known.min()), float(known.max())
    span = high - low if high > low else max(abs(high), 1.0)
    finite = model[np.isfinite(model)]
    lowest = max(finite.min(initial=low), low - span / 2)
    highest = min(finite.max(initial=high), high + span / 2)
    return float(lowest - 0.05 * span), float(highest + 0.05 * span)


def envelope(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], most: int = 4_000
) -> tuple[Float[np.ndarray, " drawn"], Float[np.ndarray, " drawn"]]:
    """A curve of many points by the lowest and the highest of every few, which share a pixel: it draws at once.

    >>> [len(each) for each in envelope(np.arange(100_000.0), np.zeros(100_000))]
    [4000, 4000]
    """
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(y), most // 2, endpoint=False).astype(int)
    lowest, highest = np.fmin.reduceat(y, edges), np.fmax.reduceat(y, edges)
    return np.repeat(x[edges], 2), np.stack([lowest, highest], axis=1).ravel()


def missing_share(coordinates: Sequence[Float[np.ndarray, " time"]], limits: Sequence[tuple[float, float]]) -> float:
    """The share of points, between 0 and 1, that are not finite or lie outside the limits."""
    inside = [(low <= x) & (x <= high) for x, (low, high) in zip(coordinates, limits, strict=True)]
    return float(1 - np.mean(np.logical_and.reduce(inside)))


def above_zero(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Values for a logarithmic axis: an exact zero sits at the rounding error, or at the smallest value."""
    if (values < 0).any():
        raise ValueError(f"a logarithmic axis was given {np.nanmin(values):.3g}; pass norms or squares instead")
    positive = values[np.isfinite(values) & (values > 0)]
    floor = positive.min(initial=float(np.finfo(np.float64).eps))
    return np.where(values == 0, floor, values)
