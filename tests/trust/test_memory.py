"""The memory that a compiled update works with, by XLA's own account, against what `fit` reckons with before it begins.

GTFDEER_WHOLE_GRID=1 compiles every point (minutes); by default four are. What a process holds while it runs cannot be
measured as well: machines give pages back, and allocators keep them, as they like.
"""

from __future__ import annotations

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.data import window_starts
from gtfdeer.training._config import Recipe
from gtfdeer.training._job import prepare
from gtfdeer.training._memory import memory_for
from gtfdeer.training._step import first_state, run_updates

M, S = gd.models, gd.solvers
FIXED, ADAPTIVE = gd.forcing.Constant(0.5), gd.forcing.Adaptive(every=1)


def plrnn(latent_dim, hidden_dim=20):
    return M.ClippedShallowPLRNN(latent_dim=latent_dim, hidden_dim=hidden_dim, observed_dim=3, rngs=nnx.Rngs(0))


def linear(kind, latent_dim, width, depth):
    return kind(latent_dim=latent_dim, width=width, depth=depth, observed_dim=3, rngs=nnx.Rngs(0))


POINTS = {
    "DEER": (lambda: plrnn(10), S.DEER(), FIXED, 20_000, 4),
    "adaptive": (lambda: plrnn(20), S.Shooting(), ADAPTIVE, 10_000, 4),
    "Mamba": (lambda: linear(M.Mamba, 8, 16, 2), S.Auto(), FIXED, 2_000, 8),
    "GRU, short": (lambda: M.GRU(latent_dim=20, observed_dim=3, rngs=nnx.Rngs(0)), S.Auto(), FIXED, 200, 64),
}
WHOLE = {
    "Sequential": (lambda: plrnn(10), S.Sequential(), FIXED, 50_000, 8),
    "Shooting": (lambda: plrnn(10), S.Shooting(), FIXED, 50_000, 8),
    "QuasiDEER": (lambda: plrnn(10), S.QuasiDEER(), FIXED, 50_000, 8),
    "ELK": (lambda: plrnn(10), S.ELK(), FIXED, 20_000, 4),
    "DEER of 40 units": (lambda: plrnn(40), S.DEER(), FIXED, 4_000, 4),
    "DEER, many hidden": (lambda: plrnn(10, 500), S.DEER(), FIXED, 20_000, 4),
    "GRU": (lambda: M.GRU(latent_dim=20, observed_dim=3, rngs=nnx.Rngs(0)), S.DEER(), FIXED, 10_000, 4),
    "LSTM": (lambda: M.LSTM(latent_dim=20, observed_dim=3, rngs=nnx.Rngs(0)), S.DEER(), FIXED, 10_000, 4),
    "LSTM, short": (lambda: M.LSTM(latent_dim=20, observed_dim=3, rngs=nnx.Rngs(0)), S.Auto(), FIXED, 200, 64),
    "shallow, short": (lambda: plrnn(10, 50), S.Auto(), FIXED, 200, 64),
    "almost linear, short": (lambda: M.AlmostLinearRNN(observed_dim=3, rngs=nnx.Rngs(0)), S.Auto(), FIXED, 200, 64),
    "adaptive DEER": (lambda: plrnn(20), S.DEER(), ADAPTIVE, 10_000, 4),
    "LRU": (lambda: linear(M.LRU, 16, 32, 2), S.Auto(), FIXED, 5_000, 8),
    "S5, deep": (lambda: linear(M.S5, 16, 32, 4), S.Auto(), FIXED, 5_000, 8),
    "LRU, many states": (lambda: linear(M.LRU, 64, 16, 2), S.Auto(), FIXED, 5_000, 8),
    "adaptive LRU": (lambda: linear(M.LRU, 16, 32, 2), S.Auto(), ADAPTIVE, 5_000, 8),
    "Mamba, more states": (lambda: linear(M.Mamba, 16, 16, 2), S.Auto(), FIXED, 2_000, 8),
}
CHOSEN = POINTS | WHOLE if os.environ.get("GTFDEER_WHOLE_GRID") else POINTS


def reserved(model, series, recipe):
    """Bytes of temporary buffers of the program that trains; compiled, never run."""
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    values, starts = jnp.asarray(series.values), jnp.asarray(window_starts([series], recipe.window))
    run = jax.jit(partial(run_updates, recipe, graph, None))
    program = run.lower(rest, values, None, starts, jax.random.key(0), first_state(recipe, parameters), 1).compile()
    return program.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("name", CHOSEN)
def test_the_estimate_is_near_what_an_update_takes(name):
    make, solver, forcing, window, batch = CHOSEN[name]
    values = np.random.default_rng(0).normal(size=(window + 10, 3)).astype(np.float32)
    series, model = gd.data.Series(values, dt=1.0), make()
    recipe = Recipe(window=window, batch=batch, updates=3, forcing=forcing, solver=solver)
    estimate = memory_for(prepare(model, [series], None, recipe, jax.random.key(0), 0))
    assert estimate == pytest.approx(reserved(model, series, recipe), rel=0.25)
