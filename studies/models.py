"""What does every family learn of Lorenz-63 in a few minutes?

Every family as it comes: its own size, `gd.fit`'s own settings but for half of the updates, on 100,000 steps with 5 %
noise; the linear state-space models get a third of that or, where each costs more, fewer (`WIDTHS`), and the full
setting searches them over learning rate and width, with the first seed. Which of those settings is shown is decided by
the training data, on which a free run of every model is judged, too (`train_misfit`); one that is not the first of its
family has one seed only, the linear models have three. Scores: a free run against a clean, independent run; a row
"truth" is a second exact run.

On a CPU windows of 200 steps are solved step by step. What a solver in parallel over time would have to do is probed on
windows of 2000 steps of the network that is kept, under its learned gain: median iterations of DEER (`newton`) and of
Shooting (`sweeps`), and in which share of the windows each of them did not converge. Full, five seeds take about two
hours on one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd

from .common import EXACT, LINEAR, compare, record, strips, train
from .sweep import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS, LINEAR_SEEDS = (1, 5), 3
SHALLOW = {"latent_dim": 3, "hidden_dim": 50}
SIZES: dict[str, dict[str, int]] = {"ShallowPLRNN": SHALLOW, "ClippedShallowPLRNN": SHALLOW}
NETWORKS = ("ShallowPLRNN", "ClippedShallowPLRNN", "AlmostLinearRNN", "VanillaRNN", "GRU", "LSTM")
RATES = (1e-3, 3e-3, 1e-2)  # of the linear models; the last one is the default
WIDTHS = {"LRU": {32: 3000, 64: 3000}, "S5": {32: 3000, 64: 3000}, "Mamba": {8: 2000, 32: 600}}
"""Widths of the linear models (default 32), the one of all seeds first, and how many updates each gets: about 30 and
60 s on one core, and of Mamba, an update of which takes 0.03 and 0.28 s, 70 and 170 s."""
TRUE_EXPONENT = 0.9056  # Viswanath 1998, Sprott 2003
SOLVERS = {"newton": gd.solvers.DEER(), "sweeps": gd.solvers.Shooting()}


def plan(full: bool, seed: int) -> list[Run]:
    """Defaults, in the miniature with fewer updates; the full setting tries rates and widths of the linear models."""
    many, length = (10_000, 100_000) if full else (1000, 10_000)
    settings: list[tuple[str, float, int, int]] = [(EXACT, 0.0, 0, 0), *((name, 1e-2, 0, many) for name in NETWORKS)]
    for name, widths in WIDTHS.items() if seed < LINEAR_SEEDS else ():
        for width, updates in widths.items():
            searched = RATES if full and seed == 0 else RATES[-1:] if width == next(iter(widths)) else ()
            settings += [(name, rate, width, updates if full else updates // 15) for rate in searched]
    names = "model", "learning_rate", "width", "updates"
    return [{"seed": seed, **dict(zip(names, setting, strict=True)), "length": length} for setting in settings]


def measure(seed: int, model: str, learning_rate: float, width: int, updates: int, length: int) -> Run:
    """Train, run freely, score, probe the solvers."""
    runs = record(gd.data.Lorenz63(), length, 0.01, seed)
    if model == EXACT:
        rest = "parameters", "seconds", "exponent", "iterations", "skipped", "train_misfit"
        exact = compare(*(run.scaled_by(runs.train.standardise().scaling).values for run in (runs.test, runs.second)))
        return {**exact, **dict.fromkeys((*rest, *SOLVERS, *(f"{name}_failed" for name in SOLVERS)))}
    sizes = {"width": width} if width else SIZES.get(model, {})
    network = getattr(gd.models, model)(observed_dim=3, **sizes, rngs=nnx.Rngs(seed))
    rec = train(network, runs.train, learning_rate=learning_rate, updates=updates, key=jax.random.key(seed))
    scores, noisy = rec.score(runs.test), rec.standardised(runs.train).values
    return {
        "D_stsp": scores.D_stsp,
        "D_H": scores.D_H,
        "parameters": gd.models.parameter_count(rec.model),
        "seconds": float(rec.history["seconds"].sum()),
        "exponent": scores.lambda_max,
        "iterations": float(np.mean(rec.history["iterations"])),
        "skipped": int(rec.history["skipped"].sum()),
        "train_misfit": sum(compare(*gd.training.rollout_for_comparison(rec.model, noisy)).values()),
        **(_probe(rec, noisy) if not width else {}),
    }


def _probe(rec: gd.Reconstruction, noisy: np.ndarray) -> dict[str, float | None]:
    """Median iterations of every solver on four windows of the training data, and the share that did not converge."""
    starts = np.linspace(0, len(noisy) - 2000, 4).astype(int)
    found: dict[str, float | None] = {}
    for name, solver in SOLVERS.items():
        solve = jax.jit(lambda x, solver=solver: rec.model.teacher_forced(x, 1.0, solver, gain=rec.gain)[1])
        solutions = [solve(jnp.asarray(noisy[start : start + 2000])) for start in starts]
        counts = [int(s.iterations) for s in solutions if int(s.code) == gd.Status.CONVERGED]
        found[name] = float(np.median(counts)) if counts else None
        found[f"{name}_failed"] = 1 - len(counts) / len(starts)
    return found


def choose_settings(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of every network, and of every linear model with the setting that fits the training data best.

    A setting counts by the median over seeds of D_stsp + D_H of its free runs against the training data.
    """
    settings = ["model", "learning_rate", "width"]
    misfit = table.fillna({"train_misfit": np.inf}).groupby(settings).train_misfit.median().reset_index()
    best = misfit.loc[misfit.groupby("model").train_misfit.idxmin(), settings]
    return table.merge(best, on=settings)


def draw(table: pd.DataFrame) -> Figure:
    """Scores, exponent and time of every family; a point for every seed."""
    chosen = choose_settings(table)
    names = [name for name in chosen.model.unique() if name != EXACT]
    colours = [gd.plots.ERROR.colour if name in LINEAR else gd.plots.MODEL.colour for name in names]
    exact = table[table.model == EXACT]
    levels: dict[str, Any] = {"D_stsp": exact.D_stsp.median(), "D_H": exact.D_H.median(), "exponent": TRUE_EXPONENT}
    sheet = gd.plots.figure(11, 1.0 + 0.36 * len(names))
    for ax, column in zip(sheet.subplots(1, 4, sharey=True), ("D_stsp", "D_H", "exponent", "seconds"), strict=True):
        strips(ax, chosen, "model", names, column, colours, log=column in ("D_stsp", "D_H"))
        if column in levels:
            ax.axvline(levels[column], color="black", linestyle="--", linewidth=1)
    return sheet
