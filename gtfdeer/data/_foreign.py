"""What NumPy and other libraries read or hold, each imported only where it is needed.

    .npy .npz: NumPy    .edf .bdf: pyedflib or mne    .hea: wfdb    .mat: scipy, h5py    .nc: xarray    .parquet: pandas
    xarray: dims, coords    mne: get_data, ch_names, info    polars: get_columns    torch: detach    others: __array__

Sampling rate and names of channels come along; nothing is unpickled. No paper: the libraries read, nothing is decoded
here.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ._clock import Table
from ._values import real_numbers

RATES = ("fs", "srate", "sfreq", "sr", "rate", "samplerate", "samplingrate", "samplingfrequency", "freq")
CHANNEL_DIMS = ("channel", "channels", "ch", "sensor", "electrode", "variable", "feature")
TIME_DIMS = ("time", "times", "t", "sample", "samples", "datetime", "date")
LARGE, MOST_INFLATION = 64 * 2**20, 200  # bytes, and unpacked per packed byte above them; recordings reach 10 (ours)
# A date that begins with the year, or hours:minutes:seconds, with days or without.
STAMP = re.compile(r"\d{4}[-/]\d\d?([-/]\d\d?.*)?|-?\d+ days?(,? .*)?|\d+:\d\d:\d\d(\.\d+)?")
Tables = Table | list[Table]


def read_file(path: Path, field: str | None) -> Tables:
    """Read a file by its ending; whatever a library says of a damaged one becomes one sentence.

    Raises: ValueError, ImportError.
    """
    read, library = READERS[path.suffix.lower()]
    try:
        return read(path, field)
    except ImportError:
        raise
    except Exception as problem:  # every library raises other classes
        if isinstance(problem, ValueError | TypeError) and "; pass " in str(problem):
            raise
        words = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise ValueError(f"{path.name!r} cannot be read by {library} ({words}); copy or save it again") from problem


def _need(module: str, path: Path, install: str = "") -> Any:
    """Import a library that a file needs, or say in one sentence what to type."""
    try:
        return importlib.import_module(module)
    except ImportError:
        library = module.split(".")[0]
        raise ImportError(
            f"{path.name!r} needs {library}; type these two lines:\n  pip install {install or library}\n  "
            f"series = gtfdeer.data.read_series({str(path)!r})"
        ) from None


def _read_npy(path: Path, _: str | None) -> Tables:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # maps no more than there is
    return from_array(np.array(mapped))


def _read_npz(path: Path, field: str | None) -> Tables:
    with np.load(path, allow_pickle=False) as archive:
        for member in archive.zip.infolist():
            if member.file_size > max(LARGE, MOST_INFLATION * member.compress_size):
                what = (
                    f"{path.name!r} unpacks {member.compress_size} bytes to {member.file_size}, which no recording does"
                )
                raise ValueError(f"{what}; pass the array from numpy.load if you trust it")
        return from_variables(dict(archive), repr(path.name), field)


def _read_edf(path: Path, _: str | None) -> Tables:
    if not importlib.util.find_spec("pyedflib") and importlib.util.find_spec("mne"):
        return _from_mne(importlib.import_module("mne").io.read_raw(path, verbose="error"))
    with _need("pyedflib", path).EdfReader(str(path)) as file:
        names, rates = [name.strip() for name in file.getSignalLabels()], file.getSampleFrequencies()
        common = max(set(rates), key=lambda rate: (rates == rate).sum())
        if (rates != common).any():
            others = ", ".join(f"{n} {r:g}" for n, r in zip(names, rates, strict=True) if r != common)
            read = f"those of {common:g} per second are read, not {others}"
            warnings.warn(f"{path.name!r} has channels of several rates; {read}", stacklevel=6)
        kept = np.flatnonzero(rates == common)
        values = np.stack([file.readSignal(int(place)) for place in kept], axis=1)
    return Table(values, tuple(names[place] for place in kept), dt=1 / float(common), unit="s")


def _read_wfdb(path: Path, _: str | None) -> Tables:
    record = _need("wfdb", path).rdrecord(str(path.with_suffix("")))
    return Table(record.p_signal, tuple(record.sig_name), dt=1 / float(record.fs), unit="s")


def _read_matlab(path: Path, field: str | None) -> Tables:
    with path.open("rb") as file:
        is_hdf5 = b"\x89HDF" in file.read(1024)
    if not is_hdf5:
        variables = _need("scipy.io", path).loadmat(path)
        return from_variables({k: v for k, v in variables.items() if k[:2] != "__"}, repr(path.name), field)
    variables = {}
    with _need("h5py", path).File(path) as file:
        for name, each in file.items():
            kind = each.attrs.get("MATLAB_class", b"double")
            if hasattr(each, "shape") and kind not in (b"char", b"cell", b"struct"):
                variables[name] = np.asarray(each).T  # MATLAB writes the last axis first
    return from_variables(variables, repr(path.name), field)


def _read_netcdf(path: Path, field: str | None) -> Tables:
    with _need("xarray", path, "xarray h5netcdf scipy").open_dataset(path) as dataset:
        return _from_dataset(dataset, field, repr(path.name))


def _read_parquet(path: Path, _: str | None) -> Tables:
    _need("pyarrow", path)
    import pandas

    return table_of_frame(pandas.read_parquet(path))


FIELDS = (".npz", ".mat", ".nc")  # files that may hold several arrays
READERS = {
    **{".npy": (_read_npy, "NumPy"), ".npz": (_read_npz, "NumPy"), ".mat": (_read_matlab, "scipy or h5py")},
    **{".edf": (_read_edf, "pyedflib"), ".bdf": (_read_edf, "pyedflib"), ".hea": (_read_wfdb, "wfdb")},
    **{".nc": (_read_netcdf, "xarray"), ".parquet": (_read_parquet, "pandas")},
}


def from_object(source: Any) -> Tables | None:
    """The table of an object, or a list of them where it holds several recordings; None of what holds no numbers."""
    if hasattr(source, "get_data") and hasattr(source, "ch_names"):
        return _from_mne(source)
    if hasattr(source, "data_vars"):
        return _from_dataset(source, None, "the Dataset")
    if hasattr(source, "dims") and hasattr(source, "coords"):
        return _from_dataarray(_without_fill(source))
    if hasattr(source, "iloc"):
        return table_of_frame(source if source.ndim == 2 else source.to_frame(source.name or ""))
    if isinstance(source, Mapping):
        return from_variables({str(k): np.asarray(v) for k, v in source.items()}, "the dictionary", None)
    if hasattr(source, "null_count"):  # polars
        import pandas

        source = source.collect() if hasattr(source, "collect") else source
        frame = source if hasattr(source, "get_columns") else source.to_frame()
        return table_of_frame(pandas.DataFrame({each.name: each.to_numpy() for each in frame.get_columns()}))
    if hasattr(source, "to_pandas"):
        return from_object(source.to_pandas())
    if hasattr(source, "detach") and hasattr(source, "cpu"):  # a tensor with gradients, or on another device
        source = source.detach().cpu()
        return from_array(source if "bfloat16" not in str(source.dtype) else source.float())
    if isinstance(source, list | tuple) or hasattr(source, "__array__"):
        return from_array(source)
    return None


def from_array(given: Any) -> Tables:
    """A table without names, or one for each trial of (trial, time, channel); records have names."""
    if getattr(getattr(given, "dtype", None), "names", None):
        import pandas

        return table_of_frame(pandas.DataFrame(given))
    return _tables(real_numbers(given))


def _tables(values: np.ndarray, labels: Iterable[Any] = (), **about: Any) -> Tables:
    """A table (time, channel), or one for each trial of (trial, time, channel)."""
    values = values[:, None] if values.ndim == 1 else values
    names = tuple(map(str, labels)) or ("",) * (values.shape[-1] if values.ndim else 1)
    return [Table(trial, names, **about) for trial in values] if values.ndim == 3 else Table(values, names, **about)


def _stated_rate(facts: Mapping[Any, Any]) -> dict[str, Any]:
    """The step that a rate, in seconds, or a dt among named facts gives; what is no number becomes a note."""
    plain = {str(name).lower().replace("_", ""): fact for name, fact in facts.items()}
    rate, dt = next((plain[name] for name in RATES if name in plain), None), plain.get("dt")
    if isinstance(rate, Real) and float(rate) > 0:
        return {"dt": 1 / float(rate), "unit": "s"}
    if isinstance(dt, Real):
        return {"dt": float(dt)}
    stated = [fact for fact in (rate, dt) if fact is not None]
    return {
        "notes": tuple(f"the sampling is stated as {fact!r}, which is not used; pass rate= or dt=" for fact in stated)
    }


def _stated_times(name: str, stamps: np.ndarray, unit: str = "") -> dict[str, Any]:
    """The clock that a vector of numbers or dates gives."""
    if stamps.dtype.kind not in "mMO":
        return {"index": (name, real_numbers(stamps)), "unit": unit}
    seconds = to_seconds(stamps)
    return {} if seconds is None else {"index": (name, seconds), "unit": "s"}


def table_of_frame(frame: Any, refuse: Callable[[int], str] | None = None) -> Table:
    """Return the columns of a pandas data frame and its index; missing values are NaN.

    `refuse` gives the sentence about a column that holds text.
    """
    import pandas

    if frame.size == 0:
        raise ValueError(f"the data frame has shape {frame.shape}; pass one with rows and columns")
    counted = isinstance(frame.columns, pandas.RangeIndex)
    names = tuple("" if counted else " ".join(map(str, np.atleast_1d(name))) for name in frame.columns)
    index = _read_index(frame.index)
    if len(set(frame.dtypes)) == 1 and isinstance(kind := frame.dtypes.iloc[0], np.dtype) and kind.kind in "fiub":
        return Table(real_numbers(frame.to_numpy()), names, **index)
    values, stamps, text = np.full(frame.shape, np.nan), {}, {}
    for place, kind in enumerate(frame.dtypes):
        column = frame.iloc[:, place]
        if kind.kind in "fiub":
            values[:, place] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif (seconds := to_seconds(column)) is not None:
            stamps[place] = seconds
        else:
            sentence = f"column {frame.columns[place]!r} of the data frame holds {kind} and not numbers; convert it"
            sentence += " (dates by pandas.to_datetime, text by pandas.to_numeric), or choose others with columns="
            text[place] = column.to_numpy(), sentence if refuse is None else refuse(place)
    return Table(values, names, stamps, text, **index)


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
        counted = getattr(index, "step", 0) == 1 or (index.dtype.kind != "f" and (np.diff(index) == 1).all())
        return {} if counted else {"index": (name, index.to_numpy(dtype=np.float64, na_value=np.nan))}
    if (seconds := to_seconds(index)) is not None:
        return {"index": (name, seconds), "unit": "s"}
    warnings.warn(f"the index {name!r} holds {index.dtype} and is not read", stacklevel=7)
    return {}


def from_variables(variables: Mapping[str, np.ndarray], source: str, field: str | None) -> Tables:
    """The array among named ones, or vectors as columns; a scalar such as fs tells the rate, a vector t the clock."""
    variables = {name: v for name, v in variables.items() if isinstance(v, np.ndarray)}
    kinds = {name: "fiubmM" if name.lower() in TIME_DIMS else "fiubc" for name in variables}
    numeric = {k: np.squeeze(v) if v.ndim == 2 else v for k, v in variables.items() if v.dtype.kind in kinds[k]}
    scalars = {k: v.ravel()[0] for k, v in numeric.items() if v.size == 1}
    arrays = {k: v for k, v in numeric.items() if v.size > 1}
    if field is not None and field not in arrays:
        raise ValueError(f"{source} holds no array {field!r}; pass field= one of {', '.join(map(repr, arrays))}")
    clocks = [k for k, v in arrays.items() if v.ndim == 1 and k.lower() in TIME_DIMS and k != field]
    wanted = [field] if field else [name for name in arrays if name not in clocks] or list(arrays)
    shapes = {arrays[name].shape for name in wanted}
    if not wanted or (len(wanted) > 1 and (len(shapes) > 1 or len(next(iter(shapes))) > 1)):
        listed = ", ".join(f"{name!r} {arrays[name].shape}" for name in arrays) or "none"
        raise ValueError(f"{source} holds {len(arrays)} arrays; pass field= one of {listed}")
    if len(wanted) > 1 or arrays[wanted[0]].ndim == 1:
        names, values = wanted, real_numbers(np.stack([arrays[name] for name in wanted], axis=1))
    else:
        values = real_numbers(arrays[wanted[0]])
        labels = (np.ravel(v) for v in variables.values() if v.dtype.kind == "U" and v.size == values.shape[-1])
        names = next(labels, ())
    clock = next((k for k in clocks if len(arrays[k]) == values.shape[-2]), None)
    return _tables(values, names, **_stated_rate(scalars) | (_stated_times(clock, arrays[clock]) if clock else {}))


def _from_mne(source: Any) -> Tables:
    """A recording (channel, time), or epochs (epoch, channel, time); stretches that are annotated as bad are gaps."""
    names = source.ch_names
    kinds = source.get_channel_types() if hasattr(source, "get_channel_types") else ()
    triggers = [name for name, kind in zip(names, kinds, strict=False) if kind == "stim"]
    for channels, what in ((list(source.info.get("bads", ())), "marked as bad"), (triggers, "triggers")):
        if channels:
            warnings.warn(f"the channels {channels} are {what} and are kept; choose others with columns=", stacklevel=5)
    annotated = [str(each) for each in getattr(getattr(source, "annotations", None), "description", ())]
    bad = any(each.upper().startswith(("BAD", "EDGE")) for each in annotated)
    data = source.get_data(reject_by_annotation="NaN") if bad and not hasattr(source, "drop_bad") else source.get_data()
    return _tables(real_numbers(data).swapaxes(-1, -2), names, **_stated_rate(source.info))


def _from_dataset(source: Any, field: str | None, name: str) -> Tables:
    """The one variable, or those over time alone as columns."""
    numeric = {str(k): each for k, each in source.data_vars.items() if each.dtype.kind in "fiub" and each.ndim}
    wanted = list(numeric) if field is None else [field]
    unclear = len(wanted) > 1 and {numeric[k].dims for k in wanted} != {numeric[wanted[0]].dims[:1]}
    if not wanted or unclear or wanted[0] not in numeric:
        what = f"no array {field!r}" if field else f"{len(numeric)} arrays"
        raise ValueError(f"{name} holds {what}; pass field= one of {', '.join(map(repr, numeric)) or 'none'}")
    columns = source[wanted].map(_without_fill)
    array = columns.to_array().T if len(wanted) > 1 else columns[wanted[0]]
    return _from_dataarray(array.assign_attrs(source.attrs | numeric[wanted[0]].attrs))


def _without_fill(array: Any) -> Any:
    """NaN where a variable holds the number that its attributes give for missing values."""
    codes = np.hstack([array.attrs[name] for name in ("_FillValue", "missing_value") if name in array.attrs] or [[]])
    return array.where(~array.isin(codes)) if len(codes) else array


def _from_dataarray(source: Any) -> Tables:
    """An array with named axes: time, perhaps channels, perhaps trials."""
    dims = [str(dim) for dim in source.dims]
    coords = {str(name): np.asarray(source.coords[name].values) for name in source.coords if name in source.dims}
    dated = [dim for dim in dims if dim in coords and coords[dim].dtype.kind in "mM"]
    time = next(iter(dated + [dim for dim in dims if dim.lower() in TIME_DIMS]), dims[0] if len(dims) < 3 else dims[1])
    channel = next((dim for dim in dims if dim.lower() in CHANNEL_DIMS and dim != time), None)
    others = [dim for dim in dims if dim != time]
    if len(others) > 2:
        raise ValueError(f"the array has dimensions {dims}; pass one with time, channel and trial at most")
    channel = channel or (others[-1] if others else None)
    order = [dim for dim in others if dim != channel] + [time] + ([channel] if channel else [])
    values = real_numbers(source.values).transpose([dims.index(dim) for dim in order])
    names = coords.get(channel, ()) if channel is not None else [source.name or ""]
    if time not in coords:
        return _tables(values, names, **_stated_rate(source.attrs))
    units = str(getattr(source.coords[time], "attrs", {}).get("units", ""))
    return _tables(values, names, **_stated_times(time, coords[time], units))
