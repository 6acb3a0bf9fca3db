"""Data frames as tables: columns that hold numbers, dates or text, and the index, which may be the clock."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

from ._clock import Table
from ._values import real_numbers

# A date that begins with the year, or hours:minutes:seconds, with days or without.
STAMP = re.compile(r"\d{4}[-/]\d\d?([-/]\d\d?.*)?|-?\d+ days?(,? .*)?|\d+:\d\d:\d\d(\.\d+)?")


def table_of_frame(frame: Any) -> Table:
    """Return the columns of a pandas data frame and its index; missing values are NaN."""
    import pandas

    if frame.size == 0:
        raise ValueError(f"the data frame has shape {frame.shape}; pass one with rows and columns")
    counted = isinstance(frame.columns, pandas.RangeIndex)
    names = tuple("" if counted else " ".join(map(str, np.atleast_1d(name))) for name in frame.columns)
    stamps, text, numeric = {}, {}, []
    for place, kind in enumerate(frame.dtypes):
        column = frame.iloc[:, place]
        if kind.kind in "fiub":
            numeric.append(place)
        elif (seconds := to_seconds(column)) is not None:
            stamps[place] = seconds
        else:
            sentence = f"column {frame.columns[place]!r} of the data frame holds {kind} and not numbers; convert it"
            sentence += " (dates by pandas.to_datetime, text by pandas.to_numeric), or choose others with columns="
            text[place] = column.to_numpy(), sentence
    if len(numeric) == len(names) and len(set(frame.dtypes)) == 1 and isinstance(frame.dtypes.iloc[0], np.dtype):
        values = real_numbers(frame.to_numpy())
    else:
        values = np.full(frame.shape, np.nan)
        for place in numeric:
            values[:, place] = frame.iloc[:, place].to_numpy(dtype=np.float64, na_value=np.nan)
    return Table(values, names, stamps, text, **_read_index(frame.index))


def to_seconds(column: Any) -> np.ndarray | None:
    """Seconds since the first date or duration of a column, NaN where one is missing; None for other columns.

    >>> to_seconds(["2024-01-01T00:00:00", "2024-01-01T00:00:00.5"]).tolist()
    [0.0, 0.5]
    """
    import pandas

    column = pandas.Series(column).reset_index(drop=True)
    if isinstance(column.dtype, pandas.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype.kind == "O":
        present = column.dropna().astype(str).str.strip()
        if present.empty or not STAMP.fullmatch(present.iloc[0]):
            return None
        column = present.str.replace("/", "-").reindex(column.index)
        dates = pandas.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        column = dates if dates.notna().any() else pandas.to_timedelta(column, errors="coerce")
    if column.dtype.kind not in "mM" or column.isna().all():
        return None
    return (column - column.dropna().iloc[0]).dt.total_seconds().to_numpy(np.float64)


def _read_index(index: Any) -> dict[str, Any]:
    """The stamps of an index that is more than 0, 1, 2, ..."""
    import pandas

    if isinstance(index, pandas.MultiIndex):
        raise ValueError(
            f"the data frame has an index of levels {list(index.names)}; pass frame.reset_index(), with id= the level "
            "that tells recordings apart"
        )
    name = str(index.name) if index.name is not None else "index"
    if index.dtype.kind in "fiu":
        counted = index.dtype.kind != "f" and (np.diff(index) == 1).all()
        return {} if counted else {"index": (name, index.to_numpy(dtype=np.float64, na_value=np.nan))}
    if (seconds := to_seconds(index)) is not None:
        return {"index": (name, seconds), "unit": "s"}
    warnings.warn(f"the index {name!r} holds {index.dtype} and is not read", stacklevel=7)
    return {}
