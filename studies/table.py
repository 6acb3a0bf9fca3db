"""A table that grows run by run in a CSV file: at every moment, killed or not, the file holds whole runs.

The settings of a run are the first columns of its rows; a run is in the table when they are. What is drawn and told
is always what was read back from the file, so that a study that was stopped tells the same as one that was not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gtfdeer.training import write_whole

from .study import Row

__all__ = ["Table"]


class Table:
    """The rows of all finished runs, in a file."""

    def __init__(self, path: Path) -> None:
        """Open the table at `path`; an empty one where there is no file yet."""
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._lines = [tuple(line) for line in csv.reader(io.StringIO(text))]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, none before the first run."""
        return self._lines[0] if self._lines else ()

    @property
    def rows(self) -> list[Row]:
        """Every row, numbers as numbers."""
        return [dict(zip(self.columns, map(_value, line), strict=True)) for line in self._lines[1:]]

    def strangers(self, runs: Sequence[Any]) -> int:
        """How many rows belong to none of these runs."""
        if not self._lines:
            return 0
        names = tuple(asdict(runs[0]))
        if self.columns[: len(names)] != names:
            return len(self._lines) - 1
        return sum(line[: len(names)] not in {_settings(run) for run in runs} for line in self._lines[1:])

    def holds(self, run: Any) -> bool:
        """Whether this run is finished."""
        settings = _settings(run)
        return any(line[: len(settings)] == settings for line in self._lines[1:])

    def add(self, run: Any, found: list[Row]) -> None:
        """Write the rows of one more run, all of them or none; new columns at the end are empty in older rows."""
        names = (*asdict(run), *found[0])
        if self._lines and names[: len(self.columns)] == self.columns:
            new = ("",) * (len(names) - len(self.columns))
            self._lines = [names, *((*line, *new) for line in self._lines[1:])]
        if self._lines and self.columns != names:
            raise ValueError(f"{self.path} has the columns {self.columns}, not {names}; pass another folder")
        lines = [(*_settings(run), *map(_cell, row.values())) for row in found]
        self._write([*(self._lines or [names]), *lines])

    def sort(self, runs: Sequence[Any]) -> None:
        """Bring the rows into the order of these runs, whichever ended first."""
        if not self._lines:
            return
        place = {_settings(run): k for k, run in enumerate(runs)}
        names, *lines = self._lines
        self._write([names, *sorted(lines, key=lambda line: place[line[: len(asdict(runs[0]))]])])

    def _write(self, lines: list[tuple[str, ...]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        write_whole(self.path, text.getvalue().encode())
        self._lines = lines


def _settings(run: Any) -> tuple[str, ...]:
    return tuple(map(_cell, asdict(run).values()))


def _cell(value: Any) -> str:
    """A value as text: six digits of a measured number, nothing for None.

    >>> _cell(0.1), _cell(1 / 3), _cell(None), _cell(10_000), _cell("DEER")
    ('0.1', '0.333333', '', '10000', 'DEER')
    """
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _value(text: str) -> Any:
    """What a cell says.

    >>> _value("0.5"), _value("12"), _value(""), _value("inf"), _value("DEER")
    (0.5, 12, None, inf, 'DEER')
    """
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:  # another kind of cell
            continue
    return text
