"""One door for recordings: `read_series` makes a `Series` of a file, a data frame, an array or a series.

    .npy .npz: NumPy files    .csv .tsv .txt .dat: text    pandas.DataFrame, arrays, Series: in memory

Nothing is unpickled, executed or downloaded. No paper: the format rules stand in `text_files.py`,
`numpy_files.py` and `columns.py`.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from ._columns import (
    ClockContradiction,
    Table,
    clock_column,
    needed_positions,
    positions,
    row_number_column,
    uniform_step,
)
from ._numpy_files import read_npy, read_npz
from ._series import Series
from ._text_files import TEXT_SUFFIXES, read_text
from ._values import real_numbers

if TYPE_CHECKING:
    import pandas
    from jaxtyping import Array, Num

Columns = int | str | Sequence[int | str] | None

ELSEWHERE = {  # what other files need to become an array or a frame
    ".xlsx": "pandas.read_excel(path)",
    ".xls": "pandas.read_excel(path)",
    ".parquet": "pandas.read_parquet(path)",
    ".feather": "pandas.read_feather(path)",
    ".mat": "scipy.io.loadmat(path)['name']",
    ".h5": "h5py.File(path)['name'][:]",
    ".hdf5": "h5py.File(path)['name'][:]",
    ".edf": "mne.io.read_raw(path).get_data().T",
    ".gz": "pandas.read_csv(path)",
}


def read_series(
    source: str | os.PathLike[str] | Series | pandas.DataFrame | Num[Array | np.ndarray, "time columns"],
    dt: float | None = None,
    *,
    name: str | None = None,
    columns: Columns = None,
    field: str | None = None,
    wide: bool = False,
) -> Series:
    """Return the recording in `source` as a `Series`.

    A nameless first column that counts rows is dropped. A first column named t, time or timestamp is the
    clock: it gives dt and is dropped, unless `columns` asks for it by position or name, which makes it data.
    Text may have one line of names; empty cells, NA and nan are gaps. Columns of whole numbers are fine. The
    index of a frame is not read.

    Args:
        source: path of a .npy, .npz, .csv, .tsv, .txt or .dat file; or a DataFrame, array (T, N) or Series.
        dt: time between rows; by default that of the clock column, else 1.0.
        name: for titles; by default the file's name without its ending.
        columns: which columns to keep, by position in the file (from 0) or by name; by default all.
        field: the name of the array to take from an .npz file that holds several.
        wide: says that more columns than time steps are meant.

    Raises:
        FileNotFoundError: if there is no such file, with the nearest name in its folder.
        ValueError: if it does not hold what its ending says, or no table of numbers (with line, column and
            text), or if `dt` contradicts the clock.
        TypeError: for a source of another kind.

    >>> read_series(np.arange(6.0).reshape(3, 2), dt=0.1, name="counts", columns=[1]).values.T
    array([[1., 3., 5.]])
    """
    if isinstance(source, Series):
        source = source if columns is None else source.select(positions([""] * source.columns, columns))
        return replace(source, dt=source.dt if dt is None else dt, name=source.name if name is None else name)
    table, found_name = _table_and_name(source, columns, field)
    clock, chosen = clock_column(table.names), _places(table, columns)
    if clock is not None and clock not in chosen:
        dt = _step_by_the_clock(table.values[:, clock], table.names[clock], dt, overruled=columns is not None)
    values = table.values if len(chosen) == len(table.names) and columns is None else table.values[:, chosen]
    return Series(values, dt=1.0 if dt is None else dt, name=found_name if name is None else name, wide=wide)


def kept_columns(path: str, *, columns: Columns = None, field: str | None = None) -> list[int | str]:
    """What to pass as `columns` for each column that `read_series` keeps of a file.

    Its name, if that begins with a letter and no other column has it; else its place.
    """
    table, _ = _table_and_name(path, columns, field)
    names = table.names
    return [names[p] if names[p][:1].isalpha() and names.count(names[p]) == 1 else p for p in _places(table, columns)]


def _places(table: Table, columns: Columns) -> list[int]:
    """The columns that are data: the wanted ones, or all but the clock and the row numbers."""
    if columns is not None:
        return positions(table.names, columns)
    no_data = (clock_column(table.names), row_number_column(table))
    return [place for place in range(len(table.names)) if place not in no_data]


def _table_and_name(source: object, columns: Columns, field: str | None) -> tuple[Table, str]:
    """Sort the source by kind."""
    pandas = sys.modules.get("pandas")  # a frame can only exist where pandas was imported
    if isinstance(source, str | os.PathLike):
        path = _existing(Path(source).expanduser())
        return _read_file(path, columns, field), path.stem
    if pandas is not None and isinstance(source, pandas.DataFrame | pandas.Series):
        return _from_frame(pandas.DataFrame(source), columns), "series"
    if isinstance(source, np.ndarray | jax.Array | list | tuple):
        return _numbered(real_numbers(source)), "series"
    raise TypeError(f"source is a {type(source).__name__}; pass a path, a DataFrame, an array (T, N), or a Series")


def _existing(path: Path) -> Path:
    """Return the path of a file that is there, or say what is there instead."""
    if path.is_file():
        return path
    if str(path).startswith(("http:", "https:")):
        raise ValueError(f"{str(path)!r} is an address and nothing is downloaded here; save the file and pass its path")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; pass the path of one file in it")
    beside = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    advice = f"did you mean {str(path.parent / near[0])!r}?" if near else "pass the full path of the recording"
    raise FileNotFoundError(f"there is no file {str(path)!r}; {advice}")


def _read_file(path: Path, columns: Columns, field: str | None) -> Table:
    """Read by the file's ending."""
    suffix = path.suffix.lower()
    if field is not None and suffix != ".npz":
        raise ValueError(f"field={field!r} names an array in an .npz file but {path.name!r} is none; leave field out")
    if suffix in TEXT_SUFFIXES:
        return read_text(path, columns)
    if suffix in (".npy", ".npz"):
        return _numbered(real_numbers(read_npy(path) if suffix == ".npy" else read_npz(path, field)))
    how = ELSEWHERE.get(suffix)
    advice = f"pass read_series({how})" if how else f"rename it if it is text, as in {path.stem + '.csv'!r}"
    raise ValueError(f"{path.name!r} is not one of .npy, .npz, .csv, .tsv, .txt and .dat, which can be read; {advice}")


def _numbered(values: np.ndarray) -> Table:
    """A table without names; other shapes than (T, N) are left for `Series` to refuse."""
    values = values[:, None] if values.ndim == 1 else values
    return Table(values, ("",) * (values.shape[1] if values.ndim == 2 else 1))


def _from_frame(frame: pandas.DataFrame, columns: Columns) -> Table:
    """The columns of a data frame as float64; missing values, and text in unneeded columns, become NaN."""
    if frame.size == 0:
        raise ValueError(
            f"the data frame has shape {frame.shape}; pass one with rows, and a column per observed quantity"
        )
    names = tuple(name if isinstance(name, str) else "" for name in frame.columns)
    needed = needed_positions(names, columns)
    values = np.full(frame.shape, np.nan)
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        if column.dtype.kind in "fiub":
            values[:, place] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif place in needed:
            raise ValueError(
                f"column {name!r} of the data frame holds {column.dtype} and not numbers; convert it (time "
                "stamps to seconds, text by pandas.to_numeric), or choose the other columns with columns="
            )
    return Table(values, names)


def _step_by_the_clock(stamps: np.ndarray, name: str, dt: float | None, *, overruled: bool) -> float:
    """The step of the clock column, which a given `dt` must agree with unless columns were chosen by hand."""
    if dt is not None and overruled:
        return dt
    measured = uniform_step(stamps)
    if dt is not None and not np.isclose(dt, measured, rtol=1e-3):
        raise ClockContradiction(name, measured, dt)
    return measured
