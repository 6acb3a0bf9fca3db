"""What does every family learn of Lorenz-63 in a few minutes?

Every family as it comes: its own size, `gtfdeer.fit`'s own settings, on 100,000 steps with 5 % noise; the linear
state-space models get a seventh of the updates or, where each costs more, fewer (`WIDTHS`), and the full setting
searches them over learning rate and width, with the first seed. Which of those settings is shown is decided by the
training data, on which a free run of every model is judged, too; one that is not the first of its family has one seed
only. Test scores: a free run against a clean, independent run; a row "truth" is a second exact run. `seconds` stand
beside the table, which is the same for the same seed.

On a CPU windows of 200 steps are solved step by step. What a solver in parallel over time would have to do is probed at
three moments: on the network that is kept, on the untrained one, and in the middle of training, under the alpha of that
moment (0.03, 1 and 0.16). Windows of 2000 steps, by Newton's method (`newton` iterations) and by shooting (`sweeps`),
and in which share of the windows each of them did not converge.

The miniature is one seed with a fraction of the updates; full, three seeds take about two hours on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gtfdeer import data, models, plots, solvers
from gtfdeer.plots._canvas import ERROR, MODEL, TRUTH, dress, figure
from gtfdeer.solvers._solve import Status
from gtfdeer.training._validation import BestCheckpoint

from .marks import logarithmic, strips
from .rows import counted, distinct, quartiles, told, where
from .study import Picture, Row, Study
from .training import LINEAR, exponent, misfits, record, rollout, trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gtfdeer.training._loop import Progress

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
RATES = (1e-3, 3e-3, 1e-2)  # of the linear models; the last one is the default
WIDTHS = {"LRU": {32: 3000, 64: 3000}, "S5": {32: 3000, 64: 3000}, "Mamba": {8: 2000, 32: 600}}
"""Widths of the linear models (default 32), the one of all seeds first, and how many updates each gets: about 30 and
60 s on one core, and of Mamba, an update of which takes 0.03 and 0.28 s, 70 and 170 s."""
EXACT = "truth"
_TRUE_EXPONENT = 0.9056  # Viswanath 1998, Sprott 2003
_EXPONENT_STEPS = 20_000
_SHOWN = 3000  # samples of the free run in a picture
_PROBED, _WINDOWS = 2000, 4  # steps, and how many of them
_VALIDATIONS = 20  # at free runs, `fit`'s default: moments that are the same on every machine
MOMENTS = ("", "_start", "_middle")  # of training, as the table's columns end; nothing stands for its end
_SOLVERS: dict[str, solvers.Solver] = {"newton": solvers.DEER(), "sweeps": solvers.Shooting()}


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
    """Defaults, in the miniature with fewer updates; the full setting tries rates and widths of the linear models."""
    many, length = (20_000, 100_000) if full else (1000, 10_000)
    ready = [(EXACT, 0.0, 0, 0), *((name, 1e-2, 0, many) for name in NETWORKS)]
    searched = [
        (name, rate, width, updates if full else updates // 15)
        for name, widths in WIDTHS.items()
        for place, (width, updates) in enumerate(widths.items())
        for rate in RATES
        if (full and seed == 0) or (rate == RATES[-1] and place == 0)
    ]
    return [Run(seed, *setting, length) for setting in (*ready, *searched)]


def measure(run: Run) -> list[Row]:
    """Train, run freely, judge, probe, and draw what the first seed learned."""
    recording = record(data.Lorenz63(), run.length, 0.01, run.seed)
    test = recording.test
    if run.model == EXACT:
        second = recording.second.values
        nothing = dict.fromkeys(("parameters", "seconds"), None)
        rest = dict.fromkeys(("exponent", "iterations", "sequential", "skipped", "picture", "train_misfit"), None)
        return [{**nothing, **misfits(test.values, second), **rest, **_unprobed()}]
    rngs = nnx.Rngs(run.seed)
    make: Any = NETWORKS.get(run.model) or getattr(models, run.model)
    model = make(observed_dim=3, rngs=rngs, **({"width": run.width} if run.width else {}))
    settings = {"learning_rate": run.learning_rate, "updates": run.updates}
    middle = _Middle(min(BestCheckpoint(recording.train.values, run.updates, _VALIDATIONS).validation_steps))
    given = {"validations": _VALIDATIONS, "callbacks": [middle], "key": jax.random.key(run.seed)}
    learned = trained(model, recording.train, **settings, **given)
    orbit, history = rollout(learned, test), learned.history
    start = learned.model.initial_state(jnp.asarray(test.values[0]))
    bounded = bool(np.isfinite(orbit).all())
    name = f"{run.model}-{run.learning_rate:g}-{run.width}-{run.seed}"
    first, last = float(history["alpha"][0]), float(history["alpha"][-1])
    stages: Any = [(learned.model, last), (model, first), (middle.model, middle.alpha)]
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
            "train_misfit": sum(misfits(recording.train.values, rollout(learned, recording.train)).values()),
            **(_unprobed() if run.width else _probed(stages, recording.train)),
        }
    ]


class _Middle:
    """A callback that keeps the model of one moment, and the alpha of then."""

    def __init__(self, update: int) -> None:
        self.update, self.model, self.alpha = update, None, None

    def __call__(self, moment: Progress) -> None:
        if moment.update == self.update:
            self.model, self.alpha = moment.model, float(moment.history["alpha"][-1])


def _unprobed() -> Row:
    return {f"{name}{what}{moment}": None for moment in MOMENTS for name in _SOLVERS for what in ("", "_failed")}


def _probed(stages: list[tuple[models.Model, float]], series: data.Series) -> Row:
    """Median iterations of every solver on windows of the training data, and the share that did not converge.

    `stages` are the models and alphas of the moments.
    """
    starts = np.linspace(0, series.length - _PROBED, _WINDOWS).astype(int)
    windows = jnp.asarray(np.stack([series.values[start : start + _PROBED] for start in starts]), jnp.float32)
    graph = nnx.split(stages[0][0])[0]
    found = _unprobed()
    for name, solver in _SOLVERS.items():
        solve = jax.jit(
            lambda state, x, alpha, solver=solver: nnx.merge(graph, state).teacher_forced(x, alpha, solver)[1]
        )
        for moment, (model, alpha) in zip(MOMENTS, stages, strict=True):
            solutions = [solve(nnx.state(model), x, jnp.float32(alpha)) for x in windows]
            converged = [int(solution.code) == Status.CONVERGED for solution in solutions]
            counts = [int(solution.iterations) for solution, ended in zip(solutions, converged, strict=True) if ended]
            found[f"{name}{moment}"] = float(np.median(counts)) if counts else None
            found[f"{name}_failed{moment}"] = 1 - float(np.mean(converged))
    return found


def _drawn(test: data.Series, orbit: np.ndarray) -> Figure:
    return plots.attractors(test.values[:_SHOWN], orbit[:_SHOWN], unit="s.d.")


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """Scores and exponent of every model, the linear ones with the setting that was chosen; a point for every seed."""
    groups = [(label(own), own, ERROR if own[0]["model"] in LINEAR else MODEL) for own in best(rows)]
    exact = where(rows, model=EXACT)
    sheet = figure(11, 1.2 + 0.36 * len(groups))
    levels = {"D_stsp": quartiles(exact, "D_stsp")[1], "D_H": quartiles(exact, "D_H")[1], "exponent": _TRUE_EXPONENT}
    names = {"exponent": "largest exponent (1 / time)", "seconds": "training (s)"}
    for ax, column in zip(sheet.subplots(1, 4, sharey=True), ("D_stsp", "D_H", "exponent", "seconds"), strict=True):
        strips(ax, groups, column, "ran away")
        if column in levels:
            ax.axvline(levels[column], **TRUTH.line())
        if column in ("D_stsp", "D_H"):
            logarithmic(ax)
        dress(ax, names.get(column, f"{column} (bar: median)"))
    return sheet


def best(rows: list[Row]) -> list[list[Row]]:
    """The seeds of every network, and of every linear model with the setting that fits the training data best.

    A setting counts by the median of D_stsp + D_H of its free runs against the training data.
    """
    found = []
    for model in distinct([row for row in rows if row["model"] != EXACT], "model"):
        settings = {}
        for row in where(rows, model=model):
            settings.setdefault((row["learning_rate"], row["width"]), []).append(row)
        found.append(min(settings.values(), key=_train_misfit))
    return found


def _train_misfit(own: list[Row]) -> float:
    misfit = quartiles(own, "train_misfit")[1]
    return misfit if np.isfinite(misfit) else np.inf


def label(own: list[Row]) -> str:
    """The model, and what it was searched over."""
    row = own[0]
    return f"{row['model']}, rate {row['learning_rate']:g}, width {row['width']}" if row["width"] else row["model"]


def caption(rows: list[Row]) -> str:
    """How many families find the attractor and its exponent, then the medians of every model."""
    exact, chosen = where(rows, model=EXACT), best(rows)
    near = sum(_near(own) for own in chosen)
    scores = "; ".join(
        f"{label(own)}{_fewer(own, rows)} {told(own, 'D_stsp')}, {quartiles(own, 'exponent')[1]:.2g}"
        for own in sorted(chosen, key=lambda own: quartiles(own, "D_stsp")[1])
    )
    tried = ({(row["learning_rate"], row["width"]) for row in where(rows, model=model)} for model in LINEAR)
    searched = max(map(len, tried))
    search = f"best of {searched} rates and widths of seed 0 by the training data" if searched > 1 else "no search"
    return (
        f"{near} of {len(chosen)} families find the attractor of Lorenz-63 (median D_stsp below 1) and its exponent to "
        f"10 % (truth {_TRUE_EXPONENT}). Median D_stsp (quartiles) and exponent over {counted(rows)}, the nearest "
        f"first: {scores}; a second exact run {told(exact, 'D_stsp')}. Default settings, 5 % noise; "
        f"{_took(chosen)}; linear models: {search}."
    )


def _fewer(own: list[Row], rows: list[Row]) -> str:
    return f" ({counted(own)})" if counted(own) != counted(rows) else ""


def _took(families: list[list[Row]]) -> str:
    """The median seconds of training of the fastest and the slowest family."""
    took = sorted((quartiles(own, "seconds")[1], own[0]["model"]) for own in families)
    return "training took " + " to ".join(f"{seconds:.0f} s ({model})" for seconds, model in (took[0], took[-1]))


def _near(own: list[Row]) -> bool:
    found = quartiles(own, "exponent")[1]
    return quartiles(own, "D_stsp")[1] < 1 and abs(found / _TRUE_EXPONENT - 1) < 0.1


STUDY = Study(
    name="models",
    question="what does every family learn of Lorenz-63 in a few minutes?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    clock=("seconds",),
    seeds=(1, 3),
)
