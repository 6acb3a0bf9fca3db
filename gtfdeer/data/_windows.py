"""Where training windows may start in several recordings laid end to end.

    start s is allowed  <=>  rows s, ..., s + length - 1 lie in one recording and none of them holds a NaN

or, across gaps, if row s is complete and at most half of the rows hold a NaN. With c_t the number of gap rows before
t, a window has c_{s+length} - c_s of them: one cumulative sum and one comparison, O(total rows). No paper: counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import whole
from ._series import Series

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


def window_starts(
    series: Series | Sequence[Series], length: int, *, allow_missing: bool = False
) -> Int[np.ndarray, " windows"]:
    """Return every allowed start, ascending, as int32 indices into the concatenated values.

    Args:
        series: one recording or several with the same columns.
        length: rows in a window, at least 1.
        allow_missing: whether a window may hold gaps.

    Raises:
        ValueError: if no window fits, with the longest stretch that there is; if columns differ.
        TypeError: for anything but series, or a length that is not a whole number.

    >>> window_starts([Series([1.0, 2.0, 3.0]), Series([4.0, np.nan, 6.0, 7.0])], 2)
    array([0, 1, 5], dtype=int32)
    """
    recordings = [series] if isinstance(series, Series) else list(series)
    _require_alike(recordings)
    length = whole(length, "window", example=200)
    total = sum(len(recording) for recording in recordings)
    if total > np.iinfo(np.int32).max:
        raise ValueError(f"the recordings hold {total} rows, more than int32 can count; pass fewer of them")

    offsets = np.cumsum([0, *(len(recording) for recording in recordings)])
    allowed = length // 2 if allow_missing else 0
    found = [
        offset + _starts_in_one(recording, length, allowed)
        for offset, recording in zip(offsets, recordings, strict=False)
    ]
    starts = np.concatenate(found).astype(np.int32)
    if starts.size == 0 and allow_missing:
        raise ValueError(
            f"no window of {length} steps begins with a complete row and has half of its rows complete; "
            "pass a shorter window"
        )
    if starts.size == 0:
        longest = max((stop - start for recording in recordings for start, stop in recording.segments()), default=0)
        advice = (
            f"pass window={longest} or less, or allow_missing=True"
            if longest
            else "pass a recording with complete rows"
        )
        raise ValueError(f"the longest stretch without a gap has {longest} steps but window={length}; {advice}")
    return starts


def _starts_in_one(recording: Series, length: int, allowed: int) -> Int[np.ndarray, " windows"]:
    """The starts within one recording whose window has up to `allowed` gap rows, from the running count of them."""
    gap_rows: Bool[np.ndarray, " time"] = np.any(np.isnan(recording.values), axis=1)
    before = np.concatenate([[0], np.cumsum(gap_rows)])
    missing = before[length:] - before[:-length]
    return np.flatnonzero((missing <= allowed) & ~gap_rows[: len(missing)])


def _require_alike(recordings: list[Series]) -> None:
    """Refuse an empty list, other things than series, and recordings that no one model could observe."""
    for number, recording in enumerate(recordings):
        if not isinstance(recording, Series):
            raise TypeError(
                f"item {number} is a {type(recording).__name__}; pass Series, made by Series(values, dt=...)"
            )
        if recording.columns != recordings[0].columns:
            raise ValueError(
                f"{recording.name!r} has {recording.columns} columns but {recordings[0].name!r} has "
                f"{recordings[0].columns}; pass recordings of the same quantities"
            )
    if not recordings:
        raise ValueError("there is no recording; pass at least one Series")
