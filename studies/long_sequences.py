"""Does training on longer sequences help, where time scales are slow and where they are not?

Every update sees the same number of time steps, as many short sequences or a few long ones, and the number of updates
is the same: only T differs. Slow systems whose period is known: Lorenz-63 whose rho swings with a clock that is hidden
from the model, once in 2,000 samples and once in 10,000; the bursting neuron, sampled finely; the beat of the shipped
heart. And Lorenz-63 without a slow rhythm, which is held against a band of 10 units of time. The neuron's slow variable
is observed with the others, so that it asks for no memory; the clock's level shows in what is observed.

    rotations       clipped shallow PLRNN, M = N + 8: the free units begin as four slow rotations, of 100 samples to
                    three times the slow period; a learned gain; 40 Gauss-Newton steps at the end
    GRU             16 units, the same gain and steps
    3 free units    clipped shallow PLRNN, M = N + 3, 3 units never forced; alpha annealed from 1 to 0.02: the gradient
                    remembers about 50 steps, but through the units that are not forced
    adaptive        the same with `Adaptive` forcing
    alpha 0.1       the same with constant forcing
    all forced      clipped shallow PLRNN, M = N: no unit remembers beyond forcing; annealed to 0.02
    S5              a linear recurrence, which is fed the data

(clipped, because plain ones left all bounds within a dozen updates on the neuron). Beside D_stsp and D_H three measures
of the slow rhythm itself, `low_frequency_error`, `band_amplitude` and `gd.measures.interval_error`; columns `floor_`
hold the same of a second exact run. One to two minutes a run under a learned gain, half of that elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd

from .common import build, compare, medians, record, train
from .rhythm import band_amplitude, low_frequency_error, steepness
from .sweep import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 5)


class Slow(NamedTuple):
    """A system with a slow rhythm, and where it is looked for.

    Attributes:
        system: what is simulated; None for the heart.
        period: of the slow rhythm, in units of time; for a control, the band that is looked at.
        dt: time between samples in the full setting.
        column: that shows it.
        columns: what is observed; None for everything.
        signal: of that column, whose passages are counted.
        band: of its slow part, in units of 1 / period.
        length: samples of each run in the full setting, dozens of slow periods.
        seeds: how many repeat it at most.
    """

    system: gd.data.System | None
    period: float
    dt: float
    column: int = 2
    columns: tuple[int, ...] | None = None
    signal: Callable[[np.ndarray], np.ndarray] = np.asarray
    band: tuple[float, float] = (0, 4)
    length: int = 150_000
    seeds: int = 5


NEURON, CLOCK, CONTROL = "bursting neuron", "Lorenz-63, hidden clock", "Lorenz-63"
SYSTEMS = {
    NEURON: Slow(gd.data.BurstingNeuron(), 148.0, 0.1),
    CLOCK: Slow(gd.data.SlowFastLorenz(period=20.0), 20.0, 0.01, columns=(0, 1, 2)),
    "Lorenz-63, hidden slow clock": Slow(
        gd.data.SlowFastLorenz(), 100.0, 0.01, columns=(0, 1, 2), length=500_000, seeds=2
    ),
    "ECG": Slow(None, 217 / 360, 1 / 360, column=0, signal=steepness, band=(0.5, 1.5)),
    CONTROL: Slow(gd.data.Lorenz63(), 10.0, 0.01),
}
FORCINGS = {
    "learned gain": gd.forcing.LearnedGain(),
    "annealed to 0.02": gd.forcing.Annealed(last=0.02),
    "adaptive": gd.forcing.Adaptive(),
    "constant 0.1": gd.forcing.Constant(0.1),
    "not used": gd.forcing.Constant(1.0),
}


class Setting(NamedTuple):
    """A family, its parameters and forcing, and how it is trained: 20,000 time steps an update in the full setting."""

    family: str
    forcing: str
    parameters: int
    updates: int = 2000
    polish: int = 0
    validations: int = 4


SETTINGS = {
    "rotations": Setting("rotations", "learned gain", 1900, 1000, 40, 12),
    "GRU": Setting("GRU", "learned gain", 874, 1000, 40, 12),
    "3 free units": Setting("clipped + 3 units", "annealed to 0.02", 800),
    "adaptive": Setting("clipped + 3 units", "adaptive", 800),
    "alpha 0.1": Setting("clipped + 3 units", "constant 0.1", 800),
    "all forced": Setting("clipped", "annealed to 0.02", 800),
    "S5": Setting("S5", "not used", 800),
}
COLOURS = dict(
    zip(SETTINGS, ("#D55E00", "#CC79A7", "#E69F00", "#999999", "#F0E442", "#009E73", "#0072B2"), strict=True)
)  # Okabe and Ito
MARKERS = dict(zip(SETTINGS, "so^vPXD", strict=True))
STEPS = 20_000  # of time, in an update of the full setting
PLAN = [
    (CLOCK, "GRU", (100, 300, 1000, 3000, 10_000, 20_000), 5),
    (CLOCK, "S5", (300, 1000, 3000, 10_000), 5),  # beside those below
    (CLOCK, "rotations", (100, 1000), 3),
    *(
        (name, setting, (100, 2000, 20_000), slow.seeds)
        for name, slow in SYSTEMS.items()
        for setting in ("3 free units", "S5")
    ),
    *((NEURON, setting, (100, 20_000), 5) for setting in ("adaptive", "alpha 0.1", "all forced")),
]
"""Systems, settings, lengths and how many seeds in the full study."""
SMALL = [
    (system, setting, (100, 1600), 5)
    for system, settings in ((NEURON, ("3 free units", "S5", "all forced")), (CONTROL, ("3 free units", "S5")))
    for setting in settings
]


def plan(full: bool, seed: int) -> list[Run]:
    """Every system, setting and length of `PLAN`, with as many whole windows as fit into the same time steps."""
    return [
        {
            "seed": seed,
            "system": system,
            "dt": SYSTEMS[system].dt if full or system != NEURON else 0.5,
            "setting": setting,
            "window": window,
            "batch": (STEPS if full else windows[-1]) // window,
            "updates": SETTINGS[setting].updates if full else 1000,
            "polish": SETTINGS[setting].polish,
            "learning_rate": 1e-2,
            "validations": SETTINGS[setting].validations if full else 3,
            "parameters": SETTINGS[setting].parameters if full else 600,
            "length": SYSTEMS[system].length if full else 10_000,
        }
        for system, setting, windows, seeds in (PLAN if full else SMALL)
        if seed < seeds
        for window in windows
    ]


def measure(
    seed: int,
    system: str,
    dt: float,
    setting: str,
    window: int,
    batch: int,
    updates: int,
    polish: int,
    learning_rate: float,
    validations: int,
    parameters: int,
    length: int,
) -> Run:
    """Train on sequences of this length, run freely, and judge the free run and its rhythm."""
    slow = SYSTEMS[system]
    runs = record(slow.system, length, dt, seed, slow.columns)
    family, schedule = SETTINGS[setting].family, SETTINGS[setting].forcing
    rec = train(
        _build(family, parameters, runs.train.columns, seed, slow.period / dt),
        runs.train,
        window=window,
        batch=batch,
        updates=updates,
        polish=polish,
        learning_rate=learning_rate,
        forcing=FORCINGS[schedule],
        validations=validations,
        key=jax.random.key(seed),
    )
    test, second = (rec.standardised(run).values for run in (runs.test, runs.second))
    common = min(len(test), len(second))
    floor = _judge(test[:common], second[:common], slow, dt)
    return {
        **_judge(*gd.training.rollout_for_comparison(rec.model, test), slow, dt),
        **{f"floor_{name}": value for name, value in floor.items()},
        "alpha": float(rec.history["alpha"][-1]),
        "iterations": int(np.max(rec.history["iterations"])),
        "sequential": float(np.mean(rec.history["retried"])),
        "skipped": int(rec.history["skipped"].sum()),
        "kept": rec.update,
        "ending": "finished" if rec.ending == "finished" else "not finite",
    }


def _build(family: str, parameters: int, columns: int, seed: int, period: float) -> gd.models.Model:
    """A model of this family; free units as rotations where it is named after them."""
    if family != "rotations":
        return build(family, parameters, columns, seed)
    return gd.models.matched(
        gd.models.ClippedShallowPLRNN,
        parameters,
        latent_dim=columns + 8,
        observed_dim=columns,
        periods=(100, 3 * period),
        rngs=nnx.Rngs(seed),
    )


def _judge(reference: np.ndarray, generated: np.ndarray, slow: Slow, dt: float) -> Run:
    period = slow.period / dt
    true, found = (slow.signal(x[:, slow.column]) for x in (reference, generated))
    return {
        **compare(reference, generated),
        "low_frequency": low_frequency_error(reference, generated, period),
        "amplitude": band_amplitude(reference, generated, period),
        "interval": gd.measures.interval_error(true, found, period, slow.band),
    }


def draw(table: pd.DataFrame) -> Figure:
    """A column of panels for every system: the error of its slow rhythm and D_stsp over the length of the sequences."""
    systems = list(table.system.unique())
    sheet = gd.plots.figure(3.1 * len(systems), 5.6)
    panels = sheet.subplots(2, len(systems), sharex=True, squeeze=False)
    for (above, below), system in zip(panels.T, systems, strict=True):
        own = table[table.system == system]
        for ax, column in ((above, "low_frequency"), (below, "D_stsp")):
            values = own.assign(
                **{column: own[column].replace([np.inf], 2 * own[column].replace([np.inf], np.nan).max())}
            )
            for setting in own.setting.unique():
                look = {"color": COLOURS[setting], "marker": MARKERS[setting], "markersize": 5, "label": setting}
                medians(ax, values[own.setting == setting], "window", column, **look)
            ax.axhline(own[f"floor_{column}"].median(), color="black", linestyle="--", linewidth=1)
        above.set(title=system, xscale="log", ylim=(0, None))
        below.set(yscale="log", xlabel="training sequence T (samples)")
    panels[0, 0].set_ylabel("low-frequency error")
    panels[1, 0].set_ylabel("D_stsp (dashed: a second exact run)")
    shown = {label: line for ax in panels[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = [name for name in SETTINGS if name in shown]
    sheet.legend([shown[name] for name in names], names, loc="outside upper center", ncols=len(names))
    return sheet
