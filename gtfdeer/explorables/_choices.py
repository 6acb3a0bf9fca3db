"""What the training panel offers: every family of models and every solver of the package, and some recordings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import data, forcing, models, solvers


def _concrete(room: Any, base: type) -> dict[str, Any]:
    found = {name: getattr(room, name) for name in room.__all__}
    kinds = {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, base)}
    return {name: kind for name, kind in kinds.items() if not inspect.isabstract(kind)}


MODELS, SOLVERS = _concrete(models, models.Model), _concrete(solvers, solvers.Solver)
SCHEDULES = ("annealed", "adaptive", "learned gain", "constant")
_RECORDED = 20_000  # samples


def _noisy(system: data.System) -> data.Series:
    return data.simulate(system, length=_RECORDED, key=jax.random.key(0)).with_noise(0.05, key=jax.random.key(1))


def _heart() -> data.Series:
    whole = data.electrocardiogram()
    return replace(whole, values=whole.values[:_RECORDED]).delay_embed(5)


RECORDINGS: dict[str, Callable[[], data.Series]] = {
    "Lorenz-63, 5 % noise": lambda: _noisy(data.Lorenz63()),
    "Rossler, 5 % noise": lambda: _noisy(data.Rossler()),
    "Bursting neuron, 5 % noise": lambda: _noisy(data.BurstingNeuron()),
    "electrocardiogram, 5 delays": _heart,
}


@dataclass(frozen=True, eq=False)
class LiveAlpha(forcing.Schedule):
    """alpha as the panel says it now, without compiling anew: a number by hand, or a schedule where that is NaN.

    Args:
        schedule: what holds where nobody sets alpha by hand.
        by_hand: called by the running program before every update.
        done: updates that were done before this stretch, `updates` of all stretches together.
    """

    schedule: forcing.Schedule
    by_hand: Callable[[], float]
    done: int
    updates: int

    def start(self) -> Any:
        state = self.schedule.start()
        return state, jnp.asarray(self.schedule.alpha(state), jnp.float32)

    def alpha(self, state: Any) -> Any:
        return state[1]

    def advance(self, state: Any, update: Any, updates: int, jacobians: Any, model: Any = None) -> Any:
        inner = self.schedule.advance(state[0], update + self.done, self.updates, jacobians, model)
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        hand = jax.pure_callback(lambda _: np.float32(self.by_hand()), shape, update)
        return inner, jnp.where(jnp.isnan(hand), self.schedule.alpha(inner), hand).astype(jnp.float32)


def cap_iterations(name: str, cap: int) -> solvers.Solver:
    """A solver with at most `cap` iterations; those that do not iterate have no cap.

    >>> cap_iterations("DEER", 3).max_iterations, cap_iterations("Shooting", 3).max_sweeps
    (3, 3)
    """
    limits = {"max_iterations", "max_sweeps"} & set(inspect.signature(SOLVERS[name]).parameters)
    return SOLVERS[name](**dict.fromkeys(limits, cap))


def build_model(name: str, columns: int, hidden_dim: int) -> models.Model:
    """An untrained model for a recording of so many columns; the sizes that it has by itself stay.

    >>> build_model("GRU", 3, 50).latent_dim
    32
    """
    keywords = inspect.signature(MODELS[name].__init__).parameters
    own = keywords["latent_dim"].default
    sizes: dict[str, Any] = {"observed_dim": columns}
    if own is inspect.Parameter.empty or own < columns:
        sizes["latent_dim"] = columns
    if "hidden_dim" in keywords:
        sizes["hidden_dim"] = hidden_dim
    return MODELS[name](**sizes, rngs=nnx.Rngs(0))
