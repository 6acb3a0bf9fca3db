"""How a model and a solver got there: training curves, iterations, exponents settling on their values, speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

from ._canvas import ERROR, FORCED, INK, MODEL, TRUTH, Role, dress, figure, note
from ._frames import above_zero, as_table, as_vector

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

SMALL_TO_LARGE = "cividis"  # made for colour-blind readers: Nunez, Anderton and Renslow (2018)
SOLVER = Role("solver", "#555555", "-", 1.4, "v")  # neither data nor model: grey


def training(history: Mapping[str, ArrayLike]) -> Figure:
    """Draw a training run: loss, forcing strength and solver iterations over the updates, one panel each.

    Light lines are single updates; the bold line joins the medians of forty stretches of the run, the band holds the
    middle 80 %.

    Args:
        history: arrays (U,) under "loss", "alpha" and "iterations", one entry an update; where there is "gain", the
            size of a learned gain, it is drawn in place of alpha. Others are ignored.

    Raises:
        ValueError: an entry is missing, or the entries differ in length.

    >>> u = np.arange(200)
    >>> sheet = training({"loss": np.exp(-u / 50), "alpha": 0.999**u, "iterations": 5 + u % 3})
    >>> [ax.get_ylabel() for ax in sheet.axes]
    ['loss (squared s.d.)', 'forcing $\\\\alpha$ (0 to 1)', 'iterations (count)']
    """
    lacking = sorted({"loss", "alpha", "iterations"} - set(history))
    if lacking:
        raise ValueError(f"the history lacks {', '.join(lacking)}; pass rec.history or a dictionary with them")
    loss, alpha, iterations = (as_vector(history[name], name) for name in ("loss", "alpha", "iterations"))
    if not len(loss) == len(alpha) == len(iterations):
        entries = f"{len(loss)}, {len(alpha)} and {len(iterations)}"
        raise ValueError(f"loss, alpha and iterations have {entries} entries; pass one an update")
    strength, name = (as_vector(history["gain"], "gain"), "$s\\,|K|$") if "gain" in history else (alpha, "$\\alpha$")
    sheet = figure(7.0, 5.6)
    top, middle, bottom = sheet.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    _summarise(top, above_zero(loss), ERROR)
    _summarise(middle, strength, FORCED)
    _summarise(bottom, iterations, SOLVER)
    top.set_yscale("log")
    middle.set_ylim(-0.05, 1.05)
    bottom.set_ylim(bottom=0)
    bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    failed = int(np.sum(~np.isfinite(loss)))
    note(top, f"updates without a finite loss, not drawn: {failed}" if failed else "")
    dress(top, "", "loss (squared s.d.)")
    dress(middle, "", f"forcing {name} (0 to 1)")
    dress(bottom, "update (count)", "iterations (count)")
    sheet.align_ylabels()
    return sheet


def thinned(values: Float[np.ndarray, " updates"], most: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of updates and values of a curve of at most `most` points: medians of equal stretches where more came.

    >>> thinned(np.arange(6.0), 2)
    (array([3, 6]), array([1., 4.]))
    """
    ends, (middle,) = _quantiles(values, most, 0.5)
    return ends, middle


def _quantiles(values: Float[np.ndarray, " updates"], most: int, *shares: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Where each of at most `most` equal stretches ends, and quantiles of what is finite in it; NaN for nothing."""
    ends = np.unique(np.linspace(0, len(values), min(len(values), most) + 1).astype(int))[1:]
    if not len(ends):
        return ends, [np.zeros(0)] * len(shares)
    begins = np.append(0, ends[:-1])[:, None]
    places = begins + np.arange((ends - begins[:, 0]).max())  # one row a stretch: np.nanquantile would loop over them
    stretches = np.where(places < ends[:, None], values[np.minimum(places, len(values) - 1)], np.nan)
    stretches = np.sort(np.where(np.isfinite(stretches), stretches, np.nan), axis=1)  # NaN last
    found = []
    for share in shares:
        place = share * np.maximum(np.isfinite(stretches).sum(axis=1, keepdims=True) - 1, 0)
        low, high = (np.take_along_axis(stretches, f(place).astype(int), axis=1) for f in (np.floor, np.ceil))
        found.append((low + (place % 1) * (high - low))[:, 0])
    return ends, found


def exponents(
    times: ArrayLike,
    history: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    time_unit: str = "time unit",
    ax: Axes | None = None,
) -> Axes:
    """Draw estimates of Lyapunov exponents settling down, with the known values as dashed levels.

    Where contraction dwarfs expansion, the vertical axis is linear near zero and logarithmic far away.

    Args:
        times: (S,), time averaged over.
        history: (S, N) or (S,), the estimates after these times, per `time_unit`.
        truth: (N,) known values, or None.
        time_unit, ax: as for all of `gtfdeer.plots`.

    Raises:
        ValueError: the lengths differ.

    >>> t = np.linspace(1, 100, 50)
    >>> exponents(t, 0.9 + 1 / t, truth=[0.906], time_unit="s").get_ylabel()
    'Lyapunov exponent $\\\\lambda$ (1/s)'
    """
    t, estimates = as_vector(times, "times"), as_table(history, "history")
    if len(t) != len(estimates):
        raise ValueError(f"history has {len(estimates)} rows but times has {len(t)}; pass one row a time")
    ax = figure(7.2, 4.0).add_subplot() if ax is None else ax
    known = np.empty(0) if truth is None else np.atleast_1d(np.asarray(truth, dtype=float))
    curves = ax.plot(t, estimates, color=MODEL.colour, linewidth=MODEL.width)
    ends = [f"$\\lambda_{{{number}}} = {value:.3g}$" for number, value in enumerate(estimates[-1], start=1)]
    beside = [f"{end}  (truth ${value:.3g}$)" for end, value in zip(ends, known, strict=False)] + ends[len(known) :]
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "handlelength": 0, "labelspacing": 1}
    more = [f"and {len(ends) - 6} more"] if len(ends) > 6 else []
    ax.legend(curves[:7], beside[:6] + more, **place, frameon=False, fontsize=9, labelcolor=INK)
    for level in known:
        ax.axhline(level, **TRUTH.line())
    _bend(ax, np.concatenate([estimates[-1], known]))
    ax.margins(x=0.01)
    return dress(ax, f"time averaged over $t$ ({time_unit})", f"Lyapunov exponent $\\lambda$ (1/{time_unit})")


def newton_heatmap(errors: ArrayLike, *, unit: str = "state units", ax: Axes | None = None) -> Axes:
    """Draw the error of every iterate at every time: the solved stretch grows from the left.

    Args:
        errors: (K, T), the norm of the error, row k for iterate k; of a long T the largest in each of 900 stretches.
        unit, ax: as for all of `gtfdeer.plots`.

    Raises:
        ValueError: `errors` is not a (K, T) array, or an error is negative.

    >>> newton_heatmap(10.0 ** -np.arange(12).reshape(3, 4)).get_ylabel()
    'Newton iteration $k$ (count)'
    """
    table = as_table(errors, "errors")
    iterates, steps = table.shape
    stretches = np.linspace(0, steps, min(steps, 900), endpoint=False).astype(int)
    worst = np.ma.masked_invalid(np.log10(np.maximum.reduceat(above_zero(table), stretches, axis=1)))
    ax = figure(7.2, 3.6).add_subplot() if ax is None else ax
    box = (0.5, steps + 0.5, -0.5, iterates - 0.5)
    image = ax.imshow(worst, aspect="auto", origin="lower", extent=box, interpolation="nearest", cmap=SMALL_TO_LARGE)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label(f"$\\log_{{10}}$ error ({unit})", fontsize=10, color=INK)
    bar.ax.tick_params(labelsize=9, colors=INK)
    bar.outline.set_visible(False)
    ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    dress(ax, "time step $t$ (samples)", "Newton iteration $k$ (count)").grid(False)
    if np.ma.is_masked(worst):
        note(ax, "white: not finite")
    return ax


def _bend(ax: Axes, levels: Float[np.ndarray, " levels"]) -> None:
    """A scale logarithmic away from the exponents that matter, where contraction dwarfs expansion."""
    finite = levels[np.isfinite(levels)]
    expansion = 2 * max(finite.max(initial=0.0), 0.05 * np.abs(finite).max(initial=0.0))
    contracts_far_faster = np.abs(finite).max(initial=0.0) > 4 * expansion
    if contracts_far_faster:
        ax.set_yscale("symlog", linthresh=expansion, linscale=1.5, subs=(2, 5))
        ax.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=expansion, subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.margins(y=0.08)


def _summarise(ax: Axes, values: Float[np.ndarray, " updates"], role: Role) -> None:
    """Every update in a light line, medians in a bold one, the middle 80 % as a band."""
    ends, (low, middle, high) = _quantiles(values, 40, 0.1, 0.5, 0.9)
    ax.plot(np.arange(1, len(values) + 1), values, color=role.colour, linewidth=0.6, alpha=0.3)
    ax.fill_between(ends, low, high, color=role.colour, alpha=0.2, linewidth=0)
    ax.plot(ends, middle, color=role.colour, linewidth=2.0)
    ax.margins(x=0.01)
