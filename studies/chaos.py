"""Chaos against Newton: how many iterations does DEER need, and where does forcing begin to help?

Under forcing of strength alpha the map of a chaotic system, `F((1 - alpha) z + alpha z_hat)`, expands or contracts at
the rate of its largest Lyapunov exponent, `ln ||J_T .. J_1|| / (T dt)` with `J_t = (1 - alpha) J_F`, along the forced
orbit. With s_t = ||J_F|| at the teacher's states, four values of alpha have been named beyond which it contracts:

    average           alpha = 1 - exp(-lambda_max dt)     the exponent of the data themselves
    geometric mean    alpha = 1 - 1 / geomean_t s_t       (arXiv 2306.04406)
    supremum          alpha = 1 - 1 / max_t s_t           every single step contracts
    parameter         alpha = 1 - 1 / s                   s >= ||J_F|| anywhere, from a network's parameters alone

A run is one solve in float32: the teacher is the standardised orbit with 5 % noise, the guess the teacher or zeros. The
systems' maps are Runge-Kutta steps between samples, in standardised units; the networks are shallow PLRNNs (M 3, H 50)
taught by Lorenz-63, as they begin and after training. Where the forced orbit itself leaves the range of float32, as
that of an untrained network may (nothing bounds it), no solver can converge: this is counted apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gtfdeer import data, forcing, models, solvers
from gtfdeer.plots._canvas import ERROR, FORCED, INK, TRUTH, dress, figure
from gtfdeer.solvers._solve import Status, solve

from .marks import BAND
from .rows import counted, distinct, quartiles, where
from .study import Row, Study
from .training import trained

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STUDY", "Run"]

SYSTEMS: dict[str, data.System] = {
    "Lorenz-63": data.Lorenz63(),
    "Rossler": data.Rossler(),
    "Lorenz-96": data.Lorenz96(),
}
UNTRAINED, TRAINED = "untrained network", "trained network"
ALPHAS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
GUESSES = ("teacher", "zeros")
BOUNDS = {"average": ":", "geometric": "--", "supremum": "-", "parameter": "-."}
NOISE = 0.05
CAP = 60
_NOWHERE = "nowhere"
_TRAINING_LENGTH, _UPDATES = 100_000, 15_000


@dataclass(frozen=True)
class Run:
    """One solve: `steps` time steps of `system` under forcing `alpha`, from a guess; `updates` trained the network."""

    seed: int
    system: str
    updates: int
    steps: int
    alpha: float
    guess: str


class Setup(NamedTuple):
    """What the solves of one system and length have in common."""

    rule: Any
    """A `System`, or the graph of a model: what does not change with the seed."""
    constants: Any
    """Mean and standard deviation of the data, or the model's parameters."""
    dt: float
    teacher: Float[Array, "time latent"]
    bounds: dict[str, float | None]


def plan(full: bool, seed: int) -> list[Run]:
    """Three systems and an untrained network; the full study has longer sequences and a trained network too."""
    lengths = (1000, 10_000, 100_000) if full else (1000, 10_000)
    systems = [*SYSTEMS, UNTRAINED, *([TRAINED] if full else [])]
    return [
        Run(seed, system, _UPDATES if system == TRAINED else 0, steps, alpha, guess)
        for system in systems
        for steps in lengths
        for alpha in ALPHAS
        for guess in GUESSES
    ]


def measure(run: Run) -> list[Row]:
    """Solve, and judge by the states that a step by step computation gives."""
    setup = _setup(run.system, run.updates, run.steps, run.seed)
    common = setup.rule, setup.constants, setup.teacher, jnp.asarray(run.alpha)
    guess = setup.teacher[1:] if run.guess == "teacher" else jnp.zeros_like(setup.teacher[1:])
    states, code, iterations = _deer(*common, guess)
    truth, exponent, norms = _forced_orbit(*common, setup.dt)
    converged, bounded = int(code) == Status.CONVERGED, bool(jnp.isfinite(truth).all())
    return [
        {
            "status": Status(int(code)).name,
            "iterations": int(iterations),
            "error": float(jnp.max(jnp.abs(states - truth))) if converged else None,
            "exponent": float(exponent) if bounded else None,
            "norms": float(norms) if bounded else None,
            **setup.bounds,
        }
    ]


@lru_cache(maxsize=2)
def _setup(system: str, updates: int, steps: int, seed: int) -> Setup:
    key, noise = jax.random.split(jax.random.key(seed))
    simulated = SYSTEMS.get(system, SYSTEMS["Lorenz-63"])
    clean = data.simulate(simulated, length=steps + 1, key=key).standardise()
    teacher = jnp.asarray(clean.with_noise(NOISE, key=noise).values)
    scaling: Any = clean.scaling  # standardise() has just made it
    parameter = None
    if system in SYSTEMS:
        rule: Any = simulated
        constants: Any = jnp.asarray(scaling.mean, jnp.float32), jnp.asarray(scaling.std, jnp.float32)
    else:
        network = _trained(seed, updates) if updates else _network(seed)
        rule, constants = nnx.split(network)
        parameter = float(forcing.optimal_alpha(forcing.jacobian_upper_bound(network)))
    average, geometric, supremum = (float(x) for x in _bounds(rule, constants, jnp.asarray(clean.values), teacher))
    bounds = {"average": average, "geometric": geometric, "supremum": supremum, "parameter": parameter}
    return Setup(rule, constants, clean.dt, teacher, bounds)


def _network(seed: int) -> models.Model:
    return models.ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(seed))


@lru_cache(maxsize=1)
def _trained(seed: int, updates: int) -> models.Model:
    key_data, key_noise, key = jax.random.split(jax.random.key(10_000 + seed), 3)
    series = data.simulate(SYSTEMS["Lorenz-63"], length=_TRAINING_LENGTH, key=key_data)
    noisy = series.with_noise(NOISE, key=key_noise)
    return trained(_network(seed), noisy, updates=updates, forcing=forcing.Annealed(last=0.02), key=key).model


def _map(rule: Any, constants: Any) -> Any:
    """`F(z, u)` in standardised units."""
    if not isinstance(rule, data.System):
        return nnx.merge(rule, constants).step
    mean, std = constants
    flow = rule.step()
    return lambda z, u=None: (flow(z * std + mean) - mean) / std


def _inputs(teacher: Array, alpha: Array) -> forcing.Forced:
    alphas = jnp.full((len(teacher) - 1, 1), alpha).at[0].set(0)  # the first step leaves from the teacher itself
    return forcing.Forced(teacher[:-1], alphas)


@partial(jax.jit, static_argnums=0)
def _deer(rule: Any, constants: Any, teacher: Array, alpha: Array, guess: Array) -> tuple[Array, Array, Array]:
    step = forcing.force(_map(rule, constants))
    solver = solvers.DEER(max_iterations=CAP)
    solution = solve(step, teacher[0], _inputs(teacher, alpha), solver=solver, guess=guess)
    return solution.states, solution.code, solution.iterations


@partial(jax.jit, static_argnums=0)
def _forced_orbit(rule: Any, constants: Any, teacher: Array, alpha: Array, dt: Any) -> tuple[Array, Array, Array]:
    """The states step by step, and the forced map's exponent along them with its bound from norms."""
    step, inputs = _map(rule, constants), _inputs(teacher, alpha)
    forced = forcing.force(step)

    def advance(z: Array, given: forcing.Forced) -> tuple[Array, Array]:
        z = forced(z, given)
        return z, z

    states = jax.lax.scan(advance, teacher[0], inputs)[1]
    before = jnp.concatenate([teacher[:1], states[:-1]])
    fed = (1 - inputs.alpha) * before + inputs.alpha * inputs.z_hat
    found = forcing.contraction(step, fed, jnp.full(teacher.shape[1:], alpha)[None], dt)
    return states, found.exponent, found.bound


@partial(jax.jit, static_argnums=0)
def _bounds(rule: Any, constants: Any, clean: Array, teacher: Array) -> tuple[Array, Array, Array]:
    """The bounds of the module's page that the states give."""
    step = _map(rule, constants)
    free = forcing.contraction(step, clean, jnp.zeros((1, clean.shape[1])))  # per step
    jacobians = jax.vmap(jax.jacfwd(step))(teacher)
    geometric = forcing.optimal_alpha(forcing.product_upper_bound(jacobians))
    supremum = forcing.optimal_alpha(forcing.batch_maximum(jacobians))
    return jnp.maximum(0, 1 - jnp.exp(-free.exponent)), geometric, supremum


# --- What the table shows ---


def draw(rows: list[Row]) -> Figure:
    """Iterations above, the forced map's exponent below, both over alpha; a column a system."""
    systems = distinct(rows, "system")
    sheet = figure(3.1 * len(systems), 5.4)
    panels = sheet.subplots(2, len(systems), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 2))
    for (above, below), system in zip(panels.T, systems, strict=True):
        own = where(rows, system=system)
        _iterations(above, own)
        _exponents(below, own)
        for ax in (above, below):
            for name, style in BOUNDS.items():
                ax.axvline(quartiles(own, name)[1], color="#888888", linestyle=style, linewidth=1, label=name)
        above.set_title(system, fontsize=11, fontweight="bold", color=INK)
    panels[0, 0].text(0.4, 1.6 * CAP, "fails", fontsize=8.5, color=INK, ha="right", va="center")
    panels[0, 0].set_ylabel("Newton iterations", fontsize=10, color=INK)
    panels[1, 0].set_ylabel("exponent of the\nforced map (per step)", fontsize=10, color=INK)
    handles, labels = panels[0, -1].get_legend_handles_labels()
    labels = [f"{label} bound" if label in BOUNDS else label for label in labels]
    sheet.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize=8.5, labelcolor=INK)
    return sheet


def _iterations(ax: Axes, rows: list[Row]) -> None:
    roles = {"teacher": FORCED, "zeros": ERROR}
    lengths = distinct(rows, "steps")
    for guess in GUESSES:
        for place, steps in enumerate(lengths):
            own = where(rows, guess=guess, steps=steps)
            alphas = distinct(own, "alpha")
            counts = [_worst(where(own, alpha=alpha)) for alpha in alphas]
            look = {**roles[guess].line(), "linewidth": 0.8 + 0.9 * place, "label": f"guess {guess}, T {steps:,}"}
            ax.plot(alphas, [min(c, 1.6 * CAP) for c in counts], **look, marker=roles[guess].marker, markersize=4)
    for alpha, share in _overflowing(rows).items():
        ax.text(alpha, 1.2 * CAP, share, fontsize=7.5, color=INK, ha="center", va="top")
    ax.axhspan(1.25 * CAP, 2.1 * CAP, color=BAND, linewidth=0)
    ax.set_yscale("log")
    ax.set_ylim(1, 2.1 * CAP)
    ax.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    ax.minorticks_off()
    dress(ax)


def _exponents(ax: Axes, rows: list[Row]) -> None:
    longest = where(rows, steps=distinct(rows, "steps")[-1])
    alphas = distinct(longest, "alpha")
    dts = {name: system.default_dt for name, system in SYSTEMS.items()}
    dt = dts.get(rows[0]["system"], SYSTEMS["Lorenz-63"].default_dt)
    known = [[row["exponent"] for row in where(longest, alpha=alpha) if _bounded(row)] for alpha in alphas]
    rates = [dt * max(found, default=np.nan) for found in known]  # the worst seed, as above
    ax.plot(alphas, rates, color=FORCED.colour, linewidth=1.6, marker="o", markersize=4)
    ax.axhline(0, **TRUTH.line())
    ax.set_xscale("symlog", linthresh=0.01, linscale=0.6)
    ax.set_xlim(-0.001, 1)
    ax.set_xticks([0, 0.01, 0.1, 0.4, 1], ["0", "0.01", "0.1", "0.4", "1"])
    ax.minorticks_off()
    dress(ax, "forcing $\\alpha$")


def caption(rows: list[Row]) -> str:
    """What forcing repairs; then for every system from which alpha on, at the longest T, against the bounds."""
    systems, lengths = distinct(rows, "system"), distinct(rows, "steps")
    longest = {system: where(rows, system=system, steps=lengths[-1]) for system in systems}
    repaired = sum(_edge(where(own, guess="teacher"), _converged) != _NOWHERE for own in longest.values())
    told = " ".join(f"{system}: {_told(own)}." for system, own in longest.items())
    failing = ", ".join(f"{_share_failed(rows, steps):.0%} at T = {steps:,}" for steps in lengths)
    return (
        f"Without forcing, Newton's method fails on chaotic systems ({failing} of the solves); with enough of it, it "
        f"converges on {repaired} of {len(systems)} maps. From which alpha on DEER converges at T = {lengths[-1]:,} in "
        f"each of {counted(rows)}, guess in brackets, and the map contracts; bounds {' / '.join(BOUNDS)}. {told} "
        f"Float32, at most {CAP} iterations; fractions under the band: in how many seeds the orbit itself overflows."
    )


def _told(rows: list[Row]) -> str:
    converges = [f"{_edge(where(rows, guess=guess), _converged)} ({guess})" for guess in GUESSES]
    bounds = " / ".join(f"{quartiles(rows, name)[1]:.2g}" for name in BOUNDS if quartiles(rows, name)[0] >= 0)
    orbits = where(rows, guess=GUESSES[0])
    lost = sum(not _bounded(row) for row in orbits)
    overflows = f"; {lost} of {len(orbits)} orbits themselves overflow and do not count" if lost else ""
    return f"{', '.join(converges)}, contracts {_edge(rows, _contracts)}; {bounds}{overflows}"


def _edge(rows: list[Row], holds: Callable[[Row], bool]) -> str:
    """From which alpha on something holds in every row whose orbit is bounded, and there are such."""
    alphas = distinct(rows, "alpha")
    bounded = {alpha: [row for row in where(rows, alpha=alpha) if _bounded(row)] for alpha in alphas}
    failing = [alpha for alpha, own in bounded.items() if not own or not all(map(holds, own))]
    above = [alpha for alpha in alphas if not failing or alpha > max(failing)]
    return f"from alpha {above[0]:g}" if above else _NOWHERE


def _converged(row: Row) -> bool:
    return row["status"] == Status.CONVERGED.name


def _contracts(row: Row) -> bool:
    return row["exponent"] < 0


def _bounded(row: Row) -> bool:
    return row["exponent"] is not None


def _overflowing(rows: list[Row]) -> dict[float, str]:
    """For every alpha at which the orbit of some seed overflows, of how many it does, at the longest T."""
    longest = where(rows, steps=distinct(rows, "steps")[-1], guess=GUESSES[0])
    found = {}
    for alpha in distinct(longest, "alpha"):
        own = where(longest, alpha=alpha)
        lost = sum(not _bounded(row) for row in own)
        if lost:
            found[alpha] = f"{lost}/{len(own)}"
    return found


def _share_failed(rows: list[Row], steps: int) -> float:
    unforced = [row for row in where(rows, steps=steps, alpha=0, guess="teacher") if row["system"] in SYSTEMS]
    return sum(not _converged(row) for row in unforced) / max(1, len(unforced))


def _worst(rows: list[Row]) -> float:
    """Most iterations over the seeds whose orbit is bounded; infinite where one failed."""
    return max((row["iterations"] if _converged(row) else np.inf for row in rows if _bounded(row)), default=np.inf)


STUDY = Study(
    name="chaos",
    question="when does Newton's method over a whole trajectory converge, and what does forcing change?",
    plan=plan,
    measure=measure,
    draw=draw,
    caption=caption,
)
