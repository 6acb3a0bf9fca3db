"""Chaos against Newton: how many iterations does DEER need, and where does forcing begin to help?

Under forcing of strength alpha the map of a chaotic system, `F((1 - alpha) z + alpha z_hat)`, expands or contracts at
the rate of its largest Lyapunov exponent, `ln ||J_T .. J_1|| / (T dt)` with `J_t = (1 - alpha) J_F`, along the forced
orbit. With s_t = ||J_F|| at the teacher's states, four values of alpha have been named beyond which it contracts:

    average     alpha = 1 - exp(-lambda_max dt)     the exponent of the data themselves
    geometric   alpha = 1 - 1 / geomean_t s_t       (arXiv 2306.04406)
    supremum    alpha = 1 - 1 / max_t s_t           every single step contracts
    parameter   alpha = 1 - 1 / s                   s >= ||J_F|| anywhere, from a network's parameters alone

A run is one solve in float32: the teacher is the standardised orbit with 5 % noise, the guess the teacher or zeros. The
systems' maps are exact; the networks are shallow PLRNNs (M 3, H 50) taught by Lorenz-63, as they begin and after
training. Where the forced orbit itself leaves the range of float32, as that of an untrained network may, no solver can
converge: `exponent` is empty.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd

from .common import record, standardise_step, train
from .sweep import Run

if TYPE_CHECKING:
    from jaxtyping import Array
    from matplotlib.figure import Figure

SEEDS = (2, 5)
SYSTEMS = {"Lorenz-63": gd.data.Lorenz63(), "Rossler": gd.data.Rossler(), "Lorenz-96": gd.data.Lorenz96()}
UNTRAINED, TRAINED = "untrained network", "trained network"
ALPHAS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
BOUNDS = {"average": ":", "geometric": "--", "supremum": "-", "parameter": "-."}
CAP = 60  # iterations


def plan(full: bool, seed: int) -> list[Run]:
    """Three systems and an untrained network; the full study has longer sequences and a trained network too."""
    lengths = (1000, 10_000, 100_000) if full else (1000, 10_000)
    return [
        {"seed": seed, "system": system, "updates": updates, "steps": steps, "alpha": alpha, "guess": guess}
        for system, updates in {
            **dict.fromkeys([*SYSTEMS, UNTRAINED], 0),
            **({TRAINED: 15_000} if full else {}),
        }.items()
        for steps in lengths
        for alpha in ALPHAS
        for guess in ("teacher", "zeros")
    ]


def measure(seed: int, system: str, updates: int, steps: int, alpha: float, guess: str) -> Run:
    """Solve, and judge by the states that a step by step computation gives."""
    solve, teacher, bounds = _setup(system, updates, steps, seed)
    guessed = teacher[1:] if guess == "teacher" else jnp.zeros_like(teacher[1:])
    solution, states, forced = solve(teacher, jnp.asarray(alpha), guessed)
    status, bounded = gd.Status(int(solution.code)), bool(jnp.isfinite(states).all())
    converged = status is gd.Status.CONVERGED
    return {
        "status": status.name,
        "iterations": int(solution.iterations),
        "error": float(jnp.max(jnp.abs(solution.states - states))) if converged else None,
        "exponent": float(forced.exponent) if bounded else None,
        "norms": float(forced.bound) if bounded else None,
        **bounds,
    }


@lru_cache(maxsize=1)
def _setup(system: str, updates: int, steps: int, seed: int) -> tuple[Any, Array, dict[str, float | None]]:
    """What the solves of one system and length have in common: a compiled solve, the teacher, the four bounds."""
    key, noise = jax.random.split(jax.random.key(seed))
    simulated = SYSTEMS.get(system, SYSTEMS["Lorenz-63"])
    clean = gd.data.simulate(simulated, length=steps + 1, key=key).standardise()
    teacher = jnp.asarray(clean.with_noise(0.05, key=noise).values)
    bounds: dict[str, float | None] = {"parameter": None}
    if system in SYSTEMS:
        step = standardise_step(simulated.step(clean.dt), clean.scaling)
    else:
        network = _network(seed, updates)
        step = network.step
        bounds["parameter"] = float(gd.forcing.optimal_alpha(_bound_jacobians(network)))

    @jax.jit
    def solve(teacher: Array, alpha: Array, guess: Array) -> tuple[gd.Solution, Array, Any]:
        alphas = jnp.full((steps, 1), alpha).at[0].set(0)  # the first step leaves from the teacher itself
        inputs, forced = gd.forcing.Forced(teacher[:-1], alphas), gd.forcing.force(step)
        solver = gd.solvers.DEER(max_iterations=CAP)
        solution = gd.solve(forced, teacher[0], inputs, solver=solver, guess=guess)
        states = jax.lax.scan(lambda z, u: 2 * (forced(z, u),), teacher[0], inputs)[1]
        before = jnp.concatenate([teacher[:1], states[:-1]])
        fed = (1 - alphas) * before + alphas * teacher[:-1]
        strength = jnp.full((1, teacher.shape[1]), alpha)
        return solution, states, gd.forcing.contraction(step, fed, strength, clean.dt)

    @jax.jit
    def find_bounds(clean: Array, teacher: Array) -> dict[str, Array]:
        free = gd.forcing.contraction(step, clean, jnp.zeros((1, clean.shape[1])))  # per step
        J = jax.vmap(jax.jacfwd(step))(teacher)
        return {
            "average": jnp.maximum(0, 1 - jnp.exp(-free.exponent)),
            "geometric": gd.forcing.optimal_alpha(gd.forcing.product_upper_bound(J)),
            "supremum": gd.forcing.optimal_alpha(jnp.max(gd.forcing.spectral_norm(J))),
        }

    found = {name: float(value) for name, value in find_bounds(jnp.asarray(clean.values), teacher).items()}
    return solve, teacher, {**found, **bounds}


def _bound_jacobians(network: Any) -> Array:
    """`max |A| + ||W1|| ||W2||`, which the parameters of a shallow PLRNN bound its Jacobians by, whatever the state."""
    W1, W2 = gd.forcing.spectral_norm(network.W1[...].T), gd.forcing.spectral_norm(network.W2[...])
    return jnp.max(jnp.abs(network.A[...])) + W1 * W2


@lru_cache(maxsize=1)
def _network(seed: int, updates: int) -> gd.models.Model:
    network = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(seed))
    if not updates:
        return network
    series = record(SYSTEMS["Lorenz-63"], 100_000, None, 10_000 + seed).train
    schedule = gd.forcing.Annealed(last=0.02)
    return train(network, series, updates=updates, forcing=schedule, key=jax.random.key(seed)).model


def draw(table: pd.DataFrame) -> Figure:
    """Iterations over alpha, the worst seed; grey: the forced map is still chaotic, in some seed."""
    systems = list(table.system.unique())
    sheet = gd.plots.figure(3.1 * len(systems), 3.9)
    panels = sheet.subplots(1, len(systems), sharey=True, squeeze=False)[0]
    for ax, system in zip(panels, systems, strict=True):
        own = table[(table.system == system) & table.exponent.notna()]  # the others have no orbit
        chaotic = own[own.exponent > 0].alpha.max()
        ax.axvspan(-0.01, chaotic, color="#EEEEEE", linewidth=0)
        for (guess, steps), runs in own.groupby(["guess", "steps"]):
            role = gd.plots.FORCED if guess == "teacher" else gd.plots.ERROR
            counts = runs.iterations.where(runs.status == "CONVERGED", 1.6 * CAP).groupby(runs.alpha).max()
            width = 0.8 + 0.9 * np.log10(steps / 1000)
            look = {"color": role.colour, "marker": role.marker, "markersize": 4, "linestyle": role.linestyle}
            ax.plot(counts.index, counts, **look, linewidth=width, label=f"guess {guess}, T {steps:,}")
        for name, style in BOUNDS.items():
            ax.axvline(own[name].median(), color="#888888", linestyle=style, linewidth=1, label=f"{name} bound")
        ax.axhspan(1.25 * CAP, 2.1 * CAP, color="#F0C9B5", linewidth=0)
        ax.set_xscale("symlog", linthresh=0.01, linscale=0.6)
        ax.set_yscale("log")
        ax.set_xticks([0, 0.01, 0.1, 0.4], ["0", "0.01", "0.1", "0.4"])
        ax.set_yticks([1, 3, 10, 30, 1.6 * CAP], ["1", "3", "10", "30", "fails"])
        ax.minorticks_off()
        ax.set(title=system, xlabel="forcing alpha", xlim=(-0.001, 1), ylim=(1, 2.1 * CAP))
    panels[0].set_ylabel("Newton iterations, worst seed")
    handles = panels[-1].get_legend_handles_labels()
    sheet.legend(*handles, loc="outside upper center", ncols=5, fontsize=8.5)
    return sheet
