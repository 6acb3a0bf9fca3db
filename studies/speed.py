"""What an update costs: time and memory of loss and gradient over T, step by step and in parallel over time.

A clipped shallow PLRNN on noise-free Lorenz-63, alpha 0.2, float32, one sequence. Four programs, timed in turns:

    lax.scan         the forced recurrence step by step, its gradient by automatic differentiation
    DEER             Newton's method over the whole trajectory
    Shooting         pieces of the trajectory step by step, Newton's method for what joins them
    short windows    as many time steps, but as a batch of windows of 128 steps by lax.scan: what else fills a machine

An update's optimiser step is the same for all and left out. Compiling is apart. Times differ from run to run: two
tables of the same seeds are equal in errors and iterations only. Published for the method: up to 870
times as fast as step by step on a GPU; a CPU has few cores, and each of them steps fast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.ticker import NullLocator

from gtfdeer import data, models, solvers
from gtfdeer.plots._canvas import DATA, ERROR, FORCED, INK, MODEL, TRUTH, dress, figure
from gtfdeer.training import describe_device

from .rows import counted, distinct, quartiles, told, where
from .study import Row, Study

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]

BASELINE, SHORT = "lax.scan", "short windows"
PARALLEL: dict[str, solvers.Solver] = {"DEER": solvers.DEER(), "Shooting": solvers.Shooting()}
ROLES = {BASELINE: DATA, "DEER": ERROR, "Shooting": MODEL, SHORT: FORCED}
ALPHA = 0.2
WINDOW = 128
PUBLISHED = 870
_TURNS = 7


@dataclass(frozen=True)
class Run:
    """All programs at one length and size."""

    seed: int
    latent_dim: int
    hidden_dim: int
    steps: int


def plan(full: bool, seed: int) -> list[Run]:
    """Lengths a factor 8 (full: 4) apart; the full study goes further, and has a wider network too."""
    if not full:
        return [Run(seed, 3, 50, steps) for steps in (128, 1024, 8192, 65_536)]
    lengths = [128 * 4**k for k in range(7)]
    return [Run(seed, *size, steps) for size in ((3, 50), (10, 100)) for steps in lengths]


def measure(run: Run) -> list[Row]:
    """Compile all programs, then time them in turns, so that whatever slows the machine slows all of them."""
    loss, parameters, x = _task(run)
    windows = x[: run.steps].reshape(-1, WINDOW, run.latent_dim)
    given = {BASELINE: x[None], **dict.fromkeys(PARALLEL, x[None]), SHORT: windows}
    ready = {name: _compile(partial(loss, name), parameters, batch) for name, batch in given.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(_TURNS):
        for name, program in ready.items():
            began = time.perf_counter()
            jax.block_until_ready(program.run(parameters, given[name]))
            seconds[name].append(time.perf_counter() - began)
    return [_row(name, ready, seconds) for name in ready]


class _Program(NamedTuple):
    run: Callable
    compile_seconds: float
    memory: int
    outcome: Any


def _compile(program: Callable, parameters: Any, x: Array) -> _Program:
    began = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(program, has_aux=True)).lower(parameters, x).compile()
    took = time.perf_counter() - began
    memory = compiled.memory_analysis()
    size = 0 if memory is None else int(memory.temp_size_in_bytes)
    return _Program(compiled, took, size, jax.block_until_ready(compiled(parameters, x)))


def _row(name: str, ready: dict[str, _Program], seconds: dict[str, list[float]]) -> Row:
    own, reference = np.array(seconds[name]), np.array(seconds[BASELINE])
    low, high = np.percentile(own, [25, 75])
    (_, (predicted, iterations)), gradient = ready[name].outcome
    (_, (truth, _)), true_gradient = ready[BASELINE].outcome
    comparable = name != SHORT  # whose loss is another: every window begins at the data
    return {
        "program": name,
        "device": describe_device(),
        "seconds": float(np.median(own)),
        "spread": float(high - low) / 2,
        "ratio": float(np.median(reference / own)),
        "compile_seconds": ready[name].compile_seconds,
        "memory": ready[name].memory,
        "iterations": int(iterations),
        "error": _difference(predicted, truth) if comparable else None,
        "gradient_error": _difference(gradient, true_gradient) if comparable else None,
    }


def _task(run: Run) -> tuple[Callable, Any, Float[Array, "time latent"]]:
    """`loss(program, parameters, x)`, parameters, and a sequence."""
    series = data.simulate(data.Lorenz63(), length=max(run.steps, WINDOW), key=jax.random.key(run.seed))
    copies = math.ceil(run.latent_dim / 3)
    x = jnp.asarray(np.tile(series.standardise().values, (1, copies))[:, : run.latent_dim])
    rngs = nnx.Rngs(run.seed)
    model = models.ClippedShallowPLRNN(latent_dim=run.latent_dim, hidden_dim=run.hidden_dim, rngs=rngs)
    graph, parameters = nnx.split(model)

    def loss(program: str, parameters: Any, x: Float[Array, "batch time latent"]) -> tuple[Array, tuple[Array, Array]]:
        model = nnx.merge(graph, parameters)

        def one(x: Float[Array, "time latent"]) -> tuple[Array, Array]:
            if program not in PARALLEL:
                return _step_by_step(model, x), jnp.asarray(1)
            predicted, solution = model.teacher_forced(x, ALPHA, PARALLEL[program])
            return predicted, solution.iterations

        predicted, iterations = jax.vmap(one)(x)
        return jnp.mean((predicted - x[:, 1:]) ** 2), (predicted, jnp.max(iterations))

    return loss, parameters, x


def _step_by_step(model: models.Model, x: Float[Array, "time latent"]) -> Float[Array, "time-1 latent"]:
    def step(z: Array, teacher: Array) -> tuple[Array, Array]:
        z = model.step((1 - ALPHA) * z + ALPHA * teacher)
        return z, z

    first = model.step(x[0])
    return jnp.concatenate([first[None], jax.lax.scan(step, first, x[1:-1])[1]])


def _difference(found: Any, reference: Any) -> float:
    """The largest difference, relative to the largest entry."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(reference), strict=True)
    return max(float(jnp.max(jnp.abs(a - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-30)) for a, b in pairs if a.size)


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """Time and memory over T, and how many times as fast as step by step; a row of panels for every size."""
    sizes = distinct(rows, "latent_dim")
    sheet = figure(11, 0.6 + 3.2 * len(sizes))
    panels = sheet.subplots(len(sizes), 3, sharex=True, squeeze=False)
    for line, latent_dim in zip(panels, sizes, strict=True):
        own = where(rows, latent_dim=latent_dim)
        for ax, column, unit in zip(line, ("seconds", "memory", "ratio"), (1e-3, 2**20, 1), strict=True):
            for name, role in ROLES.items():
                steps = distinct(own, "steps")
                found = [quartiles(where(own, program=name, steps=T), column) for T in steps]
                low, middle, high = np.array(found).T / unit
                ax.fill_between(steps, low, high, color=role.colour, alpha=0.15, linewidth=0)
                look = {**role.line(), "label": name, "marker": role.marker, "markersize": 5}
                ax.plot(steps, middle, **look)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xticks(shown := distinct(own, "steps")[::2], [f"{T:,}" for T in shown])
            ax.xaxis.set_minor_locator(NullLocator())
        dress(line[0], "", f"an update (ms), M = {latent_dim}")
        dress(line[1], "", "working memory (MB)")
        dress(line[2], "", f"times as fast as {BASELINE}")
        line[2].axhline(1, **{**TRUTH.line(), "label": None})
        line[2].axhline(PUBLISHED, color="#888888", linewidth=1, linestyle=":")
        line[2].annotate(f"published, on a GPU: {PUBLISHED}", (own[0]["steps"], PUBLISHED * 0.6), fontsize=8, color=INK)
    for ax in panels[-1]:
        ax.set_xlabel("time steps $T$ in an update", fontsize=10, color=INK)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    return sheet


def caption(rows: list[Row]) -> str:
    """Crossover, growth and the ratio at the longest T, for every size."""
    parts = [_size_in_words(where(rows, latent_dim=size)) for size in distinct(rows, "latent_dim")]
    worst = max(row["gradient_error"] for row in rows if row["gradient_error"] is not None)
    return (
        f"Loss and gradient of one update on {distinct(rows, 'device')[0]}, {counted(rows)}, median. {' '.join(parts)} "
        f"Gradients differ from {BASELINE}'s by at most {worst:.0e}. Published: up to {PUBLISHED} times, on a GPU."
    )


def _size_in_words(rows: list[Row]) -> str:
    steps = distinct(rows, "steps")
    found = []
    for name in (*PARALLEL, SHORT):
        own = where(rows, program=name)
        ratios = [quartiles(where(own, steps=T), "ratio")[1] for T in steps]
        ahead = [T for T, ratio in zip(steps, ratios, strict=True) if ratio > 1]
        begins = f"faster from T = {ahead[0]:,}" if ahead else "never faster"
        found.append(f"{name} {begins}, x {told(where(own, steps=steps[-1]), 'ratio')} at T = {steps[-1]:,}")
    growth = ", ".join(f"{name} {_growth(where(rows, program=name), steps):.2f}" for name in ROLES)
    return f"M = {rows[0]['latent_dim']}: {'; '.join(found)}; time grows like T to the power {growth}."


def _growth(rows: list[Row], steps: list[int]) -> float:
    """The exponent p of time ~ T^p over the last two lengths."""
    before, last = (quartiles(where(rows, steps=T), "seconds")[1] for T in steps[-2:])
    return math.log(last / before) / math.log(steps[-1] / steps[-2])


STUDY = Study(
    name="speed",
    question="what does an update cost, step by step and in parallel over time?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    seeds=(2, 3),
    alone=True,
)
