"""The clock of a recording: which column or index holds the time, its step, and the rows that are missing on its grid.

    t_k = t_0 + n_k dt,    n_0 = 0 < n_1 < ...    (n_k = k where no row is missing)

A column is the clock if it holds dates, if it is called time or the like, or if it counts up evenly: no observable of a
stationary system does. Dates are read in seconds. No paper: bookkeeping, the same for every source.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_UNIT = r"(s|secs?|seconds?|ms|msecs?|milliseconds?|us|µs|ns|min|minutes?|h|hours?|d|days?|yr|years?)"
UNIT = re.compile(rf".*[\[(_/, ]\s*{_UNIT}\s*[\])]?", re.IGNORECASE)
# "time (s)", "t [ms]", "time_s", "Date Time"; but "T (degC)" is a temperature
CLOCK_NAME = re.compile(
    rf"t(\s*[\[(_/,]\s*{_UNIT}\s*[\])]?)?|(times?|time ?stamps?|date|date.?time)\s*([\[(_/,].*)?", re.IGNORECASE
)
COUNTER_NAME = re.compile(
    r"index|idx|#|n|no\.?|i|k|(sample|frame|row)s?([ _]?(no\.?|number|index|id))?|" + _UNIT, re.IGNORECASE
)
ID_NAME = re.compile(
    r"(trial|epoch|run|session|subject|participant|patient|segment)s?([ _-]?(id|no|nr|number|index|name))?|id",
    re.IGNORECASE,
)
FEWEST = 5  # rows from which on a column that counts evenly is no chance (ours)
MOST_GRID = 10  # times the rows that are there; a longer grid is one of several recordings (ours)


@dataclass(frozen=True)
class Table:
    """Columns before it is decided which are data.

    Args:
        values: (T, N), NaN throughout in columns that hold no numbers.
        names: of the columns; empty where the source has none.
        stamps: seconds since the first, for columns that hold dates.
        text: the cells of columns that hold text, and the sentence that refuses them as data.
        index: stamps beside the table and their name, such as the index of a data frame.
        dt: the step that the source states, in `unit`.
        notes: what the source says about its sampling and nobody used; a warning where no step was given.
    """

    values: Float[np.ndarray, "time columns"]
    names: tuple[str, ...]
    stamps: dict[int, Float[np.ndarray, " time"]] = field(default_factory=dict)
    text: dict[int, tuple[np.ndarray, str]] = field(default_factory=dict)
    index: tuple[str, Float[np.ndarray, " time"]] | None = None
    dt: float | None = None
    unit: str = ""
    notes: tuple[str, ...] = ()

    def rows(self, chosen: np.ndarray) -> Table:
        """The table with these rows only."""
        return replace(
            self,
            values=self.values[chosen],
            stamps={place: stamps[chosen] for place, stamps in self.stamps.items()},
            text={place: (cells[chosen], words) for place, (cells, words) in self.text.items()},
            index=None if self.index is None else (self.index[0], self.index[1][chosen]),
        )


@dataclass(frozen=True)
class Clock:
    """The stamps of the rows; `counts` says that they number the rows, so that a step of 1 is no time."""

    name: str
    stamps: Float[np.ndarray, " time"]
    unit: str = ""
    counts: bool = False


def positions(names: Sequence[str], columns: int | str | Sequence[int | str]) -> list[int]:
    """Where the wanted columns stand, given by position from 0 or by name.

    >>> positions(["t", "x", "y"], ["y", 1])
    [2, 1]
    """
    names = list(names)
    wanted = list(columns) if isinstance(columns, Sequence | np.ndarray) and not isinstance(columns, str) else [columns]
    if not wanted:
        raise ValueError("columns is empty; pass at least one position or name")
    found = []
    for column in wanted:
        if isinstance(column, str) and names.count(column) > 1:
            raise ValueError(f"{names.count(column)} columns are called {column!r}; pass columns= by position")
        if isinstance(column, str) and column in names:
            found.append(names.index(column))
        elif isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < len(names):
            found.append(int(column))
        else:
            named = ", ".join(f"{place} {name!r}" if name else str(place) for place, name in enumerate(names))
            raise ValueError(f"there is no column {column!r}; pass columns= out of these: {named}")
    return found


def find_clock(table: Table, data: list[int] | None, apart: Sequence[int] = ()) -> tuple[Clock | None, list[int]]:
    """Return the clock and the columns that are data: those of `data` if the caller chose, else all but clocks.

    Columns `apart` are neither. A clock that is recognised by its values alone is named in a warning.
    """
    names, everything = table.names, [place for place in range(len(table.names)) if place not in apart]
    if not table.values.size or table.values.ndim != 2:
        return None, data or everything  # for Series to refuse
    others = [place for place in everything if data is None or place not in data]
    index = [0] if 0 in others and _is_row_index(table) else []  # pandas writes it, without a name
    named = [p for p in others if p in table.stamps or (len(names) > 1 and _is_clock_name(names[p], p))]
    left = [p for p in others if p not in named + index]
    even = [p for p in left if _counts_evenly(table.values[:, p])]
    if len(even) == len(everything):
        if len(even) > 1:
            warnings.warn("every column counts up evenly, so all are kept as data; pass columns=", stacklevel=4)
        even = []
    clock = _named_clock(table, named) if named else None
    if table.index is not None and (clock is None or not _numbers_rows(table.index[1])):
        clock = Clock(*table.index, table.unit, not table.unit and _numbers_rows(table.index[1]))
    if clock is None and index:
        clock = Clock("index", table.values[:, 0], counts=True)
    if even and (clock is None or clock.counts):
        place = next((p for p in even if np.diff(table.values[:2, p]) != 1), even[0])  # a count of rows says less
        clock, named = _clock_at(table, place), named + even
        step = (clock.stamps[-1] - clock.stamps[0]) / (len(clock.stamps) - 1)
        what = f"column {_label(names, even)} counts up evenly, so it is taken for the clock (by {step:.6g} a row)"
        warnings.warn(f"{what} and is no data; pass columns= if wrong", stacklevel=4)
    elif even:
        counters = [p for p in even if COUNTER_NAME.fullmatch(names[p].strip())]
        named = named + counters
        if data is None and not counters:
            what = f"column {_label(names, even)} counts up evenly and is kept as data"
            warnings.warn(f"{what}; choose others by columns=", stacklevel=4)
    rising = [
        p for p in left if p not in even and (_rises(table.values[:, p]) or _rises(table.values[:, p], falls=True))
    ]
    if rising and data is None:
        what = f"column {_label(names, rising[:1])} rises or falls in every row, as a clock does, but unevenly"
        warnings.warn(f"{what}, and is kept as data; choose others by columns=, or call it time", stacklevel=4)
    return clock, [p for p in everything if p not in named + index] if data is None else data


def _named_clock(table: Table, named: list[int]) -> Clock:
    """The first; a date and a time of day are one together."""
    clock = _clock_at(table, named[0])
    dated = [table.stamps[place] for place in named if place in table.stamps]
    if len(dated) == 2 and len(named) == 2 and not (np.diff(dated[0]) > 0).all():
        return Clock(" ".join(table.names[place] for place in named), dated[0] + dated[1], "s")
    return clock


def _clock_at(table: Table, place: int) -> Clock:
    name, stamps = table.names[place] or str(place), table.values[:, place]
    if place in table.stamps:
        return Clock(name, table.stamps[place], "s")
    if name.strip().lower().startswith("date") and ((stamps > 1e7) & (stamps < 1e8)).all():
        raise ValueError(
            f"column {name!r} holds {stamps[0]:.0f}, a date without separators; pass a frame with "
            f"pandas.to_datetime(frame[{name!r}], format='%Y%m%d') in its place"
        )
    unit = UNIT.fullmatch(name)
    counts = not _is_clock_name(name, place) and _numbers_rows(stamps)
    return Clock(name, stamps, unit[1] if unit else "", counts)


def _is_clock_name(name: str, place: int) -> bool:
    return name.strip() != "T" * (place > 0) and bool(CLOCK_NAME.fullmatch(name.strip()))


def _label(names: Sequence[str], places: Sequence[int]) -> str:
    return " and ".join(repr(names[place]) if names[place] else str(place) for place in places)


def _is_row_index(table: Table) -> bool:
    """Whether a nameless first column beside named ones holds whole numbers: the index of a data frame."""
    nameless = table.names[0] in ("", "Unnamed: 0") and any(table.names[1:])
    column = table.values[:, 0]
    return nameless and 0 not in table.stamps and bool((np.rint(column) == column).all())


def _numbers_rows(stamps: np.ndarray) -> bool:
    """Whether the stamps are whole numbers of which two follow each other: they number the rows."""
    return bool((np.rint(stamps) == stamps).all() and (stamps[1:] == stamps[:-1] + 1).any())


def _rises(column: Float[np.ndarray, " time"], fewest: int = 4 * FEWEST, falls: bool = False) -> bool:
    compare = np.less if falls else np.greater
    parts = column[:50], column  # most columns turn soon
    return len(column) >= fewest and all(compare(part[1:], part[:-1]).all() for part in parts)


def _counts_evenly(column: Float[np.ndarray, " time"]) -> bool:
    if not _rises(column, FEWEST):
        return False
    stamps, rows = column.astype(np.float64), np.arange(len(column))
    return _fits(stamps, (stamps[-1] - stamps[0]) / rows[-1], rows)


def place_on_grid(stamps: Float[np.ndarray, " time"], name: str) -> tuple[float, Int[np.ndarray, " time"] | None]:
    """Return the step dt of the stamps, and the place n_k of each row on the grid, None where no row is missing.

    A stamp may be off the grid by 1 % of dt or by one unit of the last digit that it was written with (the
    same decimals for all, or the same significant digits), but never by 0.3 dt or more.

    Raises: ValueError for a missing, repeated, decreasing or irregular stamp, with its row counted from 0.

    >>> place_on_grid(np.array([0.0, 0.33, 0.67, 1.0]), "t")[0].__round__(3)
    0.333
    >>> place_on_grid(np.array([0.0, 0.1, 0.2, 0.4, 0.5]), "t")[1].tolist()
    [0, 1, 2, 4, 5]
    """
    require_increasing(stamps, name)
    if len(stamps) < 2:
        raise ValueError(f"the clock {name!r} has one stamp and so no step; pass dt= and columns= for the rest")
    gaps = np.diff(stamps)
    dt = float((stamps[-1] - stamps[0]) / len(gaps))
    if _fits(stamps, dt, np.arange(len(stamps))):
        return dt, None
    steps = np.maximum(1, np.rint(gaps / np.median(gaps)))
    steps = np.maximum(1, np.rint(gaps / gaps[steps == 1].mean()))
    rows = np.concatenate([[0.0], np.cumsum(steps)])
    dt = float((stamps[-1] - stamps[0]) / rows[-1])
    if rows[-1] > MOST_GRID * len(rows) or not _fits(stamps, dt, rows):
        row = int(np.argmax(np.abs(gaps - np.median(gaps)))) + 1
        raise ValueError(
            f"the clock {name!r} is irregular: row {row} comes {gaps[row - 1]:.6g} after the one before, the "
            f"median step is {np.median(gaps):.6g}; pass resample={np.median(gaps):.6g} to interpolate to equal steps, "
            "or each recording as a file of its own"
        )
    return dt, rows.astype(np.int64)


def require_increasing(stamps: Float[np.ndarray, " time"], name: str) -> None:
    """Refuse a stamp that is missing, repeated or earlier than the one before."""
    wrong = ~np.isfinite(stamps)
    if wrong.any():
        advice = "write times as numbers or as ISO dates, or pass dt= and columns= for the rest"
        raise ValueError(f"the clock {name!r} has no number in row {int(np.argmax(wrong))}; {advice}")
    if not (np.diff(stamps) > 0).all():
        row = int(np.argmax(np.diff(stamps) <= 0)) + 1
        raise ValueError(
            f"the clock {name!r} does not increase: row {row} has {stamps[row]:.10g} after {stamps[row - 1]:.10g}; "
            "sort the rows, remove repeated ones, write it with more digits, pass each recording as a file of its own, "
            "or id= the column that tells them apart, or pass dt= and columns= for the rest"
        )


def _fits(stamps: np.ndarray, dt: float, rows: np.ndarray) -> bool:
    off_grid = np.abs(stamps - (stamps[0] + dt * rows)).max()
    return bool(off_grid <= 0.01 * dt or off_grid <= min(_last_digit(stamps), 0.3 * dt))


def _last_digit(stamps: Float[np.ndarray, " time"]) -> float:
    """The unit of the last digit that the stamps need: of the same decimals for all, or of significant ones (%.6g)."""
    size = np.floor(np.log10(np.abs(np.where(stamps == 0, 1, stamps))))
    found = []
    for units in ([np.asarray(10.0**-k) for k in range(10)], [10.0 ** (size - k) for k in range(9)]):
        scaled = (stamps / unit for unit in units)
        exact = [np.allclose(each, np.round(each), rtol=0, atol=1e-4) for each in scaled]
        found.append(float(units[exact.index(True)].max()) if any(exact) else 0.0)
    return max(found)
