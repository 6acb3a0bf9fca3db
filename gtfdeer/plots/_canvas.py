"""The palette, blank figures and PNG bytes: what every picture of the project shares.

Colours: M. Okabe and K. Ito, "Color Universal Design" (2008), a set that colour-blind readers tell apart.
Width, line style and marker say the same thing again, for grey printers and for everybody else.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK = "#333333"
FAINT = "#DDDDDD"
_drawing = threading.Lock()  # matplotlib's font and text caches are not safe to share between threads


@dataclass(frozen=True)
class Role:
    """What a curve stands for; fixes how it looks everywhere. A relative: `dataclasses.replace(ERROR, name="ELK")`.

    Attributes:
        name: what a legend calls it.
        colour: a colour name or `#RRGGBB`.
        linestyle: matplotlib's line style.
        width: line width in points.
        marker: matplotlib's marker, at the end of an orbit or on each iteration.

    >>> DATA.width > MODEL.width
    True
    """

    name: str
    colour: str
    linestyle: str | tuple[float, tuple[float, ...]]
    width: float
    marker: str

    def line(self, points: int = 1) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`, of mixed type as it wants them; thin and solid for thousands of points."""
        width = self.width * min(1.0, max(0.25, (700 / points) ** 0.5))
        style = self.linestyle if points < 10_000 else "-"  # dashes take seconds, and could not be seen
        return {"color": self.colour, "linestyle": style, "linewidth": width, "label": self.name}


DATA = Role("data", "#000000", "-", 2.4, "o")
MODEL = Role("model", "#D55E00", (0, (6, 1.2)), 1.4, "s")
FORCED = Role("forced", "#009E73", (0, (5, 1.5, 1, 1.5)), 1.4, "^")
ERROR = Role("error", "#0072B2", "-", 1.4, "D")
TRUTH = Role("truth", "#000000", (0, (4, 3)), 1.0, "")  # a known number, drawn as a level


def figure(width: float = 6.4, height: float = 4.0) -> Figure:
    """An empty figure of `width` times `height` inches that no window and no global state knows of.

    >>> figure(3, 2).add_subplot().get_xlabel()
    ''
    """
    spacious = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)  # inches: labels keep off the edge of the paper
    blank = Figure(figsize=(width, height), layout=spacious, facecolor="white")
    FigureCanvasAgg(blank)
    return blank


def png(drawing: Figure | Axes, dpi: float = 144) -> bytes:
    """PNG bytes of a figure, or of the figure that an axes belongs to, at `dpi` pixels an inch; from any thread.

    Raises:
        ValueError: the axes were removed from their figure.

    >>> png(figure(1, 1), dpi=50)[:4]
    b'\\x89PNG'
    """
    drawn = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
    if drawn is None:
        raise ValueError("these axes were removed from their figure; draw the picture again")
    buffer = io.BytesIO()
    with _drawing:
        drawn.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def dress(ax: Axes, xlabel: str = "", ylabel: str = "") -> Axes:
    """Name the axes, take the box away and leave a faint grid."""
    ax.set_xlabel(xlabel, fontsize=10, color=INK)
    ax.set_ylabel(ylabel, fontsize=10, color=INK)
    ax.tick_params(which="both", labelsize=9, colors=INK)
    ax.grid(True, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def note(ax: Axes, text: str) -> None:
    """Write a small remark above the right end of the axes."""
    ax.set_title(text, loc="right", fontsize=8.5, color=INK, style="italic")


def legend(sheet: Figure, ax: Axes) -> None:
    """One legend for all panels, above them."""
    handles, labels = ax.get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
