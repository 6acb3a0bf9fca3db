"""What the README and the notebooks say, runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(compile(block.replace("updates=500", "updates=20"), "README.md", "exec"), namespace)
    assert (tmp_path / "lorenz.npz").exists()
    assert namespace["orbit"].shape == (5000, 3)
    assert namespace["solution"].status.name == "CONVERGED"


def test_every_make_target_it_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M)) <= targets


def test_every_relative_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_has_badges_parameters_and_no_outputs(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in code)
    assert "widgets" not in notebook["metadata"]
    first = "".join(notebook["cells"][0]["source"])
    assert f"notebooks/{path.name}" in first
    assert "colab.research.google.com" in first
    assert "mybinder.org" in first
    assert any("parameters" in cell["metadata"].get("tags", []) for cell in code)
    assert "assert" in "".join(code[-1]["source"])
