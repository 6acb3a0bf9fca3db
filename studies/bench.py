"""Every solver, and every model as `gd.fit` trains it, against `lax.scan`: value, and loss with gradient.

    mean over B sequences and T - 1 steps of (x_pred - x)^2,    x_pred by `model.teacher_forced` on Lorenz-63

The baseline is `lax.scan` over the forced step, written out here once more and differentiated by JAX: it shares no code
with the solvers. Solvers are compared on a clipped shallow PLRNN under constant forcing; models, untrained and at their
default size (a 0 in the table), under alpha 0.1, about the geometric middle of what training goes through. A solver
that keeps a Jacobian for every step takes part where those T B M^2 numbers are few enough. A million steps are for
`Auto` and `Shooting`, on accelerators for `DEER`, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd

from .sweep import Run

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.figure import Figure

SEEDS = (1, 1)
BASELINE, TEXTBOOK = "lax.scan", "textbook DEER"
SOLVERS: dict[str, gd.solvers.Solver] = {
    "Auto": gd.solvers.Auto(),
    "Sequential": gd.solvers.Sequential(),
    "Shooting": gd.solvers.Shooting(),
    "QuasiDEER": gd.solvers.QuasiDEER(),
    "DEER": gd.solvers.DEER(),
    TEXTBOOK: gd.solvers.DEER(method=gd.scan.associative),  # and Jacobians by forward-mode autodiff
    "ELK": gd.solvers.ELK(),
}
COLOURS = "#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
LOOKS = tuple(zip(COLOURS, "osD^vPX", strict=True))
"""Colours of Okabe and Ito, and a marker that says the same again."""
LIGHT = ("Auto", "Sequential", "Shooting", "QuasiDEER")  # no M x M numbers for every step
SOLVED = "ClippedShallowPLRNN"
SHALLOW = {"latent_dim": 3, "hidden_dim": 50}
MODELS = [name for name in gd.models.__all__ if name.endswith(("RNN", "GRU", "LSTM", "LRU", "S5", "Mamba"))]
FED = [name for name in MODELS if issubclass(getattr(gd.models, name), gd.models.StateSpaceModel)]  # alpha is 1


class Outcome(NamedTuple):
    """What a program finds beside the loss, over the batch: most iterations, worst status, any step-by-step rescue."""

    predicted: Float[Array, "batch time-1 observed"]
    iterations: Array
    code: Array
    fallback: Array


SIZES = [  # M, H, T, B: long and short, one sequence and a batch, few units and many
    (3, 50, 131_072, 1),
    (30, 200, 131_072, 1),
    (3, 50, 8192, 16),
    (30, 200, 8192, 16),
    (3, 50, 200, 16),
    (10, 100, 200, 16),
]


def plan(full: bool, seed: int) -> list[Run]:
    """The sizes of `tabulate`; full also at other alphas, the sizes where `Auto` turns, and every model at two."""
    sizes = [(*size, 0.2) for size in SIZES]
    cases = [(SOLVED, *size) for size in sizes]
    if full:
        sizes = [(*size, alpha) for size in SIZES for alpha in (0.02, 0.05, 1.0)]
        sizes += [(3, 50, 16_384, 1, 0.2), (10, 100, 16_384, 1, 0.2), (3, 50, 1024, 1, 0.2), (3, 50, 513, 16, 0.2)]
        sizes += [(3, 50, 1_000_000, 1, 0.2)]
        cases += [(SOLVED, *size) for size in sizes]
        for T, B in ((200, 16), (2000, 4)):
            cases += [(name, 0, 0, T, B, 1.0 if name in FED else 0.1) for name in MODELS]
    names = "seed", "model", "latent_dim", "hidden_dim", "length", "batch", "alpha"
    return [dict(zip(names, (seed, *case), strict=True)) for case in cases]


def measure(
    seed: int, model: str, latent_dim: int, hidden_dim: int, length: int, batch: int, alpha: float, repeats: int = 7
) -> list[Run]:
    """A row for every program."""
    sizes = {"latent_dim": latent_dim, "hidden_dim": hidden_dim} if latent_dim else {"observed_dim": 3}
    if not latent_dim and model.endswith("ShallowPLRNN"):
        sizes = SHALLOW
    network = getattr(gd.models, model)(**sizes, rngs=nnx.Rngs(seed))
    names = choose(latent_dim, length, batch) if latent_dim else [BASELINE, "Auto"]
    losses = {name: build_loss(network, alpha, name) for name in names}
    x = sequences(length, batch, network.observed_dim, seed)
    parameters = nnx.split(network)[1]
    return time_losses(losses, {name: (parameters, x) for name in losses}, repeats)


def choose(latent_dim: int, length: int, batch: int) -> list[str]:
    """The programs that take part, first the one that others are compared with."""
    accelerator = jax.devices()[0].platform != "cpu"
    if length >= 1_000_000:
        return [BASELINE, "Auto", "Shooting", *(("DEER", TEXTBOOK) if accelerator else ())]
    dense = length * batch * latent_dim**2 <= (2**31 if accelerator else 2**24)
    return [BASELINE, *(SOLVERS if dense else LIGHT)]


def build_loss(
    model: gd.models.Model, alpha: float, solver: str
) -> Callable[[Any, Float[Array, "batch time observed"]], tuple[Array, Outcome]]:
    """`loss(parameters, x)` by a solver, or by the baseline."""
    graph, _ = nnx.split(model)

    def step_by_step(model: gd.models.Model, x: Array) -> Outcome:
        teacher = jax.lax.stop_gradient(jax.vmap(model.encode)(x))
        strength = alpha * _forced_units(model)

        def step(z: Array, z_hat: Array) -> tuple[Array, Array]:
            z = model.step((1 - strength) * z + strength * z_hat)
            return z, z

        first = model.step(model.initial_state(x[0]))
        states = jnp.concatenate([first[None], jax.lax.scan(step, first, teacher[1:-1])[1]])
        return Outcome(
            jax.vmap(model.decode)(states), jnp.array(1), jnp.array(int(gd.Status.CONVERGED)), jnp.array(False)
        )

    def by_the_book(model: gd.models.Model, x: Array) -> Outcome:
        inputs = gd.forcing.Forced(x[:-1], jnp.full((len(x) - 1, 1), alpha).at[0].set(0))
        found = gd.solve(gd.forcing.force(model.step), x[0], inputs, solver=SOLVERS[solver], guess=x[1:])
        return Outcome(found.states, found.iterations, found.code, found.fallback)

    def loss(parameters: Any, x: Array) -> tuple[Array, Outcome]:
        model = nnx.merge(graph, parameters)

        def one(x: Array) -> Outcome:
            if solver == BASELINE:
                return step_by_step(model, x)
            if solver == TEXTBOOK:
                return by_the_book(model, x)
            chosen = SOLVERS[solver]
            chosen = replace(chosen, batch=len(xs)) if isinstance(chosen, gd.solvers.Auto) else chosen
            predicted, found = model.teacher_forced(x, alpha, chosen)
            return Outcome(predicted, found.iterations, found.code, found.fallback)

        xs = x
        found = jax.vmap(one, axis_name=gd.solvers.SUMMED)(x)
        return jnp.mean((found.predicted - x[:, 1:]) ** 2), Outcome(found.predicted, *map(jnp.max, found[1:]))

    return loss


def _forced_units(model: gd.models.Model) -> Any:
    """1 for units that are forced, 0 for the others."""
    if model.latent_dim == model.observed_dim:
        return 1.0
    if isinstance(model, gd.models.RecurrentModel):
        return model.observation.forced_units()
    return jnp.arange(model.latent_dim) < model.observed_dim


def time_losses(losses: dict[str, Any], arguments: dict[str, tuple[Any, Array]], repeats: int) -> list[Run]:
    """Time value and gradient of every loss, on its own parameters and data, and compare with the first one."""

    def bind(name: str, gradient: bool) -> Callable[[dict[str, Any]], Any]:
        function = jax.value_and_grad(losses[name], has_aux=True) if gradient else lambda *a: losses[name](*a)[0]
        return lambda given: function(*given[name])

    values = gd.solvers.benchmark({name: bind(name, False) for name in losses}, arguments, repeats=repeats)
    gradients = gd.solvers.benchmark({name: bind(name, True) for name in losses}, arguments, repeats=repeats)
    baseline = next(iter(losses))
    exact, rows = gradients[baseline], []
    for name, found in gradients.items():
        (_, outcome), _ = found.result
        finite = bool(jnp.isfinite(outcome.predicted).all())
        comparable = outcome.predicted.shape == exact.result[0][1].predicted.shape
        (ratio, spread), (value_ratio, value_spread) = found.speedup(exact), values[name].speedup(values[baseline])
        rows.append(
            {
                "solver": name,
                "value": values[name].median,
                "gradient": found.median,
                "value_ratio": value_ratio,
                "value_spread": value_spread,
                "gradient_ratio": ratio,
                "ratio_spread": spread,
                "turns": len(found.seconds),
                "compile": found.compile_seconds,
                "memory": found.memory,
                "iterations": int(outcome.iterations),
                "status": gd.Status(int(outcome.code)).name if finite else "NONFINITE",
                "fallback": bool(outcome.fallback),
                "error": found.error(exact, lambda result: result[0][1].predicted) if comparable else None,
                "gradient_error": found.error(exact, lambda result: result[1]) if comparable else None,
                "device": gd.info()["device"],
            }
        )
    return rows


def sequences(length: int, batch: int, columns: int, seed: int = 0) -> Float[Array, "batch time observed"]:
    """Overlapping sequences of noise-free Lorenz-63, whose columns are repeated where more are asked for."""
    values = _lorenz(length + 100 * batch, seed)
    wide = np.tile(values, (1, -(-columns // values.shape[1])))[:, :columns]
    return jnp.asarray(np.stack([wide[100 * b : 100 * b + length] for b in range(batch)]))


@cache
def _lorenz(length: int, seed: int) -> Float[np.ndarray, "time 3"]:
    series = gd.data.simulate(gd.data.Lorenz63(), length=length, dt=0.01, key=jax.random.key(seed))
    return series.standardise().values


def draw(table: pd.DataFrame) -> Figure:
    """How many times as fast as the baseline loss and gradient are; what did not converge has no speed."""
    sizes = table[["model", "latent_dim", "hidden_dim", "length", "batch", "alpha"]].itertuples(index=False)
    sized = [
        f"M {M}, H {H}, T {T:,}, B {B}, alpha {alpha:g}" if M else f"{model}, T {T:,}, B {B}"
        for model, M, H, T, B, alpha in sizes
    ]
    table = table.assign(case=sized, ratio=table.gradient_ratio.where(table.status == "CONVERGED"))
    cases = list(table.case.unique())
    wide = table.pivot_table(index="case", columns="solver", values="ratio", sort=False).reindex(cases)
    names = [name for name in wide.columns if name != BASELINE]
    rows = np.arange(len(cases))
    sheet = gd.plots.figure(7.0, 1.4 + 0.5 * len(cases))
    ax = sheet.add_subplot()
    for place, (name, (colour, marker)) in enumerate(zip(names, LOOKS, strict=False)):
        shift = 0.1 * (place - (len(names) - 1) / 2)
        ax.plot(wide[name], rows + shift, marker, color=colour, markersize=7, label=name)
    ax.axvline(1, color=gd.plots.INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(rows, cases)
    ax.invert_yaxis()
    gd.plots.dress(ax, f"times as fast as {BASELINE}, with gradient (above 1: faster)")
    ax.legend(frameon=False, fontsize=9, labelcolor=gd.plots.INK, loc="upper left", bbox_to_anchor=(1.01, 1))
    return sheet


def tabulate(table: pd.DataFrame) -> str:
    """How many times as fast as the baseline a value, and a value with its gradient, are: medians and their spread."""
    columns = table.value_ratio, table.value_spread, table.gradient_ratio, table.ratio_spread
    cells = [f"{v:.2f} ± {dv:.2f} / {g:.2f} ± {dg:.2f}" for v, dv, g, dg in zip(*columns, strict=True)]
    sizes = ["model", "latent_dim", "hidden_dim", "length", "batch", "alpha"]
    wide = table.assign(cell=cells)[table.solver != BASELINE].pivot_table(
        index=sizes, columns="solver", values="cell", sort=False, aggfunc="first"
    )
    return wide.fillna("").to_string()
