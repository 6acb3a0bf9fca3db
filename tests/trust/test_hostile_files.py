"""Files that a stranger made: refused before memory is taken, with no code run, by one of our own errors.

GTFDEER_FUZZ_EXAMPLES=100000 fuzzes for longer than the default.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gtfdeer as gd
from gtfdeer.sealed import pack

from .small import model

EXAMPLES = int(os.environ.get("GTFDEER_FUZZ_EXAMPLES", "60"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
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
ZEROS = io.BytesIO()
np.save(ZEROS, np.zeros(30_000_000, np.uint8))
HOSTILE = {
    "a size of two gigabytes": lambda saved: with_header(saved, config={"latent_dim": 3, "hidden_dim": 2**29}),
    "two sizes that multiply": lambda saved: with_header(saved, config={"latent_dim": 10**5, "hidden_dim": 10**5}),
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
    "a header nested without end": lambda saved: archive_of(
        {
            **members(saved),
            "header.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (90000,), }", b"[" * 90000),
        }
    ),
    "a wrong checksum": lambda saved: saved[:-64] + hashlib.sha256(b"").hexdigest().encode(),
}


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


def test_a_sealed_checkpoint_of_nonsense_is_refused(tmp_path):
    """A checksum that fits says only that nothing was lost."""
    path = tmp_path / "x.npz"
    path.write_bytes(
        pack({"header": np.frombuffer(b'{"format": "gtfdeer checkpoint", "format_version": 1}', np.uint8)})
    )
    with pytest.raises(ValueError, match="does not fit together"):
        gd.resume(path)


def survives(read, path, content):
    """Either it is read, or refused by one of our own errors."""
    path.write_bytes(content)
    with contextlib.suppress(*OURS):
        read(path)


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
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ),
        min_size=1,
    )
)
def test_headers_of_model_files(saved, place, changed):
    survives(gd.load, place / "x.npz", with_header(saved, **changed))
