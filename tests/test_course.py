"""Every notebook finds its pictures, links and solutions from anywhere, and keeps its checks in one cell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COURSE = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks/solutions").glob("[0-9]*.ipynb"))
(ADDRESS,) = set(re.findall(r"@ git\+(https://[^'\s]+)'", (ROOT / "README.md").read_text()))
LARGEST = 60_000  # bytes of a picture

every_notebook = pytest.mark.parametrize(
    "path", [*COURSE, *SOLUTIONS], ids=lambda path: f"{path.parent.name}-{path.stem}"
)


def cells(path, kind, *, tag=""):
    notebook = json.loads(path.read_text())["cells"]
    chosen = [c for c in notebook if c["cell_type"] == kind and (not tag or tag in c["metadata"].get("tags", ()))]
    return ["".join(cell["source"]) for cell in chosen]


@every_notebook
def test_its_links_lead_to_files_of_this_repository_and_to_colab_where_only_this_file_is_open(path):
    repository, ref = ADDRESS.removeprefix("https://github.com/").rsplit("@")
    ours = rf"https://(?:github\.com/{repository}/blob|raw\.githubusercontent\.com/{repository})/{ref}/(.+)"
    colab = f"https://colab.research.google.com/github/{repository}/blob/{ref}/"
    for target, after in re.findall(r"\]\(([^)#]+)[^)]*\)(?=(.{,150}))", "\n".join(cells(path, "markdown")), re.S):
        if not target.startswith("https://"):  # JupyterLab, GitHub; Colab opens one file only
            there = (path.parent / target).resolve().relative_to(ROOT)
            assert (ROOT / there).exists(), target
            assert after.startswith(f" ([Colab]({colab}{there}))")
        if found := re.fullmatch(ours, target):
            assert (ROOT / found[1]).exists(), target
            assert not target.endswith(".png") or (ROOT / found[1]).stat().st_size < LARGEST or "results" in target


@every_notebook
def test_one_cell_sets_up_and_one_cell_checks(path):
    code = cells(path, "code")
    assert cells(path, "code", tag="parameters") == code[:1]
    assert f'"gtfdeer @ git+{ADDRESS}"' in code[0]
    assert cells(path, "code", tag="ci") == code[-1:]
    assert not [cell for cell in code[:-1] if re.search(r"^\s*assert\b", cell, re.M)]
