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

from ._canvas import DATA, FAINT, INK, MODEL, Role, dress, figure, figure3d
from ._frames import as_pair, as_table, column_names, common_limits, half_correlation_lag, missing_share, pick_columns

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    Coordinates = list[Float[np.ndarray, " time"]]


def attractor(
    values: ArrayLike,
    *,
    role: Role = DATA,
    columns: Sequence[int] | None = None,
    lag: int | None = None,
    names: Sequence[str] | None = None,
    unit: str = "data units",
    ax: Axes | None = None,
) -> Axes:
    """Draw an orbit: three columns in space, two in the plane, one against its own future.

    Call it twice with the same `ax` to lay one orbit over another. The marker is where the orbit ends.

    Args:
        values: (T, N) or (T,), one trajectory.
        role: what the orbit stands for: DATA, MODEL, FORCED or ERROR.
        columns: one, two or three column numbers; the first three where None.
        lag: delay in samples of a single column; where None, the time that halves its autocorrelation.
        names: N names of the columns; x_1, x_2, ... where None.
        unit: unit of the values.
        ax: where to draw; a new figure where None.

    Returns:
        The axes.

    Raises:
        ValueError: the shape, the columns, the lag or the kind of `ax` do not fit.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import attractor
        >>> ax = attractor(np.sin(np.linspace(0, 20, 400)), lag=30)
        >>> ax.get_ylabel()
        '$x_{1}$ 30 samples later (data units)'
    """
    table = as_table(values, "values")
    chosen = pick_columns(table.shape[1], columns, most=3)
    coordinates, labels = _coordinates(table, chosen, lag, column_names(table.shape[1], names))
    spatial = len(coordinates) == 3
    if ax is None:
        ax = figure3d().axes[0] if spatial else figure(4.8, 4.4).add_subplot()
    if spatial != (ax.name == "3d"):
        raise ValueError(
            f"an orbit of {len(coordinates)} coordinates cannot be drawn on axes of kind {ax.name!r}; "
            "pass ax=figure3d().axes[0] for three columns and ax=figure().add_subplot() for fewer."
        )
    _ink(ax, coordinates, role)
    _name_axes(ax, [f"{label} ({unit})" for label in labels])
    return ax


def attractors(
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    columns: Sequence[int] | None = None,
    lag: int | None = None,
    names: Sequence[str] | None = None,
    unit: str = "data units",
) -> Figure:
    """Draw the orbit of the data and the orbit of the model side by side, with the same limits.

    Args:
        reference: (T, N) or (T,), the data.
        generated: (S, N) or (S,), the model's free run. The box is at most twice as wide as the data; where
            the model leaves it, the title says how much of the orbit is missing.
        columns, lag, names, unit: as in `attractor`; a lag that is None is measured on the data, for both.

    Raises:
        ValueError: the two do not have the same number of columns, or as in `attractor`.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import attractors
        >>> circle = np.stack([np.cos(np.arange(100) / 9), np.sin(np.arange(100) / 9)], axis=1)
        >>> [ax.get_title() for ax in attractors(circle, 0.9 * circle).axes]
        ['data', 'model']
    """
    data, model = as_pair(reference, generated)
    chosen = pick_columns(data.shape[1], columns, most=3)
    lag = half_correlation_lag(data[:, chosen[0]]) if lag is None else lag
    labels = column_names(data.shape[1], names)
    drawn = [_coordinates(table, chosen, lag, labels)[0] for table in (data, model)]
    limits = [common_limits(*pair) for pair in zip(*drawn, strict=True)]
    sheet = figure(9.2, 4.4)
    for place, table, orbit, role in ((1, data, drawn[0], DATA), (2, model, drawn[1], MODEL)):
        ax = sheet.add_subplot(1, 2, place, projection="3d" if len(limits) == 3 else "rectilinear")
        attractor(table, role=role, columns=chosen, lag=lag, names=names, unit=unit, ax=ax)
        ax.set(**dict(zip(("xlim", "ylim", "zlim"), limits, strict=False)))
        missing = missing_share(orbit, limits)
        outside = f" ({missing:.1%} outside the box)" if missing > 0 else ""
        ax.set_title(role.name + outside, fontsize=12, color=INK, y=0.94 if len(limits) == 3 else 1.0)
    return sheet


def _coordinates(
    table: Float[np.ndarray, "time columns"], chosen: Sequence[int], lag: int | None, names: Sequence[str]
) -> tuple[Coordinates, list[str]]:
    """The two or three coordinates of each point and their names."""
    if len(chosen) > 3:
        raise ValueError(f"{len(chosen)} columns were asked for but a picture has three axes; pass columns=(0, 1, 2).")
    labels = [names[column] for column in chosen]
    if len(chosen) > 1:
        return [table[:, column] for column in chosen], labels
    series = table[:, chosen[0]]
    lag = half_correlation_lag(series) if lag is None else lag
    if not 0 < lag < len(series):
        raise ValueError(
            f"a lag of {lag} samples does not fit a series of {len(series)} samples; "
            f"pass a lag of at least 1 and a longer series."
        )
    return [series[:-lag], series[lag:]], [labels[0], f"{labels[0]} {lag} sample{'s' * (lag > 1)} later"]


def _ink(ax: Axes, coordinates: Coordinates, role: Role) -> None:
    """The orbit, thinner where it is long, and its last finite point."""
    clip: dict[str, Any] = {"axlim_clip": True} if ax.name == "3d" else {}
    ax.plot(*coordinates, **{**role.line(len(coordinates[0])), "linestyle": "-"}, **clip)
    finite = np.flatnonzero(np.isfinite(coordinates).all(axis=0))[-1:]
    end = [coordinate[finite] for coordinate in coordinates]
    ax.plot(*end, role.marker, color=role.colour, markersize=6, markeredgecolor="white", zorder=5, **clip)


def _name_axes(ax: Any, labels: list[str]) -> None:  # Any: Axes does not declare a zaxis
    """Labels and ticks; in space, few ticks and empty walls, or the orbit drowns."""
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
