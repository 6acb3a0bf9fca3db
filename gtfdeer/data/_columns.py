"""Named columns on their way from a file to a series: which of them are data, which are the clock.

    a first column without a name that counts up by one is a row number (pandas writes one) and is dropped
    a first column named t, time or timestamp is the clock: it sets dt and is dropped

No paper: bookkeeping, kept apart so that every kind of file is treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

# Also "time (s)", "t [ms]", "time_s".
CLOCK_NAME = re.compile(r"(t|time|timestamp|timestamps)\s*([\[(_/,].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Values (T, N) and what the file called its columns; an empty name where it called them nothing.

    >>> Table(np.array([[0.0, 5.0], [1.0, 6.0]]), ("time", "x")).names[1]
    'x'
    """

    values: Float[np.ndarray, "time columns"]
    names: tuple[str, ...]


def row_number_column(table: Table) -> int | None:
    """The position of a nameless first column that counts the rows, 0, or None.

    In a table whose columns have no names at all, a column that counts is data.
    """
    nameless = table.names[:1] in (("",), ("Unnamed: 0",)) and any(table.names[1:])
    return 0 if nameless and (np.diff(table.values[:, 0]) == 1).all() else None


def clock_column(names: Sequence[str]) -> int | None:
    """The position of the clock, 0, or None: only a first column that is not the only one can be it.

    >>> clock_column(["time (s)", "x"]), clock_column(["temperature", "x"])
    (0, None)
    """
    return 0 if len(names) > 1 and CLOCK_NAME.fullmatch(names[0].strip()) else None


def positions(names: Sequence[str], columns: int | str | Sequence[int | str]) -> list[int]:
    """Where the wanted columns stand, given by position from 0 or by name.

    Raises: ValueError listing the columns, if one of the wanted is not among them.

    >>> positions(["t", "x", "y"], ["y", 1])
    [2, 1]
    """
    if not isinstance(columns, int | str | Sequence | np.ndarray):
        raise TypeError(f"columns is {columns!r}; pass a position from 0, a name, or a list of these")
    wanted = [columns] if isinstance(columns, int | str) else list(columns)
    if not wanted:
        raise ValueError("columns is empty; pass at least one position or name")
    return [_position(names, column) for column in wanted]


def needed_positions(names: Sequence[str], columns: int | str | Sequence[int | str] | None) -> set[int]:
    """The columns that must hold numbers: the wanted ones, or all."""
    return set(range(len(names)) if columns is None else positions(names, columns))


def _position(names: Sequence[str], column: int | str) -> int:
    """One column's place."""
    if isinstance(column, str) and column in names:
        return list(names).index(column)
    if isinstance(column, int | np.integer) and 0 <= column < len(names):
        return int(column)
    named = ", ".join(f"{place} {name!r}" if name else str(place) for place, name in enumerate(names))
    raise ValueError(f"there is no column {column!r}; pass columns= out of these: {named}")


class ClockContradiction(ValueError):
    """The clock of a file steps otherwise than it should.

    Args:
        name: of the clock column.
        measured: its step.
        expected: what was asked for.
    """

    def __init__(self, name: str, measured: float, expected: float) -> None:
        super().__init__(
            f"dt={expected} was passed but column {name!r} steps by {measured:.6g}; leave dt out, or choose the "
            "other columns with columns= if the clock is wrong or in another unit"
        )
        self.name, self.measured = name, measured


def uniform_step(stamps: Float[np.ndarray, " time"]) -> float:
    """Return the time step of equally spaced stamps: dt = (t_{T-1} - t_0) / (T - 1).

    A stamp may be off the straight line by 1 % of dt or by one unit of the last digit that it was written with (the
    same decimals for all, or the same significant digits), but never by 0.3 dt or more: then a row is missing.

    Raises: ValueError for a missing, repeated, decreasing or irregular stamp, with its row counted from 0.

    >>> uniform_step(np.array([0.0, 0.33, 0.67, 1.0])).__round__(3)
    0.333
    """
    if len(stamps) < 2:
        raise ValueError("the time column has one stamp, which gives no time step; pass dt= and columns= for the rest")
    if not np.isfinite(stamps).all():
        row = int(np.argmin(np.isfinite(stamps)))
        raise ValueError(
            f"the time column has no number in row {row}; write times as numbers, or pass dt= and columns= for the rest"
        )
    gaps = np.diff(stamps)
    dt = float((stamps[-1] - stamps[0]) / (len(stamps) - 1))
    off_line = np.abs(stamps - (stamps[0] + dt * np.arange(len(stamps))))
    unit = max(_last_decimal(stamps), _last_digit(stamps))
    too_few_digits = len(stamps) >= 20 and 0 < dt < 0.9 * unit and off_line.max() <= 2 * unit
    if too_few_digits and (gaps == 0).any():
        row = int(np.argmax(gaps == 0)) + 1
        raise ValueError(
            f"the time column repeats {stamps[row]:.10g} in row {row}, because it is written with too few digits for "
            f"steps of about {dt:.3g}; write it with more, or pass dt= and columns= for the rest"
        )
    if (gaps <= 0).any():
        row = int(np.argmax(gaps <= 0)) + 1
        raise ValueError(
            f"the time column does not increase: row {row} has {stamps[row]:.10g} after "
            f"{stamps[row - 1]:.10g}; sort the rows, remove the repeated ones, and pass each recording as a "
            "file of its own"
        )
    if off_line.max() > max(0.01 * dt, min(unit, 0.3 * dt)):
        row = int(np.argmax(np.abs(gaps - np.median(gaps)))) + 1
        raise ValueError(
            f"the time column is irregular: row {row} comes {gaps[row - 1]:.6g} after the one before, the "
            f"median step is {np.median(gaps):.6g}; resample to equal steps, with NaN rows where samples are "
            "missing"
        )
    return dt


def _last_decimal(stamps: Float[np.ndarray, " time"]) -> float:
    """The unit of the last decimal place that the stamps need, 0 if it is below 1e-9."""
    for places in range(10):
        scaled = stamps * 10.0**places
        if np.allclose(scaled, np.round(scaled), rtol=0, atol=1e-4):
            return 10.0**-places
    return 0.0


def _last_digit(stamps: Float[np.ndarray, " time"]) -> float:
    """The unit of the last significant digit of the largest stamp (%.6g writes six), 0 if they need ten or more."""
    size = np.floor(np.log10(np.abs(np.where(stamps == 0, 1, stamps))))
    for digits in range(1, 10):
        units = 10.0 ** (size - digits + 1)
        scaled = stamps / units
        if np.allclose(scaled, np.round(scaled), rtol=0, atol=1e-4):
            return float(units.max())
    return 0.0
