"""The report is one file that needs nothing else, says what it was given and never half of it."""

import base64
import errno
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gtfdeer.plots import figure, png
from gtfdeer.report import Paragraph, Picture, Report, Section, Table
from gtfdeer.training._files import write_whole

BLANK = png(figure(1, 1), dpi=30)
OTHER = png(figure(2, 1), dpi=30)
HOSTILE = "<script>alert('x') & \"y\"</script>"


def page() -> Report:
    table = Table(
        ("measure", "model", "floor", "published", "what it says"),
        [("D_stsp", 0.23456789, 0.08, None, "close"), ("steps", 10_000, -1.5, "0.1 ± 0.2", "far")],
        "Lower is better.",
    )
    sections = [
        Section("How well", [table, Paragraph("A floor is a perfect score.")]),
        Section("Pictures", [Picture(OTHER, "Another.", "nothing again")]),
    ]
    return Report("Lorenz", "It works.", sections, headline=Picture(BLANK, "First.", "nothing"), footer="seed 0")


class Outline(HTMLParser):
    """Tags that were opened and not closed, and every attribute seen."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(report: Report) -> Outline:
    parser = Outline()
    parser.feed(report.html())
    return parser


def test_every_tag_is_closed():
    assert outline(page()).open == []


def test_page_fetches_nothing():
    sources = [value for name, value in outline(page()).attributes if name in {"src", "href", "srcset"}]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page().html())
    for trace in ("http", "//", "url(", "@import", "<script", "<link"):
        assert trace not in text


def test_every_picture_is_embedded_whole():
    sources = [value for name, value in outline(page()).attributes if name == "src"]
    assert [base64.b64decode(source.partition(",")[2]) for source in sources] == [BLANK, OTHER]


def test_headline_picture_comes_before_the_sections():
    text = page().html()
    assert text.index("<h1>") < text.index("First.") < text.index("<h2>")


def test_html_in_every_text_is_shown_not_obeyed():
    parts = [
        Paragraph(HOSTILE),
        Picture(BLANK, HOSTILE, HOSTILE),
        Table((HOSTILE, HOSTILE), [(HOSTILE, HOSTILE)], HOSTILE),
    ]
    report = Report(HOSTILE, HOSTILE, [Section(HOSTILE, parts)], footer=HOSTILE)
    parser = outline(report)
    assert "script" not in parser.tags
    assert parser.open == []
    assert "<script" not in report.html()
    assert HOSTILE in [value for name, value in parser.attributes if name == "alt"]


def test_numbers_are_right_aligned_to_four_digits_and_unknown_is_a_dash():
    text = page().html()
    assert '<td class="number" data-label="model">0.2346</td>' in text
    assert '<td class="number" data-label="model">10000</td>' in text
    assert '<td class="number" data-label="floor">−1.5</td>' in text
    assert '<td data-label="published">–</td>' in text
    assert '<td data-label="what it says">close</td>' in text


def test_numbers_that_are_not_finite_are_said_in_words():
    text = Table(("a", "b", "c"), [("x", float("nan"), float("-inf"))]).html()
    assert "not a number" in text
    assert "−∞" in text


def test_page_suits_phone_dark_and_paper():
    text = page().html()
    for need in (
        "width=device-width",
        "prefers-color-scheme: dark",
        "@media print",
        "max-width: 40rem",
        "tabular-nums",
    ):
        assert need in text


def test_write_leaves_exactly_one_file(tmp_path):
    target = page().write(tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["report.html"]
    assert target.read_text(encoding="utf-8") == page().html()


def test_write_replaces_an_older_report(tmp_path):
    (tmp_path / "report.html").write_text("old")
    page().write(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") != "old"


def test_missing_folder_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*no such file or directory.*; pass a path"):
        page().write(tmp_path / "nowhere" / "report.html")
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_hold_files_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")  # permissions would not stop the super-user of a container
    with pytest.raises(OSError, match=r"cannot write .*not a directory"):
        page().write(tmp_path / "file" / "report.html")
    assert os.listdir(tmp_path) == ["file"]


def test_folder_that_is_read_only_is_refused_in_one_sentence(tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("gtfdeer.training._files.open", read_only, raising=False)
    monkeypatch.setattr(Path, "unlink", read_only)  # the system refuses that, too, before it looks for the file
    with pytest.raises(OSError, match=r"cannot write .* \(read-only file system\); pass a path"):
        write_whole(tmp_path / "report.html", b"")


def test_failed_write_keeps_the_old_report_and_leaves_no_half_file(tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")

    def no_space(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="no space left"):
        page().write(tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_picture_needs_png_and_alt_text():
    with pytest.raises(ValueError, match="starts with"):
        Picture(b"GIF89a", "caption", "alt")
    with pytest.raises(ValueError, match="alt"):
        Picture(BLANK, "caption", " ")


def test_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="3 entries but the header has 2"):
        Table(("a", "b"), [(1, 2, 3)])
