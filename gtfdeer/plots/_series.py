"""What a system does in time and in frequency: time series and power spectra, model over data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._canvas import DATA, INK, MODEL, Role, dress, figure, legend, note
from ._frames import above_zero, as_pair, as_vector, column_names, common_limits, missing_share, pick_columns

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike


def time_series(
    reference: ArrayLike,
    generated: ArrayLike | None,
    dt: float,
    *,
    role: Role = MODEL,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    unit: str = "data units",
    time_unit: str = "time unit",
) -> Figure:
    """Draw data and model against time, one panel a column, under one time axis.

    Args:
        reference: (T, N) or (T,), the data.
        generated: (S, N) or (S,), from the same first moment; None draws the data alone.
        dt: time between two samples.
        role: what `generated` stands for: MODEL or FORCED.
        columns: column numbers; the first four where None, and the figure says so.
        names: N names of the columns; x_1, x_2, ... where None.
        unit, time_unit: units of the values and of `dt`.

    Raises:
        ValueError: shapes or columns do not fit, or `dt` is not positive.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import time_series
        >>> wave = np.sin(np.arange(200) / 10)
        >>> time_series(wave, wave + 0.1, dt=0.1, time_unit="s").axes[-1].get_xlabel()
        'time $t$ (s)'
    """
    data, model = as_pair(reference, reference if generated is None else generated)
    total = data.shape[1]
    sheet, panels, chosen = _stack_panels(total, dt, columns, names, unit, f"time $t$ ({time_unit})")
    for panel, column in zip(panels, chosen, strict=True):
        limits = common_limits(data[:, column], model[:, column])
        panel.plot(dt * np.arange(len(data)), data[:, column], **DATA.line(len(data)))
        if generated is not None:
            panel.plot(dt * np.arange(len(model)), model[:, column], **role.line(len(model)))
            missing = missing_share([model[:, column]], [limits])
            note(panel, f"{missing:.1%} of the {role.name} lies outside" if missing > 0 else "")
        panel.set_ylim(*limits)
        panel.margins(x=0.01)
    if generated is not None:
        legend(sheet, panels[0])
    if columns is None and total > len(chosen):
        note(panels[-1], f"the first {len(chosen)} of {total} columns")
    return sheet


def forecast(
    known: ArrayLike,
    ahead: ArrayLike,
    dt: float,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    unit: str = "data units",
    time_unit: str = "time unit",
) -> Figure:
    """Draw the end of a recording and what is forecast after it, one panel a column; an ensemble as a band.

    Args:
        known: (T, N), the recording; as many rows of its end are drawn as are forecast.
        ahead: (S, N), a forecast, or (K, S, N), an ensemble: its median, and the band that holds 80 % of it.
        dt, columns, names, unit, time_unit: as in `time_series`.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import forecast
        >>> forecast(np.sin(np.arange(200) / 10)[:, None], np.zeros((5, 50, 1)), dt=0.1).axes[0].get_ylabel()
        '$x_{1}$ (data units)'
    """
    members = np.asarray(ahead)
    members = members if members.ndim == 3 else members[None]
    past, middle = as_pair(known, np.median(members, axis=0))
    past, total, steps = past[-len(middle) :], middle.shape[1], len(middle)
    low, high = np.quantile(members, (0.1, 0.9), axis=0)
    label = f"time $t$ after the last row ({time_unit})"
    sheet, panels, chosen = _stack_panels(total, dt, columns, names, unit, label)
    times = dt * np.arange(1, steps + 1)
    for panel, column in zip(panels, chosen, strict=True):
        panel.plot(dt * np.arange(1 - len(past), 1), past[:, column], **DATA.line(len(past)))
        panel.plot(times, middle[:, column], **MODEL.line(steps))
        if len(members) > 1:
            band = {"color": MODEL.colour, "alpha": 0.25, "linewidth": 0, "label": "80 % of the ensemble"}
            panel.fill_between(times, low[:, column], high[:, column], **band)
        panel.margins(x=0.01)
    legend(sheet, panels[0])
    return sheet


def _stack_panels(
    total: int,
    dt: float,
    columns: Sequence[int] | None,
    names: Sequence[str] | None,
    unit: str,
    time_label: str,
) -> tuple[Figure, list[Axes], tuple[int, ...]]:
    """A figure with one panel a column under one time axis, and the columns drawn: the first four unless chosen."""
    if not dt > 0:
        raise ValueError(f"dt is {dt} but a positive time between samples was expected; dt=1.0 counts samples.")
    chosen, labels = pick_columns(total, columns, most=4), column_names(total, names)
    sheet = figure(7.4, 1.3 + 1.2 * len(chosen))
    panels = list(sheet.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0])
    for panel, column in zip(panels, chosen, strict=True):
        dress(panel, "", f"{labels[column]} ({unit})")
    panels[-1].set_xlabel(time_label, fontsize=10, color=INK)
    sheet.align_ylabels()
    return sheet, panels, chosen


def spectrum(
    frequencies: ArrayLike,
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    time_unit: str = "time unit",
    ax: Axes | None = None,
) -> Axes:
    """Draw two power spectra of one column on a logarithmic axis, each divided by its sum.

    Frequency zero, the mean, is left out. The frequency axis ends where the data have 99.99 % of their power;
    `ax.set_xlim` shows the rest.

    Args:
        frequencies: (F,), per `time_unit`, ascending.
        reference, generated: (F,), power of the data and of the model at these frequencies.
        time_unit: unit of time.
        ax: where to draw; a new figure where None.

    Raises:
        ValueError: the lengths differ, or a power is negative.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import spectrum
        >>> f = np.linspace(0, 50, 200)
        >>> spectrum(f, np.exp(-f), np.exp(-1.1 * f), time_unit="s").get_xlabel()
        'frequency $f$ (1/s)'
    """
    f = as_vector(frequencies, "frequencies")
    powers = as_vector(reference, "reference"), as_vector(generated, "generated")
    for power in powers:
        if len(power) != len(f):
            raise ValueError(
                f"a spectrum has {len(power)} values but there are {len(f)} frequencies; pass one for each."
            )
    data, model = (_shares(power[f > 0]) for power in powers)
    ax = figure(6.4, 3.6).add_subplot() if ax is None else ax
    ax.plot(f[f > 0], data, **DATA.line())
    ax.plot(f[f > 0], model, **MODEL.line())
    visible = slice(0, int(np.searchsorted(np.nancumsum(data), 0.9999)) + 1)
    lowest = max(np.nanmin(data[visible]) / 100, min(np.nanmin(data[visible]), np.nanmin(model[visible])))
    ax.set_yscale("log")
    ax.set_ylim(lowest / 2, 2 * max(np.nanmax(data), np.nanmax(model)))
    ax.set_xlim(0, f[f > 0][visible][-1])
    ax.legend(loc="upper right", frameon=False, fontsize=9, labelcolor=INK)
    return dress(ax, f"frequency $f$ (1/{time_unit})", "power (share of total)")


def spectra(
    frequencies: ArrayLike,
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    time_unit: str = "time unit",
) -> Figure:
    """Draw the power spectra of several columns, one small panel each, all with the same axes.

    Args:
        frequencies: (F,), per `time_unit`, ascending.
        reference, generated: (F, N) or (F,), power of the data and of the model, one column a variable.
        columns: column numbers; the first six where None, and the figure says so.
        names: N names of the columns; x_1, x_2, ... where None.
        time_unit: unit of time.

    Raises:
        ValueError: the shapes do not fit, or a power is negative.

    Examples:
        >>> import numpy as np
        >>> from gtfdeer.plots import spectra
        >>> f = np.linspace(0, 5, 100)[:, None]
        >>> [ax.get_title() for ax in spectra(f[:, 0], np.exp(-f * [1, 2]), np.exp(-f)[:, [0, 0]]).axes]
        ['$x_{1}$', '$x_{2}$']
    """
    data, model = as_pair(reference, generated)
    total = data.shape[1]
    chosen, labels = pick_columns(total, columns, most=6), column_names(total, names)
    rows, across = -(-len(chosen) // 3), min(len(chosen), 3)
    sheet = figure(1.2 + 2.7 * across, 0.8 + 2.3 * rows)
    panels = sheet.subplots(rows, across, sharex=True, sharey=True, squeeze=False).ravel()
    limits = []
    for place, (panel, column) in enumerate(zip(panels, chosen, strict=False)):
        spectrum(frequencies, data[:, column], model[:, column], time_unit=time_unit, ax=panel)
        limits.append((*panel.get_xlim(), *panel.get_ylim()))
        panel.get_legend().remove()
        panel.set_title(labels[column], fontsize=10, color=INK)
        has_neighbour_below, has_neighbour_left = place + across < len(chosen), place % across > 0
        panel.xaxis.label.set_visible(not has_neighbour_below)
        panel.yaxis.label.set_visible(not has_neighbour_left)
        panel.tick_params(labelbottom=not has_neighbour_below)
    for unused in panels[len(chosen) :]:
        unused.remove()
    left, right, bottom, top = np.transpose(limits)
    panels[0].set(xlim=(left.min(), right.max()), ylim=(bottom.min(), top.max()))
    legend(sheet, panels[0])
    if columns is None and total > len(chosen):
        note(panels[len(chosen) - 1], f"the first {len(chosen)} of {total} columns")
    return sheet


def _shares(power: Float[np.ndarray, " frequencies"]) -> Float[np.ndarray, " frequencies"]:
    """Power divided by its sum, fit for a logarithmic axis."""
    total = np.nansum(power)
    return above_zero(power / total if total > 0 else power)
