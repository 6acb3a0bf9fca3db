"""Does training on longer sequences help, where time scales are slow and where they are not?

Every update sees the same number of time steps, as many short sequences or a few long ones, and the number of updates
is the same: only T differs. Slow systems whose period is known: the bursting neuron, sampled finely; Lorenz-63 whose
rho swings with a clock that is hidden from the model, once in 2,000 samples and once in 10,000; the beat of the shipped
heart. And Lorenz-63 without a slow rhythm, which is held against a band of 10 units of time. The neuron's slow variable
is observed with the others, so that it asks for no memory; the clock's level shows in what is observed.

Under forcing alpha the gradient remembers about 1 / alpha steps, 50 at the end of the default schedule: long sequences
can only pay through units that are not forced, or with little forcing. Hence the settings that are compared:

    3 free units    clipped shallow PLRNN, M = N + 3, 3 units never forced; alpha annealed from 1 to 0.02
    adaptive        the same with `Adaptive` forcing
    alpha 0.1       the same with constant forcing
    all forced      clipped shallow PLRNN, M = N: no unit remembers beyond forcing; annealed to 0.02
    S5              a linear recurrence, which is fed the data

(clipped, because plain ones left all bounds within a dozen updates on the neuron). Beside D_stsp and D_H two measures
of the slow rhythm itself (`gtfdeer.measures`). Published for the method: T beyond 10^4 helps where the data have
long time scales.

The full setting makes 30 trainings for each of 5 seeds, and 6 more for the slow clock for two, of 2000 updates of
20,000 steps. One training with its free runs took, on one core, 22 s at T = 200 and 48 s at T = 20,000; an update of S5
takes 28 and 42 ms. (With 1000 updates the longest T had not learned the neuron yet.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import numpy as np

from gtfdeer import data
from gtfdeer.forcing import Adaptive, Annealed, Constant, Schedule
from gtfdeer.measures._rhythm import interval_error, low_frequency_error, steepness
from gtfdeer.plots._canvas import ERROR, FORCED, INK, MODEL, TRUTH, Role, dress, figure

from .marks import BAND, edge, named_ends
from .rows import counted, distinct, quartiles, where
from .study import Row, Study
from .training import build, misfits, record, rollout, trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]


@dataclass(frozen=True)
class Slow:
    """A system with a slow rhythm, and where it is looked for.

    Attributes:
        system: what is simulated; None for the heart.
        period: of the slow rhythm, in units of time; for a control, the band that is looked at.
        dt: time between samples in the full setting and in the quick one.
        column: that shows it.
        columns: what is observed; None for everything.
        signal: of that column, whose passages are counted.
        band: of its slow part, in units of 1 / period.
        length: samples of each run in the full setting, dozens of slow periods.
        seeds: how many repeat it at most.
    """

    system: data.System | None
    period: float
    dt: tuple[float, float]
    column: int = 2
    columns: tuple[int, ...] | None = None
    signal: Callable[[np.ndarray], np.ndarray] = np.asarray
    band: tuple[float, float] = (0, 4)
    length: int = 150_000
    seeds: int = 5


SYSTEMS = {
    "bursting neuron": Slow(data.BurstingNeuron(), 148.0, (0.1, 0.5)),
    "Lorenz-63, hidden clock": Slow(data.SlowFastLorenz(period=20.0), 20.0, (0.01, 0.01), columns=(0, 1, 2)),
    "Lorenz-63, hidden slow clock": Slow(
        data.SlowFastLorenz(), 100.0, (0.01, 0.01), columns=(0, 1, 2), length=500_000, seeds=2
    ),
    "ECG": Slow(None, 217 / 360, (1 / 360, 1 / 360), column=0, signal=steepness, band=(0.5, 1.5)),
    "Lorenz-63": Slow(data.Lorenz63(), 10.0, (0.01, 0.01)),
}
CONTROL = "Lorenz-63"
_HELPS = 0.75  # of the error at the shortest T is left at the longest: what counts as a fall
FORCINGS: dict[str, Schedule] = {
    "annealed to 0.02": Annealed(last=0.02),
    "adaptive": Adaptive(),
    "constant 0.1": Constant(0.1),
    "not used": Constant(1.0),
}
SETTINGS: dict[str, tuple[str, str, Role]] = {
    "3 free units": ("clipped + 3 units", "annealed to 0.02", MODEL),
    "adaptive": ("clipped + 3 units", "adaptive", replace(MODEL, colour="#CC79A7", linestyle=":", marker="v")),
    "alpha 0.1": ("clipped + 3 units", "constant 0.1", replace(MODEL, colour="#E69F00", linestyle="-.", marker="P")),
    "all forced": ("clipped", "annealed to 0.02", FORCED),
    "S5": ("S5", "not used", ERROR),
}
MAIN, LINEAR, CONTROLS = "3 free units", "S5", ("adaptive", "alpha 0.1", "all forced")
MEASURES = {
    "D_stsp": "D_stsp",
    "D_H": "D_H",
    "low_frequency": "low-frequency error",
    "interval": "interval error",
}


@dataclass(frozen=True)
class Run:
    """One model, trained on sequences of `window` steps; `batch * window * updates` is the same in all runs."""

    seed: int
    system: str
    dt: float
    setting: str
    model: str
    forcing: str
    window: int
    batch: int
    updates: int
    learning_rate: float
    looks: int
    parameters: int
    length: int


def plan(full: bool, seed: int) -> list[Run]:
    """Every system with free units and with S5; other ways to force, on the neuron, at the shortest and longest T."""
    windows = (100, 2000, 20_000) if full else (100, 1600)
    size = (2000, 1e-2, 4, 800) if full else (1000, 1e-2, 3, 600)
    ends = windows[0], windows[-1]
    runs = []
    for name in SYSTEMS if full else ("bursting neuron", CONTROL):
        if seed >= SYSTEMS[name].seeds:
            continue
        lengths, samples = dict.fromkeys((MAIN, LINEAR), windows), SYSTEMS[name].length if full else 10_000
        if name == "bursting neuron":
            lengths |= dict.fromkeys(CONTROLS if full else CONTROLS[-1:], ends)
        for setting, of_setting in lengths.items():
            model, forcing, _ = SETTINGS[setting]
            dt = SYSTEMS[name].dt[0 if full else 1]
            common = name, dt, setting, model, forcing
            runs += [Run(seed, *common, T, windows[-1] // T, *size, samples) for T in of_setting]
    return runs


def measure(run: Run) -> list[Row]:
    """Train on sequences of this length, run freely, and judge the free run and its rhythm."""
    slow = SYSTEMS[run.system]
    recording = record(slow.system, run.length, run.dt, run.seed, slow.columns)
    reconstruction = trained(
        build(run.model, run.parameters, recording.train.columns, run.seed),
        recording.train,
        window=run.window,
        batch=run.batch,
        updates=run.updates,
        learning_rate=run.learning_rate,
        forcing=FORCINGS[run.forcing],
        validations=run.looks,
        key=jax.random.key(run.seed),
    )
    test, second = recording.test.values, recording.second.values
    common = min(len(test), len(second))
    found = _judged(test, rollout(reconstruction, recording.test), slow, run.dt)
    floor = _judged(test[:common], second[:common], slow, run.dt)
    history = reconstruction.history
    return [
        {
            **found,
            **{f"floor_{name}": value for name, value in floor.items()},
            "alpha": float(history["alpha"][-1]),
            "sequential": float(np.mean(history["sequential"])),
            "skipped": int(history["skipped"].sum()),
            "kept": int(reconstruction.update),
            "ending": "finished" if reconstruction.ending == "finished" else "not finite",
        }
    ]


def _judged(reference: np.ndarray, generated: np.ndarray, slow: Slow, dt: float) -> Row:
    period = slow.period / dt
    true, found = (slow.signal(x[:, slow.column]) for x in (reference, generated))
    return {
        **misfits(reference, generated),
        "low_frequency": low_frequency_error(reference, generated, period),
        "interval": interval_error(true, found, period, slow.band),
    }


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """A row of panels for every system, a column for every measure, over the length of the sequences."""
    systems = distinct(rows, "system")
    sheet = figure(13, 0.6 + 2.6 * len(systems))
    panels = sheet.subplots(len(systems), len(MEASURES), squeeze=False)
    for line, system in zip(panels, systems, strict=True):
        own = where(rows, system=system)
        for ax, (column, name) in zip(line, MEASURES.items(), strict=True):
            _curves(ax, own, column)
            dress(ax, "", name)
        rhythm = (
            "control without a slow rhythm" if system == CONTROL else f"slow period {_samples(own[0]):,.0f} samples"
        )
        line[0].set_title(f"{system}: {rhythm}", loc="left", fontsize=11, fontweight="bold", color=INK)
    for ax in panels[-1]:
        ax.set_xlabel("training sequence $T$ (samples)", fontsize=10, color=INK)
    return sheet


def _curves(ax: Axes, rows: list[Row], column: str) -> None:
    """Median and quartiles of every setting; a run without bounds or without a rhythm lies in the band at the top."""
    top, ends = edge(rows, [column]), []
    for place, setting in enumerate(distinct(rows, "setting")):
        own, role = where(rows, setting=setting), SETTINGS[setting][2]
        windows = distinct(own, "window")
        found = np.array([quartiles(where(own, window=T), column) for T in windows])
        low, middle, high = np.minimum(found.T, top)
        shifted = np.array(windows) * 1.05 ** (place - 1)
        ax.vlines(shifted, low, high, color=role.colour, linewidth=3, alpha=0.4)
        ax.plot(shifted, middle, **{**role.line(), "marker": role.marker, "markersize": 5})
        ends.append((setting, shifted[-1], middle[-1], role.colour))
    floor = quartiles(rows, f"floor_{column}")[1]
    smallest = min((row[column] for row in rows if np.isfinite(row[column])), default=floor)
    ax.axhline(floor, **TRUTH.line())
    lengths = sorted(distinct(rows, "window"))
    ax.set_xscale("log")
    ax.set_xlim(lengths[0] / 1.3, lengths[-1] * 1.3)
    ax.set_xticks(lengths, [f"{T:,}" for T in lengths])
    ax.minorticks_off()
    if column in ("D_stsp", "interval"):
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7 * min(smallest, max(floor, smallest / 10)))  # a floor far below would flatten the curves
    else:
        ax.set_ylim(bottom=0)
    if any(np.isinf(row[column]) for row in rows):
        ax.axhspan(top / 1.3, top * 1.3, color=BAND, linewidth=0, zorder=0)
        ax.annotate("failed", (lengths[0], top), fontsize=8, color=INK, va="center")
    named_ends(ax, ends, gap=0.1)


def caption(rows: list[Row]) -> str:
    """What longer sequences do to the slow rhythm, in every setting, and how often runs fail."""
    first, systems = rows[0], distinct(rows, "system")
    windows = sorted(distinct(rows, "window"))
    ratios = {system: _ratio(where(rows, system=system, setting=MAIN)) for system in systems}
    helped = ", ".join(s for s in systems if s != CONTROL and ratios[s] < _HELPS) or "no system with a slow rhythm"
    changes = "; ".join(_changes(where(rows, system=system), system) for system in systems)
    failed = "; ".join(f"{s} {_failed(where(rows, setting=s))}" for s in distinct(rows, "setting"))
    slowest = max(_samples(row) for row in rows)
    return (
        f"From T = {windows[0]:,} to T = {windows[-1]:,} the low-frequency error of the network with free units falls "
        f"by a quarter or more on {helped}; on {CONTROL}, which has no slow rhythm, {ratios.get(CONTROL, np.nan):.0%} "
        f"of it is left. Medians over {counted(rows)} at T = {' / '.join(f'{T:,}' for T in windows)} (in how many "
        f"seeds it fell by a quarter from the shortest to the longest): {changes}. Slow periods up to {slowest:,.0f} "
        f"samples. Free runs without bounds or rhythm: {failed}. {first['batch'] * first['window']:,} time steps in "
        f"each of {first['updates']:,} updates, whatever T; bars: quartiles; dashed: a second exact run."
    )


def _samples(row: Row) -> float:
    """Of a slow period."""
    return 0 if row["system"] == CONTROL else SYSTEMS[row["system"]].period / row["dt"]


def _changes(rows: list[Row], system: str) -> str:
    return f"{system}: " + ", ".join(_change(where(rows, setting=s), s) for s in distinct(rows, "setting"))


def _change(rows: list[Row], setting: str) -> str:
    """From median to median, and in how many seeds it fell by more than a quarter."""
    shortest, longest = _ends(rows)
    known = {row["seed"]: row["low_frequency"] for row in shortest}
    fell = sum(row["low_frequency"] < _HELPS * known.get(row["seed"], -np.inf) for row in longest)
    windows = sorted(distinct(rows, "window"))
    medians = " / ".join(f"{quartiles(where(rows, window=T), 'low_frequency')[1]:.2g}" for T in windows)
    return f"{setting} {medians} ({fell} of {len(longest)})"


def _ratio(rows: list[Row]) -> float:
    before, after = (quartiles(own, "low_frequency")[1] for own in _ends(rows))
    return after / before


def _ends(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    windows = sorted(distinct(rows, "window"))
    return where(rows, window=windows[0]), where(rows, window=windows[-1])


def _failed(rows: list[Row]) -> str:
    return f"{sum(np.isinf(row['interval']) for row in rows)} of {len(rows)}"


STUDY = Study(
    name="long-sequences",
    question="do longer training sequences help, where time scales are slow and where they are not?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    seeds=(1, 5),
)
