"""The course keeps its promises: a picture each, a solution for each exercise, one place to install from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COURSE = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks/solutions").glob("[0-9]*.ipynb"))
LARGEST = 60_000  # bytes of a picture
LONGEST = 25  # lines of a code cell

every_notebook = pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)


def cells(path, kind):
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


@every_notebook
def test_the_first_screen_holds_a_promise_and_a_small_picture(path):
    first = cells(path, "markdown")[0]
    assert re.search(r"\*\*In (ten|fifteen) minutes you will\*\*", first)
    ((words, target),) = re.findall(r"^!\[(.+)\]\((.+)\)$", first, re.M)
    assert len(words) > 40, "words for those who cannot see it"
    picture = (path.parent / target).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < LARGEST


@every_notebook
def test_it_asks_before_it_runs_and_exercises_come_after_the_assertions(path):
    text = "\n".join(cells(path, "markdown"))
    assert "**Predict before you run:**" in text
    assert "**What to read next:**" in text
    notebook = json.loads(path.read_text())["cells"]
    assert notebook[-1]["cell_type"] == "markdown"
    assert "## Your turn" in "".join(notebook[-1]["source"])
    assert 'print("all good")' in "".join(notebook[-2]["source"])


@every_notebook
def test_its_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http)([^)#]+)", "\n".join(cells(path, "markdown"))):
        assert (path.parent / target).exists(), target


def test_every_exercise_has_a_solution():
    assert [path.name for path in SOLUTIONS] == [path.name for path in COURSE]
    for path in COURSE:
        assert f"](solutions/{path.name})" in cells(path, "markdown")[-1]


@pytest.mark.parametrize("path", [*COURSE, *SOLUTIONS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_installs_from_where_the_readme_does_and_its_cells_are_short(path):
    code = cells(path, "code")
    (address,) = set(re.findall(r"@ git\+(https://[^'\s]+)'", (ROOT / "README.md").read_text()))
    assert f'"gtfdeer @ git+{address}"' in code[0]
    assert max(cell.count("\n") + 1 for cell in code) <= LONGEST
