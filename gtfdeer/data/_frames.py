"""Data frames as tables: columns that hold numbers, dates or text, and the index, which may be the clock."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

from ._clock import Table
from ._values import real_numbers

# An ISO date, or hours:minutes:seconds, with days or without.
STAMP = re.compile(r"\d{4}-\d\d(-\d\d.*)?|-?\d+ days?(,? .*)?|\d+:\d\d:\d\d(\.\d+)?")


def table_of_frame(frame: Any) -> Table:
    """Return the columns of a pandas data frame and its index; missing values are NaN."""
    if frame.size == 0:
        raise ValueError(
            f"the data frame has shape {frame.shape}; pass one with rows, and a column per observed quantity"
        )
    names = tuple(name if isinstance(name, str) else "" for name in frame.columns)
    stamps, text = {}, {}
    numeric = [place for place, kind in enumerate(frame.dtypes) if kind.kind in "fiub"]
    for place in set(range(len(names))) - set(numeric):
        column = frame.iloc[:, place]
        seconds = to_seconds(column)
        if seconds is not None:
            stamps[place] = seconds
            continue
        text[place] = (
            column.to_numpy(),
            f"column {frame.columns[place]!r} of the data frame holds {column.dtype} and not numbers; convert it "
            "(dates by pandas.to_datetime, text by pandas.to_numeric), or choose the other columns with columns=",
        )
    kinds = {frame.dtypes.iloc[place] for place in numeric}
    plain = len(numeric) == len(names) and all(isinstance(kind, np.dtype) for kind in kinds)
    if plain and len(kinds) == 1:
        values = real_numbers(frame.to_numpy())
    else:
        values = np.full(frame.shape, np.nan)
        for place in numeric:
            values[:, place] = frame.iloc[:, place].to_numpy(dtype=np.float64, na_value=np.nan)
    return Table(values, names, stamps, text, **_read_index(frame.index))


def to_seconds(column: Any) -> np.ndarray | None:
    """Seconds since the first date or duration of a column, NaN where one is missing; None for other columns.

    >>> import pandas
    >>> to_seconds(pandas.Series(["2024-01-01T00:00:00", "2024-01-01T00:00:00.5"])).tolist()
    [0.0, 0.5]
    """
    import pandas

    column = pandas.Series(column).reset_index(drop=True)
    if isinstance(column.dtype, pandas.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype.kind == "O":
        present = column.dropna()
        if present.empty or not STAMP.fullmatch(str(present.iloc[0]).strip()):
            return None
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
    if isinstance(index, pandas.RangeIndex):
        return {}
    if index.dtype.kind in "fiu":
        stamps = index.to_numpy(dtype=np.float64, na_value=np.nan)
        return {} if (np.diff(stamps) == 1).all() and index.dtype.kind != "f" else {"index": (name, stamps)}
    seconds = to_seconds(index)
    if seconds is None:
        warnings.warn(f"the index {name!r} holds {index.dtype} and is not read", stacklevel=7)
        return {}
    return {"index": (name, seconds), "unit": "s"}
