"""What a system does, without time on an axis: its attractor, alone or data beside model.

A series with one column has no phase portrait of its own, so it is drawn against its future,
(x_t, x_{t+lag}), after F. Takens, "Detecting strange attractors in turbulence" (1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._canvas import DATA, FAINT, INK, MODEL, Role, dress, figure
from ._frames import as_pair, as_table, column_names, common_limits, missing_share

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    Coordinates = list[Float[np.ndarray, " time"]]

_DRAWN = 100_000  # rows, which cover the paper


def attractor(
    values: ArrayLike,
    *,
    role: Role = DATA,
    names: Sequence[str] | None = None,
    unit: str = "data units",
    ax: Axes | None = None,
) -> Axes:
    """Draw an orbit: the first three columns in space, two in the plane, one against its own future.

    Call it twice with the same `ax` to lay one orbit over another. The marker is where the orbit ends, the delay of a
    single column the time that halves its autocorrelation. Of a long orbit the first 100,000 rows are drawn.

    Args:
        values: (T, N) or (T,), one trajectory.
        role: what the orbit stands for: DATA, MODEL, FORCED or ERROR.
        names, unit, ax: as for all of `gtfdeer.plots`.

    Raises:
        ValueError: the shape, the names or the kind of `ax` do not fit.

    >>> ax = attractor(np.sin(2 * np.pi * np.arange(6000) / 60))
    >>> ax.get_ylabel()
    '$x_{1}$ 11 samples later (data units)'
    """
    table = as_table(values, "values")
    coordinates, labels = _coordinates(table, _half_correlation_lag(table[:, 0]), names, unit)
    spatial = len(coordinates) == 3
    if ax is None:
        ax = figure(5.2, 4.8).add_subplot(projection="3d") if spatial else figure(4.8, 4.4).add_subplot()
    if spatial != (ax.name == "3d"):
        kind = "projection='3d'" if spatial else ""
        came = f"an orbit of {len(coordinates)} coordinates cannot be drawn on axes of kind {ax.name!r}"
        raise ValueError(f"{came}; pass figure().add_subplot({kind})")
    _draw(ax, coordinates, labels, role)
    return ax


def attractors(
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    unit: str = "data units",
) -> Figure:
    """Draw the orbit of the data and the orbit of the model side by side, with the same limits.

    Args:
        reference: (T, N) or (T,), the data, whose delay holds for both where there is one column.
        generated: (S, N) or (S,), the model's free run. The box is at most twice as wide as the data; where
            the model leaves it, the title says how much of the orbit is missing.
        names, unit: as in `attractor`.

    Raises:
        ValueError: the two do not have the same number of columns, or as in `attractor`.

    >>> circle = np.stack([np.cos(np.arange(100) / 9), np.sin(np.arange(100) / 9)], axis=1)
    >>> [ax.get_title() for ax in attractors(circle, 0.9 * circle).axes]
    ['data', 'model']
    """
    pair = as_pair(reference, generated)
    lag = _half_correlation_lag(pair[0][:, 0])
    (data, labels), (model, _) = (_coordinates(table, lag, names, unit) for table in pair)
    limits = [common_limits(*both) for both in zip(data, model, strict=True)]
    sheet = figure(9.2, 4.4)
    for place, orbit, role in ((1, data, DATA), (2, model, MODEL)):
        ax = sheet.add_subplot(1, 2, place, projection="3d" if len(limits) == 3 else "rectilinear")
        _draw(ax, orbit, labels, role)
        ax.set(**dict(zip(("xlim", "ylim", "zlim"), limits, strict=False)))
        missing = missing_share(orbit, limits)
        outside = f" ({missing:.1%} outside the box)" if missing > 0 else ""
        ax.set_title(role.name + outside, fontsize=12, color=INK, y=0.94 if len(limits) == 3 else 1.0)
    return sheet


def _coordinates(
    table: Float[np.ndarray, "time columns"], lag: int, names: Sequence[str] | None, unit: str
) -> tuple[Coordinates, list[str]]:
    """The two or three coordinates of each point and their labels."""
    labels = column_names(table.shape[1], names)[:3]
    coordinates = [*table.T[:3]]
    if len(coordinates) == 1:
        coordinates = [table[:-lag, 0], table[lag:, 0]]
        labels = labels[0], f"{labels[0]} {lag} sample{'s' * (lag > 1)} later"
    return coordinates, [f"{label} ({unit})" for label in labels]


def _half_correlation_lag(series: Float[np.ndarray, " time"]) -> int:
    """The first lag, in samples, at which the autocorrelation has fallen below one half; at least 1.

    The customary 1/e (Kantz and Schreiber, "Nonlinear Time Series Analysis", 2004) folds a chaotic orbit over itself.
    """
    finite = series[np.isfinite(series)]
    if not finite.size:
        return 1
    power = np.abs(np.fft.rfft(finite - finite.mean(), 2 * len(finite))) ** 2
    correlation = np.fft.irfft(power)[: len(finite)]
    return max(1, int(np.argmax(correlation < correlation[0] / 2)))


def _draw(ax: Any, coordinates: Coordinates, labels: Sequence[str], role: Role) -> None:  # Axes declares no zaxis
    """The orbit, thinner where it is long, and its last finite point; in space few ticks and empty walls."""
    coordinates = [each[:_DRAWN] for each in coordinates]
    clip: dict[str, Any] = {"axlim_clip": True} if ax.name == "3d" else {}
    ax.plot(*coordinates, **{**role.line(len(coordinates[0])), "linestyle": "-"}, **clip)
    finite = np.flatnonzero(np.isfinite(coordinates).all(axis=0))[-1:]
    end = [coordinate[finite] for coordinate in coordinates]
    ax.plot(*end, role.marker, color=role.colour, markersize=6, markeredgecolor="white", zorder=5, **clip)
    if len(labels) == 2:
        dress(ax, *labels)
        return
    for axis, label in zip((ax.xaxis, ax.yaxis, ax.zaxis), labels, strict=True):
        axis.set_label_text(label, fontsize=8.5, color=INK)
        axis.set_major_locator(MaxNLocator(4))
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color("#999999")
        axis._axinfo["grid"].update(color=FAINT, linewidth=0.5)  # Axes3D.grid ignores what it is told
    ax.tick_params(labelsize=8, colors=INK, pad=1)
    ax.set_box_aspect((1, 1, 1), zoom=0.9)
    ax.view_init(elev=20, azim=-55)
