"""What figures of several studies share: a point for every seed, a band for runs that failed, names at line ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from gtfdeer.plots._canvas import INK, Role

from .rows import quartiles
from .study import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAND", "edge", "logarithmic", "named_ends", "strips"]

BAND = "#F0C9B5"


def edge(rows: Sequence[Row], columns: Sequence[str]) -> float:
    """Twice the largest finite value of these columns: where those that are infinite are drawn.

    >>> edge([{"error": 2.0}, {"error": float("inf")}, {"error": None}], ["error"])
    4.0
    """
    found = [row[column] for row in rows for column in columns if row[column] is not None]
    return 2 * max((value for value in found if np.isfinite(value)), default=1.0)


def strips(ax: Axes, groups: Sequence[tuple[str, Sequence[Row], Role]], column: str, failed: str = "") -> None:
    """A line for every named group: a point for every seed, a bar at the median.

    Infinite values stand in a band at the right that is called `failed`; values that are None are not drawn.
    """
    limit = edge([row for _, rows, _ in groups for row in rows], [column])
    lost = False
    for place, (_, rows, role) in enumerate(groups):
        values = np.array([row[column] for row in rows if row[column] is not None], float)
        lost |= bool(np.isinf(values).any())
        ax.plot(np.minimum(values, limit), [place] * len(values), role.marker, color=role.colour, alpha=0.5)
        middle = min(quartiles(rows, column)[1], limit)
        ax.plot([middle, middle], [place - 0.32, place + 0.32], color=role.colour, linewidth=2.5)
    if lost:
        ax.axvspan(limit / 1.35, limit * 1.35, color=BAND, linewidth=0, zorder=0)
        ax.text(limit, -0.45, failed, fontsize=8, color=INK, ha="center", va="bottom")
    ax.set_yticks(range(len(groups)), [name for name, _, _ in groups])
    ax.set_ylim(len(groups) - 0.5, -0.5)


def logarithmic(ax: Axes) -> None:
    """A logarithmic x axis that shows numbers one can read, however few powers of ten it spans."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high < 100 * low:  # too few powers of ten to read a number from
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def named_ends(ax: Axes, ends: Sequence[tuple[str, float, float, str]], gap: float = 0.08) -> None:
    """Write `(name, x, y, colour)` right of the ends of lines, moved apart by `gap` of the height of the axes."""
    place = ax.transData + ax.transAxes.inverted()
    found = [(name, *place.transform((x, y)), colour) for name, x, y, colour in ends]
    last = -np.inf
    for name, x, y, colour in sorted(found, key=lambda end: end[2]):
        last = max(y, last + gap)
        ax.text(x + 0.02, last, name, transform=ax.transAxes, fontsize=8, color=colour, va="center", clip_on=False)
