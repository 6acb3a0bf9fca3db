"""What the manual says is so: its examples run, its names and links exist, its numbers are the measured ones."""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
from pathlib import Path

import pytest
import yaml

import gtfdeer
from gtfdeer.__main__ import _build_parser as build_parser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@pytest.mark.parametrize("page", ["index", "choosing", "trouble", "coming_from", "search"])
def test_the_examples_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S)
    assert blocks
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), namespace)


@every_page
def test_every_name_of_the_package_exists(path):
    for dotted in re.findall(r"\bgd\.([A-Za-z_0-9.]*\w)", path.read_text()):
        functools.reduce(getattr, dotted.split("."), gtfdeer)


def test_the_reference_holds_every_public_name():
    """Rooms show all that their __all__ names."""
    shown = set(re.findall(r"^::: (\S+)$", "\n".join(p.read_text() for p in (DOCS / "api").glob("*.md")), re.M))
    public = {f"gtfdeer.{name}" for name in gtfdeer.__all__ if name != "__version__"}
    assert public | {"studies", "studies.benchmarks", "gtfdeer.training.Progress"} <= shown
    (section,) = [section["Reference"] for section in SETTINGS["nav"] if "Reference" in section]
    listed = {page for entry in section for page in entry.values()}
    assert listed == {f"api/{path.name}" for path in (DOCS / "api").glob("*.md")}


def test_the_page_of_commands_types_what_is_understood():
    lines = re.findall(r"^gtfdeer ([^#>\n]*)", (DOCS / "commands.md").read_text(), re.M)
    assert len(lines) > 7
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)).run  # SystemExit(2) for what is not


@every_page
def test_every_link_inside_leads_to_a_page_and_a_heading(path):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", path.read_text()):
        page, _, heading = target.partition("#")
        headings = re.findall(r"^#+ (.+)$", (DOCS / (page or path.name)).read_text(), re.M)
        assert not heading or heading in {re.sub(r"\W+", "-", h.lower()).strip("-") for h in headings}


@every_page
def test_every_page_is_in_the_table_of_contents(path):
    assert path.name in {page for section in SETTINGS["nav"] for page in section.values() if isinstance(page, str)}


@every_page
def test_every_file_that_is_named_exists(path):
    for name in re.findall(r"`((?:notebooks|gtfdeer|tests)/[\w/.]+)`", path.read_text()):
        assert (ROOT / name).exists(), name


def test_where_alpha_ends_is_what_the_demo_measured():
    seeds = json.loads((ROOT / "notebooks/results/demo/scores.json").read_text())["seeds"]
    (alpha,) = {round(seed["alpha"], 4) for seed in seeds}
    assert f"far above {alpha}, where the demo ends" in (DOCS / "trouble.md").read_text()


def test_the_memory_of_forcing_is_the_formula_s():
    growth = 0.9056 * 0.01
    steps = [round(1 / abs(math.log((1 - alpha) * math.exp(growth)))) for alpha in (0.1, 0.05, 0.02)]
    assert f"| steps | {' | '.join(map(str, steps))} |" in (DOCS / "choosing.md").read_text()


def test_error_messages_lead_to_headings_that_exist():
    headings = {
        re.sub(r"\W+", "-", h.lower()).strip("-")
        for h in re.findall(r"^## (.+)$", (DOCS / "trouble.md").read_text(), re.M)
    }
    sources = [path.read_text() for path in (ROOT / "gtfdeer").rglob("*.py") if path.name != "manual.py"]
    named = {heading for source in sources for heading in re.findall(r"""trouble\(["']([\w-]+)["']\)""", source)}
    assert len(named) >= 3
    assert named <= headings
