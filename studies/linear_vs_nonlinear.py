"""Can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does? And why not?

LRU, S5 and Mamba against a shallow PLRNN, an AL-RNN and a GRU with about as many parameters and about as much training
time, on the same windows under annealed alpha; beside them a GRU as `gd.fit` trains it by default, with a learned gain
and Gauss-Newton steps at the end. Time is matched by numbers of updates that were chosen once, so that the same seed
gives the same table on any machine; `seconds` says what they took on this one.

The reason that has been given: the closed loop of one linear layer, `h_t = A h_{t-1} + B g(C h_{t-1})`, has the
Jacobian `A + B g'(C h) C`. Only g' moves with the state, so `J(h) - J(h')` has rank at most N, the observed columns
(2 N here, where the observation itself is part of the state). Shown is the share of the movement along the attractor
that each singular value carries. The bound is that of ONE layer: in a stack the second layer is driven by a nonlinear
function of the first one's state, and Mamba's A depends on its input. A low rank alone is no verdict: Lorenz-63's own
map hardly moves with more than rank 2. A row "truth" stands for a second exact run, and for the heart, whose equations
nobody knows, for the half that was trained on. Full: 140 trainings of half a minute, about an hour with `--jobs 2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gtfdeer as gd

from .common import (
    EXACT,
    LINEAR,
    SHARES,
    Recordings,
    build,
    compare,
    movement_along,
    record,
    standardise_step,
    strips,
    train,
)
from .sweep import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 5)
DEFAULT = "GRU, learned gain"
SYSTEMS: dict[str, gd.data.System | None] = {
    "Lorenz-63": gd.data.Lorenz63(),
    "Lorenz-96": gd.data.Lorenz96(),
    "bursting neuron": gd.data.BurstingNeuron(),
    "ECG": None,
}
UPDATES = {
    "shPLRNN": 5000,
    "AL-RNN": 10_000,
    "GRU": 4000,
    "LRU": 5000,
    "S5": 5000,
    "Mamba": 1500,
    "LRU, one layer": 8000,
    DEFAULT: 2000,
}
"""Of the full setting: half a minute each on one core, where an update with 1500 parameters took 2 to 19 ms."""
MARKERS = dict(zip([EXACT, *UPDATES], "*s^oDvPXh", strict=True))


def plan(full: bool, seed: int) -> list[Run]:
    """The miniature: Lorenz-63, smaller models and fewer updates."""
    names = "parameters", "length", "window", "batch", "learning_rate", "alpha", "validations"
    sizes = (1500, 50_000, 200, 16, 1e-2, 0.02, 5) if full else (800, 10_000, 100, 16, 1e-2, 0.02, 3)
    return [
        {"seed": seed, "system": system, "model": model, **dict(zip(names, sizes, strict=True)), "updates": updates}
        for system in (SYSTEMS if full else ["Lorenz-63"])
        for model, most in {EXACT: 0, **UPDATES}.items()
        for updates in [most if full else most // 5]
    ]


def measure(
    seed: int,
    system: str,
    model: str,
    parameters: int,
    length: int,
    window: int,
    batch: int,
    learning_rate: float,
    alpha: float,
    validations: int,
    updates: int,
) -> Run:
    """Train, run freely, score; then look at how the Jacobian moves along the free run."""
    runs = record(SYSTEMS[system], length, None, seed)
    if model == EXACT:
        return {"count": None, "seconds": None, **_measure_exact(system, runs)}
    rec = train(
        build("GRU" if model == DEFAULT else model, parameters, runs.train.columns, seed),
        runs.train,
        window=window,
        batch=batch,
        updates=updates,
        learning_rate=learning_rate,
        forcing=None if model == DEFAULT else gd.forcing.Annealed(last=alpha),
        validations=validations,
        key=jax.random.key(seed),
    )
    scores = rec.score(runs.test)
    start = rec.model.initial_state(jnp.asarray(rec.standardised(runs.test).values[0]))
    return {
        "count": gd.models.parameter_count(rec.model),
        "seconds": float(rec.history["seconds"].sum()),
        "D_stsp": scores.D_stsp,
        "D_H": scores.D_H,
        "exponent": scores.lambda_max,
        **movement_along(rec.model.step, start),
    }


def _measure_exact(name: str, runs: Recordings) -> Run:
    """The scores of a second exact run, the exponent and the Jacobian of the true map, where it is known."""
    scaling = runs.train.standardise().scaling
    test, second = (run.scaled_by(scaling).values for run in (runs.test, runs.second))
    system = SYSTEMS[name]
    if system is None:
        return {**compare(test, second), **dict.fromkeys(("exponent", "movement", *SHARES))}
    step, start = standardise_step(system.step(runs.test.dt), scaling), jnp.asarray(test[0])
    exponent = gd.measures.lyapunov_spectrum(step, start, steps=10_000, dt=runs.test.dt, exponents=1).exponents[0]
    return {**compare(test, second), "exponent": float(exponent), **movement_along(step, start)}


def draw(table: pd.DataFrame) -> Figure:
    """A row of panels for every system: the scores of every model, linear ones blue, and the singular values."""
    systems = list(table.system.unique())
    colours = [gd.plots.ERROR.colour if model in LINEAR else gd.plots.MODEL.colour for model in UPDATES]
    sheet = gd.plots.figure(11, 0.6 + 2.6 * len(systems))
    panels = sheet.subplots(len(systems), 3, squeeze=False, width_ratios=(3, 2.4, 3.4))
    for line, system in zip(panels, systems, strict=True):
        own = table[table.system == system]
        for ax, column in zip(line[:2], ("D_stsp", "D_H"), strict=True):
            strips(ax, own, "model", list(UPDATES), column, colours, log=column == "D_stsp")
            ax.axvline(own.loc[own.model == EXACT, column].median(), color="black", linestyle="--", linewidth=1)
        line[1].set_yticklabels([])
        line[0].set_title(f"{system}; dashed: a second exact run", loc="left")
        for model, colour in zip((EXACT, *UPDATES), ("black", *colours), strict=True):
            shares = own.loc[own.model == model, list(SHARES)].median().to_numpy()
            seen = np.flatnonzero(shares > 1e-3)  # no value and no movement are not drawn
            line[2].plot(
                seen + 1, shares[seen], color=colour, marker=MARKERS[model], markersize=5, linewidth=1, label=model
            )
        line[2].set(
            yscale="log", xlim=(0.5, len(SHARES) + 0.5), xlabel="singular value k", ylabel="share of J's movement"
        )
    panels[0, 2].set_ylim(bottom=3e-6)  # room for the legend
    panels[0, 2].legend(fontsize=7.5, ncols=2, loc="lower left")
    return sheet
