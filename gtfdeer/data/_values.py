"""Numbers on their way into a series: a table (T, N) of float32 or float64, finite or NaN, time first.

A masked cell becomes NaN. Whole numbers become float32 where it holds them exactly, else float64. No paper: these
checks turn a wrong array into one sentence before it turns into a wrong result.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

# A value is suspicious so many median deviations away from the median; if it is one of the usual codes, sooner.
FAR, REPEATED = 1000, 15
CODES = (-99, 99, -999, 999, -9999, 9999, -99999, 99999, -32768, 32767)


def as_values(given: ArrayLike) -> Float[np.ndarray, "time columns"]:
    """Return `given` as a read-only (T, N) table; (T,) becomes (T, 1).

    Raises: TypeError for complex numbers, text and objects; ValueError for empty, ragged, three-dimensional,
    infinite and all-NaN arrays.

    >>> as_values([1, 2, 3]).shape, as_values([1, 2, 3]).dtype, as_values([10**9, 10**9 + 1]).dtype
    ((3, 1), dtype('float32'), dtype('float64'))
    >>> as_values(np.ma.array([1.0, 2.0], mask=[False, True])).tolist()
    [[1.0], [nan]]
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
    """Return an array of float32 or float64, NaN where `given` is masked; refuse what is not a real number."""
    if isinstance(given, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in given):
        given = np.ma.array(given)
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
    masked = np.ma.getmask(given)
    numbers = array.astype(_precision(array), copy=masked is not np.ma.nomask)
    if masked is not np.ma.nomask:
        numbers[masked] = np.nan
    return numbers


def _precision(array: np.ndarray) -> type:
    """float32 where it holds every number exactly as it came, else float64; a loss even there is warned of."""
    if array.dtype.kind == "f":
        if array.dtype.itemsize > 8 and not np.array_equal(array.astype(np.float64), array, equal_nan=True):
            warnings.warn(f"{array.dtype} is rounded to float64", stacklevel=5)
        return np.float64 if array.dtype.itemsize >= 8 else np.float32
    if array.dtype.kind not in "iu" or array.size == 0:
        return np.float32
    largest = max(-int(array.min()), int(array.max()))
    if largest > 2**53:
        warnings.warn(
            f"whole numbers up to {largest} are rounded to float64, which holds them up to 2**53; subtract an offset "
            "before",
            stacklevel=5,
        )
    return np.float64 if largest > 2**24 else np.float32


def require_time_first(shape: tuple[int, ...]) -> None:
    """Refuse a table with more columns than rows: nearly always one whose axes are swapped."""
    rows, columns = shape
    if columns > rows:
        raise ValueError(
            f"values has shape {shape}, so {columns} columns in {rows} time step{'s' * (rows > 1)}, but time "
            "is the first axis, (T, N): pass values.T, or wide=True if more columns than time steps are "
            "meant"
        )


def warn_of_far_values(values: Float[np.ndarray, "time columns"], names: Sequence[str]) -> None:
    """Warn of a value so far from all others of its column that it must be a code for a missing one, or a glitch.

    >>> x = np.random.default_rng(0).normal(size=(50, 1)); x[7] = -9999
    >>> with warnings.catch_warnings(record=True) as caught: warn_of_far_values(x, ["x"])
    >>> print(caught[0].message)                                            # doctest: +ELLIPSIS
    row 7, column 0 'x' is -9999, ... spreads from the median; if it marks missing values, pass missing=-9999
    """
    found = []
    for place, column in enumerate(values.T):
        sample = column[:: max(1, len(column) // 100_000)]
        sample = sample[~np.isnan(sample)].astype(np.float64)
        centre = np.median(sample) if len(sample) else 0.0
        low, high = float(np.nanmin(column)), float(np.nanmax(column))
        code = low if centre - low > high - centre else high
        distances = np.abs(sample - centre)
        inner = distances[distances < abs(code - centre) / 2]  # a column that mostly stands still has no median one
        spread = float(np.median(distances) or (np.mean(inner) if len(inner) else 0)) if len(sample) else 0.0
        far = abs(code - centre) / spread if spread else 0.0
        if far > FAR or (code in CODES and far > REPEATED and np.count_nonzero(column == code) > 1):
            found.append((place, code, far))
    if found:
        place, code, far = found[0]
        row, name = int(np.argmax(values[:, place] == code)), f" {names[place]!r}" if any(names) else ""
        more = f", and columns {[each[0] for each in found[1:]]} have such values" if found[1:] else ""
        warnings.warn(
            f"row {row}, column {place}{name} is {code:.10g}, {far:.3g} spreads from the median{more}; if it marks "
            f"missing values, pass missing={code:.10g}",
            stacklevel=4,
        )
