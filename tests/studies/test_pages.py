"""The manual's pages of results say what the committed files say."""

import inspect
import json
import re
import runpy
from types import SimpleNamespace

import pytest

from gtfdeer import models
from studies import NAMES


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
        assert told.get("caption", f"Not finished yet: `python -m studies {name} --full`.") in filled


def test_a_study_that_was_not_run_says_how_to(hooks, tmp_path):
    assert hooks.finding("chaos", tmp_path) == "Not finished yet: `python -m studies chaos --full`."


def test_the_families_have_a_table_with_seeds(hooks, request):
    root = request.config.rootpath / "docs"
    filled = hooks.families((root / "families.md").read_text(encoding="utf-8"), root)
    assert "<!--" not in filled
    assert "| a second exact run | " in filled
    assert "| ShallowPLRNN | " in filled


def test_every_model_has_its_picture_and_names_the_page(hooks, request):
    root = request.config.rootpath / "docs"
    filled = hooks.families((root / "families.md").read_text(encoding="utf-8"), root)
    every = (getattr(models, name) for name in models.__all__)
    kinds = [kind for kind in every if isinstance(kind, type) and issubclass(kind, models.Model)]
    concrete = [kind for kind in kinds if not inspect.isabstract(kind)]
    assert len(concrete) == 9
    for kind in concrete:
        (picture,) = re.findall(rf"^## {kind.__name__}\n\n!\[free run\]\((.+)\)$", filled, re.M)
        assert (root / picture).is_file()
        assert "docs/families.md" in kind.__doc__
    assert "(../families.md)" in (root / "api" / "models.md").read_text(encoding="utf-8")
