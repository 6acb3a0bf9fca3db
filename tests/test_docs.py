"""What the README and the manual tell a user to type works; the files that other machines are built from agree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gtfdeer.__main__ import _build_parser as build_parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


def headings(page: str) -> set[str]:
    """The anchors of a page's headings."""
    found = re.findall(r"^## (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.M)
    return {re.sub(r"\W+", "-", heading.lower()).strip("-") for heading in found}


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p}.md" for p in ("index", "choosing", "trouble", "coming_from"))]
)
def test_the_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(ROOT / page)
    assert blocks
    namespace: dict = {}
    for block in blocks:
        small = re.sub(r"length=[\d_]+", "length=2000", re.sub(r"updates=\d+", "updates=10", block))
        exec(compile(small, page, "exec"), namespace)


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md", "docs/choosing.md", "docs/cluster.md"])
def test_the_command_line_understands_what_the_page_types(page):
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:srun )?gtfdeer ([^#>\n]*)", text, re.M)
    assert lines
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)).run  # SystemExit(2) for what is not understood


def test_error_messages_lead_to_headings_that_exist():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "gtfdeer").rglob("*.py")]
    named = {heading for source in sources for heading in re.findall(r"""(?:trouble|docs_url)\(["']([\w-]+)""", source)}
    assert len(named) >= 3
    assert named <= headings("trouble.md")
