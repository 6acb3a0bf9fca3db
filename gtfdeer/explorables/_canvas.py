"""The one widget of all panels: Python sends arrays, `canvas.js` draws them; the same description as a PNG.

A description (`spec`) holds plots, sliders and a label. A plot has a place in the grid, axes and items: lines, heat
maps, vertical and horizontal marks, orbits. Items name their arrays; `row="k"` takes the row that slider k points at.
Other front ends, GitHub and nbconvert see the PNG.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .. import plots

__all__ = [
    "ALPHAS",
    "Canvas",
    "alpha_axis",
    "alpha_slider",
    "axis",
    "describe_slider",
    "hline",
    "line",
    "pack",
    "plot",
    "vline",
]

PREPARED = np.concatenate([[0], np.logspace(-3, 0, 61)]).astype(np.float32)
ALPHAS = [0.0, *(float(f"{a:.3g}") for a in np.logspace(-3, 0, 181))]  # stops of a slider; every third is in `PREPARED`
_ROLES = {"data": plots.DATA, "model": plots.MODEL, "forced": plots.FORCED, "error": plots.ERROR, "truth": plots.TRUTH}
_GHOST = plots.Role("ghost", "#8A8A8A", ":", 1.0, "")


class Canvas(anywidget.AnyWidget):
    """What `canvas.js` draws.

    Attributes:
        spec: the description.
        arrays: by name, what `pack` makes of them.
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
        """An array, or the row of it that a slider points at; empty where there is none."""
        if name not in self.arrays:
            return np.zeros(0, np.float32)
        packed = self.arrays[name]
        found = np.frombuffer(packed["data"], np.float32).reshape(packed["shape"])
        return found[min(round(self.values.get(row, 0)), len(found) - 1)] if row and len(found) else found

    def text(self) -> str:
        """The summary for the sliders as they stand."""
        if not self.texts:
            return ""
        row = self.values.get(self.spec.get("text") or "", 0)
        return self.texts[min(round(row), len(self.texts) - 1)]

    def png(self) -> bytes:
        """The same picture, by matplotlib."""
        return plots.png(_figure(self), dpi=80) if self.spec else b""


def pack(values: Any) -> dict[str, Any]:
    """An array as it travels: shape, and float32 in the machine's order (all browsers are little-endian)."""
    array = np.ascontiguousarray(values, np.float32)
    return {"shape": list(array.shape), "data": array.tobytes()}


def axis(label: str, range: Any = None, kind: str = "linear", **more: Any) -> dict[str, Any]:
    """An axis; `kind` is "linear", "log" or "symlog"; `zero=True` gives zero a place left of a logarithmic one."""
    bounds = None if range is None else [float(x) for x in range]
    return {"label": label, "range": bounds, "kind": kind, **more}


def alpha_axis() -> dict[str, Any]:
    """From 0.001 to 1, zero at the left end."""
    return axis("forcing alpha (0 to 1)", (1e-3, 1), "log", zero=True)


def plot(row: int, column: int, x: Any, y: Any, *items: Any, **more: Any) -> dict[str, Any]:
    """A plot in the grid; `rows=` and `columns=` let it span several places, `note=` stands above it."""
    return {"kind": "plot", "row": row, "column": column, "x": x, "y": y, "items": list(items), **more}


def line(y: str, role: str, x: str | None = None, label: str | None = None, **more: Any) -> dict[str, Any]:
    """A line through points; `marker="D"` marks them, `line=False` leaves the line out, `row="k"` follows a slider."""
    return {"type": "line", "x": x, "y": y, "role": role, "label": label, **more}


def vline(at: Any, role: str = "truth", **more: Any) -> dict[str, Any]:
    """A vertical mark at a number, `{"slider": name}`, or `{"array": name}`."""
    return {"type": "vline", "at": at, "role": role, **more}


def hline(at: Any, role: str = "truth", **more: Any) -> dict[str, Any]:
    """A horizontal mark, as `vline`."""
    return {**vline(at, role, **more), "type": "hline"}


def describe_slider(name: str, label: str, stops: Any, **more: Any) -> dict[str, Any]:
    """A slider over the given values; `rows="states"` ends it at the last row of that array."""
    return {"name": name, "label": label, "stops": list(stops), **more}


def alpha_slider(label: str = "forcing alpha") -> dict[str, Any]:
    """Logarithmic from 0.001 to 1, zero at the end."""
    return describe_slider("alpha", label, ALPHAS)


# --- the PNG ---


def _figure(canvas: Canvas) -> Figure:
    spec = canvas.spec
    rows = max(p["row"] + p.get("rows", 1) for p in spec["plots"])
    sheet = Figure(figsize=(10.6, 3.0 * rows), facecolor="white")
    FigureCanvasAgg(sheet)
    sheet.subplots_adjust(left=0.075, right=0.97, bottom=0.28 / rows, top=1 - 0.14 / rows, wspace=0.28, hspace=0.42)
    grid = sheet.add_gridspec(rows, len(spec["columns"]), width_ratios=spec["columns"])
    for p in spec["plots"]:
        place = grid[p["row"] : p["row"] + p.get("rows", 1), p["column"] : p["column"] + p.get("columns", 1)]
        if p["kind"] == "orbit":
            _draw_orbit(canvas, sheet.add_subplot(place, projection="3d"), p)
        else:
            _draw_plot(canvas, sheet.add_subplot(place), p)
    return sheet


def _look(item: dict[str, Any], points: int) -> dict[str, Any]:
    look = _ROLES.get(item["role"], _GHOST).line(1 if item.get("marker") else max(1, points))
    return {**look, "label": item.get("label"), "marker": item.get("marker"), "markersize": 5}


def _position(canvas: Canvas, at: Any) -> float:
    if not isinstance(at, dict):
        return float(at)
    if "array" in at:
        return float(np.ravel(canvas.array(at["array"], at.get("slider")))[0])
    return float(canvas.values.get(at["slider"], 0))


def _draw_orbit(canvas: Canvas, ax: Any, p: dict[str, Any]) -> None:
    for item in p["items"]:
        orbit = canvas.array(item["y"], item.get("row"))
        if not orbit.size:
            continue
        orbit = np.pad(orbit, ((0, 0), (0, max(0, 3 - orbit.shape[1]))))
        look = {**_look(item, len(orbit)), "linestyle": "-", "marker": None}
        if item.get("line", True):
            ax.plot(*orbit.T, **look)
        if item.get("marker"):
            ax.plot(*orbit[-1:].T, item["marker"], color=look["color"])
    if p.get("range"):
        ax.set(xlim=p["range"][0], ylim=p["range"][1], zlim=p["range"][2])
    ax.view_init(elev=90 if p.get("flat") else 20, azim=-90 if p.get("flat") else -55)
    ax.set_axis_off()
    ax.set_title(p.get("note", ""), fontsize=10, color=plots.INK)


def _draw_plot(canvas: Canvas, ax: Any, p: dict[str, Any]) -> None:
    for item in p["items"]:
        if item["type"] == "heat":
            errors = canvas.array(item["z"])
            if errors.size:
                plots.newton_heatmap(np.clip(errors, *item["range"]), unit=item["label"], ax=ax)
        elif item["type"] == "line":
            y = canvas.array(item["y"], item.get("row"))
            x = canvas.array(item["x"]) if item.get("x") else np.arange(len(y))
            look = _look(item, len(y))
            ax.plot(x[: len(y)], y[: len(x)], **look if item.get("line", True) else {**look, "linestyle": "none"})
        else:
            draw = ax.axvline if item["type"] == "vline" else ax.axhline
            draw(_position(canvas, item["at"]), **{**_look(item, 1), "marker": None})
    for which in ("x", "y"):
        described = p[which]
        drawn = [canvas.array(i[which], i.get("row")) for i in p["items"] if i["type"] == "line" and i.get(which)]
        positive = described["range"] or any((values > 0).any() for values in drawn)  # else matplotlib has no ticks
        if described["kind"] == "symlog" or (described["kind"] == "log" and positive):
            linear = {"linthresh": 1e-3 if described.get("zero") else 1}
            symmetric = described["kind"] == "symlog" or described.get("zero")
            getattr(ax, f"set_{which}scale")("symlog" if symmetric else "log", **(linear if symmetric else {}))
        if described["range"] and not any(item["type"] == "heat" for item in p["items"]):
            low, high = described["range"]
            getattr(ax, f"set_{which}lim")(-2e-4 if described.get("zero") else low, high)
    if any(item.get("label") and item["type"] != "heat" for item in p["items"]):
        ax.legend(loc="lower left", bbox_to_anchor=(0, 0.98), ncols=3, frameon=False, fontsize=9, labelcolor=plots.INK)
    if p.get("note"):
        ax.set_title(p["note"], loc="right", fontsize=9, color=plots.INK)
    plots.dress(ax, p["x"]["label"], p["y"]["label"])
