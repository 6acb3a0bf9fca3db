"""What does every family learn of Lorenz-63 in a few minutes?

Every family as it comes: its own size, `gtfdeer.fit`'s own settings, on 100,000 steps with 5 % noise. The linear
state-space models get a fifth of the updates, which take them as long; the full setting also searches them over
learning rate and width. Judged by a free run against a clean, independent run; a row "truth" is a second exact run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import data, models, plots
from ..plots.canvas import ERROR, MODEL, TRUTH, dress, figure
from .rows import counted, distinct, quartiles, told, where
from .study import Picture, Row, Study
from .training import LINEAR, exponent, free_run, misfits, record, trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]

_PLRNN = {"latent_dim": 3, "hidden_dim": 50}
NETWORKS: dict[str, Callable[..., models.Model]] = {
    "ShallowPLRNN": lambda **keywords: models.ShallowPLRNN(**_PLRNN, **keywords),
    "ClippedShallowPLRNN": lambda **keywords: models.ClippedShallowPLRNN(**_PLRNN, **keywords),
    "AlmostLinearRNN": models.AlmostLinearRNN,
    "VanillaRNN": models.VanillaRNN,
    "GRU": models.GRU,
    "LSTM": models.LSTM,
}
RATES, WIDTHS = (3e-3, 1e-2), (32, 64)  # of the linear models; the last rate and the first width are the defaults
EXACT = "truth"
_TRUE_EXPONENT = 0.9056  # Viswanath 1998, Sprott 2003
_EXPONENT_STEPS = 20_000
_SHOWN = 3000  # samples of the free run in a picture


@dataclass(frozen=True)
class Run:
    """One model; `width` is 0 where it has none."""

    seed: int
    model: str
    learning_rate: float
    width: int
    updates: int
    length: int


def plan(full: bool, seed: int) -> list[Run]:
    """Defaults; the full setting tries other rates and widths of the linear models, too."""
    rates, widths = (RATES, WIDTHS) if full else (RATES[-1:], WIDTHS[:1])
    ready = [(EXACT, 0.0, 0, 0), *((name, 1e-2, 0, 15_000) for name in NETWORKS)]
    searched = [(name, rate, width, 3000) for name in LINEAR for width in widths for rate in rates]
    return [Run(seed, *setting, 100_000) for setting in (*ready, *searched)]


def measure(run: Run) -> list[Row]:
    """Train, run freely, judge, and draw what the first seed learned."""
    recording = record(data.Lorenz63(), run.length, 0.01, run.seed)
    test = recording.test
    if run.model == EXACT:
        second = recording.second.values
        nothing = dict.fromkeys(("parameters", "seconds"), None)
        rest = dict.fromkeys(("exponent", "iterations", "sequential", "skipped", "picture"), None)
        return [{**nothing, **misfits(test.values, second), **rest}]
    rngs = nnx.Rngs(run.seed)
    make: Any = NETWORKS.get(run.model) or getattr(models, run.model)
    model = make(observed_dim=3, rngs=rngs, **({"width": run.width} if run.width else {}))
    settings = {"learning_rate": run.learning_rate, "updates": run.updates}
    learned = trained(model, recording.train, key=jax.random.key(run.seed), **settings)
    orbit, history = free_run(learned, test), learned.history
    start = learned.model.start(jnp.asarray(test.values[0]))
    bounded = bool(np.isfinite(orbit).all())
    name = f"{run.model}-{run.learning_rate:g}-{run.width}-{run.seed}"
    return [
        {
            "parameters": models.parameter_count(learned.model),
            "seconds": float(history["seconds"].sum()),
            **misfits(test.values, orbit),
            "exponent": exponent(learned.model.step, start, test.dt, _EXPONENT_STEPS) if bounded else None,
            "iterations": float(np.mean(history["iterations"])),
            "sequential": float(np.mean(history["sequential"])),
            "skipped": int(history["skipped"].sum()),
            "picture": Picture(name, _drawn(test, orbit)) if bounded and run.seed == 0 else None,
        }
    ]


def _drawn(test: data.Series, orbit: np.ndarray) -> Figure:
    return plots.attractors(test.values[:_SHOWN], orbit[:_SHOWN], unit="s.d.")


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """Scores and exponent of every model, the linear ones with the setting that did best; a point for every seed."""
    chosen = best(rows)
    sheet = figure(11, 1.2 + 0.36 * len(chosen))
    panels = sheet.subplots(1, 4, sharey=True)
    for ax, column in zip(panels, ("D_stsp", "D_H", "exponent", "seconds"), strict=True):
        _scores(ax, chosen, where(rows, model=EXACT), column)
    panels[0].set_yticks(range(len(chosen)), [label(own) for own in chosen])
    panels[0].set_ylim(len(chosen) - 0.5, -0.5)
    return sheet


def _scores(ax: Axes, chosen: list[list[Row]], exact: list[Row], column: str) -> None:
    for place, own in enumerate(chosen):
        role = ERROR if own[0]["model"] in LINEAR else MODEL
        found = [row[column] for row in own if row[column] is not None]
        ax.plot(found, [place] * len(found), "o", color=role.colour, alpha=0.5)
        ax.plot(2 * [quartiles(own, column)[1]], [place - 0.3, place + 0.3], color=role.colour, linewidth=2)
    if column in ("D_stsp", "D_H"):
        ax.axvline(quartiles(exact, column)[1], **TRUTH.line())
        ax.set_xscale("log")
    if column == "exponent":
        ax.axvline(_TRUE_EXPONENT, **TRUTH.line())
    names = {"exponent": "largest exponent (1 / time)", "seconds": "training (s)"}
    dress(ax, names.get(column, f"{column} (bar: median)"))


def best(rows: list[Row]) -> list[list[Row]]:
    """The seeds of every network, and of every linear model with the setting whose median D_stsp is smallest."""
    found = []
    for model in distinct([row for row in rows if row["model"] != EXACT], "model"):
        settings = {}
        for row in where(rows, model=model):
            settings.setdefault((row["learning_rate"], row["width"]), []).append(row)
        found.append(min(settings.values(), key=lambda own: quartiles(own, "D_stsp")[1]))
    return found


def label(own: list[Row]) -> str:
    """The model, and what it was searched over."""
    row = own[0]
    return f"{row['model']}, rate {row['learning_rate']:g}, width {row['width']}" if row["width"] else row["model"]


def caption(rows: list[Row]) -> str:
    """Medians of every model."""
    exact = where(rows, model=EXACT)
    parts = [
        f"{label(own)} ({own[0]['parameters']:,} parameters, {own[0]['updates']:,} updates, "
        f"{quartiles(own, 'seconds')[1]:.0f} s): "
        f"{told(own, 'D_stsp')}, {quartiles(own, 'D_H')[1]:.2g}, {quartiles(own, 'exponent')[1]:.2g}"
        for own in best(rows)
    ]
    searched = len({(row["learning_rate"], row["width"]) for row in rows if row["model"] in LINEAR})
    search = f"the best of {searched} rates and widths for each linear model" if searched > 1 else "no search"
    return (
        f"Lorenz-63 with 5 % noise, medians over {counted(rows)}: D_stsp (quartiles), "
        f"D_H and the largest exponent (truth {_TRUE_EXPONENT}; an exact run: {told(exact, 'D_stsp')}, "
        f"{quartiles(exact, 'D_H')[1]:.2g}); {search}. {'; '.join(parts)}."
    )


STUDY = Study(
    name="models",
    question="what does every family learn of Lorenz-63 in a few minutes?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    seeds=(3, 3),
)
