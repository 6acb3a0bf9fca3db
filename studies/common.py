"""What the studies share: recordings, families of equal size, training, the Jacobian's movement, strips of points.

Every simulated system gives two independent runs, one to train on (with noise) and a clean one to test; a third, also
exact, tells what a perfect model would score. The heart is cut in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx
from matplotlib.ticker import LogLocator, NullFormatter

import gtfdeer as gd

if TYPE_CHECKING:
    from jaxtyping import Array, Float
    from matplotlib.axes import Axes

EXACT = "truth"
LINEAR = ("LRU", "S5", "Mamba", "LRU, one layer")
FAMILIES: dict[str, tuple[type[gd.models.Model], Callable[[int], dict[str, Any]]]] = {
    "shPLRNN": (gd.models.ShallowPLRNN, lambda columns: {"latent_dim": columns}),
    "clipped": (gd.models.ClippedShallowPLRNN, lambda columns: {"latent_dim": columns}),
    "clipped + 3 units": (gd.models.ClippedShallowPLRNN, lambda columns: {"latent_dim": columns + 3}),
    "AL-RNN": (gd.models.AlmostLinearRNN, lambda columns: {}),
    "GRU": (gd.models.GRU, lambda columns: {}),
    "LRU": (gd.models.LRU, lambda columns: {"latent_dim": 8}),
    "S5": (gd.models.S5, lambda columns: {"latent_dim": 8}),
    "Mamba": (gd.models.Mamba, lambda columns: {"latent_dim": 4}),
    "LRU, one layer": (gd.models.LRU, lambda columns: {"latent_dim": 8, "depth": 1}),
}
"""Families, and what is fixed before the number of parameters fixes the rest."""


class Recordings(NamedTuple):
    """To learn from (noisy), to test on, and a second exact run; in data units."""

    train: gd.data.Series
    test: gd.data.Series
    second: gd.data.Series


@lru_cache(maxsize=2)
def record(
    system: gd.data.System | None,
    length: int,
    dt: float | None,
    seed: int,
    columns: tuple[int, ...] | None = None,
    noise: float = 0.05,
) -> Recordings:
    """Runs of `length` samples of a system; without one the shipped heart, delay-embedded, first half for training."""
    if system is None:
        train, test = gd.data.electrocardiogram().delay_embed(5, 63).split(0.5)
        return Recordings(train, test, train)
    keys = jax.random.split(jax.random.key(seed), 4)
    runs = [gd.data.simulate(system, length=length, dt=dt, key=key) for key in keys[:3]]
    train, test, second = runs if columns is None else [run.select(columns) for run in runs]
    return Recordings(train.with_noise(noise, key=keys[3]), test, second)


def build(family: str, parameters: int, columns: int, seed: int) -> gd.models.Model:
    """A model of this family with about as many parameters."""
    kind, fixed = FAMILIES[family]
    return gd.models.matched(kind, parameters, observed_dim=columns, rngs=nnx.Rngs(seed), **fixed(columns))


def train(model: gd.models.Model, series: gd.data.Series, **settings: Any) -> gd.Reconstruction:
    """`gd.fit` without a bar; Ctrl-C ends the study, not the run."""
    rec = gd.fit(model, series, progress=False, **settings)
    if rec.ending == "interrupted":
        raise KeyboardInterrupt
    return rec


def compare(reference: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """D_stsp and D_H of two recordings, cut to the same length; infinite and 1 where a run left all bounds."""
    length = min(len(reference), len(generated))
    reference, generated = reference[:length], generated[:length]
    bounded = bool(np.isfinite(generated).all())
    return {
        "D_stsp": gd.measures.state_space_divergence(reference, generated) if bounded else np.inf,
        "D_H": gd.measures.power_spectrum_error(reference, generated) if bounded else 1.0,
    }


def standardise_step(step: Callable[[Array], Array], scaling: Any) -> Callable[..., Array]:
    """A map in standard deviations of a recording instead of data units."""
    mean, std = jnp.asarray(scaling.mean, jnp.float32), jnp.asarray(scaling.std, jnp.float32)
    return lambda z, u=None: (step(z * std + mean) - mean) / std


SHARES = tuple(f"share_{k + 1}" for k in range(24))


def jacobian_movement(step: Callable[[Array], Array], states: Float[Array, "time latent"]) -> tuple[Array, Array]:
    """How much the Jacobian moves over these states (rms Frobenius norm), and the share of each direction.

    share_k = rms over t of sigma_k(J_t - mean J), divided by the root of the sum of their squares; sigma_k singular
    values, largest first.

    >>> size, shares = jacobian_movement(lambda z: jnp.array([z[0] ** 2, z[1]]), jnp.array([[1.0, 0.0], [-1.0, 0.0]]))
    >>> float(size), shares.tolist()  # J = diag(2 z_1, 1) moves in one direction
    (2.0, [1.0, 0.0])
    """
    J = jax.lax.map(jax.jacfwd(step), states, batch_size=20)
    values = jnp.linalg.svd(J - jnp.mean(J, axis=0), compute_uv=False)
    rms = jnp.sqrt(jnp.mean(values**2, axis=0))
    size = jnp.sqrt(jnp.sum(rms**2))
    return size, rms / size


def movement_along(step: Callable[[Array], Array], start: Float[Array, " latent"]) -> dict[str, float | None]:
    """ "movement" and `SHARES` along a free run of 6,000 steps; None where it leaves all bounds or comes to rest."""

    @partial(jax.jit, static_argnums=0)
    def measure(count: int, z: Array) -> tuple[Array, Array, Array]:
        def advance(z: Array, _: Any) -> tuple[Array, Array]:
            z = jax.lax.fori_loop(0, 10, lambda _, z: step(z), z)
            return z, z

        states = jax.lax.scan(advance, z, length=2 * count)[1][count:]
        return jnp.max(jnp.std(states, axis=0)), *jacobian_movement(step, states)

    spread, size, shares = measure(300, start)
    if not (np.isfinite(shares).all() and spread > 1e-2):  # standard deviations: at rest
        return dict.fromkeys(("movement", *SHARES))
    padded = [*map(float, shares[: len(SHARES)]), *[0.0] * len(SHARES)]
    return {"movement": float(size), **dict(zip(SHARES, padded, strict=False))}


# --- Figures ---


def strips(
    ax: Axes, table: pd.DataFrame, by: str, names: Sequence[str], column: str, colours: Sequence[str], log: bool = False
) -> None:
    """A line for every name: a point for every seed, a bar at the median; runs without bounds at the right, hollow."""
    finite = table[column].replace([np.inf], np.nan)
    edge = 2 * finite.max()
    for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
        values = table.loc[table[by] == name, column].dropna().to_numpy(float)
        lost = ~np.isfinite(values)
        ax.plot(values[~lost], np.full((~lost).sum(), place), "o", color=colour, alpha=0.5)
        ax.plot(np.full(lost.sum(), edge), np.full(lost.sum(), place), "o", color=colour, fillstyle="none")
        if len(values):
            ax.plot(2 * [min(np.median(values), edge)], [place - 0.32, place + 0.32], color=colour, linewidth=2.5)
    if log:
        ax.set_xscale("log")
        if np.ptp(np.log10(ax.get_xlim())) < 2:  # too few powers of ten to read a number from
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(column)


def medians(ax: Axes, table: pd.DataFrame, x: str, y: str, **look: Any) -> None:
    """The median over seeds as a line, the quartiles as a shade."""
    found = table.groupby(x)[y].quantile([0.25, 0.5, 0.75]).unstack()
    ax.plot(found.index, found[0.5], **look)
    ax.fill_between(found.index, found[0.25], found[0.75], color=look["color"], alpha=0.15, linewidth=0)
