"""Text files: separators, names, gaps, clocks, and the place of every mistake."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfdeer.data import read_series

numbers = st.floats(-1e300, 1e300) | st.just(np.nan)


@pytest.fixture
def write(tmp_path):
    def write(text, name="x.csv", **how):
        path = tmp_path / name
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, **how)
        return path

    return write


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[numbers] * n), min_size=4, max_size=8)),
    delimiter=st.sampled_from([",", ";", "\t"]),
    named=st.booleans(),
    gap=st.sampled_from(["nan", "NaN", "NA", "null"]),
)
def test_what_was_written_is_read(rows, delimiter, named, gap, tmp_path_factory):
    table = np.array(rows)
    if np.isnan(table).all(axis=0).any():
        return  # refused, as another test shows
    lines = [delimiter.join(gap if np.isnan(value) else repr(float(value)) for value in row) for row in rows]
    names = [delimiter.join("xyz"[: table.shape[1]])] if named else []
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_text("\n".join(names + lines))
    np.testing.assert_array_equal(read_series(path).values, table)


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "1;2\n3;4",
        "1\t2\n3\t4\n",
        "1 2\n3 4\n",
        "  1   2\n 3   4  \n",
        "1, 2\n3, 4\n",
        "x,y\n1,2\n3,4\n",
        "x;y\n1;2\n3;4\n",
        "x y\n1 2\n3 4\n",
        '"x","y"\n"1","2"\n"3","4"\n',
        "# made by a machine\n# x y\n1 2\n3 4\n",
        "1,2\r\n3,4\r\n",
        "1,2\r3,4",
        "\n\n1,2\n\n3,4\n\n",
        "1,2,\n3,4,\n",
        "x,y,\n1,2,\n3,4,\n",
        "\ufeffx,y\n1,2\n3,4\n",
        "1e0,2E0\n+3,4.\n",
    ],
)
def test_the_usual_ways_to_write_a_table(write, text):
    suffix = [".csv", ".tsv", ".txt", ".dat", ".CSV"][len(text) % 5]  # makes no difference
    for encoding in ("utf-8", "utf-16"):
        series = read_series(write(text.encode(encoding), "x" + suffix))
        np.testing.assert_array_equal(series.values, [[1, 2], [3, 4]])
        assert (series.dt, series.name) == (1.0, "x")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_a_last_column_of_nan_is_a_column(delimiter, write):
    def table(*cells):
        return write("\n".join([delimiter.join(cells)] * 5))

    with pytest.raises(ValueError, match="column 0 of values is NaN throughout"):
        read_series(table("nan", "nan"))
    with pytest.raises(ValueError, match="column 1 of values is NaN throughout"):
        read_series(table("1", "nan"))


def test_empty_cells_are_gaps(write):
    values = read_series(write("x,y\n1,2\n#N/A,3\n4,\nNA,n/a\n5,6\n")).values
    expected = [[1, 2], [np.nan, 3], [4, np.nan], [np.nan, np.nan], [5, 6]]
    np.testing.assert_array_equal(values, expected)


def test_columns_are_chosen_by_name_or_place(write):
    path = write("x,y,who\n1,2,ann\n3,4,bob\n")
    assert read_series(path, columns="y").values.tolist() == [[2], [4]]
    assert read_series(path, columns=["y", 0]).values.tolist() == [[2, 1], [4, 3]]
    with pytest.raises(ValueError, match="no column 'z'; pass columns= out of these: 0 'x', 1 'y', 2 'who'"):
        read_series(path, columns="z")
    assert read_series(write("t,x\n5,1\n3,2\n4,3\n"), columns=["t", "x"]).values[0].tolist() == [5, 1]


def test_the_row_numbers_of_pandas_are_dropped(write):
    pandas = pytest.importorskip("pandas")
    table = np.random.default_rng(0).normal(size=(10, 2))
    named, unnamed = pandas.DataFrame(table, columns=["x", "y"]), pandas.DataFrame(table)
    for text in (named.to_csv(), named.to_csv(index=False), unnamed.to_csv(), named[3:].to_csv()):
        np.testing.assert_allclose(read_series(write(text)).values, table[-len(text.split()) + 1 :])
    wider = pandas.DataFrame(np.hstack([table, table]))
    np.testing.assert_allclose(read_series(write(wider.to_csv(index=False))).values, wider.to_numpy())


@pytest.mark.parametrize("name", ["t", "T", "time", "Time (s)", "time_s", "t [ms]", "timestamp"])
def test_a_clock_sets_the_step_and_is_dropped(write, name):
    series = read_series(write(f"{name},x\n" + "".join(f"{i * 0.25},{i}\n" for i in range(9))))
    assert series.dt == pytest.approx(0.25)
    assert series.values[:, 0].tolist() == list(range(9))


@pytest.mark.parametrize("digits", ["%.6g", "%.7g", "%.4f", "%.17g"])
def test_a_clock_may_be_written_with_few_digits(digits, write):
    clock = np.arange(40_000) / 360  # 111 seconds: six digits leave a thousandth, a third of a step
    path = write("t,x\n" + "".join(f"{digits % t},{k % 7}\n" for k, t in enumerate(clock)))
    assert read_series(path).dt == pytest.approx(1 / 360, rel=1e-5)


@pytest.mark.parametrize("gone", [100, 20_000, 39_990])
def test_a_missing_row_is_seen_however_few_the_digits(gone, write):
    clock = np.delete(np.arange(40_000) / 360, gone)
    path = write("t,x\n" + "".join(f"{t:.6g},{k % 7}\n" for k, t in enumerate(clock)))
    words = f"1 of 40000 rows are missing on the grid of the clock 't', the first before row {gone}"
    with pytest.warns(UserWarning, match=words):
        assert read_series(path).segments() == [(0, gone), (gone + 1, 40_000)]


@pytest.mark.parametrize(
    ("stamps", "sentence"),
    [
        ([0, 1, 1, 2], "does not increase: row 2 has 1 after 1; sort the rows"),
        ([0, 2, 1, 3], "does not increase: row 2 has 1 after 2"),
        ([0, 1, 2, 4.3, 5], "irregular: row 3 comes 2.3 after the one before, the median step is 1; pass resample=1"),
        ([0.0, 0.1, 0.25, 0.3, 0.4], "is irregular: row"),
        ([0, 1, "", 3], "has no number in row 2; write times as numbers or as ISO dates, or pass dt= and columns="),
        ([0], "has one stamp and so no step"),
    ],
)
def test_a_clock_that_stumbles_is_refused(write, stamps, sentence):
    path = write("t,x\n" + "".join(f"{t},1\n" for t in stamps))
    with pytest.raises(ValueError, match=sentence):
        read_series(path, wide=True)


def test_dates_are_read_in_seconds(write):
    path = write("time,x\n2024-01-01 00:00,1\n2024-01-01 00:01,2\n")
    series = read_series(path)
    assert (series.dt, series.time_unit, series.columns) == (60.0, "s", 1)
    assert read_series(path, columns="x").dt == 60.0
    with pytest.raises(ValueError, match=r"dt=1.0 was passed but column 'time' steps by 60"):
        read_series(path, 1.0)
    assert read_series(path, 1.0, columns="x").dt == 1.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x,y\n1,2\n3,oops\n", "line 3, column 1 'y' of 'x.csv' holds 'oops', which is not a number; correct it"),
        ("1,2\n3,oops\n", "line 2, column 1 of 'x.csv' holds 'oops'"),
        ("1,oops\n3,4\n", "line 1, column 1 of 'x.csv' holds 'oops'"),
        ("x,y\nmV,mV\n1,2\n", "line 2, column 1 'y' of 'x.csv' holds 'mV'.*; if it is a line of units, delete it"),
        ("# note\n\n1,2\n3,1_000\n", "line 4, column 1 of 'x.csv' holds '1_000'"),
        ("1,2\n3,4,5\n6,7\n", "line 2 of 'x.csv' has 3 cells but the first line has 2"),
        ("1 2\n3\n4 5\n", "line 2 of 'x.csv' has 1 cells but the first line has 2"),
        ("x,y,z\n1,2\n3,4\n", "line 2 of 'x.csv' has 2 cells but the first line has 3"),
        ("x;y\n0,5;1,5\n", "holds '0,5', a number with a decimal comma; save with decimal points"),
        ("0,5;1,5\n0,25;1,0\n", "line 1, column 0 of 'x.csv' holds '0,5', a number with a decimal comma"),
        ("0,5\t1,5\n0,25\t1,0\n", "a number with a decimal comma"),
        ("0,5 1,5\n0,25 1,0\n", "a number with a decimal comma"),
        ("x;y\n1.000,5;1,5\n", "a number with a decimal comma"),
        ("", "holds no line of numbers; pass a file with one line per time step"),
        ("# only\n# comments\n", "holds no line of numbers"),
        ("x,y\n", "holds names but no line of numbers"),
        ("x,y\n,\n,\n", "NaN throughout"),
        ("1,2\ninf,4\n", "infinite in row 1, column 0"),
        ("x;y\n1,257.00;2\n3.5;1\n", "line 2, column 0 'x' of 'x.csv' holds '1,257.00'"),
        ("x,y\n1.5%,2\n3.5%,1\n", "line 2, column 0 'x' of 'x.csv' holds '1.5%'"),
        ("x,y,t\n,,s\n1,2,0\n3,4,1\n", "holds 's'.*; if it is a line of units, delete it"),
        ("x,y\n\uff11,2\n3,4\n", "line 2, column 0 'x' of 'x.csv' holds"),
        ("1,2,3\n", "3 columns in 1 time step"),
        ("x,y\n1,2\n3," + "7" * 200_000 + "x\n", "line 3 is no line of a table"),
    ],
)
def test_a_mistake_is_found_by_line_column_and_text(write, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_series(write(text))


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x93NUMPY\0", b"\x1f\x8b\x08", b"  <!DOCTYPE html>", b"1,2\n\0"])
def test_a_file_that_is_not_what_its_name_says(write, start):
    with pytest.raises(ValueError, match=r"'x.csv' is not text: it begins with .*; export it as CSV UTF-8"):
        read_series(write(start))


def test_the_code_page_of_windows_is_not_guessed(write):
    for text in ("Spannung µV\n1\n", "x,y\n1,2\n" * 9000 + "µ,3\n"):
        with pytest.raises(ValueError, match=r"not UTF-8 text \(byte b'\\xb5'\); save it as CSV UTF-8"):
            read_series(write(text.encode("latin-1")))
