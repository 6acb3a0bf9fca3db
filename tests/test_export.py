"""The static pages of the course: sliders work without a kernel, checks are left out, links stay on the site."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
SETUP = """
import ipywidgets as widgets
import gtfdeer as gd
level, picture, words = widgets.IntSlider(2, min=0, max=4, description="level"), widgets.Image(), widgets.HTML()
def show(_=None):
    ax = gd.plots.figure(2, 2).add_subplot()
    ax.axhline(level.value)
    picture.value, words.value = gd.plots.png(ax, dpi=20), f"at {level.value}"
level.observe(show, names="value")
show()
"""
WATCHED = """
import base64
class Watched:
    def _repr_mimebundle_(self, **_):
        view = {"model_id": picture.model_id}
        return {"image/png": base64.b64encode(picture.value).decode(), "application/vnd.jupyter.widget-view+json": view}
display(Watched())
"""
COLAB = "https://colab.research.google.com/github/gtfdeer/gtfdeer/blob/main/notebooks/"
LINKS = ", ".join(f"[there]({to}) ([Colab]({COLAB}{to}))" for to in ("02_adding_in_a_tree.ipynb", "solutions/02.ipynb"))


@pytest.fixture(scope="module")
def export():
    spec = importlib.util.spec_from_file_location("export", ROOT / "notebooks/export.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(export, tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    code = [SETUP, "widgets.VBox([level, words, picture])", WATCHED, "assert level.value == 2"]
    cells = [nbformat.v4.new_markdown_cell(LINKS), *map(nbformat.v4.new_code_cell, code)]
    cells[-1].metadata["tags"] = ["ci"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "01_small.ipynb")
    return export.export(export.execute(folder / "01_small.ipynb", folder), "01_small")


def test_every_position_of_the_slider_has_a_picture_and_words_and_it_is_left_where_it_was(page):
    (data,) = re.findall(r'<div class="frames">.*?<script type="application/json">(.*?)</script>', page, re.S)
    level = json.loads(data)["sliders"]["level"]
    assert level["values"] == [0, 1, 2, 3, 4]
    assert [frame["words"] for frame in level["frames"]] == [f"at {value}" for value in level["values"]]
    assert len({frame["picture"] for frame in level["frames"]}) == 5
    assert level["start"] == 2
    # the slider's, and that of what a cell displayed
    assert page.count(f'src="data:image/png;base64,{level["frames"][2]["picture"]}"') == 2


def test_links_stay_on_the_site_and_checks_are_left_out(page):
    assert 'href="02_adding_in_a_tree.html"' in page
    assert f'href="{COLAB}solutions/02.ipynb"' in page
    assert f'href="{COLAB}02' not in page
    assert "assert" not in re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S)
