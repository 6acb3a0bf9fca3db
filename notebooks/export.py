"""The course as static pages, for a class room without Binder: no kernel, and but for formulas no network.

python notebooks/export.py                      all of it, at full size, into out/course: half an hour on one core
python notebooks/export.py --out DIR 02 03      these two

Every notebook is executed. While its kernel lives, each slider of each panel is moved through its positions, the others
staying where they are; the page keeps what is seen there. What a panel draws in the browser it draws on the page, too:
its arrays are embedded, so that iterations, replays, prepared values of alpha and orbits turn without a kernel.
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
    import base64, json, ipywidgets as widgets, numpy as np
    from IPython.display import display
    panel = getattr(shown, "panel", None) or shown  # of a question the panel behind it
    found = [getattr(panel, "widget", panel)]
    for each in found:
        found.extend(getattr(each, "children", ()))
    images, canvas = [each for each in found if isinstance(each, widgets.Image)], getattr(panel, "_canvas", None)
    if not (canvas or images):
        return
    if canvas:
        getattr(panel, "prepare", panel._redraw)()
        panel._redraw()
    def encode(value):
        return base64.b64encode(value).decode()
    def take():
        if canvas and canvas.spec.get("plots"):
            names = ("spec", "arrays", "texts", "values")
            return json.loads(json.dumps({{name: getattr(canvas, name) for name in names}}, default=encode))
        said = [each.value for each in found if isinstance(each, widgets.HTML)]
        return {{"picture": encode(images[0].value) if images else "", "words": "<br>".join(said)}}
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
            if any(frame != frames[0] for frame in frames):
                sliders[each.description] = {{"values": values, "start": values.index(first), "frames": frames}}
    question, options = getattr(shown, "question", ""), ()
    if question:
        options = [*getattr(shown.controls["guess"], "options", ())]
    state = {{"now": take(), "sliders": sliders, "question": question, "options": options}}
    if canvas and canvas.spec.get("plots"):
        ahead = {{name: part[::3] if isinstance(part, list) else part for name, part in canvas.frames.items()}}
        state["now"]["frames"] = json.loads(json.dumps(ahead, default=encode))
        for turn in state["now"]["spec"]["sliders"]:  # without a kernel it stops where something is prepared
            if turn["name"] == ahead["by"]:
                turn["stops"] = sorted(ahead["at"])
    state["grows"] = hasattr(panel, "growth")
    display({{"{FRAMES}": state}}, raw=True)
_panels = globals().get("_panels", []) + [_]
_record(_)
"""

# on the page: canvas.js as it is, a model without a kernel for every panel, and the sliders that Python answered
CANVAS = (FOLDER.parent / "gtfdeer/explorables/canvas.js").read_text().replace("export default", "const widget =")
SHOW = """
function open(box) {
  const { now, sliders } = JSON.parse(box.querySelector("script").textContent), heard = {};
  const decode = (arrays) => Object.values(arrays).forEach((a) => {
    a.data = new DataView(Uint8Array.from(atob(a.data), (c) => c.charCodeAt(0)).buffer);
  });
  const place = box.querySelector(".place"), image = box.querySelector("img"), words = box.querySelector("p");
  const model = { get: (name) => now[name], set: (name, value) => { now[name] = value; }, save_changes() {}, off() {},
    on: (name, work) => { heard[name] = work; } };
  const show = (frame) => {
    Object.assign(now, frame);
    if (image) [image.src, words.innerHTML] = ["data:image/png;base64," + now.picture, now.words];
    for (const work of ["change:spec", "change:arrays", "change:values"]) heard[work]?.();
  };
  for (const [name, slider] of Object.entries(sliders)) {
    const row = document.createElement("label"), range = document.createElement("input");
    const number = document.createElement("output");
    const tell = () => { number.textContent = Number(slider.values[range.value].toPrecision(3)); };
    Object.assign(range, { type: "range", name, max: slider.values.length - 1 });
    range.value = slider.start;
    range.addEventListener("input", () => { show(slider.frames[range.value]); tell(); });
    slider.frames.forEach((frame) => frame.arrays && decode(frame.arrays));
    row.style = "display: grid; grid-template-columns: 9em 1fr 4em; gap: 8px; max-width: 36em";
    row.append(name, range, number);
    place.before(row);
    tell();
  }
  if (now.spec) {
    [now.arrays, ...now.frames.arrays].forEach(decode);
    widget.render({ model, el: place });
  }
}
document.querySelectorAll(".frames").forEach(open);
"""


def execute(path: Path, folder: Path = FOLDER) -> nbformat.NotebookNode:
    """Run a notebook and let every panel of it be recorded."""
    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}})
    panels, late = 0, []
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code" or "ci" in cell.metadata.get("tags", ()):  # checks are no part of the page
                continue
            client.execute_cell(cell, index)
            for output in cell.outputs:
                view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
                if view and output.output_type == "execute_result":  # then `_` is the panel
                    frames = run(client, RECORD, index)
                    output.data = {"text/html": "".join(map(to_html, frames))}
                    late += [(panels, output, index) for frame in frames if frame["grows"]]
                    panels += 1
                elif view:  # displayed while the cell ran: its last picture
                    output.data = {"text/html": to_image(output.data.get("image/png", ""))}
        for panel, output, index in late:  # a training is shown as the notebook left it
            output.data = {"text/html": "".join(map(to_html, run(client, f"_record(_panels[{panel}])", index)))}
    return notebook


def run(client: NotebookClient, code: str, index: int) -> list[dict]:
    """Run code as if it were this cell, which stays as it is; what it recorded."""
    cell, kept = nbformat.v4.new_code_cell(code), client.nb.cells[index]
    client.execute_cell(cell, index, store_history=False)
    client.nb.cells[index] = kept  # the client puts what it ran in its place
    return [output.data[FRAMES] for output in cell.outputs if FRAMES in output.get("data", {})]


def to_image(picture: str) -> str:
    return f'<img src="data:image/png;base64,{picture}" alt="" style="max-width: 100%">'


def to_html(record: dict) -> str:
    """What the script `SHOW` opens; a question stands before it, and the panel opens once it is answered."""
    now, question = record["now"], escape(record["question"])
    if question:
        question = f"<p><b>{question}</b> {escape(' / '.join(record['options']))}</p>"
    if question and "spec" not in now:
        return question
    data = json.dumps(record).replace("</", "<\\/")
    shown = to_image(now["picture"]) if now.get("picture") else ""
    words = f"<p>{now['words']}</p>" if "words" in now else ""
    script = f'<script type="application/json">{data}</script>'
    box = f'<div class="frames"><div class="place"></div>{shown}{words}{script}</div>'
    if not question:
        return box
    return f"{question}<details><summary>I have answered: show it</summary>{box}</details>"


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
    page = exporter.from_notebook_node(notebook, {"metadata": {"path": str(FOLDER), "name": title}})[0]
    return page.replace("</body>", f'<script type="module">{CANVAS}{SHOW}</script></body>')


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
