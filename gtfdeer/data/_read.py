"""One function for recordings: `read_series` makes a `Series` of a file, a frame, an array or another library's object.

    .npy .npz; .csv .tsv .txt .dat; .edf .bdf, .hea, .mat, .nc, .parquet; pandas, polars, xarray, mne, torch, arrays

Nothing is unpickled, executed or downloaded. No paper: the rules stand in `_clock.py`, `_text.py` and
`_foreign.py`.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import file_path, real
from ._clock import ID_NAME, Clock, Table, find_clock, place_on_grid, positions, require_increasing
from ._foreign import FIELDS, READERS, from_object, read_file
from ._series import Series, interpolate
from ._text import TEXT_SUFFIXES, read_text
from ._values import warn_of_far_values

Columns = int | str | Sequence[int | str] | None


def read_series(
    source: Any,
    dt: float | None = None,
    *,
    rate: float | None = None,
    name: str | None = None,
    columns: Columns = None,
    field: str | None = None,
    id: str | None = None,
    missing: float | Sequence[float] | None = None,
    resample: float | None = None,
    wide: bool = False,
) -> Series | Any:  # a list of Series where the source holds several recordings
    """Return the recording in `source` as a `Series`, or the recordings as a list of them.

    The clock gives dt and is no data, unless `columns` asks for it: a column of dates, or called time or the like, a
    DatetimeIndex or numeric index, or a column that counts up evenly, which a warning says. Dates are read in seconds.
    Rows that are missing on the grid of the clock become gaps. Masked, empty and NaN cells are gaps. Arrays (trial,
    time, channel), lists of recordings, and tables with an `id` column become a list.

    Args:
        source: path of a .npy, .npz, .csv, .tsv, .txt or .dat file, or of .edf, .bdf, .hea, .mat, .nc or .parquet with
            the library for it; a DataFrame, DataArray, mne Raw or Epochs, tensor, array (T, N), Series, or a list.
        dt: time between rows; by default that of the clock or the file's own, else 1.0.
        rate: rows per second, in place of dt.
        name: for titles; by default the file's name without its ending.
        columns: which columns to keep, by position in the file (from 0) or by name; by default all.
        field: the name of the array to take from an .npz, .mat or .nc file that holds several.
        id: the column that says which recording a row belongs to.
        missing: a number, or several, that marks missing values, such as -9999.
        resample: time between rows to interpolate to (linear, gaps kept), for stamps that jitter.
        wide: says that more columns than time steps are meant.

    Raises:
        FileNotFoundError: if there is no such file, with the nearest name in its folder.
        ImportError: if a file needs a library that is not installed, with what to type.
        ValueError: if it does not hold what its ending says, or no table of numbers (with line, column and
            text), if the clock is shuffled or irregular (with the row), or if `dt` contradicts it.
        TypeError: for a source of another kind.

    >>> read_series(np.arange(6.0).reshape(3, 2), dt=0.1, name="counts", columns=[1]).values.T
    array([[1., 3., 5.]])
    """
    if rate is not None:
        dt = _step_of(rate, dt)
    if isinstance(source, Series):
        source = source if columns is None else source.select(columns)
        source = replace(source, dt=source.dt if dt is None else dt, name=source.name if name is None else name)
        source = replace(source, values=_without(source.values, missing))
        return source if resample is None else source.resample(resample)
    settings: dict[str, Any] = {"dt": dt, "columns": columns, "missing": missing, "resample": resample, "wide": wide}
    if isinstance(source, list | tuple) and _is_list_of_recordings(source):
        named = [f"{name or 'series'} {k}" if name or not _is_path(each) else None for k, each in enumerate(source)]
        more = {"field": field, "id": id, **settings}
        return [read_series(each, name=label, **more) for each, label in zip(source, named, strict=True)]
    table, found_name = _open(source, columns, field, id)
    settings |= {"unit": "" if rate is None else "s", "id": id}
    name = found_name if name is None else name
    if isinstance(table, list):
        parts = enumerate(table)
    elif id is None:
        return _build(table, name, **settings)
    else:
        parts = _split(table, id)
    return [_build(part, f"{name} {label}", **settings) for label, part in parts]


def _build(
    table: Table,
    name: str,
    dt: float | None,
    columns: Columns,
    missing: float | Sequence[float] | None,
    resample: float | None,
    wide: bool,
    unit: str,
    id: Any,
) -> Series:
    """Tell clock from data, fill in missing rows, make the series."""
    chosen = None if columns is None else positions(table.names, columns)
    apart = [] if id is None else positions(table.names, id)
    clock, data = find_clock(table, chosen, apart)
    for place in data:
        if place in table.text:
            raise ValueError(table.text[place][1])
        if chosen is None and id is None and ID_NAME.fullmatch(table.names[place]):
            what = f"column {table.names[place]!r} is kept as data; if it tells recordings apart"
            warnings.warn(f"{what}, pass id={table.names[place]!r}", stacklevel=4)
    values = table.values if data == list(range(len(table.names))) else table.values[:, data]
    values, names = _without(values, missing), tuple(table.names[place] for place in data)
    unit = unit or table.unit
    step, overruled = table.dt, columns is not None and dt is not None
    if clock is not None and not overruled:
        unit = clock.unit or unit
        if resample is not None:
            require_increasing(clock.stamps, clock.name)
            values, step = interpolate(values, clock.stamps, resample), resample
            dt, resample = resample, None
        else:
            values, step = _fill_grid(values, clock, dt, step)
    if dt is not None and step is not None and not np.isclose(dt, step, rtol=1e-3) and not overruled:
        where = f"column {clock.name!r} steps" if clock is not None else "the file's rows step"
        advice = "leave dt out, or choose the other columns with columns= if the clock is wrong or in another unit"
        raise ValueError(f"dt={dt} was passed but {where} by {step:.6g}; {advice}")
    if dt is None and step is None:
        for note in table.notes:
            warnings.warn(note, stacklevel=4)
    step = dt if step is None or overruled else step
    known = names if any(names) else ()
    unit = unit if step is not None else ""
    series = Series(values, dt=1.0 if step is None else step, name=name, wide=wide, column_names=known, time_unit=unit)
    warn_of_far_values(series.values, names)
    return series if resample is None else series.resample(resample)


def _fill_grid(
    values: np.ndarray, clock: Clock, dt: float | None, stated: float | None
) -> tuple[np.ndarray, float | None]:
    """The values with NaN rows where the clock misses some, and its step; a count of rows tells no time."""
    step, rows = place_on_grid(clock.stamps, clock.name)
    if rows is not None:
        filled = np.full((rows[-1] + 1, values.shape[1]), np.nan, values.dtype)
        filled[rows] = values
        first = int(np.argmax(np.diff(rows) > 1)) + 1
        warnings.warn(
            f"{len(filled) - len(values)} of {len(filled)} rows are missing on the grid of the clock {clock.name!r}, "
            f"the first before row {first}; they are gaps",
            stacklevel=5,
        )
        values = filled
    if clock.counts and round(step, 6) == 1:
        return values, dt if stated is None else stated
    return values, step


def _without(values: np.ndarray, missing: float | Sequence[float] | None) -> np.ndarray:
    """The values with NaN in place of the codes for missing ones."""
    if missing is None:
        return values
    codes = np.atleast_1d(np.asarray(missing, dtype=np.float64)).astype(values.dtype)
    return np.where(np.isin(values, codes), np.array(np.nan, values.dtype), values)


def _step_of(rate: float, dt: float | None) -> float:
    step = 1 / real(rate, "rate", above=0, example=250)
    if dt is not None and not np.isclose(dt, step, rtol=1e-6):
        raise ValueError(f"dt={dt} and rate={rate} contradict each other; pass one of them")
    return step


def _split(table: Table, id: str) -> list[tuple[str, Table]]:
    """The rows of each recording, in the order in which they come first."""
    (place,) = positions(table.names, id)
    labels = table.text[place][0] if place in table.text else table.values[:, place]
    missing = [row for row, label in enumerate(labels) if label != label or label is None]
    if missing:
        raise ValueError(f"the id column {id!r} is empty in row {missing[0]}; say which recording each row belongs to")
    return [
        (f"{label:.15g}" if isinstance(label, float) else str(label), table.rows(labels == label))
        for label in dict.fromkeys(labels.tolist())
    ]


def _open(source: Any, columns: Columns, field: str | None, id: str | None) -> tuple[Table | list[Table], str]:
    """Sort the source by kind: a table, or a list of them where it holds several recordings."""
    if not _is_path(source):
        found = from_object(source)
        if found is None:
            kind = type(source).__name__
            raise TypeError(f"source is a {kind}; pass a path, a DataFrame, an array (T, N), or a Series")
        return found, "series"
    path = file_path(source)
    if not os.path.isfile(path):
        raise _describe_missing(path)
    suffix = path.suffix.lower()
    if field is not None and suffix not in FIELDS:
        raise ValueError(f"field={field!r} names an array in an .npz file but {path.name!r} is none; leave field out")
    if suffix in TEXT_SUFFIXES:
        return read_text(path, columns, id), path.stem
    if suffix in READERS:
        return read_file(path, field), path.stem
    raise ValueError(
        f"{path.name!r} is not one of {', '.join(READERS)}, {', '.join(TEXT_SUFFIXES)}; rename it if it is text, as in "
        f"{path.stem + '.csv'!r}, or pass the array or frame that another library reads"
    )


def _describe_missing(path: Path) -> Exception:
    """What to say of a path where no file is."""
    words = str(path)
    if words.startswith(("http:", "https:")) or "\n" in words:
        return ValueError(f"{words[:60]!r} is no path, and nothing is downloaded here; save it as a file")
    if path.is_dir():
        return ValueError(f"{words!r} is a folder; pass the path of one file in it")
    beside = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    advice = f"did you mean {str(path.parent / near[0])!r}?" if near else "pass the full path of the recording"
    return FileNotFoundError(f"there is no file {words!r}; {advice}")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)


def _is_list_of_recordings(source: Sequence[Any]) -> bool:
    """Whether a list holds recordings, not rows: paths, series, tables, or trials of several lengths in one column."""

    def is_recording(each: Any) -> bool:
        whole = _is_path(each) or isinstance(each, Series | Mapping) or hasattr(each, "get_data")
        return whole or len(getattr(each, "shape", ())) == 2

    several_lengths = len({np.shape(each) for each in source if isinstance(each, np.ndarray)}) > 1
    return several_lengths or any(map(is_recording, source))
