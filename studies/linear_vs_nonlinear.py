"""Can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does? And why not?

LRU, S5 and Mamba against a shallow PLRNN, an AL-RNN and a GRU with about as many parameters and about as much training
time, on the same windows; D_stsp, D_H and the largest exponent of the free run. Time is matched by numbers of updates
that were chosen once, so that the same seed gives the same table on any machine; `seconds`, beside the table, says what
they took on this one.

The reason that has been given: the closed loop of one linear layer, `h_t = A h_{t-1} + B g(C h_{t-1})`, has the
Jacobian `A + B g'(C h) C`. Only g' moves with the state, so `J(h) - J(h')` has rank at most N, the observed columns
(2 N here, where the observation itself is part of the state). Shown is how much of the movement along the attractor
each singular value carries (`studies.directions`), beside the truth's. The bound is that of ONE layer ("LRU,
one layer"): in a stack the second layer is driven by a nonlinear function of the first one's state, and Mamba's A
depends on its input, so both move with more. A low rank alone is no verdict: Lorenz-63's own map hardly moves with more
than rank 2. A row "truth" stands for a second exact run, and for the heart, whose equations nobody knows, for the half
that was trained on.

A run is lost if it leaves all bounds or comes to rest; its Jacobian tells nothing about the attractor. A system is not
learned by a family whose median D_stsp is no better than that of a run, of any family, which came to rest.

The full setting is sized for about an hour on 2 cores with `--jobs 2`: 4 systems x 7 models x 5 seeds = 140
trainings of half a minute (shPLRNN 6.2 ms an update, GRU 7.5, LRU and S5 5.3, Mamba 19), and 20 s each for compiling
and for judging free runs of 50,000 steps.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gtfdeer import data, models
from gtfdeer.forcing import Annealed
from gtfdeer.plots._canvas import DATA, ERROR, INK, MODEL, TRUTH, Role, dress, figure

from .directions import CARRIED, SHARES, directions, moved, spelled
from .marks import logarithmic, strips
from .rows import counted, distinct, quartiles, told, where
from .study import Row, Study
from .training import LINEAR, ONE_LAYER, Recording, build, exact_map, exponent, misfits, record, rollout, trained

if TYPE_CHECKING:
    from jaxtyping import Array
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]

SYSTEMS: dict[str, data.System | None] = {
    "Lorenz-63": data.Lorenz63(),
    "Lorenz-96": data.Lorenz96(),
    "bursting neuron": data.BurstingNeuron(),
    "ECG": None,
}
COLUMNS = {"Lorenz-63": 3, "Lorenz-96": 10, "bursting neuron": 3, "ECG": 5}
EXACT = "truth"
NETWORKS = ("shPLRNN", "AL-RNN", "GRU", *LINEAR, ONE_LAYER)
_MARKERS: dict[str, str] = dict(zip(NETWORKS, "s^oDvPX", strict=True))
UPDATES = {"shPLRNN": 5000, "AL-RNN": 10_000, "GRU": 4000, "LRU": 5000, "S5": 5000, "Mamba": 1500, ONE_LAYER: 8000}
"""Of the full setting: half a minute each on one core, where an update with 1500 parameters took 2 to 19 ms."""
_FAINTEST = 1e-3  # share of the movement that is still drawn
_FAR = 100.0  # D_stsp from which on an orbit has left: 14 standard deviations, by Gaussians as wide as one
_EXPONENT_STEPS = 10_000


@dataclass(frozen=True)
class Run:
    """One model on one system; forcing is annealed from 1 to `alpha`."""

    seed: int
    system: str
    model: str
    parameters: int
    length: int
    window: int
    batch: int
    learning_rate: float
    alpha: float
    looks: int
    updates: int


def plan(full: bool, seed: int) -> list[Run]:
    """The miniature: Lorenz-63, smaller models and fewer updates."""
    systems = list(SYSTEMS) if full else ["Lorenz-63"]
    size = (1500, 50_000, 200, 16, 1e-2, 0.02, 5) if full else (800, 10_000, 100, 16, 1e-2, 0.02, 3)
    return [
        Run(seed, system, model, *size, UPDATES.get(model, 0) if full else UPDATES.get(model, 0) // 5)
        for system in systems
        for model in (EXACT, *NETWORKS)
    ]


def measure(run: Run) -> list[Row]:
    """Train, run freely, judge; then look at how the Jacobian moves along the free run."""
    recording = record(SYSTEMS[run.system], run.length, None, run.seed)
    if run.model == EXACT:
        return [{"count": None, "seconds": None, **misfits(*_paired(recording)), **_exact_dynamics(recording)}]
    reconstruction = trained(
        build(run.model, run.parameters, recording.train.columns, run.seed),
        recording.train,
        window=run.window,
        batch=run.batch,
        updates=run.updates,
        learning_rate=run.learning_rate,
        forcing=Annealed(last=run.alpha),
        validations=run.looks,
        key=jax.random.key(run.seed),
    )
    kept = reconstruction.model
    start = kept.initial_state(jnp.asarray(recording.test.values[0]))
    return [
        {
            "count": models.parameter_count(kept),
            "seconds": float(reconstruction.history["seconds"].sum()),
            **misfits(recording.test.values, rollout(reconstruction, recording.test)),
            **_dynamics(kept.step, start, recording.test.dt),
        }
    ]


def _exact_dynamics(recording: Recording) -> Row:
    """Of the true map; nothing where nobody knows it."""
    if recording.system is None:
        return dict.fromkeys(("exponent", "movement", *SHARES))
    return _dynamics(exact_map(recording), jnp.asarray(recording.test.values[0]), recording.test.dt)


def _paired(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    common = min(recording.test.length, recording.second.length)
    return recording.test.values[:common], recording.second.values[:common]


def _dynamics(step: Callable[[Array], Array], start: Array, dt: float) -> Row:
    return {"exponent": exponent(step, start, dt, _EXPONENT_STEPS), **moved(step, start)}


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """A row of panels for every system: the scores of every model, its exponent, and the singular values."""
    systems = distinct(rows, "system")
    sheet = figure(12.5, 1.4 + 2.9 * len(systems))
    panels = sheet.subplots(len(systems), 4, squeeze=False, width_ratios=(3, 2.4, 2.4, 3.6))
    for line, system in zip(panels, systems, strict=True):
        own = where(rows, system=system)
        for ax, column in zip(line[:3], ("D_stsp", "D_H", "exponent"), strict=True):
            _scores(ax, own, column)
        for ax in line[1:3]:
            ax.set_yticklabels([])
        line[0].set_title(system, loc="left", fontsize=11, fontweight="bold", color=INK)
        line[3].set_title("directions of J (black: truth; marks as left)", loc="left", fontsize=9, color=INK)
        _spectrum(line[3], own)
    sheet.suptitle(_headline(rows), x=0.01, horizontalalignment="left", fontsize=12, fontweight="bold", color=INK)
    return sheet


def _headline(rows: list[Row]) -> str:
    """Which colour is nearer, where."""
    found: dict[str, list[str]] = {"linear": [], "nonlinear": [], "neither": []}
    for system in distinct(rows, "system"):
        found[_nearer(where(rows, system=system))].append(system)
    named = {"linear": "linear (blue)", "nonlinear": "nonlinear (orange)", "neither": "neither"}
    return "Nearer to the attractor: " + "; ".join(f"{named[side]} on {', '.join(s)}" for side, s in found.items() if s)


def _is_linear(model: str) -> bool:
    return model in (*LINEAR, ONE_LAYER)


def _role(model: str) -> Role:
    if model == EXACT:
        return replace(DATA, name=EXACT)
    return replace(ERROR if _is_linear(model) else MODEL, name=model, marker=_MARKERS[model])


def _look(model: str) -> dict[str, Any]:
    return {**_role(model).line(), "marker": _role(model).marker, "markersize": 4.5}


def _scores(ax: Axes, rows: list[Row], column: str) -> None:
    strips(ax, [(model, where(rows, model=model), _role(model)) for model in NETWORKS], column, "ran away")
    exact = quartiles(where(rows, model=EXACT), column)[1]
    if np.isfinite(exact):
        ax.axvline(exact, **TRUTH.line())
    if column == "D_stsp":
        logarithmic(ax)
    dress(ax, {"exponent": "largest exponent (1 / time)"}.get(column, f"{column}, dashed: a second exact run"))


def _spectrum(ax: Axes, rows: list[Row]) -> None:
    """The median of each share over the runs that are not lost."""
    order = np.arange(1, len(SHARES) + 1)
    for model in (EXACT, *NETWORKS):
        kept = [row for row in where(rows, model=model) if not _lost(row)]
        shares = np.array([_median(kept, column) for column in SHARES])
        seen = np.flatnonzero(shares > _FAINTEST)  # no value (NaN) and no movement are not drawn
        ax.plot(order[seen], shares[seen], **_look(model))
    columns = COLUMNS[rows[0]["system"]]
    for count, name in ((columns, "N"), (2 * columns, "2 N")):
        ax.axvline(count, color="#888888", linestyle=":", linewidth=1)
        ax.text(count, 1.2 * _FAINTEST, f" {name}", fontsize=8.5, color=INK)
    ax.set_yscale("log")
    ax.set_ylim(_FAINTEST, 1.5)
    ax.set_xlim(0.5, len(SHARES) + 0.5)
    dress(ax, "singular value $k$", "share of the movement of $J$")


def caption(rows: list[Row]) -> str:
    """Which family is nearer on how many systems, how many directions J moves in, and how often runs are lost."""
    systems = distinct(rows, "system")
    sides = [_nearer(where(rows, system=system)) for system in systems]
    neither = ", ".join(system for system, side in zip(systems, sides, strict=True) if side == "neither")
    unlearned = f", and none is better than a run at rest on {neither}" if neither else ""
    scores = "; ".join(f"{system}: {_against(*_nearest(where(rows, system=system)))}" for system in systems)
    ranks = "; ".join(f"{system} {_directions(where(rows, system=system))}" for system in systems)
    first = next(row for row in rows if row["model"] != EXACT)
    return (
        f"With equal parameters and time, the best nonlinear family comes nearer to the attractor than the best linear "
        f"one on {sides.count('nonlinear')} of {len(systems)} systems, the best linear one "
        f"on {sides.count('linear')}{unlearned}. Median D_stsp and exponent over "
        f"{counted(rows)}: {scores}. Lost, running away or at rest: {_failures(rows)}. "
        f"Directions that carry {CARRIED:.0%} of the movement of J, median of the runs that are not lost: {ranks}; "
        f"one linear layer is bound to 2 N of them, stacks and an A that depends on the input are not. "
        f"About {first['parameters']:,} parameters, windows of {first['window']}, alpha annealed to "
        f"{first['alpha']:g}, {_seconds(rows)} s of training each; bars: medians."
    )


def _median(rows: list[Row], column: str = "D_stsp") -> float:
    return quartiles(rows, column)[1]


def _lost(row: Row) -> bool:
    """Whether a run left all bounds or came to rest; the truth never does, even where its equations are unknown."""
    return row["model"] != EXACT and (row["movement"] is None or row["D_stsp"] > _FAR)


def _nearest(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The nonlinear and the linear family with the lowest median D_stsp, of one system."""
    families = [where(rows, model=model) for model in distinct(rows, "model") if model != EXACT]
    sides = [[own for own in families if _is_linear(own[0]["model"]) == linear] for linear in (False, True)]
    nonlinear, linear = (min(side, key=_median, default=[]) for side in sides)
    return nonlinear, linear


def _nearer(rows: list[Row]) -> str:
    """Which side is nearer to the attractor of one system, unless neither is nearer than a run at rest."""
    nonlinear, linear = map(_median, _nearest(rows))
    at_rest = min((row["D_stsp"] for row in rows if _lost(row)), default=np.inf)
    if not min(nonlinear, linear) < 0.999 * at_rest:  # their scores are equal up to rounding
        return "neither"
    return "linear" if linear < nonlinear else "nonlinear"


def _against(*families: list[Row]) -> str:
    return " against ".join(
        f"{own[0]['model']} {told(own, 'D_stsp')}, {_median(own, 'exponent'):.2g}" for own in families if own
    )


def _failures(rows: list[Row]) -> str:
    """How many runs of every family are lost."""
    families = [where(rows, model=model) for model in distinct(rows, "model") if model != EXACT]
    return ", ".join(f"{own[0]['model']} {sum(map(_lost, own))} of {len(own)}" for own in families)


def _seconds(rows: list[Row]) -> str:
    low, _, high = quartiles(rows, "seconds")
    return f"{low:.0f} to {high:.0f}"


def _directions(rows: list[Row]) -> str:
    """The median number of directions of every model of one system."""
    found = []
    for model in distinct(rows, "model"):
        ranks = [directions(row) for row in where(rows, model=model) if not _lost(row) and row["movement"] is not None]
        middle = statistics.median(ranks) if ranks else None
        found.append(f"{model} {'unknown' if middle is None else spelled(middle)}")
    return ", ".join(found)


STUDY = Study(
    name="linear-vs-nonlinear",
    question="can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    clock=("seconds",),
    seeds=(1, 5),
)
