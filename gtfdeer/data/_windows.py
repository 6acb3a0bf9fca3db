"""Where training windows may start in several recordings laid end to end.

    start s is allowed  <=>  rows s, ..., s + length - 1 lie in one segment, and something was observed in row s

A segment ends where more rows in a row than a quarter of a window hold nothing at all. A shorter gap and a missing
cell keep no window away: what is not observed is an innovation of zero (`gtfdeer.forcing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._checks import whole
from ._series import Series

if TYPE_CHECKING:
    from jaxtyping import Int


def window_starts(series: Series | Sequence[Series], length: int) -> Int[np.ndarray, " windows"]:
    """Return every allowed start, ascending, as int32 indices into the concatenated values.

    Args:
        series: one recording or several with the same columns.
        length: rows in a window, at least 1.

    Raises:
        ValueError: if no window fits, with the longest segment that there is.

    >>> window_starts([Series([1.0, 2.0, 3.0]), Series([4.0, np.nan, 6.0, 7.0])], 2)
    array([0, 1, 5], dtype=int32)
    """
    recordings = [series] if isinstance(series, Series) else list(series)
    length = whole(length, "window", example=200)
    total = sum(len(recording) for recording in recordings)
    if total > np.iinfo(np.int32).max:
        raise ValueError(f"the recordings hold {total} rows, more than int32 can count; pass fewer of them")
    starts, longest, offset = [np.zeros(0, np.int32)], 0, 0
    for recording in recordings:
        empty = np.asarray(np.isnan(recording.values).all(axis=1))
        for start, stop in segments_between_gaps(recording, length // 4):
            rows = np.arange(start, stop - length + 1)
            starts.append((offset + rows[~empty[rows]]).astype(np.int32))
            longest = max(longest, stop - start)
        offset += len(recording)
    found = np.concatenate(starts)
    if found.size == 0:
        raise ValueError(
            f"the longest segment without a gap of more than {length // 4} rows has {longest} steps but "
            f"window={length}; pass window={longest} or less"
        )
    return found


def segments_between_gaps(recording: Series, longest_gap: int) -> list[tuple[int, int]]:
    """Return (start, stop) of the segments between gaps of more than `longest_gap` rows in which nothing was observed.

    >>> segments_between_gaps(Series([1.0, np.nan, 3.0, np.nan, np.nan, 6.0]), 1)
    [(0, 3), (5, 6)]
    """
    seen = np.flatnonzero(~np.isnan(recording.values).all(axis=1))
    parts = np.split(seen, np.flatnonzero(np.diff(seen) > longest_gap + 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts if part.size]
