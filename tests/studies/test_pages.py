"""The manual's pages of results say what the committed files say."""

import json
import runpy
from types import SimpleNamespace

import pytest

from gtfdeer.studies import NAMES


@pytest.fixture(scope="module")
def hooks(request):
    return SimpleNamespace(**runpy.run_path(str(request.config.rootpath / "docs" / "hooks.py")))


def test_every_study_has_its_place_among_the_findings(hooks, request):
    root = request.config.rootpath / "docs"
    page = (root / "findings.md").read_text(encoding="utf-8")
    filled = hooks.findings(page, root)
    assert "<!--" not in filled
    for name in NAMES:
        assert f"<!-- {name} -->" in page
        file = root / hooks.RESULTS / name / f"{name}.json"
        told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        assert told.get("caption", f"Not finished yet: `gtfdeer study {name} --full`.") in filled


def test_a_study_that_was_not_run_says_how_to(hooks, tmp_path):
    assert hooks.finding("chaos", tmp_path) == "Not finished yet: `gtfdeer study chaos --full`."


def test_the_families_have_a_table_with_seeds(hooks, request):
    root = request.config.rootpath / "docs"
    filled = hooks.families((root / "families.md").read_text(encoding="utf-8"), root)
    assert "<!--" not in filled
    assert "| a second exact run | " in filled
    assert "| ShallowPLRNN | " in filled
