"""Recordings on the command line: options that say how a file is read, a line that says what was found."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data import Series

__all__ = ["add_reading_options", "column_names", "describe", "longest_stretch", "read", "read_as_trained"]


def add_reading_options(parser: ArgumentParser) -> None:
    """What to take from a file: which of its arrays and columns, and how finely."""
    group = parser.add_argument_group("reading files (.csv, .txt, .npy, .npz; one row a time step)")
    group.add_argument("--field", metavar="NAME", help="the array to take from a .npz that holds several")
    group.add_argument(
        "--columns",
        nargs="+",
        metavar="COLUMN",
        help="the columns to take, by the names in the header or by numbers from 0; all of them by default",
    )
    group.add_argument(
        "--coarsen",
        type=int,
        default=1,
        metavar="K",
        help="take means of K rows at a time, of a recording sampled much more finely than it moves (1: as it is)",
    )


def read(path: str, dt: float | None, options: Namespace) -> Series:
    """The series in a file, coarsened; `dt` is that of its rows, None takes its time column's, or 1 without one."""
    from ..data import read_series

    series = read_series(path, dt=dt, columns=_columns(options), field=options.field)
    if not 1 <= options.coarsen <= series.length:
        rows = f"the {series.length} rows of {path!r}"
        raise ValueError(f"--coarsen is {options.coarsen}; pass how many of {rows} make one, such as 3")
    return series.coarsen(options.coarsen)


def column_names(path: str, options: Namespace) -> list[str]:
    """What `--columns` calls the columns that `read` takes from a file: by name, or by place where that is no use."""
    from ..data._read import kept_columns

    return [str(name) for name in kept_columns(path, columns=_columns(options), field=options.field)]


def _columns(options: Namespace) -> list[int | str] | None:
    return options.columns and [int(column) if column.isdecimal() else column for column in options.columns]


def read_as_trained(path: str, dt: float, options: Namespace) -> Series:
    """The series in a file that must be sampled as the training data were."""
    from ..data._columns import ClockContradiction

    try:
        return read(path, dt / max(1, options.coarsen), options)
    except ClockContradiction as error:
        raise ValueError(
            f"column {error.name!r} of {path!r} steps by {error.measured:.6g} but the model was trained at dt={dt:g}; "
            "resample the recording or --coarsen it as in training, or take the other columns with --columns if its "
            "clock is wrong or in another unit"
        ) from error


def longest_stretch(series: Series) -> int:
    """Steps in the longest stretch without a gap."""
    return max(stop - start for start, stop in series.segments())


def describe(series: Series) -> str:
    """What was found, in a line: shape, sampling step, duration, embedding, gaps."""
    columns = f"{series.columns} column{'s' * (series.columns > 1)}"
    facts = [f"{series.name}: {series.length:,} steps x {columns}", f"dt {series.dt:g}"]
    facts.append(f"duration {series.duration:,.6g}")
    if series.embedding is not None:
        dimension, delay, rule = (
            series.embedding.dimension,
            series.embedding.delay,
            series.embedding.chosen_by,
        )
        chosen = "" if rule == "caller" else f" (chosen by {rule})"
        facts.append(f"embedded in {dimension} lags of {delay} steps{chosen}")
    stretches = series.segments()
    missing = series.length - sum(stop - start for start, stop in stretches)
    if missing:
        facts.append(f"{missing:,} incomplete rows")
        facts.append(f"longest of {len(stretches):,} stretches without a gap {longest_stretch(series):,} steps")
    return ", ".join(facts)
