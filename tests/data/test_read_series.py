"""read_series: arrays, frames, NumPy files, clocks; text files have a file of their own."""

import contextlib
import io
import zipfile

import jax
import numpy as np
import pytest

from gtfdeer.data import Series, read_series

TABLE = np.random.default_rng(0).normal(size=(20, 3))


def test_an_array_becomes_a_series():
    series = read_series(TABLE, 0.1, name="noise")
    np.testing.assert_array_equal(series.values, TABLE)
    assert (series.dt, series.name) == (0.1, "noise")
    assert read_series(jax.numpy.ones(5)).values.shape == (5, 1)
    assert read_series([[1, 2], [3, 4]]).dt == 1.0
    np.testing.assert_array_equal(read_series(TABLE, columns=[2, 0]).values, TABLE[:, [2, 0]])


def test_a_series_passes_through():
    series = Series(TABLE, dt=0.1, name="noise").standardise()
    assert read_series(series).scaling == series.scaling
    assert read_series(series, 0.2, columns=[1]).values.shape == (20, 1)
    assert read_series(series, 0.2).dt == 0.2


def test_numpy_files_come_back_as_they_were(tmp_path):
    for dtype in (np.float32, np.float64, ">f8"):
        np.save(tmp_path / "x.npy", TABLE.astype(dtype))
        series = read_series(tmp_path / "x.npy", 0.1)
        np.testing.assert_array_equal(series.values, TABLE.astype(dtype))
        assert series.name == "x"
    np.save(tmp_path / "fortran.npy", np.asfortranarray(TABLE))
    np.testing.assert_array_equal(read_series(str(tmp_path / "fortran.npy")).values, TABLE)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return exec, ("raise SystemExit('the pickle was opened')",)

    trap = np.array([Trap(), Trap()], dtype=object)
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "trap.npz", trap=trap)
    (tmp_path / "bare.npy").write_bytes(b"\x80\x04N.")
    for name in ("trap.npy", "trap.npz", "bare.npy"):
        with pytest.raises(ValueError, match=f"'{name}' cannot be read by NumPy .*(Python objects|pickle)"):
            read_series(tmp_path / name)


def header(shape, descr="<f8"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust((10 + len(text)) // 64 * 64 + 64 - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def zipped(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.npy", header((10**12, 3)) + bytes(48), "larger than|greater than file size"),
        ("x.npy", header((4, 3)) + bytes(90), "greater than file size"),
        ("x.npz", zipped("values.npy", header((10**12, 3)) + bytes(48)), "Unable to allocate|EOF"),
        ("x.npy", header("__import__('os')") + bytes(48), "malformed"),
        ("x.npy", b"\x93NUMPY\x09\x00" + bytes(100), "version"),
        ("x.npz", zipped("values.npy", header((4, 3)) + bytes(96))[:150], "not a zip file"),
        ("x.npz", zipped("values.npy", header((4, 3)) + bytes(90)), "EOF"),
        ("x.npz", zipped("notes.txt", b"nothing"), "holds 0 arrays"),
    ],
)
def test_a_damaged_file_is_refused_before_memory_is_asked_for(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"'{name}' (cannot be read by NumPy \(.*)?({sentence})"):
        read_series(tmp_path / name)


def test_records_have_names(tmp_path):
    records = np.rec.fromarrays(TABLE.T, names="a,b,c")
    np.save(tmp_path / "x.npy", records)
    for source in (records, tmp_path / "x.npy"):
        series = read_series(source, columns=["c", "a"])
        np.testing.assert_array_equal(series.values, TABLE[:, [2, 0]])
        assert series.column_names == ("c", "a")


def test_a_zip_bomb_is_refused_unopened(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, zeros=np.zeros((9_000_000, 1)))
    with pytest.raises(ValueError, match=r"unpacks 7.* bytes to 72000128, which no recording does"):
        read_series(path)


def test_a_flipped_byte_gives_an_array_or_one_sentence(tmp_path):
    random = np.random.default_rng(0)
    for name, save in (("x.npy", np.save), ("x.npz", lambda path, table: np.savez_compressed(path, v=table))):
        path = tmp_path / name
        save(path, TABLE)
        whole = path.read_bytes()
        for place in random.integers(0, len(whole), 150):
            broken = bytearray(whole)
            broken[place] = random.integers(256)
            path.write_bytes(broken)
            with contextlib.suppress(ValueError, TypeError):  # any other kind of exception fails the test
                assert isinstance(read_series(path, wide=True), Series)


def test_a_missing_file_is_missed_with_the_nearest_name(tmp_path):
    (tmp_path / "lorenz.csv").write_text("1\n2\n")
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*lorens.csv'; did you mean '.*lorenz.csv'\?"):
        read_series(tmp_path / "lorens.csv")


def test_frames_are_read_by_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2, 3], "y": [0.5, None, 1.5], "who": ["a", "b", "c"]})
    values = read_series(frame, columns=["y", "x"]).values
    np.testing.assert_array_equal(values, [[0.5, 1], [np.nan, 2], [1.5, 3]])
    np.testing.assert_array_equal(read_series(frame["x"]).values[:, 0], [1, 2, 3])
    nullable = pandas.DataFrame({"x": pandas.array([1, None, 3], dtype="Int64")})
    assert read_series(nullable).segments() == [(0, 1), (2, 3)]
