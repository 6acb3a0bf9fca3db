"""How fast: solvers against a baseline, one row a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ._canvas import INK, dress, figure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# colours of Okabe and Ito; a marker for each says the same again
_LOOKS = [
    ("#000000", "o"),
    ("#D55E00", "s"),
    ("#0072B2", "D"),
    ("#009E73", "^"),
    ("#CC79A7", "v"),
    ("#E69F00", "P"),
    ("#56B4E9", "X"),
]


def speedup(
    tasks: Sequence[str], ratios: Mapping[str, ArrayLike], *, baseline: str = "lax.scan", ax: Axes | None = None
) -> Axes:
    """Draw how many times faster than a baseline each solver is, tasks as rows, solvers as markers.

    Args:
        tasks: what was timed, K names from top to bottom.
        ratios: for each solver (K,) ratios `time of baseline / time of solver`, NaN where it was not run.
        baseline: the name of what stands at 1.
        ax: axes to draw on; a new figure by default.

    Raises:
        ValueError: a solver has another number of ratios than there are tasks.

    Examples:
        >>> from gtfdeer.plots import speedup
        >>> speedup(["T 200", "T 8192"], {"DEER": [0.5, 2.0], "Shooting": [0.8, 5.0]}).get_xscale()
        'log'
    """
    ax = figure(7.0, 1.4 + 0.5 * len(tasks)).add_subplot() if ax is None else ax
    rows = np.arange(len(tasks))
    for place, (solver, values) in enumerate(ratios.items()):
        found = np.asarray(values, float)
        if found.shape != (len(tasks),):
            raise ValueError(f"{solver} has ratios of shape {found.shape} for {len(tasks)} tasks; pass one for each")
        colour, marker = _LOOKS[place % len(_LOOKS)]
        shift = 0.1 * (place - (len(ratios) - 1) / 2)
        style = {"color": colour, "marker": marker, "linestyle": "", "markersize": 7, "label": solver}
        ax.plot(found, rows + shift, **style)
    ax.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(rows, tasks)
    ax.invert_yaxis()
    dress(ax, f"times as fast as {baseline} (above 1: faster)")
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.01, 1))
    return ax
