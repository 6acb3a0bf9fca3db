"""Named columns on their way from a file to a series: which of them are data, which are the clock.

    a first column without a name that counts 0, 1, 2, ... is a row number (pandas writes one) and is dropped
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

CLOCK_NAME = re.compile(r"(t|time|timestamp|timestamps)\s*([\[(_/,].*)?", re.IGNORECASE)  # also "time (s)", "t [ms]"


@dataclass(frozen=True)
class Table:
    """Values (T, N) and what the file called its columns; an empty name where it called them nothing.

    >>> Table(np.array([[0.0, 5.0], [0.5, 6.0]]), ("time", "x")).clock_column()
    0
    """

    values: Float[np.ndarray, "time columns"]
    names: tuple[str, ...]

    def without_row_numbers(self) -> Table:
        """Drop a nameless first column 0, 1, 2, ...; a table whose columns have no names at all stays as it is."""
        nameless = self.names[0] in ("", "Unnamed: 0") and any(self.names[1:])
        if nameless and np.array_equal(self.values[:, 0], np.arange(len(self.values))):
            return Table(self.values[:, 1:], self.names[1:])
        return self

    def clock_column(self) -> int | None:
        """The position of the clock, 0, or None: only a first column that is not the only one can be it."""
        return 0 if len(self.names) > 1 and CLOCK_NAME.fullmatch(self.names[0].strip()) else None

    def positions(self, columns: int | str | Sequence[int | str]) -> list[int]:
        """Where the wanted columns stand, given by position from 0 or by name.

        Raises: ValueError listing the columns, if one of the wanted is not among them.
        """
        wanted = [columns] if isinstance(columns, int | str) else list(columns)
        if not wanted:
            raise ValueError("columns is empty; pass at least one position or name")
        return [self._position(column) for column in wanted]

    def _position(self, column: int | str) -> int:
        """One column's place."""
        if isinstance(column, str) and column in self.names:
            return self.names.index(column)
        if isinstance(column, int | np.integer) and 0 <= column < len(self.names):
            return int(column)
        named = ", ".join(f"{place} {name!r}" if name else str(place) for place, name in enumerate(self.names))
        raise ValueError(f"there is no column {column!r}; pass columns= out of these: {named}")


def uniform_step(stamps: Float[np.ndarray, " time"]) -> float:
    """Return the time step of equally spaced stamps: dt = (t_{T-1} - t_0) / (T - 1).

    A stamp may be off the straight line by 1 % of dt or by one unit of its last decimal place (times written
    with few digits), but never by 0.3 dt or more: then a row is missing.

    Raises: ValueError for a missing, repeated, decreasing or irregular stamp, with its row counted from 0.

    >>> uniform_step(np.array([0.0, 0.33, 0.67, 1.0])).__round__(3)
    0.333
    """
    if len(stamps) < 2:
        raise ValueError("the time column has one stamp, which gives no time step; pass dt= and columns= for the rest")
    if not np.isfinite(stamps).all():
        row = int(np.argmin(np.isfinite(stamps)))
        raise ValueError(f"the time column has no number in row {row}; fill it in, or choose the other columns with columns=")
    gaps = np.diff(stamps)
    if (gaps <= 0).any():
        row = int(np.argmax(gaps <= 0)) + 1
        raise ValueError(
            f"the time column does not increase: row {row} has {stamps[row]:.10g} after {stamps[row - 1]:.10g}; sort the rows, "
            "remove the repeated ones, and pass each recording as a file of its own"
        )
    dt = float((stamps[-1] - stamps[0]) / (len(stamps) - 1))
    off_line = np.abs(stamps - (stamps[0] + dt * np.arange(len(stamps))))
    if off_line.max() > max(0.01 * dt, min(_last_decimal(stamps), 0.3 * dt)):
        row = int(np.argmax(np.abs(gaps - np.median(gaps)))) + 1
        raise ValueError(
            f"the time column is irregular: row {row} comes {gaps[row - 1]:.6g} after the one before, the median step is "
            f"{np.median(gaps):.6g}; resample to equal steps, with NaN rows where samples are missing"
        )
    return dt


def _last_decimal(stamps: Float[np.ndarray, " time"]) -> float:
    """The unit of the last decimal place in which all stamps can be written, 0 if there is none above 1e-9."""
    for places in range(10):
        scaled = stamps * 10.0**places
        if np.allclose(scaled, np.round(scaled), rtol=0, atol=1e-4):
            return 10.0**-places
    return 0.0
