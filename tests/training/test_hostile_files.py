"""Files that a stranger made: refused before memory is taken, with no code run, by one of our own errors.

GTFDEER_FUZZ_EXAMPLES=100000 fuzzes for longer than the default.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import struct
import traceback
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gtfdeer as gd
from gtfdeer.training._archive import pack, unpack
from gtfdeer.training._files import load_run

from .small import SETTINGS, model

EXAMPLES = int(os.environ.get("GTFDEER_FUZZ_EXAMPLES", "60"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
PACKAGE = Path(gd.__file__).parent
OURS = (ValueError, TypeError, FileNotFoundError)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.npz"
    gd.Reconstruction(model(), None, dt=0.01, first=np.zeros(3, np.float32)).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def archive_of(files, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def twice(files, name):
    buffer = io.BytesIO(archive_of(files))
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own word on it
        archive.writestr(name, files[name])
    return buffer.getvalue()


def npy(header, data=b""):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def with_header(content, **changed):
    files = members(content)
    header = json.loads(np.load(io.BytesIO(files["header.npy"])).tobytes())
    header.update(changed)
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(header).encode(), np.uint8))
    return archive_of({**files, "header.npy": buffer.getvalue()})


def deep(content, *, model, **sizes):
    """The file, which holds 5000 more numbers and names a state-space model of such sizes."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(5000, np.float32))
    files = members(with_header(content, model=model, config={**sizes, "observed_dim": 3}))
    return archive_of({**files, "parameters/E.npy": buffer.getvalue()})


def lying(content, size):
    """The archive with every declared size replaced."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset : at + offset + 4] = struct.pack("<I", size)
            at = changed.find(mark, at + 4)
    return bytes(changed)


BIG = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }"
NESTED = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (90000,), }", b"[" * 90000)
ZEROS = io.BytesIO()
np.save(ZEROS, np.zeros(30_000_000, np.uint8))
HOSTILE = {
    "a size of two gigabytes": lambda saved: with_header(saved, config={"latent_dim": 3, "hidden_dim": 2**29}),
    "two sizes that multiply": lambda saved: with_header(saved, config={"latent_dim": 10**5, "hidden_dim": 10**5}),
    "a depth that multiplies": lambda saved: deep(saved, model="Mamba", latent_dim=4096, width=4096, depth=4096),
    "three sizes that multiply": lambda saved: deep(saved, model="S5", latent_dim=4096, width=4096, depth=1),
    "a matrix to start from": lambda saved: deep(saved, model="S5", latent_dim=4500, width=1, depth=1),
    "a shape of terabytes": lambda saved: archive_of({**members(saved), "first.npy": npy(BIG % 10**12, bytes(24))}),
    "a shape below zero": lambda saved: archive_of({**members(saved), "first.npy": npy(BIG % -3, bytes(24))}),
    "a shape beyond all bounds": lambda saved: archive_of({**members(saved), "first.npy": npy(BIG % f"0, {10**30}")}),
    "a bomb of many small ones": lambda saved: archive_of(
        {**members(saved), **{f"history/{k}.npy": ZEROS.getvalue() for k in range(5)}}
    ),
    "sizes that lie upwards": lambda saved: lying(saved, 2**31 - 1),
    "sizes that lie downwards": lambda saved: lying(saved, 130),
    "names that climb": lambda saved: archive_of(
        {f"../../{name}": content for name, content in members(saved).items()}
    ),
    "one name twice": lambda saved: twice(members(saved), "first.npy"),
    "a class of the system": lambda saved: with_header(saved, model="os.system"),
    "a class of ours that is no model": lambda saved: with_header(saved, model="IdentityObservation"),
    "a header nested without end": lambda saved: archive_of({**members(saved), "header.npy": NESTED}),
}


def with_parameters(content, change):
    """The file with W1 changed: left out, renamed or of other numbers."""
    files = members(content)
    files.update(change(files.pop("parameters/W1.npy")))
    return archive_of(files)


NONE_OF_OURS = [
    (lambda saved: with_header(saved, format_version=99, gtfdeer="7.0.0"), r"newer than this .*; type: pip .* @ git"),
    (lambda saved: with_header(saved, format="something else"), "pass one written by"),
    (lambda saved: with_header(saved, config={"observation": "Popen"}), "does not know"),
    (lambda saved: with_parameters(saved, lambda W1: {}), "needs more than the"),
    (lambda saved: with_parameters(saved, lambda W1: {"parameters/V1.npy": W1}), "do not belong"),
    (lambda saved: with_parameters(saved, lambda W1: {"parameters/W1.npy": W1[:-4] + b"\xff" * 4}), "finite"),
    (lambda saved: with_header(saved, dt=[]), "damaged"),
    (lambda saved: archive_of({"x.npy": npy(BIG % 3, bytes(24))}), "not a model file of gtfdeer, or damaged"),
]


@pytest.mark.parametrize(("make", "words"), NONE_OF_OURS, ids=[words for _, words in NONE_OF_OURS])
def test_a_file_that_does_not_hold_a_model_of_ours_is_refused(make, words, saved, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(make(saved))
    with pytest.raises(ValueError, match=words):
        gd.load(path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_file_is_refused_before_memory_is_taken(name, saved, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(HOSTILE[name](saved))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (gd.load, gd.resume):
        with pytest.raises(ValueError, match=r"x\.npz|the file"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes; they promise far more
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


# --- checkpoints ---


@pytest.fixture(scope="module")
def run(series, tmp_path_factory):
    """The arrays of a checkpoint of a run that has just begun."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    gd.fit(model(), series, checkpoint=path, callbacks=[lambda moment: moment.stop()], **SETTINGS)
    return unpack(path.read_bytes())


def changed_run(arrays, header=None, **changed):
    """The checkpoint of these arrays, some entries of its header replaced (`run__every`: one in another)."""
    new = json.loads(arrays["header"].tobytes())
    for name, value in {**(header or {}), **changed}.items():
        *folders, last = name.replace("set__", "run__config__fields__").split("__")
        entry = new
        for folder in folders:
            entry = entry[folder]
        entry[last] = value
    return pack({**arrays, "header": np.frombuffer(json.dumps(new).encode(), np.uint8)}, compress=False)


RUNS = {
    "no update between two checkpoints": lambda run: changed_run(run, run__every=0),
    "updates between two checkpoints in words": lambda run: changed_run(run, run__every="often"),
    "more looks than there is memory for": lambda run: changed_run(run, set__validations=10**10),
    "looks below zero": lambda run: changed_run(run, set__validations=-1),
    "a size of two gigabytes": lambda run: changed_run(run, config={"latent_dim": 3, "hidden_dim": 2**29}),
    "a depth that multiplies": lambda run: changed_run(
        {**run, "parameters/E": np.zeros(5000, np.float32)},
        model="Mamba",
        config={"latent_dim": 4096, "width": 4096, "depth": 4096, "observed_dim": 3},
    ),
    "a model of other columns": lambda run: changed_run(
        run, config={"latent_dim": 4, "hidden_dim": 8, "observed_dim": 4}
    ),
    "a solver that is none": lambda run: changed_run(run, set__solver={"class": "System", "fields": {}}),
    "a schedule for a solver": lambda run: changed_run(run, set__solver={"class": "Constant", "fields": {}}),
    "fields that a solver has not": lambda run: changed_run(run, set__solver={"class": "DEER", "fields": {"x": 1}}),
    "a function of the system": lambda run: changed_run(run, set__forcing={"function": "system"}),
    "an array of objects": lambda run: changed_run(run, set__forcing={"array": [{}], "dtype": "O"}),
    "a batch of terabytes": lambda run: changed_run(run, set__batch=10**9, set__window=1000),
    "a window longer than the data": lambda run: changed_run(run, set__window=1201),
    "a rate that is none": lambda run: changed_run(run, set__learning_rate=float("nan")),
    "another kind of key": lambda run: changed_run(run, run__key="pickle"),
    "two keys": lambda run: changed_run({**run, "key": np.zeros((2, 2), np.uint32)}),
    "a key that is none": lambda run: changed_run({**run, "key": np.zeros(3, np.float32)}),
    "no recordings": lambda run: changed_run(run, run__series=[]),
    "a recording of text": lambda run: changed_run({**run, "data/0/values": np.array(["a"] * 99)}),
    "a recording of one column": lambda run: changed_run({**run, "data/0/values": np.zeros((99, 1), np.float32)}),
    "inputs for a model without": lambda run: changed_run({**run, "data/0/u": np.zeros((1200, 1), np.float32)}),
    "a step of zero": lambda run: changed_run(run, run__series=[{"name": "x", "dt": 0}]),
    "an embedding of nothing": lambda run: changed_run(run, embedding=[0, 0, "x"]),
    "a history of another run": lambda run: changed_run({**run, "history/loss": np.zeros(3, np.float32)}),
    "a state of another type": lambda run: changed_run({**run, "state/0": run["state/0"].astype(np.float64)}),
    "a state that lacks a leaf": lambda run: changed_run({k: v for k, v in run.items() if k != "state/0"}),
    "a header without end": lambda run: pack({**run, "header": np.frombuffer(b"[" * 90000, np.uint8)}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_hostile_checkpoint_is_refused_before_memory_is_taken(name, run, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(RUNS[name](run))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ValueError, TypeError, MemoryError)) as refusal:
        gd.resume(path, progress=False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    assert PACKAGE in Path(traceback.extract_tb(refusal.value.__traceback__)[-1].filename).parents  # in our own words
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def survives(read, path, content):
    """Either it is read, or refused by one of our own errors."""
    path.write_bytes(content)
    with contextlib.suppress(*OURS):
        read(path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
ENTRIES = ["model", "config", "run", "run__key", "run__series", "ending", "update", "run__every", "format_version"]
FIELDS = ["window", "batch", "updates", "forcing", "solver", "noise", "validations", "solver__fields"]
ENTRIES += [f"set__{name}" for name in FIELDS]
ENTRIES += ["config__latent_dim", "config__hidden_dim", "run__config", "embedding", "dt"]


@fuzz
@given(st.dictionaries(st.sampled_from(ENTRIES), anything, min_size=1, max_size=3))
def test_headers_of_checkpoints(run, place, changed):
    inner_first = dict(sorted(changed.items(), reverse=True))
    survives(load_run, place / "run.npz", changed_run(run, inner_first))


# --- anything at all ---


@fuzz
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4), cut=st.booleans())
def test_changed_bytes_of_a_model_file(saved, place, changes, cut):
    content = bytearray(saved)
    for where, byte in changes:
        content[int(where * len(content))] = byte
    survives(gd.load, place / "x.npz", bytes(content[: int(changes[0][0] * len(content))] if cut else content))


@fuzz
@given(header=st.text(max_size=60), data=st.binary(max_size=40))
def test_headers_of_arrays(place, header, data):
    survives(gd.data.read_series, place / "x.npy", npy(header, data))
    survives(gd.data.read_series, place / "x.npz", archive_of({"x.npy": npy(header, data)}))


@fuzz
@given(
    descr=st.sampled_from(["<f8", "|O", "<i2", "|S3", "<U2", ">f4", "|V8", "<c16", "<M8[s]", "|b1"]),
    shape=st.lists(st.integers(-2, 10**19), max_size=3),
    data=st.binary(max_size=64),
)
def test_shapes_and_types_of_arrays(place, descr, shape, data):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    survives(gd.data.read_series, place / "x.npy", npy(header, data))


@fuzz
@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="0123456789.,;eE+-\t \n\"'#naxt", max_size=200).map(str.encode))
)
def test_text_files(place, content):
    survives(gd.data.read_series, place / "x.csv", content)


@fuzz
@given(
    st.dictionaries(
        st.sampled_from(["model", "config", "dt", "embedding", "update", "name", "format_version", "ending"]),
        anything,
        min_size=1,
    )
)
def test_headers_of_model_files(saved, place, changed):
    survives(gd.load, place / "x.npz", with_header(saved, **changed))
