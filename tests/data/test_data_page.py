"""docs/data.md: every row of its tables is typed here, and what it says must happen."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gtfdeer.data import Series, read_series

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .* \| `(read_series\(.*)` \| (?:refused: )?`([^`]*)`.* \|$", PAGE, re.MULTILINE)
T = 200
X = np.random.default_rng(0).normal(size=(T, 2)).round(4)
TIME = np.arange(T) * 0.004
FRAME = pd.DataFrame(X, columns=["x", "y"])
DATED = FRAME.set_index(pd.date_range("2024-01-01", periods=T, freq="4ms"))
TIMED = FRAME.assign(time=TIME)


class Raw:
    """What is read of an mne object."""

    ch_names, info = ["C3", "C4"], {"sfreq": 250.0}

    def __init__(self, data, kinds=("eeg", "eeg")):
        self.get_data, self.get_channel_types = lambda: data, lambda: list(kinds)
        self.ch_names = ["STI" if kind == "stim" else name for name, kind in zip(self.ch_names, kinds, strict=True)]


class Tensor:
    """What is read of a torch tensor."""

    dtype = "torch.float32"

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return X.astype(np.float32)


def write_text_files():
    jitter = np.arange(T) * 0.004 + np.random.default_rng(1).uniform(0, 0.001, T) * (np.arange(T) % (T - 1) > 0)
    minutes = pd.date_range("2024-01-01 23:00", periods=T, freq="min")
    codes = FRAME.copy()
    codes.iloc[[7, 40], 0] = -9999
    for name, frame in {
        "plain": FRAME,
        "time": TIMED,
        "tick": FRAME.assign(tick=np.arange(T) * 4),
        "rising": FRAME.assign(heat=np.cumsum(np.random.default_rng(1).uniform(0.1, 1, T))),
        "dates": FRAME.assign(when=DATED.index),
        "german": FRAME.assign(when=DATED.index.strftime("%d.%m.%Y").str.replace("01.01", "01.02") + " 00:00:00"),
        "missing_rows": TIMED.drop(index=[50, 51, 120]),
        "shuffled": TIMED.sample(frac=1, random_state=0),
        "jitter": FRAME.assign(time=jitter),
        "codes": codes,
        "digits": FRAME.assign(date=pd.date_range("2024-01-01", periods=T).strftime("%Y%m%d")),
        "two": FRAME.assign(date=minutes.strftime("%Y-%m-%d"), time=minutes.strftime("%H:%M:%S")),
        "index": FRAME.assign(trial=np.repeat([0, 1], T // 2)),
        "trials": pd.concat([TIMED[:100].assign(trial=name) for name in "ab"]),
    }.items():
        frame.to_csv(f"{name}.csv", index=False)
    TIMED.to_csv("pandas.csv")
    body = FRAME.to_csv(index=False)
    rows = body.split("\n", 1)[1]
    for name, text in {
        "preamble": f"Start: 2024-01-01\nRate: 250\n{body}",
        "empatica": f"1544027337.0,1544027337.0\n32.0,32.0\n{rows}",
        "comment": f"# sampling rate: 250 Hz\n{body}",
        "units": f"x,y\nmV,mV\n{rows}",
        "commas": "x;y\n0,5;1,5\n0,6;1,7\n",
        "thousands": "x;y\n" + "1,250.5;2\n3.5;4\n" * 20,
        "text": "x,y\n1,2\n3,oops\n4,5\n",
    }.items():
        Path(f"{name}.csv").write_text(text)
    np.save("array.npy", X)
    np.savez("clock.npz", t=TIME, data=X, fs=250.0)
    np.savez("arrays.npz", eeg=X, other=X[:5])


def write_edf():
    writer = pytest.importorskip("pyedflib").EdfWriter("sleep.edf", 2)
    about = {"dimension": "uV", "sample_frequency": 250, "physical_max": 10, "physical_min": -10}
    about |= {"digital_max": 32767, "digital_min": -32768}
    writer.setSignalHeaders([{"label": name, **about} for name in ("C3", "C4")])
    writer.writeSamples([np.sin(np.arange(500.0)), np.cos(np.arange(500.0))])
    writer.close()


def write_wfdb():
    wfdb = pytest.importorskip("wfdb")
    wfdb.wrsamp("heart", fs=360, units=["mV"] * 2, sig_name=["MLII", "V5"], p_signal=X, write_dir=".")


def write_matlab():
    pytest.importorskip("scipy.io").savemat("matlab.mat", {"data": X, "fs": 250.0, "who": "Ann"})


def write_matlab73():
    with pytest.importorskip("h5py").File("matlab73.mat", "w", userblock_size=512) as file:
        for name, values, kind in (("data", X.T, "double"), ("Fs", [[250.0]], "double"), ("who", [[65]], "char")):
            file[name] = np.asarray(values)
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)


def write_netcdf():
    xarray = pytest.importorskip("xarray")
    hours = {"time": pd.date_range("2024-01-01", periods=T, freq="h")}
    xarray.Dataset({"u": ("time", X[:, 0]), "v": ("time", X[:, 1])}, coords=hours).to_netcdf("climate.nc")


def write_parquet():
    pytest.importorskip("pyarrow")
    DATED.to_parquet("table.parquet")


WRITERS = {
    **{"sleep.edf": write_edf, "heart.hea": write_wfdb, "matlab.mat": write_matlab, "matlab73.mat": write_matlab73},
    **{"climate.nc": write_netcdf, "table.parquet": write_parquet},
}


def objects(code):
    masked = np.ma.array(X, mask=np.zeros(X.shape, bool))
    masked[10:30] = np.ma.masked
    found = {
        "array": X,
        "masked": masked,
        "counts": (10**9 + np.random.default_rng(0).integers(-200, 200, T)),
        "times": TIME,
        "objects": [[None, 0.5], *X[1:].tolist()],
        "texts": FRAME.set_index(DATED.index.strftime("%Y-%m-%d %H:%M:%S.%f")),
        "frame": DATED,
        "lasting": FRAME.set_index(pd.to_timedelta(TIME, unit="s")),
        "floats": TIMED.set_index("time"),
        "dropped": DATED.drop(index=DATED.index[[5, 6, 100]]),
        "mixed": FRAME.sample(frac=1, random_state=0),
        "raw": Raw(X.T),
        "triggered": Raw(X.T, ("eeg", "stim")),
        "epochs": Raw(X.reshape(2, 100, 2).transpose(0, 2, 1)),
        "tensor": Tensor(),
        "trials": X.reshape(2, 100, 2),
    }
    if "polars_frame" in code:
        polars = pytest.importorskip("polars")
        found["polars_frame"] = polars.DataFrame({"time": TIME, "x": X[:, 0], "y": X[:, 1]})
    if "dataset" in code:
        xarray = pytest.importorskip("xarray")
        first, second = (np.where(np.arange(T) == row, row, x) for row, x in zip((50, 70), X.T, strict=True))
        columns = {"x": ("time", first, {"_FillValue": 50}), "y": ("time", second, {"missing_value": 70})}
        found["filled_dataset"] = xarray.Dataset(columns, coords={"time": TIME})
    if "dataarray" in code:
        xarray = pytest.importorskip("xarray")
        filled = np.where(X[3, 1] == X, -999, X).T
        about = {"dims": ("channel", "time"), "coords": {"time": TIME}, "attrs": {"_FillValue": -999}}
        found["stated_dataarray"] = xarray.DataArray(X, dims=("time", "channel"), attrs={"fs": "250 Hz"})
        found["filled_dataarray"] = xarray.DataArray(filled, **about)
        found["dataarray"] = xarray.DataArray(X, dims=("time", "channel"), coords={"time": TIME})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The text files of the page; other formats are written when a row names them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        write_text_files()
        return Path.cwd()


@pytest.mark.parametrize(("code", "happens"), ROWS, ids=[code for code, _ in ROWS])
def test_what_the_page_promises_happens(code, happens, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name, write in WRITERS.items():
        if name in code:
            write()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            told = repr(eval(code, {"read_series": read_series, **objects(code)}))
        except ValueError as refused:
            told = str(refused)
    assert happens in "\n".join([told, *(str(each.message) for each in caught)])


def test_no_row_is_left_out():
    assert len(ROWS) == len(re.findall(r"^\| .*`read_series\(", PAGE, re.MULTILINE)) > 40


def test_values_and_names_are_those_of_the_source(folder):
    for name in ("plain", "time", "pandas", "dates", "preamble"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            series = read_series(folder / f"{name}.csv")
        np.testing.assert_array_equal(series.values, X)
        assert series.column_names == ("x", "y")
    assert isinstance(read_series(DATED), Series)
