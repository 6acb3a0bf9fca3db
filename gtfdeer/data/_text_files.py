"""Text files of numbers: .csv, .tsv, .txt and .dat, any usual separator, at most one line of names.

    one line = one time step;  comma, semicolon, tab or blanks between;  '#' begins a comment line;
    an empty cell, NA, N/A, null, none or nan is a gap

NumPy's fast reader goes first. Where it stumbles, the lines are read again cell by cell, which either finds
gaps or names the line, the column and the text that is no number. No paper: RFC 4180 and what spreadsheets
write.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._columns import Table, needed_positions

if TYPE_CHECKING:
    from jaxtyping import Float

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
GAPS = ("", "nan", "na", "n/a", "null", "none")
DECIMAL_COMMA = re.compile(r"[-+]?\d+(\.\d{3})*,\d+([eE][-+]?\d+)?")
ONLY_DECIMAL_COMMAS = re.compile(rf"\s*{DECIMAL_COMMA.pattern}(\s+{DECIMAL_COMMA.pattern})+\s*")
SOMETHING_ELSE = {  # how other files begin
    b"PK\x03\x04": "a Zip archive or an Excel workbook; open it with pandas.read_excel and pass the frame",
    b"\x93NUMPY": "a NumPy array; name it .npy",
    b"\x1f\x8b": "gzip; unpack it first",
    b"\x89HDF": "HDF5; open it with h5py and pass the array",
    b"PAR1": "Parquet; open it with pandas.read_parquet and pass the frame",
    b"MATLAB": "a MATLAB file; open it with scipy.io.loadmat and pass the array",
    b"%PDF": "a PDF document; export the numbers as text",
    b"<": "a web page or XML; download the raw file",
}


class Line(NamedTuple):
    """A line with its number in the file, counted from 1."""

    number: int
    text: str


def read_text(path: Path, columns: int | str | Sequence[int | str] | None = None) -> Table:
    """Return the numbers of a text file (T, N) as float64, with the names of its columns.

    `columns` are the ones that must hold numbers, by default all; text elsewhere becomes NaN.

    Raises: ValueError naming line, column and text of what is no number, the line that is too long or too
    short, and what the file holds if it is no text.
    """
    lines = [Line(number, text) for number, text in enumerate(decoded(path).split("\n"), 1) if text.strip()]
    content = [line for line in lines if not line.text.lstrip().startswith("#")]
    if not content:
        raise ValueError(f"{path.name!r} holds no line of numbers; pass a file with one line per time step")
    delimiter = _delimiter(content)
    first, *following = (_cells(line, delimiter) for line in content[:2])
    has_names = _is_header(first, following[0] if following else [])
    body = content[1:] if has_names else content
    if not body:
        raise ValueError(f"{path.name!r} holds names but no line of numbers; pass a file with one line per time step")
    names = first if has_names else _commented_names(lines, content[0], delimiter, len(first))
    values = _numbers(body, delimiter, names, columns, path.name)
    may_be_no_column = values.shape[1] > 1 and names[-1] == "" and np.isnan(values[:, -1]).all()
    if may_be_no_column and all(_cells(line, delimiter)[-1] == "" for line in body):  # lines that end in a separator
        names, values = names[:-1], values[:, :-1]
    return Table(values, tuple(names))


def decoded(path: Path) -> str:
    """The text of a file in UTF-8 or in UTF-16 with its mark, with "\\n" at the ends of lines."""
    raw = path.read_bytes()
    for start, kind in SOMETHING_ELSE.items():
        if raw.lstrip()[:8].startswith(start):
            raise ValueError(f"{path.name!r} is not text but {kind}")
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not utf16 and b"\0" in raw:
        raise ValueError(f"{path.name!r} is not text: it holds zero bytes; export it as CSV UTF-8, or as .npy")
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(
            f"{path.name!r} is not UTF-8 text (byte {problem.start} is "
            f"{raw[problem.start : problem.start + 1]!r}); save it as CSV UTF-8"
        ) from problem
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimiter(content: list[Line]) -> str | None:
    """Tab, semicolon or comma, the first that most lines have; None for blanks."""
    sample = [line.text for line in (content[1:21] or content)]
    if all(ONLY_DECIMAL_COMMAS.fullmatch(text) and "\t" not in text for text in sample):
        return None
    found = (mark for mark in "\t;," if 2 * sum(mark in text.strip(" ") for text in sample) > len(sample))
    return next(found, None)


def _cells(line: Line, delimiter: str | None) -> list[str]:
    """The cells of a line, without quotes and blanks around them."""
    if delimiter is None:
        return [cell.strip('"') for cell in line.text.split()]
    try:
        cells = next(csv.reader([line.text], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as problem:
        raise ValueError(f"line {line.number} is no line of a table ({problem}); correct or remove it") from problem
    return [cell.strip() for cell in cells]


def _is_number(cell: str) -> bool:
    """Whether a cell holds a number or a gap in letters (nan), but is not empty."""
    return _number(cell) is not None and cell != ""


def _number(cell: str) -> float | None:
    """The number in a cell, NaN for a gap, None for text."""
    if cell.lower() in GAPS:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _is_header(first: list[str], second: list[str]) -> bool:
    """Whether the first line holds names: it begins with text, holds no number, or counts as pandas does.

    A line that begins with a number and has text further on is no header but a mistake, to be reported.
    """
    begins_with_text = _number(first[0]) is None and not DECIMAL_COMMA.fullmatch(first[0])
    holds_no_number = any(first) and not any(_is_number(cell) or DECIMAL_COMMA.fullmatch(cell) for cell in first)
    counting = [str(place) for place in range(len(first))]
    counted = len(first) >= 3 and first == counting and any("." in cell for cell in second)
    counted_beside_index = len(first) >= 2 and first == ["", *counting[:-1]]
    return begins_with_text or holds_no_number or counted or counted_beside_index


def _commented_names(lines: list[Line], first: Line, delimiter: str | None, width: int) -> list[str]:
    """Names from the comment line right above the numbers (numpy.savetxt writes one), or empty ones."""
    above = [line for line in lines if line.number < first.number]
    if above:
        cells = _cells(Line(above[-1].number, above[-1].text.lstrip("# \t")), delimiter)
        if len(cells) == width and not any(_is_number(cell) for cell in cells):
            return cells
    return [""] * width


def _numbers(
    body: list[Line],
    delimiter: str | None,
    names: list[str],
    columns: int | str | Sequence[int | str] | None,
    file_name: str,
) -> Float[np.ndarray, "time columns"]:
    """The table in one fast go, or else cell by cell."""
    try:
        values = np.loadtxt([line.text for line in body], delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
    except ValueError:  # a gap, text, or a ragged line: the slow reader tells which
        return _cell_by_cell(body, delimiter, names, needed_positions(names, columns), file_name)
    if values.shape[1] != len(names):
        return _cell_by_cell(body, delimiter, names, set(), file_name)
    return values


def _cell_by_cell(
    body: list[Line], delimiter: str | None, names: list[str], needed: set[int], file_name: str
) -> Float[np.ndarray, "time columns"]:
    """The table with gaps as NaN, or the first place that is no number."""
    rows = []
    for line in body:
        cells = _cells(line, delimiter)
        if len(cells) != len(names):
            raise ValueError(
                f"line {line.number} of {file_name!r} has {len(cells)} cells but the first line has "
                f"{len(names)}; give every line the same number, with nothing between two separators where a "
                "value is missing"
            )
        numbers = [_number(cell) for cell in cells]
        for place, (number, cell) in enumerate(zip(numbers, cells, strict=True)):
            if number is None and place in needed:
                raise ValueError(_no_number(line, place, names[place], cell, file_name))
        rows.append([np.nan if number is None else number for number in numbers])
    return np.array(rows)


def _no_number(line: Line, place: int, name: str, cell: str, file_name: str) -> str:
    """The sentence about a cell that holds text."""
    where = f"line {line.number}, column {place}{f' {name!r}' if name else ''} of {file_name!r} holds {cell!r}"
    if DECIMAL_COMMA.fullmatch(cell):
        advice = "save with decimal points, or pass pandas.read_csv(path, sep=None, decimal=',')"
        return f"{where}, a number with a decimal comma; {advice}"
    advice = "correct it, leave the cell empty for a gap, or choose the other columns with columns="
    return f"{where}, which is not a number; {advice}"
