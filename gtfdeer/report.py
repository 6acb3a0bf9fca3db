"""One page that shows how well a model did: a single HTML file that needs nothing but a browser.

Text, tables and pictures go in as objects, one file comes out: style inline, pictures embedded, no script, no
font and no address fetched. It reads on a phone, in the dark, on paper and by ear. Each part says its own
HTML (`Part.html`), so a new kind of part is a new class.
"""

from __future__ import annotations

import base64
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, isnan
from pathlib import Path

from .training._files import write_whole

PNG_HEADER = b"\x89PNG\r\n\x1a\n"
SHARPNESS = 1.5  # picture pixels a page pixel: 144 an inch, as plots.png draws, against 96
Cell = str | int | float | None


class Part(ABC):
    """Something that stands on the page: a paragraph, a picture, a table, or a section of these."""

    @abstractmethod
    def html(self) -> str:
        """The part as HTML, every text in it escaped."""


@dataclass(frozen=True)
class Paragraph(Part):
    """Running text; HTML in it is shown, not obeyed.

    Examples:
        >>> Paragraph("loss < 0.1").html()
        '<p>loss &lt; 0.1</p>'
    """

    text: str

    def html(self) -> str:
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Picture(Part):
    """An embedded PNG with a caption that states its one message.

    Attributes:
        png: the bytes, for instance of `gtfdeer.plots.png(ax)`.
        caption: the message, under the picture.
        alt: one sentence for those who cannot see it.

    Raises:
        ValueError: the bytes are not a PNG, or `alt` is empty.

    Examples:
        >>> from gtfdeer import plots
        >>> picture = Picture(plots.png(plots.figure(2, 1)), "Nothing yet.", "An empty figure.")
        >>> 'width="192" height="96"' in picture.html()
        True
    """

    png: bytes
    caption: str
    alt: str

    def __post_init__(self) -> None:
        if not self.png.startswith(PNG_HEADER):
            raise ValueError(
                f"a picture of PNG bytes was expected but it starts with {self.png[:8]!r}; use plots.png()."
            )
        if not self.alt.strip():
            raise ValueError("a picture came without alt text; pass alt= one sentence for those who cannot see it.")

    def html(self) -> str:
        width, height = (round(pixels / SHARPNESS) for pixels in struct.unpack(">II", self.png[16:24]))
        source = "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")
        image = f'<img src="{source}" alt="{escape(self.alt)}" width="{width}" height="{height}">'
        return f"<figure>{image}<figcaption>{escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Table(Part):
    """Rows under a header, numbers right-aligned to four digits; on a phone each row becomes a card.

    Attributes:
        header: names of the columns; the first column names the row.
        rows: text, numbers or None (unknown, drawn as a dash), one entry a column.
        caption: what the table says.

    Raises:
        ValueError: a row has more or fewer entries than the header.

    Examples:
        >>> table = Table(("measure", "model"), [("D_stsp", 0.31), ("D_H", None)], "Lower is better.")
        >>> '<td class="number" data-label="model">0.31</td>' in table.html()
        True
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"the row {tuple(row)} has {len(row)} entries but the header has {len(self.header)}; "
                    "pass one entry a column, None where it is unknown."
                )

    def html(self) -> str:
        numeric = [any(_is_number(row[place]) for row in self.rows) for place in range(len(self.header))]
        head = "".join(
            f'<th scope="col"{_number_class(right)}>{escape(name)}</th>'
            for name, right in zip(self.header, numeric, strict=True)
        )
        body = "".join(f"<tr>{self._cells(row, numeric)}</tr>" for row in self.rows)
        return (
            f"<figure><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )

    def _cells(self, row: Sequence[Cell], numeric: list[bool]) -> str:
        first = f'<th scope="row">{escape(_text(row[0]))}</th>'
        rest = zip(self.header[1:], row[1:], numeric[1:], strict=True)
        return first + "".join(
            f'<td{_number_class(right)} data-label="{escape(name)}">{escape(_text(cell))}</td>'
            for name, cell, right in rest
        )


@dataclass(frozen=True)
class Section(Part):
    """Parts under a heading.

    Examples:
        >>> Section("Method", [Paragraph("DEER.")]).html()
        '<section><h2>Method</h2><p>DEER.</p></section>'
    """

    title: str
    parts: Sequence[Part]

    def html(self) -> str:
        return f"<section><h2>{escape(self.title)}</h2>{''.join(part.html() for part in self.parts)}</section>"


@dataclass(frozen=True)
class Report:
    """The page: title, summary, one headline picture, sections, footer.

    Attributes:
        title: what was done, in a line.
        summary: what came out, in two or three sentences.
        sections: the rest, in reading order.
        headline: the picture that says it all, before the sections, or None.
        footer: how to make this page again: version, seed, command, date.

    Examples:
        >>> page = Report("Lorenz-63", "The model is chaotic.", [Section("Data", [Paragraph("T = 100")])])
        >>> page.html().count("<h1>")
        1
    """

    title: str
    summary: str
    sections: Sequence[Section]
    headline: Picture | None = None
    footer: str = ""

    def html(self) -> str:
        """The whole page, one string."""
        parts = [*([self.headline] if self.headline else []), *self.sections]
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f'<header><h1>{escape(self.title)}</h1><p class="summary">{escape(self.summary)}</p></header>\n'
            + "\n".join(part.html() for part in parts)
            + f"\n</main>\n<footer>{escape(self.footer)}</footer>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to `path`, whole or not at all, and return the path.

        Raises:
            OSError: the folder is missing or may not be written to.
        """
        target = Path(path)
        write_whole(target, self.html().encode())
        return target


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _number_class(right: bool) -> str:
    return ' class="number"' if right else ""


def _text(cell: Cell) -> str:
    """A cell as it is read: four digits, a true minus sign, words for what is not a number."""
    if cell is None:
        return "–"
    if isinstance(cell, str) or not _is_number(cell):
        return str(cell)
    if not isfinite(cell):
        return "not a number" if isnan(cell) else ("∞" if cell > 0 else "−∞")
    digits = str(cell) if isinstance(cell, int) else f"{cell:.4g}"
    return digits.replace("-", "−")


STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5c5f66; --rule: #d9dbe0; --paper: #fdfdfb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8ea; --soft: #a6a9b1; --rule: #3b3e45; --paper: #17181b; }
  figure img { filter: brightness(0.9); }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.6; overflow-wrap: break-word;
  font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif;
  font-size: 1.0625rem; }
main { max-width: 50rem; margin: 0 auto; padding: 4rem 1.5rem 1rem; }
header { border-bottom: 1px solid var(--rule); padding-bottom: 1.5rem; margin-bottom: 2.5rem; }
h1 { font-size: 2.125rem; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.375rem; line-height: 1.3; margin: 3.5rem 0 1rem; text-wrap: balance; }
p { margin: 0 0 1rem; max-width: 42rem; }
.summary { font-size: 1.1875rem; margin: 0; }
figure { margin: 2rem 0 2.5rem; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; padding: 0.75rem;
  background: #ffffff; border: 1px solid var(--rule); border-radius: 6px; }
figcaption { margin-top: 0.75rem; color: var(--soft); font-size: 0.9375rem; line-height: 1.5;
  max-width: 42rem; }
figcaption:empty { display: none; }
table, figcaption, footer {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; line-height: 1.45;
  border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
th, td { padding: 0.6rem 0.75rem; text-align: left; vertical-align: baseline; }
thead th { border-bottom: 1px solid var(--ink); font-weight: 600; }
tbody th { font-weight: 600; }
tbody tr + tr { border-top: 1px solid var(--rule); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums lining-nums; }
footer { max-width: 50rem; margin: 3rem auto 0; padding: 1rem 1.5rem 3rem; color: var(--soft);
  font-size: 0.875rem; }
footer:empty { display: none; }
footer::before { content: ""; display: block; border-top: 1px solid var(--rule); margin-bottom: 1rem; }
@media (max-width: 40rem) {
  body { font-size: 1rem; }
  main { padding: 2rem 1rem 1rem; }
  h1 { font-size: 1.625rem; }
  figure img { padding: 0.25rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, tbody th, td { display: block; }
  tbody tr { padding: 0.75rem 0; }
  th, td, .number { padding: 0.15rem 0; white-space: normal; text-align: left; }
  td { display: flex; justify-content: space-between; gap: 1.5rem; text-align: right; }
  td:not(.number) { display: block; text-align: left; }
  td::before { display: block; content: attr(data-label); color: var(--soft); text-align: left; flex: none; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --rule: #bbb; --paper: #fff; }
  @page { margin: 18mm; }
  body { font-size: 10.5pt; }
  main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  main { padding-top: 0; }
  figure img { border: none; padding: 0; filter: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; margin-top: 2rem; }
}
"""
