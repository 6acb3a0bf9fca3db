"""What a system does in time and in frequency: time series and power spectra, model over data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._canvas import DATA, INK, MODEL, Role, dress, figure, legend, note
from ._frames import above_zero, as_pair, as_vector, column_names, common_limits, envelope, missing_share

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike

    Spectrum = Float[np.ndarray, " frequencies"]

_SERIES, _SPECTRA = 4, 6  # columns that are drawn


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
        names, unit, time_unit: as for all of `gtfdeer.plots`.

    Raises:
        ValueError: shapes or columns do not fit, or `dt` is not positive.

    >>> wave = np.sin(np.arange(200) / 10)
    >>> time_series(wave, wave + 0.1, dt=0.1, time_unit="s").axes[-1].get_xlabel()
    'time $t$ (s)'
    """
    data, model = as_pair(reference, reference if generated is None else generated)
    total = data.shape[1]
    chosen = [*range(min(_SERIES, total))] if columns is None else columns
    if not chosen or not set(chosen) <= set(range(total)):
        raise ValueError(f"columns is {(*chosen,)} for {total} columns; pass one or more numbers from 0 to {total - 1}")
    labels = column_names(total, names)
    sheet, panels = _stack_panels([labels[column] for column in chosen], dt, unit, f"time $t$ ({time_unit})")
    for panel, column in zip(panels, chosen, strict=True):
        limits = common_limits(data[:, column], model[:, column])
        panel.plot(*envelope(dt * np.arange(len(data)), data[:, column]), **DATA.line(len(data)))
        if generated is not None:
            panel.plot(*envelope(dt * np.arange(len(model)), model[:, column]), **role.line(len(model)))
            missing = missing_share([model[:, column]], [limits])
            note(panel, f"{missing:.1%} of the {role.name} lies outside" if missing > 0 else "")
        panel.set_ylim(*limits)
    if generated is not None:
        legend(sheet, panels[0])
    if columns is None and total > _SERIES:
        note(panels[-1], f"the first {_SERIES} of {total} columns")
    return sheet


def forecast(
    known: ArrayLike,
    ahead: ArrayLike,
    dt: float,
    *,
    names: Sequence[str] | None = None,
    unit: str = "data units",
    time_unit: str = "time unit",
) -> Figure:
    """Draw the end of a recording and what is forecast after it, a panel for each of the first four columns.

    Args:
        known: (T, N), the recording; as many rows of its end are drawn as are forecast.
        ahead: (S, N), a forecast, or (K, S, N), an ensemble: its median, and the band that holds 80 % of it.
        dt, names, unit, time_unit: as in `time_series`.

    >>> forecast(np.sin(np.arange(200) / 10)[:, None], np.zeros((5, 50, 1)), dt=0.1).axes[0].get_ylabel()
    '$x_{1}$ (data units)'
    """
    members = np.asarray(ahead)
    members = members if members.ndim == 3 else members[None]
    past, middle = as_pair(known, np.median(members, axis=0))
    past, steps = past[-len(middle) :], len(middle)
    low, high = np.quantile(members, (0.1, 0.9), axis=0)
    labels, label = column_names(middle.shape[1], names)[:_SERIES], f"time $t$ after the last row ({time_unit})"
    sheet, panels = _stack_panels(labels, dt, unit, label)
    times = dt * np.arange(1, steps + 1)
    for column, panel in enumerate(panels):
        panel.plot(dt * np.arange(1 - len(past), 1), past[:, column], **DATA.line(len(past)))
        panel.plot(times, middle[:, column], **MODEL.line(steps))
        if len(members) > 1:
            band = {"color": MODEL.colour, "alpha": 0.25, "linewidth": 0, "label": "80 % of the ensemble"}
            panel.fill_between(times, low[:, column], high[:, column], **band)
    legend(sheet, panels[0])
    return sheet


def _stack_panels(labels: Sequence[str], dt: float, unit: str, time_label: str) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a column under one time axis."""
    if not dt > 0:
        raise ValueError(f"dt is {dt}; pass a positive time between samples, or dt=1.0 to count them")
    sheet = figure(7.4, 1.3 + 1.2 * len(labels))
    panels = list(sheet.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0])
    for panel, label in zip(panels, labels, strict=True):
        dress(panel, "", f"{label} ({unit})").margins(x=0.01)
    dress(panels[-1], time_label, f"{labels[-1]} ({unit})")
    sheet.align_ylabels()
    return sheet, panels


def spectra(
    frequencies: ArrayLike,
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    time_unit: str = "time unit",
) -> Figure:
    """Draw the power spectra of the first six columns, each divided by its sum, one small panel each, on equal axes.

    Frequency zero, the mean, is left out. The frequency axis ends where the data have 99.99 % of their power;
    `sheet.axes[0].set_xlim` shows the rest.

    Args:
        frequencies: (F,), per `time_unit`, ascending.
        reference, generated: (F, N) or (F,), power of the data and of the model, one column a variable.
        names, time_unit: as for all of `gtfdeer.plots`.

    Raises:
        ValueError: the shapes do not fit, or a power is negative.

    >>> f = np.linspace(0, 5, 100)[:, None]
    >>> [ax.get_title() for ax in spectra(f[:, 0], np.exp(-f * [1, 2]), np.exp(-f)[:, [0, 0]]).axes]
    ['$x_{1}$', '$x_{2}$']
    """
    f, (data, model) = as_vector(frequencies, "frequencies"), as_pair(reference, generated)
    for power in (data, model):
        if len(power) != len(f):
            raise ValueError(f"a spectrum has {len(power)} values for {len(f)} frequencies; pass one for each")
    total = data.shape[1]
    labels = column_names(total, names)[:_SPECTRA]
    rows, across = -(-len(labels) // 3), min(len(labels), 3)
    sheet = figure(1.2 + 2.7 * across, 0.8 + 2.3 * rows)
    panels = sheet.subplots(rows, across, sharex=True, sharey=True, squeeze=False).ravel()
    limits = []
    for column, (panel, label) in enumerate(zip(panels, labels, strict=False)):
        limits.append(_draw_spectra(panel, f, data[:, column], model[:, column]))
        panel.set_title(label, fontsize=10, color=INK)
        has_neighbour_below, has_neighbour_left = column + across < len(labels), column % across > 0
        dress(
            panel,
            "" if has_neighbour_below else f"frequency $f$ (1/{time_unit})",
            "" if has_neighbour_left else "power (share of total)",
        )
        panel.tick_params(labelbottom=not has_neighbour_below)
    for unused in panels[len(labels) :]:
        unused.remove()
    right, bottom, top = np.transpose(limits)
    panels[0].set(xlim=(0, right.max()), ylim=(bottom.min(), top.max()), yscale="log")
    legend(sheet, panels[0])
    if total > _SPECTRA:
        note(panels[_SPECTRA - 1], f"the first {_SPECTRA} of {total} columns")
    return sheet


def _draw_spectra(ax: Axes, f: Spectrum, *powers: Spectrum) -> tuple[float, float, float]:
    """Draw data and model as shares; return the frequency up to which the data have power, and limits of the shares."""
    moves, f = f > 0, f[f > 0]
    data, model = (above_zero(p / total if (total := np.nansum(p)) > 0 else p) for p in (p[moves] for p in powers))
    end = int(np.searchsorted(np.nancumsum(data), 0.9999)) + 1
    visible, beyond = slice(0, end), slice(end, None)
    for power, role in ((data, DATA), (model, MODEL)):
        parts = [envelope(f[part], power[part]) for part in (visible, beyond)]
        look = role.line() | {"linestyle": role.line(len(power))["linestyle"]}
        ax.plot(*map(np.concatenate, zip(*parts, strict=True)), **look)
    least = np.nanmin(data[visible])
    lowest = max(least / 100, min(least, np.nanmin(model[visible])))
    return f[visible][-1], lowest / 2, 2 * max(np.nanmax(data), np.nanmax(model))
