"""What NumPy and other libraries read or hold, each imported only where it is needed.

    .npy .npz: NumPy    .edf .bdf: pyedflib or mne    .hea: wfdb    .mat: scipy, h5py    .nc: xarray    .parquet: pandas
    xarray: dims, coords    mne: get_data, ch_names, info    polars: get_columns    torch: detach    others: __array__

Sampling rate and names of channels come along; nothing is unpickled. No paper: the libraries read, nothing is decoded
here.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ._clock import Table
from ._frames import table_of_frame, to_seconds
from ._values import real_numbers

RATES = ("fs", "srate", "sfreq", "sr", "rate", "samplerate", "samplingrate", "samplingfrequency", "freq")
CHANNEL_DIMS = ("channel", "channels", "ch", "sensor", "electrode", "variable", "feature")
TIME_DIMS = ("time", "times", "t", "sample", "samples", "datetime", "date")
LARGE, MOST_INFLATION = 64 * 2**20, 200  # bytes, and unpacked per packed byte above them; recordings reach 10 (ours)
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
                raise ValueError(
                    f"{path.name!r} unpacks {member.compress_size} bytes to {member.file_size}, which no recording "
                    "does; pass the array from numpy.load if you trust it"
                )
        return from_variables(dict(archive), repr(path.name), field)


def _read_edf(path: Path, _: str | None) -> Tables:
    if not importlib.util.find_spec("pyedflib") and importlib.util.find_spec("mne"):
        return _from_mne(importlib.import_module("mne").io.read_raw(path, verbose="error"))
    with _need("pyedflib", path).EdfReader(str(path)) as file:
        names, rates = [name.strip() for name in file.getSignalLabels()], file.getSampleFrequencies()
        common = max(set(rates), key=lambda rate: (rates == rate).sum())
        if (rates != common).any():
            others = ", ".join(f"{n} {r:g}" for n, r in zip(names, rates, strict=True) if r != common)
            warnings.warn(
                f"{path.name!r} has channels of several rates; those of {common:g} per second are read, not {others}",
                stacklevel=6,
            )
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
        return _from_dataarray(source)
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
    values = real_numbers(given)
    if values.ndim == 3 and values.size:
        return [Table(trial, ("",) * trial.shape[1]) for trial in values]
    values = values[:, None] if values.ndim == 1 else values
    return Table(values, ("",) * (values.shape[1] if values.ndim == 2 else 1))


def from_variables(variables: Mapping[str, np.ndarray], source: str, field: str | None) -> Tables:
    """The array among named ones, or vectors as columns; a scalar such as fs tells the rate, a vector t the clock."""
    variables = {name: v for name, v in variables.items() if isinstance(v, np.ndarray)}
    kinds = {name: "fiubmM" if name.lower() in TIME_DIMS else "fiubc" for name in variables}
    numeric = {k: np.squeeze(v) if v.ndim == 2 else v for k, v in variables.items() if v.dtype.kind in kinds[k]}
    scalars = {k.lower().replace("_", ""): v.ravel()[0] for k, v in numeric.items() if v.size == 1}
    arrays = {k: v for k, v in numeric.items() if v.size > 1}
    if field is not None and field not in arrays:
        raise ValueError(f"{source} holds no array {field!r}; pass field= one of {', '.join(map(repr, arrays))}")
    clocks = [k for k, v in arrays.items() if v.ndim == 1 and k.lower() in TIME_DIMS and k != field]
    wanted = [field] if field else [name for name in arrays if name not in clocks] or list(arrays)
    shapes = {arrays[name].shape for name in wanted}
    if not wanted or (len(wanted) > 1 and (len(shapes) > 1 or len(next(iter(shapes))) > 1)):
        listed = ", ".join(f"{name!r} {arrays[name].shape}" for name in arrays) or "none"
        raise ValueError(f"{source} holds {len(arrays)} arrays; pass field= one of {listed}")
    rate = next((float(scalars[name]) for name in RATES if scalars.get(name, 0) > 0), None)
    about: dict[str, Any] = {"dt": scalars.get("dt"), "unit": ""} if rate is None else {"dt": 1 / rate, "unit": "s"}
    if len(wanted) > 1 or arrays[wanted[0]].ndim == 1:
        names, values = tuple(wanted), real_numbers(np.stack([arrays[name] for name in wanted], axis=1))
    else:
        values = real_numbers(arrays[wanted[0]])
        labels = (np.ravel(v) for v in variables.values() if v.dtype.kind == "U" and v.size == values.shape[-1])
        names = tuple(map(str, next(labels, [""] * values.shape[-1])))
    clock = next((k for k in clocks if len(arrays[k]) == values.shape[-2]), None)
    if clock:
        about["index"] = clock, to_seconds(arrays[clock]) if arrays[clock].dtype.kind in "mM" else arrays[clock] * 1.0
        about["unit"] = "s" if arrays[clock].dtype.kind in "mM" else ""
    return [Table(trial, names, **about) for trial in values] if values.ndim == 3 else Table(values, names, **about)


def _from_mne(source: Any) -> Tables:
    """A recording (channel, time), or epochs (epoch, channel, time); stretches that are annotated as bad are gaps."""
    names, dt = tuple(map(str, source.ch_names)), 1 / float(source.info["sfreq"])
    kinds = source.get_channel_types() if hasattr(source, "get_channel_types") else ()
    triggers = [name for name, kind in zip(names, kinds, strict=False) if kind == "stim"]
    for channels, what in ((list(source.info.get("bads", ())), "marked as bad"), (triggers, "triggers")):
        if channels:
            warnings.warn(f"the channels {channels} are {what} and are kept; choose others with columns=", stacklevel=5)
    annotated = [str(each) for each in getattr(getattr(source, "annotations", None), "description", ())]
    bad = any(each.upper().startswith(("BAD", "EDGE")) for each in annotated)
    data = source.get_data(reject_by_annotation="NaN") if bad and not hasattr(source, "drop_bad") else source.get_data()
    if np.ndim(data) == 2:
        return Table(real_numbers(data).T, names, dt=dt, unit="s")
    return [Table(real_numbers(trial).T, names, dt=dt, unit="s") for trial in data]


def _from_dataset(source: Any, field: str | None, name: str) -> Tables:
    """The one variable, or those over time alone as columns."""
    numeric = {str(k): each for k, each in source.data_vars.items() if each.dtype.kind in "fiub" and each.ndim}
    wanted = list(numeric) if field is None else [field]
    several = len(wanted) > 1 and (
        {numeric[k].ndim for k in wanted} != {1} or len({numeric[k].dims for k in wanted}) > 1
    )
    if not wanted or several or wanted[0] not in numeric:
        what = f"no array {field!r}" if field else f"{len(numeric)} arrays"
        raise ValueError(f"{name} holds {what}; pass field= one of {', '.join(map(repr, numeric)) or 'none'}")
    first = _from_dataarray(numeric[wanted[0]])
    if isinstance(first, list) or len(wanted) == 1:
        return first
    values = np.stack([real_numbers(numeric[k].values) for k in wanted], axis=1)
    return replace(first, values=values, names=tuple(wanted))


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
    codes = [source.attrs[name] for name in ("_FillValue", "missing_value") if name in source.attrs]
    values = np.where(np.isin(values, codes), np.array(np.nan, values.dtype), values) if codes else values
    names = (str(source.name),) if source.name is not None else ("",)
    if channel is not None:
        labels = coords[channel] if channel in coords else [""] * values.shape[-1]
        names = tuple(map(str, labels))
    about: dict[str, Any] = {}
    if time in coords:
        stamps = to_seconds(coords[time]) if coords[time].dtype.kind in "mMO" else real_numbers(coords[time])
        unit = (
            "s" if coords[time].dtype.kind in "mM" else str(getattr(source.coords[time], "attrs", {}).get("units", ""))
        )
        about = {"index": None if stamps is None else (time, stamps), "unit": unit}
    else:
        stated = {str(k).lower().replace("_", ""): v for k, v in getattr(source, "attrs", {}).items()}
        rate = next((float(stated[k]) for k in RATES if k in stated), None)
        about = {"dt": 1 / rate, "unit": "s"} if rate else {}
    values = values if channel is not None else values[..., None]
    return [Table(trial, names, **about) for trial in values] if values.ndim == 3 else Table(values, names, **about)
