"""What an update costs: time and memory of loss and gradient over T, step by step and in parallel over time.

A clipped shallow PLRNN on noise-free Lorenz-63, alpha 0.2, float32, one sequence. Four programs, timed in turns:

    lax.scan         the forced recurrence step by step, its gradient by automatic differentiation
    DEER             Newton's method over the whole trajectory
    Shooting         pieces of the trajectory step by step, Newton's method for what joins them
    short windows    as many time steps, but as a batch of windows of 128 steps by lax.scan: what else fills a machine

An update's optimiser step is the same for all and left out; compiling is apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from flax import nnx

import gtfdeer as gd

from .bench import BASELINE, build_loss, sequences, time_losses
from .common import medians
from .sweep import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (2, 3)
SHORT, WINDOW, ALPHA = "short windows", 128, 0.2
ROLES = {BASELINE: gd.plots.DATA, "DEER": gd.plots.ERROR, "Shooting": gd.plots.MODEL, SHORT: gd.plots.FORCED}
COLUMNS = {"solver": "program", "gradient": "seconds", "gradient_ratio": "ratio", "compile": "compile_seconds"}
KEPT = ("device", "ratio_spread", "memory", "iterations", "error", "gradient_error")


def plan(full: bool, seed: int) -> list[Run]:
    """Lengths a factor 8 (full: 4) apart; the full study goes further, and has a wider network too."""
    sizes = ((3, 50), (10, 100)) if full else ((3, 50),)
    lengths = [WINDOW * 4**k for k in range(7)] if full else [WINDOW * 8**k for k in range(4)]
    return [{"seed": seed, "latent_dim": M, "hidden_dim": H, "steps": T} for M, H in sizes for T in lengths]


def measure(seed: int, latent_dim: int, hidden_dim: int, steps: int) -> list[Run]:
    """All programs at one length and size."""
    model = gd.models.ClippedShallowPLRNN(latent_dim=latent_dim, hidden_dim=hidden_dim, rngs=nnx.Rngs(seed))
    x, parameters = sequences(steps, 1, latent_dim, seed), nnx.split(model)[1]
    losses = {name: build_loss(model, ALPHA, BASELINE if name == SHORT else name) for name in ROLES}
    arguments = dict.fromkeys(ROLES, (parameters, x)) | {SHORT: (parameters, x.reshape(-1, WINDOW, latent_dim))}
    rows = time_losses(losses, arguments, repeats=7)
    for row in rows:  # of short windows the loss is another: every window begins at the data
        if row["solver"] == SHORT:
            row.update(error=None, gradient_error=None)
    return [{new: row[old] for old, new in COLUMNS.items()} | {name: row[name] for name in KEPT} for row in rows]


def draw(table: pd.DataFrame) -> Figure:
    """Time over T, and how many times as fast as step by step; a row of panels for every size."""
    sizes = list(table.latent_dim.unique())
    sheet = gd.plots.figure(9, 0.6 + 3.1 * len(sizes))
    panels = sheet.subplots(len(sizes), 2, sharex=True, squeeze=False)
    for line, size in zip(panels, sizes, strict=True):
        for ax, column in zip(line, ("seconds", "ratio"), strict=True):
            for name, role in ROLES.items():
                look = {"color": role.colour, "linestyle": role.linestyle, "marker": role.marker, "markersize": 5}
                own = table[(table.latent_dim == size) & (table.program == name)]
                medians(ax, own, "steps", column, **look, label=name)
            ax.set(xscale="log", yscale="log")
        line[0].set_ylabel(f"an update (s), M = {size}")
        line[1].set_ylabel(f"times as fast as {BASELINE}")
        line[1].axhline(1, color="black", linestyle="--", linewidth=1)
    for ax in panels[-1]:
        ax.set_xlabel("time steps T in an update")
    sheet.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return sheet
