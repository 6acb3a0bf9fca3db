"""Does training on longer sequences help, where time scales are slow and where they are not?

Every update sees the same number of time steps, as many short sequences or a few long ones, and the number of updates
is the same: only T differs. Slow systems whose period is known, and Lorenz-63 without one, which is held against a
band of 10 units of time. Two models: a clipped shallow PLRNN with 3 units that are not forced, which can remember
further than the 1 / alpha steps that forcing leaves of the gradient (clipped, because plain ones left all bounds within
a dozen updates on the neuron), and S5, a linear recurrence, which is fed the data.

Beside D_stsp and D_H two measures of the slow rhythm itself (`gtfdeer.studies.rhythm`). Published for the method: T
beyond 10^4 helps where the data have long time scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from .. import data
from ..plots.canvas import ERROR, INK, MODEL, TRUTH, dress, figure
from .rhythm import interval_error, low_frequency_error
from .rows import counted, distinct, quartiles, told, where
from .study import Row, Study
from .training import build, free_run, misfits, record, trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]


@dataclass(frozen=True)
class Slow:
    """A system with a slow rhythm, and in which column it is looked for.

    Attributes:
        system: what is simulated.
        period: of the slow rhythm, in units of time; for a control, the band that is looked at.
        column: that shows it.
        columns: what is observed; None for everything.
    """

    system: data.System
    period: float
    column: int
    columns: tuple[int, ...] | None = None


SYSTEMS = {
    "bursting neuron": Slow(data.BurstingNeuron(), 148.0, column=2),
    "Lorenz-63, hidden clock": Slow(data.SlowFastLorenz(period=20.0), 20.0, column=2, columns=(0, 1, 2)),
    "Lorenz-63": Slow(data.Lorenz63(), 10.0, column=2),
}
ROLES = {"clipped + 3 units": MODEL, "S5": ERROR}
MEASURES = {
    "D_stsp": "D_stsp",
    "D_H": "D_H",
    "low_frequency": "low-frequency error",
    "interval": "interval error",
}


@dataclass(frozen=True)
class Run:
    """One model, trained on sequences of `window` steps; `batch * window` is the same in all runs."""

    seed: int
    system: str
    dt: float
    model: str
    window: int
    batch: int
    updates: int
    parameters: int
    length: int


def plan(full: bool, seed: int) -> list[Run]:
    """The full study samples the neuron ten times as finely: its period is then 2960 samples."""
    if full:
        steps, windows, size = {"bursting neuron": 0.05}, (100, 1000, 5000, 20_000), (1500, 1000, 200_000)
    else:
        steps, windows, size = {}, (100, 1600), (1500, 600, 10_000)
    systems = list(SYSTEMS) if full else ["bursting neuron", "Lorenz-63"]
    return [
        Run(seed, name, steps.get(name, SYSTEMS[name].system.default_dt), model, T, windows[-1] // T, *size)
        for name in systems
        for model in ROLES
        for T in windows
    ]


def measure(run: Run) -> list[Row]:
    """Train on sequences of this length, run freely, and judge the free run and its rhythm."""
    slow = SYSTEMS[run.system]
    recording = record(slow.system, run.length, run.dt, run.seed, slow.columns)
    model = build(run.model, run.parameters, recording.train.columns, run.seed)
    settings = {"window": run.window, "batch": run.batch, "updates": run.updates}
    reconstruction = trained(model, recording.train, key=jax.random.key(run.seed), **settings)
    found = _judged(recording.test.values, free_run(reconstruction, recording.test), slow, run.dt)
    floor = _judged(recording.test.values, recording.second.values, slow, run.dt)
    history = reconstruction.history
    return [
        {
            **found,
            **{f"floor_{name}": value for name, value in floor.items()},
            "alpha": float(history["alpha"][-1]),
            "sequential": float(np.mean(history["sequential"])),
            "ending": "finished" if reconstruction.ending == "finished" else "not finite",
        }
    ]


def _judged(reference: np.ndarray, generated: np.ndarray, slow: Slow, dt: float) -> Row:
    period = slow.period / dt
    column = slow.column
    return {
        **misfits(reference, generated),
        "low_frequency": low_frequency_error(reference, generated, period),
        "interval": interval_error(reference[:, column], generated[:, column], period),
    }


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """A row of panels for every system, a column for every measure, over the length of the sequences."""
    systems = distinct(rows, "system")
    sheet = figure(11, 0.8 + 2.5 * len(systems))
    panels = sheet.subplots(len(systems), len(MEASURES), sharex=True, squeeze=False)
    for line, system in zip(panels, systems, strict=True):
        own = where(rows, system=system)
        for ax, column in zip(line, MEASURES, strict=True):
            _curves(ax, own, column)
        line[0].set_ylabel(system, fontsize=10, color=INK)
    for ax, name in zip(panels[0], MEASURES.values(), strict=True):
        ax.set_title(name, fontsize=10, color=INK)
    for ax in panels[-1]:
        ax.set_xlabel("training sequence $T$", fontsize=10, color=INK)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    return sheet


def _curves(ax: Axes, rows: list[Row], column: str) -> None:
    windows = distinct(rows, "window")
    drawn = [row[column] for row in rows if np.isfinite(row[column])]
    top = 2 * max(drawn, default=1.0)  # where runs without bounds or without a rhythm are drawn
    for place, (model, role) in enumerate(ROLES.items()):
        found = [quartiles(where(rows, model=model, window=T), column) for T in windows]
        low, middle, high = np.minimum(np.array(found).T, top)
        shifted = np.array(windows) * 1.06 ** (2 * place - 1)
        ax.vlines(shifted, low, high, color=role.colour, linewidth=3, alpha=0.4)
        look = {**role.line(), "label": model, "marker": role.marker, "markersize": 6}
        ax.plot(shifted, middle, **look)
    ax.axhline(quartiles(rows, f"floor_{column}")[1], **{**TRUTH.line(), "label": "a second exact run"})
    dress(ax)
    ax.set_xscale("log")
    ax.set_xticks(windows, [f"{T:,}" for T in windows])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)


def caption(rows: list[Row]) -> str:
    """For every system and model: each measure at the shortest and at the longest T."""
    windows = distinct(rows, "window")
    parts = []
    for system in distinct(rows, "system"):
        own = where(rows, system=system)
        period = SYSTEMS[system].period / own[0]["dt"]
        told_models = "; ".join(_change(where(own, model=model), model, windows) for model in distinct(own, "model"))
        parts.append(f"{system} ({period:,.0f} samples): {told_models}.")
    first = rows[0]
    return (
        f"{first['batch'] * first['window']:,} time steps in each of {first['updates']:,} updates, whatever T; medians "
        f"over {counted(rows)} (quartiles), from T = {windows[0]:,} to T = {windows[-1]:,}. {' '.join(parts)}"
    )


def _change(rows: list[Row], model: str, windows: list[int]) -> str:
    shortest, longest = where(rows, window=windows[0]), where(rows, window=windows[-1])
    changes = [f"{name} {told(shortest, column)} to {told(longest, column)}" for column, name in MEASURES.items()]
    best = {name: _best(rows, column, windows) for column, name in MEASURES.items() if column in _RHYTHM}
    return f"{model} {', '.join(changes)}, lowest {' and '.join(f'{name} at {T}' for name, T in best.items())}"


_RHYTHM = ("low_frequency", "interval")


def _best(rows: list[Row], column: str, windows: list[int]) -> str:
    medians = {T: quartiles(where(rows, window=T), column)[1] for T in windows}
    return f"T = {min(medians, key=lambda T: medians[T]):,}"


STUDY = Study(
    name="long-sequences",
    question="do longer training sequences help, where time scales are slow and where they are not?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    seeds=(1, 5),
)
