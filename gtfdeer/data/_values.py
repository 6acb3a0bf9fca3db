"""The door for numbers: a table (T, N) of float32 or float64, finite or NaN, time first.

No equation: these checks turn a wrong array into one sentence before it turns into a wrong result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike


def as_values(given: ArrayLike) -> Float[np.ndarray, "time columns"]:
    """Return `given` as a read-only (T, N) table; (T,) becomes (T, 1), whole numbers become float32.

    Raises: TypeError for complex numbers, text and objects; ValueError for empty, ragged, three-dimensional,
    infinite and all-NaN arrays.

    >>> as_values([1, 2, 3]).shape, as_values([1, 2, 3]).dtype
    ((3, 1), dtype('float32'))
    """
    array = real_numbers(given)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"values has shape {array.shape}; pass (T, N), one row per time step, or (T,) for one column")
    if array.size == 0:
        raise ValueError(f"values has shape {array.shape}, which holds no number; pass at least one row and one column")
    if np.isinf(array).any():
        row, column = np.argwhere(np.isinf(array))[0]
        raise ValueError(
            f"values is infinite in row {row}, column {column}; pass finite numbers, NaN where one is missing"
        )
    empty = np.isnan(array).all(axis=0)
    if empty.all():
        raise ValueError(f"values of shape {array.shape} is NaN throughout; pass a recording with numbers in it")
    if empty.any():
        column = int(np.argmax(empty))
        raise ValueError(
            f"column {column} of values is NaN throughout, so every row would be a gap; leave that column out"
        )
    array = array.view()
    array.flags.writeable = False
    return array


def real_numbers(given: ArrayLike) -> np.ndarray:
    """Return an array of float32 or float64; refuse what is not a real number."""
    try:
        array = np.asarray(given)
    except ValueError as problem:
        raise ValueError(
            f"values is no rectangular table ({problem}); pass the same number of columns in every row"
        ) from problem
    if array.dtype.kind == "c":
        raise TypeError("values holds complex numbers; pass real ones, for example values.real")
    if array.dtype.kind not in "iubf" and array.dtype.name != "bfloat16":
        raise TypeError(f"values holds {array.dtype} and not numbers; pass an array of float32 or float64")
    double = array.dtype.kind == "f" and array.dtype.itemsize >= 8
    return array.astype(np.float64 if double else np.float32, copy=False)


def require_time_first(shape: tuple[int, ...]) -> None:
    """Refuse a table with more columns than rows: nearly always one whose axes are swapped."""
    rows, columns = shape
    if columns > rows:
        raise ValueError(
            f"values has shape {shape}, so {columns} columns in {rows} time step{'s' * (rows > 1)}, but time "
            "is the first axis, (T, N): pass values.T, or wide=True if more columns than time steps are "
            "meant"
        )
