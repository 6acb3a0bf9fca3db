"""Text files of numbers: .csv, .tsv, .txt and .dat, any usual separator, at most one line of names.

    one line = one time step;  comma, semicolon, tab or blanks between;  '#' begins a comment line;
    an empty cell, NA, N/A, null, none or nan is a gap

The first lines are looked at to find separator, names, and what stands above them; pandas reads the rest. Where it
stumbles, the line, the column and the text that is no number are found. No paper: RFC 4180 and what spreadsheets write.
"""

from __future__ import annotations

import codecs
import csv
import mmap
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._clock import Table, positions
from ._foreign import STAMP, table_of_frame

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
GAPS = ("", "nan", "na", "n/a", "#n/a", "null", "none")
DECIMAL_COMMA = re.compile(r"[-+]?\d+(\.\d{3})*,\d+([eE][-+]?\d+)?")
ONLY_DECIMAL_COMMAS = re.compile(rf"\s*{DECIMAL_COMMA.pattern}(\s+{DECIMAL_COMMA.pattern})+\s*")
NEARLY_A_NUMBER = re.compile(r"[-+]?\d[\d.,' ]*([eE][-+]?\d+)?\s*%?")  # with thousands or a decimal comma
NO_COMMENT = re.compile(rb"#(N/A|DIV/0|VALUE!|NUM!|REF!|NAME|NULL!|QNAN|SNAN|IND|INF)")  # Excel's and C's words
ABOUT_SAMPLING = re.compile(r"\b(start|date|(sampl\w*[ _-]*)?(rate|freq\w*|interval)|fs|hz|dt)\b", re.IGNORECASE)
LOOKED_AT = 60  # lines, to find out how a file is laid out


class Line(NamedTuple):
    """A line, its number in the file, counted from 1, and its cells."""

    number: int
    text: str
    cells: list[str]


class Layout(NamedTuple):
    """How a file is laid out: its separator (None for blanks), names, the line where numbers begin, its encoding."""

    path: Path
    delimiter: str | None
    names: list[str]
    first: Line
    encoding: str
    has_comments: bool


def read_text(path: Path, columns: Any = None, apart: str | None = None) -> Table:
    """Return the columns of a text file; those in `columns`, by default all but `apart`, must hold numbers or dates.

    Raises: ValueError naming line, column and text of what is no number, the line that is too long or too
    short, and what the file holds if it is no text.
    """
    import pandas

    layout, notes = _lay_out(path)
    first = layout.first.cells
    needed = set(range(len(first)) if columns is None else positions(layout.names, columns))
    needed -= set() if apart is None else set(positions(layout.names, apart))
    text = {place for place, cell in enumerate(first) if STAMP.fullmatch(cell)}
    text |= {place for place, cell in enumerate(first) if _number(cell) is None and place not in needed}
    options: dict[str, Any] = {
        **{"header": None, "skiprows": layout.first.number - 1, "skipinitialspace": True},
        **{"sep": r"\s+" if layout.delimiter is None else layout.delimiter},
        **{"encoding": layout.encoding.removesuffix("-sig"), "comment": "#" if layout.has_comments else None},
        **{"na_values": [gap for word in GAPS for gap in (word, word.upper(), word.title())]},
    }
    if tuple(map(int, pandas.__version__.split(".")[:2])) < (3, 1):
        options["float_precision"] = "round_trip"  # from 3.1 on it is always exact
    frame = None
    while frame is None:
        kinds: Any = {place: str if place in text else np.float64 for place in range(len(first))}
        try:
            frame = pandas.read_csv(path, dtype=kinds, **options)
        except UnicodeDecodeError as problem:
            raise _no_text(path, problem) from problem
        except ValueError as problem:
            text.add(_find_text(layout, needed, text, problem))
    last = frame.iloc[:, -1].isna().to_numpy()
    if frame.shape[1] > 1 and last.any():
        _refuse_short_lines(layout, last)
        if not layout.names[-1] and first[-1] == "" and last.all():
            frame = frame.iloc[:, :-1]  # every line ends in a separator
    frame.columns = layout.names[: frame.shape[1]]

    def refuse(place: int) -> str:
        return _no_number(layout.first.number, place, layout.names[place], str(frame.iloc[0, place]), path.name)

    table = table_of_frame(frame, refuse)
    if not (table.stamps or table.text):
        _refuse_preamble(table.values, path.name)
    return replace(table, notes=notes)


def _lay_out(path: Path) -> tuple[Layout, tuple[str, ...]]:
    """Look at the first lines: what separates, names, begins; and what was found that is not read."""
    encoding, has_comments = _look_at_bytes(path)
    try:
        with path.open(encoding=encoding) as file:
            lines = [(number, text.rstrip("\n")) for number, text in enumerate(islice(file, 10 * LOOKED_AT), 1)]
    except UnicodeError as problem:
        raise _no_text(path, problem) from problem
    comments = [(number, text) for number, text in lines if text.lstrip().startswith("#")]
    content = [line for line in lines if line[1].strip() and line not in comments][:LOOKED_AT]
    if not content:
        raise ValueError(f"{path.name!r} holds no line of numbers; pass a file with one line per time step")
    delimiter = _delimiter([text for _, text in (content[1:] or content)[-20:]])
    rows = [Line(number, text, _cells(number, text, delimiter)) for number, text in content]
    width = len(rows[-1].cells)
    headers = [_is_header(row.cells, below.cells) for row, below in zip(rows, rows[1:] + rows[-1:], strict=True)]
    above = headers.index(False) if False in headers else min(1, len(rows) - 1)  # lines may begin with text
    if headers == [True]:
        raise ValueError(f"{path.name!r} holds names but no line of numbers; pass a file with one line per time step")
    names, units = rows[above - 2 : above] if above > 1 else (rows[0], rows[0])
    if above > 1 and len(names.cells) == len(units.cells) == width and all(map(_is_word, names.cells)):
        sentence = _no_number(units.number, width - 1, names.cells[-1], units.cells[-1], path.name)
        raise ValueError(f"{sentence}; if it is a line of units, delete it")
    if not above and len(rows[0].cells) < width:
        raise ValueError(
            f"line {rows[0].number} of {path.name!r} has {len(rows[0].cells)} cells but the lines below have {width}; "
            "if it holds a start time or a rate, delete it and pass dt= or rate="
        )
    head, unread = rows[above - 1] if above else None, rows[: max(0, above - 1)]
    if head is None:
        names = _commented_names(comments, rows[0].number, delimiter, width)
    elif len(head.cells) == 1 < width or (ABOUT_SAMPLING.search(head.text) and not any(map(_is_word, head.cells[1:]))):
        names, unread = [""] * width, rows[:above]  # such as "rate, 250"
    else:
        names = _fit_names(head.cells, rows[above:], path.name)
    notes = tuple(
        f"line {number} of {path.name!r} is {text.strip()[:60]!r}, which is not used; pass rate= or dt="
        for number, text in comments
        if number < rows[above].number and ABOUT_SAMPLING.search(text) and re.search(r"\d", text)
    )
    if unread:
        some = "; ".join(row.text.strip()[:60] for row in unread[:4])
        what = f"the first {len(unread)} lines of {path.name!r} are not read ({some})"
        warnings.warn(f"{what}; pass rate= or dt= if they tell the sampling", stacklevel=7)
    return Layout(path, delimiter, names, rows[above], encoding, has_comments), notes


def _fit_names(header: list[str], body: list[Line], file_name: str) -> list[str]:
    """As many names as cells: a header may lack that of the row numbers, as R writes it, or of a last, empty cell."""
    width = len(body[0].cells)
    if len(header) == width:
        return header
    numbers = [_number(row.cells[0]) for row in body]
    if len(header) == width - 1 and all(row.cells[-1] == "" for row in body):
        return [*header, ""]
    if len(header) == width - 1 and None not in numbers and all(np.diff(np.array(numbers, float)) == 1):
        return ["", *header]
    raise ValueError(_ragged(body[0].number, width, len(header), file_name))


def _look_at_bytes(path: Path) -> tuple[str, bool]:
    """The encoding, and whether there may be comments; refuses what is no text."""
    if not path.stat().st_size:
        raise ValueError(f"{path.name!r} holds no line of numbers; pass a file with one line per time step")
    with path.open("rb") as raw:
        start = raw.read(64).lstrip()
        raw.seek(0)
        marks = {mark for block in iter(lambda: raw.read(2**22), b"") for mark in (b"\0", b"#") if mark in block}
        utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if start.startswith((b"<", b"%PDF", b"PK\3\4", b"\x1f\x8b")) or (not utf16 and b"\0" in marks):
            header = path.with_suffix(".hea")
            advice = f"pass {header.name!r}" if header.is_file() else "export it as CSV UTF-8, or as .npy"
            raise ValueError(f"{path.name!r} is not text: it begins with {start[:8]!r}; {advice}")
        encoding = "utf-16" if utf16 else "utf-8-sig"
        if b"#" not in marks:
            return encoding, False
        with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return encoding, not NO_COMMENT.search(content)


def _no_text(path: Path, problem: UnicodeError) -> ValueError:
    where = f" (byte {problem.object[problem.start :][:1]!r})" if isinstance(problem, UnicodeDecodeError) else ""
    return ValueError(f"{path.name!r} is not UTF-8 text{where}; save it as CSV UTF-8")


def _body(layout: Layout) -> Iterator[Line]:
    with layout.path.open(encoding=layout.encoding) as file:
        for number, text in enumerate(file, 1):
            if number >= layout.first.number and text.strip() and not text.lstrip().startswith("#"):
                yield Line(number, text, _cells(number, text.rstrip("\n"), layout.delimiter))


def _find_text(layout: Layout, needed: set[int], text: set[int], problem: ValueError) -> int:
    """The column that holds text and need not hold numbers; refuses the first mistake anywhere else."""
    names, file_name = layout.names, layout.path.name
    for line in _body(layout):
        if len(line.cells) != len(names):
            raise ValueError(_ragged(line.number, len(line.cells), len(names), file_name))
        for place, cell in enumerate(line.cells):
            if place not in text and _number(cell) is None:
                if place not in needed:
                    return place
                raise ValueError(_no_number(line.number, place, names[place], cell, file_name))
    raise ValueError(f"{file_name!r} is no table ({problem}); correct it, or choose columns with columns=")


def _refuse_short_lines(layout: Layout, gaps: np.ndarray) -> None:
    """Tell a last cell that is empty from one that is not there, which pandas does not."""
    width, mark = len(layout.names), layout.delimiter
    if mark is not None and layout.encoding != "utf-16" and not layout.has_comments:
        with layout.path.open("rb") as raw:
            list(islice(raw, layout.first.number - 1))
            found = sum(block.count(mark.encode()) for block in iter(lambda: raw.read(2**24), b""))
        if found == (width - 1) * len(gaps):
            return
    for line, gap in zip(_body(layout), gaps, strict=False):
        if gap and len(line.cells) != width:
            raise ValueError(_ragged(line.number, len(line.cells), width, layout.path.name))


def _refuse_preamble(values: np.ndarray, file_name: str) -> None:
    """Refuse a first row that is no row of data: a start time, a rate, or how many rows and columns follow."""
    if len(values) < 20:
        return  # in a few rows nothing is far from all others
    first, rest = values[0], values[1 : 1 + 100_000]
    if np.isnan(rest).all(axis=0).any() or np.isnan(first).any():
        return
    centre = np.nanmedian(rest, axis=0)
    spread = np.nanmedian(np.abs(rest - centre), axis=0)
    far = np.abs(first - centre) / np.where(spread > 0, spread, np.inf)
    alike = len(first) > 1 and (first == first[0]).all()
    sizes = first.tolist() == [len(values) - 1, values.shape[1]]
    if (far > 1000).all() or (alike and (far > 20).all()) or (sizes and (far > 20).any()):
        raise ValueError(
            f"the first row of {file_name!r} is {first.tolist()[:4]}, far from all others: a start time, a rate or a "
            "size, as it seems; delete such lines and pass dt= or rate="
        )


def _delimiter(sample: list[str]) -> str | None:
    """Tab, semicolon or comma, the first that most lines have; None for blanks."""
    if all(ONLY_DECIMAL_COMMAS.fullmatch(text) and "\t" not in text for text in sample):
        return None
    found = (mark for mark in "\t;," if 2 * sum(mark in text.strip(" ") for text in sample) > len(sample))
    return next(found, None)


def _cells(number: int, text: str, delimiter: str | None) -> list[str]:
    """The cells of a line, without quotes and blanks around them."""
    if delimiter is None:
        return [cell.strip('"') for cell in text.split()]
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error as problem:
        raise ValueError(f"line {number} is no line of a table ({problem}); correct or remove it") from problem


def _number(cell: str) -> float | None:
    """The number in a cell, NaN for a gap, None for text."""
    if cell.lower() in GAPS:
        return np.nan
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def _is_word(cell: str) -> bool:
    return _number(cell) is None and not NEARLY_A_NUMBER.fullmatch(cell) and not STAMP.fullmatch(cell)


def _is_header(row: list[str], following: list[str]) -> bool:
    """Whether a line holds names: it begins with text, holds no number, or counts as pandas does.

    A line that begins with a number and has text further on is no header but a mistake, to be reported.
    """
    holds_no_number = any(row) and all(cell == "" or _is_word(cell) for cell in row)
    counting = [str(place) for place in range(len(row))]
    counted = len(row) >= 3 and row == counting and any("." in cell for cell in following)
    counted_beside_index = len(row) >= 2 and row == ["", *counting[:-1]]
    return _is_word(row[0]) or holds_no_number or counted or counted_beside_index


def _commented_names(comments: list[tuple[int, str]], first: int, delimiter: str | None, width: int) -> list[str]:
    """Names from the comment line right above the numbers (numpy.savetxt writes one), or empty ones."""
    above = [text.lstrip("# \t") for number, text in comments if number < first]
    cells = _cells(first - 1, above[-1], delimiter) if above else []
    return cells if len(cells) == width and all(map(_is_word, cells)) else [""] * width


def _ragged(number: int, came: int, expected: int, file_name: str) -> str:
    return (
        f"line {number} of {file_name!r} has {came} cells but the first line has {expected}; give every line the same "
        "number, with nothing between two separators where a value is missing"
    )


def _no_number(number: int, place: int, name: str, cell: str, file_name: str) -> str:
    """The sentence about a cell that holds text."""
    where = f"line {number}, column {place}{f' {name!r}' if name else ''} of {file_name!r} holds {cell!r}"
    if DECIMAL_COMMA.fullmatch(cell):
        advice = "save with decimal points, or pass pandas.read_csv(path, sep=None, decimal=',')"
        return f"{where}, a number with a decimal comma; {advice}"
    advice = "correct it, leave the cell empty for a gap, or choose the other columns with columns="
    return f"{where}, which is not a number; {advice}"
