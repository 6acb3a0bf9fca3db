"""Can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does? And why not?

LRU, S5 and Mamba against a shallow PLRNN, an AL-RNN and a GRU with about as many parameters and exactly as many
updates on the same windows; D_stsp, D_H and the largest exponent of the free run.

The reason that has been given: the closed loop of one linear layer, `h_t = A h_{t-1} + B g(C h_{t-1})`, has the
Jacobian `A + B g'(C h) C`. Only g' moves with the state, so `J(h) - J(h')` has rank at most N, the observed columns.
Shown is how much of the movement along the attractor each singular value carries,

    share_k = rms over t of sigma_k(J_t - mean J),    divided by the root of the sum of their squares,

beside the truth's. Stacked layers and Mamba's input-dependent A add terms of their own, and a low rank alone is no
verdict: Lorenz-63's own map hardly moves with more than rank 2 or 3. One row "truth" stands for a second exact run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import data, models
from ..plots.canvas import DATA, ERROR, INK, MODEL, TRUTH, Role, dress, figure
from .rows import counted, distinct, quartiles, told, where
from .study import Row, Study
from .training import LINEAR, Recording, build, exact_map, exponent, free_run, misfits, record, trained

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]

SYSTEMS: dict[str, data.System | None] = {
    "Lorenz-63": data.Lorenz63(),
    "Lorenz-96": data.Lorenz96(),
    "bursting neuron": data.BurstingNeuron(),
    "ECG": None,
}
EXACT = "truth"
NETWORKS = ("shPLRNN", "AL-RNN", "GRU", *LINEAR)
SINGULAR_VALUES = 8
_STATES = 300  # on the attractor, at which the Jacobian is taken
_EXPONENT_STEPS = 10_000
_AT_REST = 1e-3  # movement of the Jacobian below which an orbit has come to rest, and singular values mean nothing


@dataclass(frozen=True)
class Run:
    """One model on one system."""

    seed: int
    system: str
    model: str
    parameters: int
    length: int
    window: int
    batch: int
    updates: int


def plan(full: bool, seed: int) -> list[Run]:
    """The miniature: Lorenz-63, smaller models and fewer updates."""
    systems = list(SYSTEMS) if full else ["Lorenz-63"]
    size = (2000, 100_000, 200, 16, 5000) if full else (800, 10_000, 100, 16, 2000)
    kinds = {system: [*([EXACT] if SYSTEMS[system] else []), *NETWORKS] for system in systems}
    return [Run(seed, system, model, *size) for system in systems for model in kinds[system]]


def measure(run: Run) -> list[Row]:
    """Train, run freely, judge; then look at how the Jacobian moves along the free run."""
    recording = record(SYSTEMS[run.system], run.length, None, run.seed)
    if run.model == EXACT:
        step, start = exact_map(recording), jnp.asarray(recording.test.values[0])
        found = misfits(*_paired(recording))
        return [{"count": None, **found, **_dynamics(step, start, recording.test.dt)}]
    model = build(run.model, run.parameters, recording.train.columns, run.seed)
    settings = {"window": run.window, "batch": run.batch, "updates": run.updates}
    reconstruction = trained(model, recording.train, key=jax.random.key(run.seed), **settings)
    generated = free_run(reconstruction, recording.test)
    kept = reconstruction.model
    start = kept.start(jnp.asarray(recording.test.values[0]))
    count = models.parameter_count(kept)
    found = misfits(recording.test.values, generated)
    return [{"count": count, **found, **_dynamics(kept.step, start, recording.test.dt)}]


def _paired(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    common = min(recording.test.length, recording.second.length)
    return recording.test.values[:common], recording.second.values[:common]


def _dynamics(step: Callable[[Array], Array], start: Array, dt: float) -> Row:
    """The exponent, and how the Jacobian moves; None where the orbit leaves all bounds or comes to rest."""
    size, shares = jax.jit(partial(_movement, step))(start)
    known = bool(jnp.isfinite(shares).all()) and float(size) > _AT_REST
    padded = [*map(float, shares[:SINGULAR_VALUES]), *[0.0] * SINGULAR_VALUES][:SINGULAR_VALUES]
    return {
        "exponent": exponent(step, start, dt, _EXPONENT_STEPS),
        "movement": float(size) if known else None,
        **{f"share_{k + 1}": share if known else None for k, share in enumerate(padded)},
    }


def _movement(step: Callable[[Array], Array], start: Array) -> tuple[Float[Array, ""], Float[Array, " values"]]:
    """How much the Jacobian moves along the orbit (rms Frobenius norm), and the shares of the module's page."""

    def advance(z: Array, _: Any) -> tuple[Array, Array]:
        z = jax.lax.fori_loop(0, 10, lambda _, z: step(z), z)
        return z, z

    states = jax.lax.scan(advance, start, length=2 * _STATES)[1][_STATES:]
    J = jax.lax.map(jax.jacfwd(step), states, batch_size=20)
    values = jnp.linalg.svd(J - jnp.mean(J, axis=0), compute_uv=False)
    rms = jnp.sqrt(jnp.mean(values**2, axis=0))
    size = jnp.sqrt(jnp.sum(rms**2))
    return size, rms / size


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """A row of panels for every system: the scores of every model, its exponent, and the singular values."""
    systems = distinct(rows, "system")
    sheet = figure(11, 0.8 + 3.0 * len(systems))
    panels = sheet.subplots(len(systems), 4, squeeze=False, width_ratios=(3, 2, 2, 3))
    for line, system in zip(panels, systems, strict=True):
        own = where(rows, system=system)
        for ax, column in zip(line[:3], ("D_stsp", "D_H", "exponent"), strict=True):
            _scores(ax, own, column)
        line[0].set_yticks(range(len(NETWORKS)), NETWORKS)
        line[0].set_title(system, loc="left", fontsize=10, color=INK)
        for ax in line[1:3]:
            ax.set_yticks(range(len(NETWORKS)), [])
        _spectrum(line[3], own)
    panels[0, 3].legend(frameon=False, fontsize=8, labelcolor=INK)
    return sheet


def _role(model: str) -> Role:
    if model == EXACT:
        return DATA
    return ERROR if model in LINEAR else MODEL


def _scores(ax: Axes, rows: list[Row], column: str) -> None:
    for place, model in enumerate(NETWORKS):
        low, middle, high = quartiles(where(rows, model=model), column)
        role = _role(model)
        ax.plot([low, high], [place, place], color=role.colour, linewidth=3, alpha=0.4)
        ax.plot([middle], [place], color=role.colour, marker=role.marker, markersize=7, linestyle="")
    exact = quartiles(where(rows, model=EXACT), column)[1]
    if np.isfinite(exact):
        ax.axvline(exact, **TRUTH.line())
    ax.invert_yaxis()
    if column == "D_stsp":
        ax.set_xscale("log")
    dress(ax, {"exponent": "largest exponent (1 / time)"}.get(column, f"{column}, dashed: exact run"))


def _spectrum(ax: Axes, rows: list[Row]) -> None:
    order = np.arange(1, SINGULAR_VALUES + 1)
    seen: set[str] = set()
    for model in (EXACT, *NETWORKS):
        own = where(rows, model=model)
        shares = np.array([quartiles(own, f"share_{k}")[1] for k in order]) if own else np.full(len(order), np.nan)
        role = _role(model)
        family = {DATA: EXACT, MODEL: "nonlinear", ERROR: "linear"}[role]
        label = None if family in seen else family
        seen.add(family)
        look = {**role.line(), "label": label, "marker": role.marker, "markersize": 4}
        ax.plot(order, np.where(shares > 1e-7, shares, np.nan), **look)
    ax.set_yscale("log")
    ax.set_ylim(1e-4, 1.5)
    dress(ax, "singular value $k$", "share of the movement of $J$")


def caption(rows: list[Row]) -> str:
    """The median scores of both families, and how many singular values carry the movement of J."""
    parts = []
    for system in distinct(rows, "system"):
        own = where(rows, system=system)
        kinds = [kind for kind in NETWORKS if where(own, model=kind)]
        scores = "; ".join(
            f"{kind} {told(where(own, model=kind), 'D_stsp')}, {quartiles(where(own, model=kind), 'D_H')[1]:.2g}, "
            f"{quartiles(where(own, model=kind), 'exponent')[1]:.2g}, rank {_rank(where(own, model=kind))}"
            for kind in ([EXACT] if where(own, model=EXACT) else []) + kinds
        )
        parts.append(f"{system}: {scores}.")
    nonlinear, linear = (
        quartiles([row for row in rows if row["model"] != EXACT and (row["model"] in LINEAR) == which], "D_stsp")[1]
        for which in (False, True)
    )
    return (
        f"D_stsp, D_H, exponent and rank (singular values that carry 99 % of the movement of J), medians over "
        f"{counted(rows)} (quartiles), about {rows[0]['parameters']:,} parameters and {rows[0]['updates']:,} updates "
        f"each. {' '.join(parts)} Median D_stsp of the nonlinear models {nonlinear:.2g}, of the linear ones "
        f"{linear:.2g}."
    )


def _rank(rows: list[Row]) -> str:
    shares = np.array([quartiles(rows, f"share_{k}")[1] for k in range(1, SINGULAR_VALUES + 1)])
    if not np.isfinite(shares).all():
        return "unknown"
    carried = np.cumsum(shares**2) >= 0.99
    return str(int(carried.argmax()) + 1) if carried.any() else f"over {SINGULAR_VALUES}"


STUDY = Study(
    name="linear-vs-nonlinear",
    question="can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
    seeds=(1, 5),
)
