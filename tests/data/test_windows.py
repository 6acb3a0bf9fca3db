"""window_starts against a loop that looks at every window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtfdeer.data import Series, window_starts


def by_looking(recordings, length):
    """A window begins with something observed and holds no run of empty rows longer than a quarter of it."""
    found, offset = [], 0
    for recording in recordings:
        empty = np.isnan(recording.values).all(axis=1)
        for start in range(len(recording) - length + 1):
            last = start + length
            while last < len(recording) and empty[last - 1]:
                last += 1  # a gap that reaches out of the window counts whole
            runs = [len(run) for run in "".join("x" if e else " " for e in empty[start:last]).split()]
            ends_empty = empty[last - 1]  # nothing follows that a prediction could be compared with
            if not empty[start] and max(runs, default=0) <= length // 4 and not ends_empty:
                found.append(offset + start)
        offset += len(recording)
    return found


one_recording = st.lists(st.booleans(), min_size=1, max_size=25).filter(lambda present: any(present))


@given(st.lists(one_recording, min_size=1, max_size=4), st.integers(1, 12))
def test_windows_are_those_that_a_loop_finds(presence, length):
    recordings = [Series(np.where(present, 1.0, np.nan)) for present in presence]
    expected = by_looking(recordings, length)
    if expected:
        starts = window_starts(recordings, length)
        assert starts.dtype == np.int32
        assert starts.tolist() == expected
    else:
        with pytest.raises(ValueError, match=f"steps but window={length}; pass window="):
            window_starts(recordings, length)


def test_a_missing_cell_keeps_no_window_away_and_an_empty_row_does():
    values = np.zeros((8, 2))
    values[3, 1] = np.nan
    assert window_starts(Series(values), 3).tolist() == [0, 1, 2, 3, 4, 5]
    values[3] = np.nan
    assert window_starts(Series(values), 3).tolist() == [0, 4, 5]
    assert window_starts(Series(values), 4).tolist() == [0, 1, 2, 4]
