"""The door of every measure: a trajectory is a (T, N) array of real numbers, and the reference is finite.

A reference that is broken is refused, for no score against it means anything. A generated series may be
broken, because models do diverge: each measure says in its own words how badly that scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Shaped


def trajectory(values: Float[Array | np.ndarray, "time observed"], name: str) -> Float[np.ndarray, "time observed"]:
    """Return `values` as a float64 array (T, N), or raise ValueError with a sentence that calls it `name`.

    >>> trajectory([[1, 2]], "reference")
    array([[1., 2.]])
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"{name} is a {type(values).__name__} of dtype {array.dtype}, but an array of real numbers was "
            f"expected; pass its numbers as an array of shape (time, dimension)"
        )
    if array.ndim != 2:
        raise ValueError(
            f"{name} has shape {array.shape}, but (time, dimension) was expected; pass one trajectory at a "
            f"time, and a single variable as {name}[:, None]"
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape} and holds no points; pass at least one time step")
    return array.astype(np.float64)


def finite_trajectory(
    values: Float[Array | np.ndarray, "time observed"], name: str
) -> Float[np.ndarray, "time observed"]:
    """Return `values` as a finite float64 array (T, N), or raise ValueError saying where it is not.

    >>> finite_trajectory([[1.0], [float("nan")]], "reference")
    Traceback (most recent call last):
    ValueError: reference holds 1 value that is not finite, the first in row 1, column 0; cut out ...
    """
    array = trajectory(values, name)
    broken = np.argwhere(~np.isfinite(array))
    if len(broken):
        count = f"{len(broken)} value that is" if len(broken) == 1 else f"{len(broken)} values that are"
        row, column = broken[0]
        raise ValueError(
            f"{name} holds {count} not finite, the first in row {row}, column {column}; "
            f"cut out or interpolate such rows before scoring"
        )
    return array


def require_same_columns(
    reference: Shaped[np.ndarray, "time observed"],
    model: Shaped[np.ndarray, "steps k"],
    name: str = "generated",
):
    """Raise ValueError, calling `model` by `name`, unless both observe the same number of variables."""
    if reference.shape[1] != model.shape[1]:
        raise ValueError(
            f"{name} has {model.shape[1]} columns but reference has {reference.shape[1]}; "
            f"pass the model's observations, in the data's columns, not its latent states"
        )


def require_motion(
    values: Float[np.ndarray, "time observed"], still: Bool[np.ndarray, " observed"], name: str = "reference"
):
    """Raise ValueError, calling `values` by `name`, if a column of it is marked as standing still."""
    if still.any():
        columns = ", ".join(str(column) for column in np.flatnonzero(still))
        raise ValueError(
            f"{name} (shape {values.shape}) is constant in column {columns}, which leaves no range and no "
            f"spectrum to compare; drop that column from what you compare"
        )
