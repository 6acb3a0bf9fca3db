"""Numbers on their way into a series: a table (T, N) of float32 or float64, finite or NaN, time first.

A masked cell becomes NaN. Whole numbers become float32 where it holds them exactly, else float64. No paper: these
checks turn a wrong array into one sentence before it turns into a wrong result.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import array as check_array

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

# A value is suspicious so many median deviations away from the median; if it is one of the usual codes, sooner.
FAR, REPEATED = 1000, 15
CODES = (-99, 99, -999, 999, -9999, 9999, -99999, 99999, -32768, 32767)


def as_values(given: ArrayLike, wide: bool = True) -> Float[np.ndarray, "time columns"]:
    """Return `given` as a read-only (T, N) table; (T,) becomes (T, 1).

    Raises: TypeError for complex numbers, text and objects; ValueError for empty, ragged, three-dimensional,
    infinite and all-NaN arrays and, unless `wide`, for one with more columns than rows.

    >>> as_values([1, 2, 3]).shape, as_values([1, 2, 3]).dtype, as_values([10**9, 10**9 + 1]).dtype
    ((3, 1), dtype('float32'), dtype('float64'))
    >>> as_values(np.ma.array([1.0, 2.0], mask=[False, True])).tolist()
    [[1.0], [nan]]
    """
    array = real_numbers(given)
    array = check_array(array[:, None] if array.ndim == 1 else array, "values", ("T", "N"), finite=False)
    if np.isinf(array).any():
        row, column = np.argwhere(np.isinf(array))[0]
        raise ValueError(f"values is infinite in row {row}, column {column}; pass finite numbers, NaN where missing")
    empty = np.isnan(array).all(axis=0)
    if empty.any():
        raise ValueError(f"column {int(np.argmax(empty))} of values is NaN throughout; leave it out")
    if not wide and array.shape[1] > array.shape[0]:
        raise ValueError(
            f"values has shape {array.shape}, so {array.shape[1]} columns in {array.shape[0]} time steps, but time is "
            "the first axis, (T, N): pass values.T, or wide=True if more columns than time steps are meant"
        )
    array = array.view()
    array.flags.writeable = False
    return array


def real_numbers(given: ArrayLike) -> np.ndarray:
    """Return an array of float32 or float64, NaN where `given` is masked or None."""
    if isinstance(given, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in given):
        given = np.ma.array(given)
    masked = np.ma.getmask(given)
    array = check_array(np.ma.getdata(given) if np.ma.isMaskedArray(given) else given, "values", finite=False)
    numbers = array.astype(_precision(array), copy=masked is not np.ma.nomask)
    if masked is not np.ma.nomask:
        numbers[masked] = np.nan
    return numbers


def _precision(array: np.ndarray) -> type:
    """float32 where it holds every number exactly as it came, else float64; a loss even there is warned of."""
    if array.dtype.kind not in "iuf" or (array.dtype.kind == "f" and array.dtype.itemsize <= 4):
        return np.float32
    if array.dtype.kind == "f":
        exact, largest = True, np.inf
    else:
        largest = max(-int(array.min()), int(array.max()))
        exact = largest <= 2**53
    if not exact or (array.dtype.itemsize > 8 and not np.array_equal(array.astype(np.float64), array, equal_nan=True)):
        warnings.warn(f"{array.dtype} is rounded to float64; subtract an offset before", stacklevel=5)
    return np.float64 if largest > 2**24 else np.float32


def warn_of_far_values(values: Float[np.ndarray, "time columns"], names: Sequence[str]) -> None:
    """Warn of a value so far from all others of its column that it must be a code for a missing one, or a glitch.

    >>> x = np.random.default_rng(0).normal(size=(50, 1)); x[7] = -9999
    >>> with warnings.catch_warnings(record=True) as caught: warn_of_far_values(x, ["x"])
    >>> print(caught[0].message)                                            # doctest: +ELLIPSIS
    row 7, column 0 'x' is -9999, ... spreads from the median; if it marks missing values, pass missing=-9999
    """
    found = []
    for place, column in enumerate(values.T):
        sample = column[:: max(1, len(column) // 100_000)].astype(np.float64)
        sample = sample[~(np.isnan(sample) | np.isin(sample, CODES))]
        if not len(sample):
            continue
        centre, low, high = np.median(sample), float(np.nanmin(column)), float(np.nanmax(column))
        code = low if centre - low > high - centre else high
        distances = np.abs(sample - centre)
        inner = distances[distances < abs(code - centre) / 2]  # a column that mostly stands still has no median one
        spread = float(np.median(distances) or (np.mean(inner) if len(inner) else 0))
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
