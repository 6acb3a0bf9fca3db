"""A sweep: one recording learned with several settings and seeds, each judged on what was held out.

The runs come one after the other, each on all that the device has; a table grows with them, and a sweep that was
stopped goes on where it was (`studies.conduct`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from gtfdeer import fit
from gtfdeer.data import Series
from gtfdeer.forcing import Annealed
from gtfdeer.models import Model
from gtfdeer.plots import MODEL, figure
from gtfdeer.plots._canvas import dress

from .study import Row, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Setting", "sweep"]


@dataclass(frozen=True)
class Setting:
    """What may differ between two runs of a sweep; `alpha` is the last strength of annealed forcing."""

    learning_rate: float
    alpha: float
    window: int

    def __str__(self) -> str:
        return f"rate {self.learning_rate:g}, alpha {self.alpha:g}, T {self.window}"


@dataclass(frozen=True)
class _Trial(Setting):
    batch: int
    updates: int
    model: str
    data: str
    seed: int


def sweep(
    build: Callable[[int], Model],
    train: Sequence[Series],
    test: Series,
    settings: Sequence[Setting],
    *,
    batch: int,
    updates: int,
) -> Study:
    """The study of these settings, for `studies.conduct(study, folder, seeds=3)`.

    Args:
        build: a model from a seed.
        train: recordings to learn from.
        test: what every run is judged on.
        settings: one or more, none twice.
        batch, updates: as in `gtfdeer.fit`, the same for all.

    Raises:
        ValueError: if a setting comes twice or none came.
    """
    if not settings or len(set(settings)) < len(settings):
        raise ValueError(f"{len(settings)} settings came, {len(set(settings))} of them different; pass each once")
    of_data = hashlib.sha256(b"".join(np.ascontiguousarray(s.values).tobytes() for s in (*train, test))).hexdigest()
    kind = _described(build(0))

    def plan(full: bool, seed: int) -> list[_Trial]:
        same = {"batch": batch, "updates": updates, "model": kind, "data": of_data[:12], "seed": seed}
        return [_Trial(**asdict(setting), **same) for setting in settings]

    def measure(trial: _Trial) -> list[Row]:
        learned = fit(
            build(trial.seed),
            train,
            window=trial.window,
            batch=trial.batch,
            updates=trial.updates,
            learning_rate=trial.learning_rate,
            forcing=Annealed(last=trial.alpha),
            key=jax.random.key(trial.seed),
            progress=False,
        )
        scores = learned.score(test).as_dict()
        measured = {name: scores[name] for name in ("D_stsp", "D_H", "PE", "lambda_max", "outside")}
        seconds, skipped = (float(learned.history[name].sum()) for name in ("seconds", "skipped"))
        return [{**measured, "skipped": int(skipped), "ending": learned.ending, "seconds": seconds}]

    question = "which settings suit this recording?"
    return Study("sweep", question, plan, measure, _draw, _caption, clock=("seconds",), seeds=(1, 1))


def _described(model: Model) -> str:
    """Class and sizes, as one would type them."""
    sizes = {name: getattr(value, "__name__", value) for name, value in model.config().items()}
    return f"{type(model).__name__}({', '.join(f'{name}={value}' for name, value in sizes.items())})"


def _draw(rows: list[Row]) -> Figure:
    """D_stsp and D_H of every run, a line for the median of the seeds."""
    groups = _grouped(rows)
    sheet = figure(8, 1.6 + 0.35 * len(groups))
    for ax, column in zip(sheet.subplots(1, 2, sharey=True), ("D_stsp", "D_H"), strict=True):
        for place, group in enumerate(groups.values()):
            found = [np.nan if row[column] is None else row[column] for row in group]
            ax.plot(found, [place] * len(found), "o", color=MODEL.colour, alpha=0.6)
            ax.plot(2 * [_median(group, column)], [place - 0.35, place + 0.35], color=MODEL.colour)
        dress(ax, xlabel=f"{column} (0 is perfect; bar: median)")
        ax.set_xlim(left=0)
        ax.set_yticks(range(len(groups)), list(map(str, groups)))
        ax.set_ylim(len(groups) - 0.5, -0.5)
    return sheet


def _caption(rows: list[Row]) -> str:
    groups = _grouped(rows)
    ranked = sorted(groups, key=lambda s: (_median(groups[s], "D_H"), _median(groups[s], "D_stsp")))
    told = [f"{s} (D_H {_median(groups[s], 'D_H'):.3g}, D_stsp {_median(groups[s], 'D_stsp'):.3g})" for s in ranked]
    seeds = len({row["seed"] for row in rows})
    of_seeds = "one seed, which says nothing about the next" if seeds == 1 else f"median of {seeds} seeds"
    if len(told) == 1:
        return f"{told[0]}; {of_seeds}."
    return f"Smallest power spectrum error: {told[0]}; largest: {told[-1]}; {len(told)} settings, {of_seeds}."


def _grouped(rows: list[Row]) -> dict[Setting, list[Row]]:
    def setting(row: Row) -> Setting:
        return Setting(row["learning_rate"], row["alpha"], row["window"])

    order = {s: k for k, s in enumerate(dict.fromkeys(map(setting, rows)))}
    ordered = sorted(rows, key=lambda row: order[setting(row)])
    return {s: list(group) for s, group in itertools.groupby(ordered, key=setting)}


def _median(rows: list[Row], column: str) -> float:
    """Of the seeds; a run without a value counts as the worst."""
    return float(np.median([np.inf if row[column] is None else row[column] for row in rows]))
