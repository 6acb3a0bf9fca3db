"""The one widget of all panels: Python describes plots of arrays, `canvas.js` draws them; matplotlib for GitHub.

A plot has a place in the grid, axes and items, which hold their arrays; `row="k"` takes the row that slider k points
at. `Canvas.show` sends the arrays apart from the description, named by plot, item and what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from .. import plots as figures

Description = dict[str, Any]
PREPARED = np.concatenate([[0], np.logspace(-3, 0, 61)]).astype(np.float32)
ALPHAS = [0.0, *(float(f"{a:.3g}") for a in np.logspace(-3, 0, 181))]  # stops of a slider; every third is in `PREPARED`
_ROLES = {r.name: r for r in (figures.DATA, figures.MODEL, figures.FORCED, figures.ERROR, figures.TRUTH)}
_ROLES["ghost"] = figures.Role("ghost", "#8A8A8A", ":", 1.0, "")


def axis(label: str, range: Any = None, kind: str = "linear", **more: Any) -> Description:
    """An axis, "linear", "log" or "symlog"; `zero=True` gives zero a place left of a logarithmic one, `whole=True` has
    no ticks between whole numbers."""
    return {"label": label, "range": range and [float(x) for x in range], "kind": kind, **more}


ALPHA = axis("forcing alpha (0 to 1)", (1e-3, 1), "log", zero=True)


def plot(row: int, column: int, x: Any, y: Any, *items: Any, **more: Any) -> Description:
    """A plot in the grid; `rows=` and `columns=` let it span several places, `note=` stands above it."""
    return {"kind": "plot", "row": row, "column": column, "x": x, "y": y, "items": [i for i in items if i], **more}


def orbit(row: int, column: int, limits: Any, *items: Any, **more: Any) -> Description:
    """A plot in space that the mouse turns, within the limits of three axes; `flat=True` looks from above."""
    view = {"turn": -90, "tilt": 90} if more.get("flat") else {"turn": -55, "tilt": 20}
    return plot(row, column, None, None, *items, range=limits, view=view, **more) | {"kind": "orbit"}


def line(y: Any, role: str, x: Any = None, label: str | None = None, **more: Any) -> Description:
    """A line through points; `marker="D"` marks them, `line=False` leaves the line out, `row="k"` follows a slider."""
    return {"type": "line", "x": x, "y": y, "role": role, "label": label, **more}


def heat(z: Any, **more: Any) -> Description:
    """A map of errors `(rows, columns)` in standard deviations, on one logarithmic scale for all panels."""
    return {"type": "heat", "z": z, "range": (1e-6, 10.0), "label": "s.d.", **more}


def vline(at: Any, role: str = "truth", **more: Any) -> Description:
    """A vertical mark at a number, at the value of a slider (its name), or at an array's entry (`row="k"`)."""
    return {"type": "vline", "at": at, "role": role, **more}


def hline(at: Any, role: str = "truth", **more: Any) -> Description:
    """A horizontal mark, as `vline`."""
    return {**vline(at, role, **more), "type": "hline"}


def pack(plots: Sequence[Description]) -> tuple[list[Description], dict[str, Any]]:
    """Plots that name their arrays, and the arrays as they travel: shape, and float32 (browsers are little-endian)."""
    named, arrays = [], {}
    for p in plots:
        items = []
        for number, item in enumerate(p["items"]):
            item = dict(item)
            for key in {"x", "y", "z", "at"} & set(item):
                if isinstance(item[key], str):
                    item[key] = {"slider": item[key]}
                elif (key != "at" and item[key] is not None) or isinstance(item[key], np.ndarray):
                    name = f"{p['row']}{p['column']}.{number}.{key}"
                    values = np.ascontiguousarray(item[key], np.float32)
                    arrays[name] = {"shape": list(values.shape), "data": values.tobytes()}
                    item[key] = {"array": name, "slider": item.pop("row", None)} if key == "at" else name
            items.append(item)
        named.append({**p, "items": items})
    return named, arrays


class Canvas(anywidget.AnyWidget):
    """What `canvas.js` draws.

    Attributes:
        spec: the description: plots that name their arrays, sliders, label.
        arrays: by name, as `pack` makes them.
        frames: arrays for other values of one slider: `by` its name, `at` its values, `arrays` and `texts` for each.
        texts: the summary, one for each row of the slider `spec["text"]`, or one.
        values: of the sliders; the browser sets them when a slider is let go.
    """

    _esm = Path(__file__).parent / "canvas.js"
    spec = traitlets.Dict().tag(sync=True)
    arrays = traitlets.Dict().tag(sync=True)
    frames = traitlets.Dict({"by": "", "at": [], "arrays": []}).tag(sync=True)
    texts = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def array(self, name: str, row: str | None = None) -> np.ndarray:
        """An array, or the row of it that a slider points at."""
        packed = self.arrays[name]
        found = np.frombuffer(packed["data"], np.float32).reshape(packed["shape"])
        return found[min(round(self.values.get(row, 0)), len(found) - 1)] if row and len(found) else found

    def png(self) -> bytes:
        """The same picture, by matplotlib."""
        spec = self.spec
        if not spec.get("plots"):
            return b""
        rows = max(p["row"] + p.get("rows", 1) for p in spec["plots"])
        sheet = figures.figure(10.6, 3.0 * rows)
        grid = sheet.add_gridspec(rows, len(spec["columns"]), width_ratios=spec["columns"])
        for p in spec["plots"]:
            place = grid[p["row"] : p["row"] + p.get("rows", 1), p["column"] : p["column"] + p.get("columns", 1)]
            draw, projection = (_draw_orbit, "3d") if p["kind"] == "orbit" else (_draw_plot, None)
            draw(self, sheet.add_subplot(place, projection=projection), p)
        return figures.png(sheet, dpi=80)


def _look(item: Description, points: int = 1) -> dict[str, Any]:
    look = _ROLES[item["role"]].line(1 if item.get("marker") else max(1, points))
    return {**look, "label": item.get("label"), "marker": item.get("marker"), "markersize": 5}


def _draw_orbit(canvas: Canvas, ax: Any, p: Description) -> None:
    for item in p["items"]:
        values = canvas.array(item["y"], item.get("row"))
        figures.attractor(np.pad(values, ((0, 0), (0, 3 - values.shape[1]))), role=_ROLES[item["role"]], ax=ax)
    ax.set(xlim=p["range"][0], ylim=p["range"][1], zlim=p["range"][2])
    ax.view_init(elev=p["view"]["tilt"], azim=p["view"]["turn"])
    ax.set_box_aspect(None, zoom=1.45)
    ax.set_axis_off()
    labels = ", ".join(item["label"] for item in p["items"] if item["label"])
    ax.set_title(labels, fontsize=10, color=figures.INK)


def _draw_plot(canvas: Canvas, ax: Any, p: Description) -> None:
    lines = [item for item in p["items"] if item["type"] == "line"]
    for item in p["items"]:
        if item["type"] == "heat":
            errors = np.clip(canvas.array(item["z"], item.get("row")), *item["range"])
            figures.newton_heatmap(errors, unit=item["label"], ax=ax)
        elif item["type"] == "line":
            y = canvas.array(item["y"], item.get("row"))
            x = canvas.array(item["x"]) if item["x"] else np.arange(len(y))
            ax.plot(x, y, **_look(item, len(y)) | ({} if item.get("line", True) else {"linestyle": "none"}))
        else:
            at = item["at"]
            if isinstance(at, dict):
                at = canvas.array(at["array"], at["slider"]) if "array" in at else canvas.values[at["slider"]]
            (ax.axvline if item["type"] == "vline" else ax.axhline)(float(at), **{**_look(item), "marker": None})
    least = ax.dataLim.minpos  # of both axes, infinite where nothing is positive: then a logarithm has no ticks
    sides = (p["x"], ax.xaxis, ax.set_xscale, ax.set_xlim), (p["y"], ax.yaxis, ax.set_yscale, ax.set_ylim)
    for (a, ticks, set_scale, set_limits), positive in zip(sides, np.isfinite(least), strict=True):
        if a["kind"] == "symlog" or a.get("zero"):
            set_scale("symlog", linthresh=1e-3 if a.get("zero") else 1)
        elif a["range"] or positive:
            set_scale(a["kind"])
        if a.get("whole"):
            ticks.get_major_locator().set_params(integer=True)
        if a["range"] and lines:
            set_limits(-2e-4 if a.get("zero") else a["range"][0], a["range"][1])
    if any(item.get("label") for item in p["items"] if item["type"] != "heat"):
        ax.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, frameon=False, fontsize=9)
    ax.set_title(p.get("note", ""), loc="right", fontsize=9, color=figures.INK)
    figures.dress(ax, p["x"]["label"], p["y"]["label"]).grid(bool(lines))
