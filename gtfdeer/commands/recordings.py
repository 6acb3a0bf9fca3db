"""Recordings on the command line: options that say how a file is read, a line that says what was found."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtfdeer.data import Series

__all__ = ["add_reading_options", "describe", "longest_stretch", "read"]


def add_reading_options(parser: ArgumentParser) -> None:
    """`--field` and `--columns`: what to take from a file that holds more than the recording."""
    group = parser.add_argument_group("reading files (.csv, .txt, .npy, .npz; one row a time step)")
    group.add_argument("--field", metavar="NAME", help="the array to take from a .npz that holds several")
    group.add_argument(
        "--columns",
        nargs="+",
        metavar="COLUMN",
        help="the columns to take, by the names in the header or by numbers from 0; all of them by default",
    )


def read(path: str, dt: float | None, options: Namespace) -> Series:
    """The series in a file; `dt` None takes the step of its time column, or 1 where it has none."""
    from gtfdeer.data import read_series

    columns = options.columns and [
        int(column) if column.isdecimal() else column for column in options.columns
    ]
    return read_series(path, dt=dt, columns=columns, field=options.field)


def longest_stretch(series: Series) -> int:
    """Steps in the longest stretch without a gap."""
    return max(stop - start for start, stop in series.segments())


def describe(series: Series) -> str:
    """What was found, in a line: shape, sampling step, duration, gaps, embedding."""
    columns = f"{series.columns} column{'s' * (series.columns > 1)}"
    text = f"{series.name}: {series.length:,} steps x {columns}, dt {series.dt:g}, duration {series.duration:,.6g}"
    if series.embedding is not None:
        how = "" if series.embedding.chosen_by == "caller" else f", chosen by {series.embedding.chosen_by}"
        text += f", embedded in {series.embedding.dimension} lags of {series.embedding.delay} steps{how}"
    gaps = len(series.segments()) - 1
    missing = series.length - sum(stop - start for start, stop in series.segments())
    if missing:
        text += f", {missing:,} incomplete rows ({gaps} gap{'s' * (gaps != 1)} inside), longest stretch {longest_stretch(series):,}"
    return text
