"""One small training run, the same wherever it is started: in a test, a thread or a process of its own."""

from __future__ import annotations

import jax
from flax import nnx

import gtfdeer as gd

UPDATES = 120


def recording() -> gd.data.Series:
    """1,200 samples: enough for the free run to be judged."""
    return gd.data.simulate(gd.data.Lorenz63(), length=1200, dt=0.01, key=jax.random.key(3))


def model() -> gd.models.ClippedShallowPLRNN:
    return gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=8, rngs=nnx.Rngs(0))


SETTINGS = {
    "window": 20,
    "batch": 4,
    "updates": UPDATES,
    "noise": 0.05,
    "looks": 5,
    "solver": gd.solvers.Sequential(),
    "key": jax.random.key(7),
    "progress": False,
}
