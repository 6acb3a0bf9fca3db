"""What the two studies that train have in common: recordings, models of equal size, and a judgement of a free run.

Every simulated system gives two independent runs, one to train on (with 5 % noise) and one to test; the heart is cut
in the middle. Everything is in the units of the standardised training run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gtfdeer import data, measures, models
from gtfdeer.training._reconstruction import Reconstruction, fit

from .study import Row

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = [
    "KINDS",
    "LINEAR",
    "ONE_LAYER",
    "Recording",
    "build",
    "exact_map",
    "exponent",
    "misfits",
    "record",
    "rollout",
    "trained",
]

LINEAR = ("LRU", "S5", "Mamba")
ONE_LAYER = "LRU, one layer"
NOISE = 0.05

KINDS: dict[str, tuple[type[models.Model], Callable[[int], dict[str, Any]]]] = {
    "shPLRNN": (models.ShallowPLRNN, lambda columns: {"latent_dim": columns}),
    "clipped": (models.ClippedShallowPLRNN, lambda columns: {"latent_dim": columns}),
    "clipped + 3 units": (models.ClippedShallowPLRNN, lambda columns: {"latent_dim": columns + 3}),
    "AL-RNN": (models.AlmostLinearRNN, lambda columns: {}),
    "GRU": (models.GRU, lambda columns: {}),
    "LRU": (models.LRU, lambda columns: {"latent_dim": 8}),
    "S5": (models.S5, lambda columns: {"latent_dim": 8}),
    "Mamba": (models.Mamba, lambda columns: {"latent_dim": 4}),
    ONE_LAYER: (models.LRU, lambda columns: {"latent_dim": 8, "depth": 1}),
}
"""Families, and what is fixed before the number of parameters fixes the rest."""


@dataclass(frozen=True)
class Recording:
    """What is learned from, and what the result is held against.

    Attributes:
        train: noisy, standardised.
        test: clean, in the same units.
        second: another test run, for the floor; of the heart, whose only recording is cut in two, the training half.
        system: None where nobody knows the equations.
    """

    train: data.Series
    test: data.Series
    second: data.Series
    system: data.System | None


@lru_cache(maxsize=2)
def record(
    system: data.System | None, length: int, dt: float | None, seed: int, columns: tuple[int, ...] | None = None
) -> Recording:
    """Runs of `length` samples of a system; without a system the heart, delay-embedded, its first half for training.

    Args:
        system: None for the heart, whose length and step are its own.
        length: samples of each run.
        dt: time between samples; None takes the system's own.
        seed: of starts and noise.
        columns: what is observed; None for everything.
    """
    if system is None:
        train, test = data.electrocardiogram().standardise().delay_embed(5).split(0.5)
        return Recording(train, test, train, None)
    keys = jax.random.split(jax.random.key(seed), 4)
    runs = [data.simulate(system, length=length, dt=dt, key=key) for key in keys[:3]]
    if columns is not None:
        runs = [run.select(columns) for run in runs]
    train = runs[0].with_noise(NOISE, key=keys[3]).standardise()
    scaling: Any = train.scaling  # standardise() has just made it
    return Recording(train, runs[1].scaled_by(scaling), runs[2].scaled_by(scaling), system)


def build(kind: str, parameters: int, columns: int, seed: int) -> models.Model:
    """A model of this family with about as many parameters."""
    family, fixed = KINDS[kind]
    return models.matched(family, parameters, observed_dim=columns, rngs=nnx.Rngs(seed), **fixed(columns))


def trained(model: models.Model, series: data.Series, **settings: Any) -> Reconstruction:
    """`gtfdeer.fit`, without a bar; Ctrl-C ends the study, not the run."""
    reconstruction = fit(model, series, progress=False, **settings)
    if reconstruction.ending == "interrupted":
        raise KeyboardInterrupt
    return reconstruction


def rollout(reconstruction: Reconstruction, test: data.Series) -> Float[np.ndarray, "time observed"]:
    """As many steps as the test has, after a quarter of that as a transient (`gtfdeer.training._scores`)."""
    length = test.length
    return reconstruction.rollout(length + length // 4, test.values[0])[length // 4 :]


def misfits(reference: Float[np.ndarray, "time observed"], generated: Float[np.ndarray, "time observed"]) -> Row:
    """D_stsp and D_H; infinite and 1 where the run left all bounds."""
    bounded = bool(np.isfinite(generated).all())
    return {
        "D_stsp": measures.state_space_divergence(reference, generated) if bounded else float("inf"),
        "D_H": measures.power_spectrum_error(reference, generated) if bounded else 1.0,
    }


def exponent(step: Callable[[Array], Array], start: Array, dt: float, steps: int) -> float | None:
    """The largest Lyapunov exponent per unit of time; None where the orbit leaves all bounds."""
    try:
        return measures.largest_exponent(step, start, steps=steps, dt=dt, transient=steps // 5)
    except ValueError:  # the measure's word for an orbit without exponents
        return None


def exact_map(recording: Recording) -> Callable[[Array], Array]:
    """The true map from one sample to the next, in standardised units."""
    system, scaling = recording.system, recording.test.scaling
    if system is None or scaling is None:
        raise ValueError(f"nobody knows the equations of {recording.test!r}; pass a simulated system")
    flow = system.step(recording.test.dt)
    mean, std = jnp.asarray(scaling.mean, jnp.float32), jnp.asarray(scaling.std, jnp.float32)
    return lambda z: (flow(z * std + mean) - mean) / std
