"""The course as static pages, for a class room without Binder: no kernel, and but for formulas no network.

python notebooks/export.py                      all of it, at full size, into out/course: half an hour on one core
python notebooks/export.py --out DIR 02 03      these two

Every notebook is executed. While its kernel lives, each slider of each panel is moved through its positions, the others
staying where they are; the page keeps the pictures and shows them when the slider is moved there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from html import escape
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from traitlets.config import Config

FOLDER = Path(__file__).parent
TEACHING = FOLDER / "TEACHING.md"
COURSE = sorted(FOLDER.glob("[0-9]*.ipynb"))
OURS = r"https://(?:github\.com/[^/]+/[^/]+/blob|raw\.githubusercontent\.com/[^/]+/[^/]+)/[^/]+/notebooks/"
FRAMES = "application/x-gtfdeer-frames+json"
MOST = 24  # positions of a slider

# runs in the notebook's kernel after a cell whose last line is a panel or a box of widgets; `_` is that panel
RECORD = f"""
def _record(shown):
    import base64, ipywidgets as widgets, numpy as np
    from IPython.display import display
    found = [getattr(shown, "widget", shown)]
    for each in found:
        found.extend(getattr(each, "children", ()))
    images = [each for each in found if isinstance(each, widgets.Image)]
    if not (hasattr(shown, "png") or images):
        return
    def take():
        picture = shown.png if hasattr(shown, "png") else bytes(images[0].value)
        said = [each.value for each in found if isinstance(each, widgets.HTML)]
        words = shown.summary if hasattr(shown, "summary") else "<br>".join(said)
        return [base64.b64encode(picture).decode(), words]
    sliders = {{}}
    for each in found:
        if isinstance(each, (widgets.IntSlider, widgets.FloatSlider)) and not each.disabled:
            first, steps = each.value, round((each.max - each.min) / each.step)
            places = np.unique(np.linspace(0, steps, min(steps + 1, {MOST})).round())
            values = sorted({{first, *(type(first)(each.min + each.step * place) for place in places)}})
            frames = []
            for each.value in values:
                frames.append(take())
            each.value = first
            if len({{picture for picture, _ in frames}}) > 1:
                sliders[each.description] = {{"values": values, "start": values.index(first), "frames": frames}}
    for each in getattr(shown, "turns", ()):
        name = each["name"]
        first, stops = shown._canvas.values[name], each.get("stops") or range(shown._canvas.last_row(name) + 1)
        last = len(stops) - 1
        values = sorted({{first, *(stops[int(i)] for i in np.linspace(0, last, min(last + 1, {MOST})))}})
        frames = []
        for value in values:
            shown.turn(name, value)
            frames.append(take())
        shown.turn(name, first)
        if len({{picture for picture, _ in frames}}) > 1:
            sliders[each["label"]] = {{"values": values, "start": values.index(first), "frames": frames}}
    display({{"{FRAMES}": {{"first": take(), "sliders": sliders}}}}, raw=True)
_record(_)
"""

MOVE = """
const box = this.closest('.frames'), data = JSON.parse(box.querySelector('script').textContent)[this.name];
box.querySelectorAll('input').forEach(each => { if (each !== this) each.value = each.defaultValue; });
box.querySelector('img').src = 'data:image/png;base64,' + data.frames[this.value][0];
box.querySelector('p').innerHTML = data.frames[this.value][1];
this.nextElementSibling.textContent = Number(data.values[this.value].toPrecision(3));
"""


def execute(path: Path, folder: Path = FOLDER) -> nbformat.NotebookNode:
    """Run a notebook and let every panel of it be recorded."""
    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            client.execute_cell(cell, index)
            for output in cell.outputs:
                view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
                if view and output.output_type == "execute_result":  # then `_` is the panel
                    recorder = nbformat.v4.new_code_cell(RECORD)
                    client.execute_cell(recorder, index, store_history=False)
                    notebook.cells[index] = cell  # the client puts what it ran in its place
                    frames = [o.data[FRAMES] for o in recorder.outputs if FRAMES in o.get("data", {})]
                    output.data = {"text/html": "".join(map(to_html, frames))}
                elif view:  # displayed while the cell ran: its last picture
                    output.data = {"text/html": to_image(output.data.get("image/png", ""))}
    return notebook


def to_image(picture: str) -> str:
    return f'<img src="data:image/png;base64,{picture}" alt="" style="max-width: 100%">'


def to_html(record: dict) -> str:
    """A picture, its words, and a slider for each one that changes it."""
    rows = []
    for name, slider in record["sliders"].items():
        begin, last = slider["start"], len(slider["values"]) - 1
        control = f'<input type="range" name="{escape(name)}" max="{last}" value="{begin}" oninput="{escape(MOVE)}">'
        rows.append(f"<label>{escape(name)} {control} <output>{slider['values'][begin]:.3g}</output></label><br>")
    picture, words = record["first"]
    data = json.dumps(record["sliders"]).replace("</", "<\\/")
    script = f'<script type="application/json">{data}</script>'
    shown = to_image(picture) if picture else ""
    return f'<div class="frames">{"".join(rows)}{shown}<p>{words}</p>{script}</div>'


def export(notebook: nbformat.NotebookNode, title: str) -> str:
    """The notebook as one page, pictures within; the cell with checks is left out, links stay on the site."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(OURS + r"(?=pictures/)", "", cell.source)
            cell.source = re.sub(r"\(solutions/[^)]*\) \(\[Colab\](\([^)]*\))\)", r"\1", cell.source)
            cell.source = re.sub(r" \(\[Colab\]\([^)]*\)\)", "", cell.source)
            cell.source = re.sub(r"\((\d\d_\w+)\.ipynb\)", r"(\1.html)", cell.source)
    notebook.metadata.pop("widgets", None)
    remove = {"enabled": True, "remove_cell_tags": ["ci"]}
    exporter = HTMLExporter(Config(TagRemovePreprocessor=remove), embed_images=True, exclude_anchor_links=True)
    exporter.register_preprocessor("nbconvert.preprocessors.TagRemovePreprocessor", enabled=True)
    return exporter.from_notebook_node(notebook, {"metadata": {"path": str(FOLDER), "name": title}})[0]


def write_index(out: Path, pages: list[Path]) -> None:
    """The page for teachers: links to the notebooks, and TEACHING.md."""
    links = "\n".join(f"- [{page.stem.replace('_', ' ')}]({page.name})" for page in pages)
    cells = [nbformat.v4.new_markdown_cell(text) for text in (f"# The course\n\n{links}", TEACHING.read_text())]
    (out / "index.html").write_text(export(nbformat.v4.new_notebook(cells=cells), "gtfdeer"), encoding="utf-8")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", help="two digits each; all where none is named")
    parser.add_argument("--out", type=Path, default=Path("out/course"))
    options = parser.parse_args(arguments)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = [path for path in COURSE if not options.numbers or path.name[:2] in options.numbers]
    for path in chosen:
        page = options.out / f"{path.stem}.html"
        page.write_text(export(execute(path), path.stem), encoding="utf-8")
        sys.stdout.write(f"{page}: {page.stat().st_size / 2**20:.1f} MiB\n")
    write_index(options.out, sorted(options.out.glob("[0-9]*.html")))


if __name__ == "__main__":
    main(sys.argv[1:])
