"""Can a linear recurrence with a nonlinear readout learn chaos as a nonlinear recurrence does? And why not?

LRU, S5 and Mamba against a shallow PLRNN, an AL-RNN and a GRU with about as many parameters and about as much training
time, on the same windows; D_stsp, D_H and the largest exponent of the free run. Time is matched by numbers of updates
that were chosen once, so that the same seed gives the same table on any machine; `seconds` says what they took on
this one, and is the one column that differs between two runs.

The reason that has been given: the closed loop of one linear layer, `h_t = A h_{t-1} + B g(C h_{t-1})`, has the
Jacobian `A + B g'(C h) C`. Only g' moves with the state, so `J(h) - J(h')` has rank at most N, the observed columns
(2 N here, where the observation itself is part of the state). Shown is how much of the movement along the attractor
each singular value carries,

    share_k = rms over t of sigma_k(J_t - mean J),    divided by the root of the sum of their squares,

beside the truth's. The bound is that of ONE layer ("LRU, one layer"): in a stack the second layer is driven by a
nonlinear function of the first one's state, and Mamba's A depends on its input, so both move with more. A low rank
alone is no verdict: Lorenz-63's own map hardly moves with more than rank 2. A row "truth" stands for a second exact
run, and for the heart, whose equations nobody knows, for the half that was trained on.

The full setting is sized for about an hour on 2 cores with `--jobs 2`: 4 systems x 7 models x 5 seeds = 140
trainings of half a minute (shPLRNN 6.2 ms an update, GRU 7.5, LRU and S5 5.3, Mamba 19), and 20 s each for compiling
and for judging free runs of 50,000 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from .. import data, models
from ..forcing import Annealed
from ..plots.canvas import DATA, ERROR, INK, MODEL, TRUTH, Role, dress, figure
from .marks import named_ends, strips
from .rows import counted, distinct, quartiles, told, where
from .study import Row, Study
from .training import LINEAR, ONE_LAYER, Recording, build, exact_map, exponent, free_run, misfits, record, trained

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run", "movement"]

SYSTEMS: dict[str, data.System | None] = {
    "Lorenz-63": data.Lorenz63(),
    "Lorenz-96": data.Lorenz96(),
    "bursting neuron": data.BurstingNeuron(),
    "ECG": None,
}
COLUMNS = {"Lorenz-63": 3, "Lorenz-96": 10, "bursting neuron": 3, "ECG": 5}
EXACT = "truth"
NETWORKS = ("shPLRNN", "AL-RNN", "GRU", *LINEAR, ONE_LAYER)
UPDATES = {"shPLRNN": 5000, "AL-RNN": 10_000, "GRU": 4000, "LRU": 5000, "S5": 5000, "Mamba": 1500, ONE_LAYER: 8000}
"""Of the full setting: half a minute each on one core, where an update with 1500 parameters took 2 to 19 ms."""
SINGULAR_VALUES = 24
_FAINTEST = 1e-3  # share of the movement that is still drawn
_STATES = 300  # on the attractor, at which the Jacobian is taken
_EXPONENT_STEPS = 10_000
_AT_REST = (
    1e-2  # standard deviation of all states below which an orbit has come to rest, and singular values mean nothing
)


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
        looks=run.looks,
        key=jax.random.key(run.seed),
    )
    kept = reconstruction.model
    start = kept.start(jnp.asarray(recording.test.values[0]))
    return [
        {
            "count": models.parameter_count(kept),
            "seconds": float(reconstruction.history["seconds"].sum()),
            **misfits(recording.test.values, free_run(reconstruction, recording.test)),
            **_dynamics(kept.step, start, recording.test.dt),
        }
    ]


def _exact_dynamics(recording: Recording) -> Row:
    """Of the true map; nothing where nobody knows it."""
    if recording.system is None:
        return dict.fromkeys(("exponent", "movement", *(f"share_{k + 1}" for k in range(SINGULAR_VALUES))))
    return _dynamics(exact_map(recording), jnp.asarray(recording.test.values[0]), recording.test.dt)


def _paired(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    common = min(recording.test.length, recording.second.length)
    return recording.test.values[:common], recording.second.values[:common]


def _dynamics(step: Callable[[Array], Array], start: Array, dt: float) -> Row:
    """The exponent, and how the Jacobian moves; None where the orbit leaves all bounds or comes to rest."""
    spread, size, shares = jax.jit(partial(_along_orbit, step))(start)
    known = bool(jnp.isfinite(shares).all()) and float(spread) > _AT_REST
    padded = [*map(float, shares[:SINGULAR_VALUES]), *[0.0] * SINGULAR_VALUES][:SINGULAR_VALUES]
    return {
        "exponent": exponent(step, start, dt, _EXPONENT_STEPS),
        "movement": float(size) if known else None,
        **{f"share_{k + 1}": share if known else None for k, share in enumerate(padded)},
    }


def _along_orbit(step: Callable[[Array], Array], start: Array) -> tuple[Array, Array, Float[Array, " values"]]:
    """How much the states of a free run move (largest standard deviation), and the movement of J at them."""

    def advance(z: Array, _: Any) -> tuple[Array, Array]:
        z = jax.lax.fori_loop(0, 10, lambda _, z: step(z), z)
        return z, z

    states = jax.lax.scan(advance, start, length=2 * _STATES)[1][_STATES:]
    return jnp.max(jnp.std(states, axis=0)), *movement(step, states)


def movement(
    step: Callable[[Array], Array], states: Float[Array, "time latent"]
) -> tuple[Float[Array, ""], Float[Array, " values"]]:
    """How much the Jacobian moves over these states (rms Frobenius norm), and the shares of the module's page.

    >>> size, shares = movement(lambda z: jnp.array([z[0] ** 2, z[1]]), jnp.array([[1.0, 0.0], [-1.0, 0.0]]))
    >>> float(size), shares.tolist()  # J = diag(2 z_1, 1) moves in one direction
    (2.0, [1.0, 0.0])
    """
    J = jax.lax.map(jax.jacfwd(step), states, batch_size=20)
    values = jnp.linalg.svd(J - jnp.mean(J, axis=0), compute_uv=False)
    rms = jnp.sqrt(jnp.mean(values**2, axis=0))
    size = jnp.sqrt(jnp.sum(rms**2))
    return size, rms / size


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """A row of panels for every system: the scores of every model, its exponent, and the singular values."""
    systems = distinct(rows, "system")
    sheet = figure(12.5, 0.6 + 3.1 * len(systems))
    panels = sheet.subplots(len(systems), 4, squeeze=False, width_ratios=(3, 2.4, 2.4, 3.6))
    for line, system in zip(panels, systems, strict=True):
        own = where(rows, system=system)
        for ax, column in zip(line[:3], ("D_stsp", "D_H", "exponent"), strict=True):
            _scores(ax, own, column)
        for ax in line[1:3]:
            ax.set_yticklabels([])
        line[0].set_title(system, loc="left", fontsize=11, fontweight="bold", color=INK)
        line[3].set_title("in how many directions J moves", loc="left", fontsize=9, color=INK)
        _spectrum(line[3], own)
    return sheet


def _role(model: str) -> Role:
    if model == EXACT:
        return DATA
    return ERROR if model in (*LINEAR, ONE_LAYER) else MODEL


def _scores(ax: Axes, rows: list[Row], column: str) -> None:
    strips(ax, [(model, where(rows, model=model), _role(model)) for model in NETWORKS], column, "ran away")
    exact = quartiles(where(rows, model=EXACT), column)[1]
    if np.isfinite(exact):
        ax.axvline(exact, **TRUTH.line())
    if column == "D_stsp":
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        if high < 100 * low:  # too few powers of ten to read a number from
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    dress(ax, {"exponent": "largest exponent (1 / time)"}.get(column, f"{column}, dashed: a second exact run"))


def _spectrum(ax: Axes, rows: list[Row]) -> None:
    order = np.arange(1, SINGULAR_VALUES + 1)
    drawn = []
    for model in (EXACT, *NETWORKS):
        shares = _shares(where(rows, model=model))
        seen = np.flatnonzero(shares > _FAINTEST)  # no value (NaN) and no movement are not drawn
        if len(seen):
            role = _role(model)
            look = {**role.line(), "marker": role.marker, "markersize": 3.5}
            ax.plot(order[seen], shares[seen], **look)
            drawn.append((model, order[seen[-1]], shares[seen[-1]], role.colour))
    columns = COLUMNS[rows[0]["system"]]
    for count, name in ((columns, "N"), (2 * columns, "2 N")):
        ax.axvline(count, color="#888888", linestyle=":", linewidth=1)
        ax.text(count, 1.2 * _FAINTEST, f" {name}", fontsize=8.5, color=INK)
    ax.set_yscale("log")
    ax.set_ylim(_FAINTEST, 1.5)
    ax.set_xlim(0.5, SINGULAR_VALUES + 6)
    dress(ax, "singular value $k$", "share of the movement of $J$")
    named_ends(ax, drawn)


def _shares(rows: list[Row]) -> np.ndarray:
    return np.array([quartiles(rows, f"share_{k + 1}")[1] for k in range(SINGULAR_VALUES)])


def caption(rows: list[Row]) -> str:
    """Which family is nearer on how many systems, how many directions J moves in, and how often runs fail."""
    systems = distinct(rows, "system")
    nearest = {system: _nearest(where(rows, system=system)) for system in systems}
    won = sum(_median(nonlinear) < _median(linear) for nonlinear, linear in nearest.values())
    scores = "; ".join(f"{system}: {_against(*nearest[system])}" for system in systems)
    ranks = "; ".join(f"{system} {_directions(where(rows, system=system))}" for system in systems)
    first = next(row for row in rows if row["model"] != EXACT)
    return (
        f"With equal parameters and time, the best nonlinear family comes nearer to the attractor than the best linear "
        f"one on {won} of {len(systems)} systems. Median D_stsp and exponent over {counted(rows)}: {scores}. "
        f"Directions that carry 99 % of the movement of J: {ranks}; one linear layer is bound to 2 N of them, stacks "
        f"and an A that depends on the input are not. Runs away or comes to rest: {_failures(rows)}. "
        f"About {first['parameters']:,} parameters, windows of {first['window']}, alpha annealed to "
        f"{first['alpha']:g}, {_seconds(rows)} s of training each; bars: medians."
    )


def _median(rows: list[Row], column: str = "D_stsp") -> float:
    return quartiles(rows, column)[1]


def _nearest(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The nonlinear and the linear family with the lowest median D_stsp."""
    families = [where(rows, model=model) for model in distinct(rows, "model") if model != EXACT]
    sides = [[own for own in families if (_role(own[0]["model"]) is ERROR) == linear] for linear in (False, True)]
    nonlinear, linear = (min(side, key=_median, default=[]) for side in sides)
    return nonlinear, linear


def _against(*families: list[Row]) -> str:
    return " against ".join(
        f"{own[0]['model']} {told(own, 'D_stsp')}, {_median(own, 'exponent'):.2g}" for own in families if own
    )


def _directions(rows: list[Row]) -> str:
    return ", ".join(f"{model} {_rank(where(rows, model=model))}" for model in distinct(rows, "model"))


def _failures(rows: list[Row]) -> str:
    """In how many runs of either kind the free run left all bounds or stopped moving."""
    found = []
    for name, role in (("nonlinear", MODEL), ("linear", ERROR)):
        own = [row for row in rows if _role(row["model"]) is role]
        found.append(f"{sum(row['movement'] is None for row in own)} of {len(own)} {name} runs")
    return ", ".join(found)


def _seconds(rows: list[Row]) -> str:
    low, _, high = quartiles(rows, "seconds")
    return f"{low:.0f} to {high:.0f}"


def _rank(rows: list[Row]) -> str:
    shares = _shares(rows)
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
