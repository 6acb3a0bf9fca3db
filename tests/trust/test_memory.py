"""The memory that an update takes while it runs, against what `fit` reckons with before it begins.

GTFDEER_WHOLE_GRID=1 measures every point (minutes); by default three are.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.job import prepare
from gtfdeer.machine import memory_for
from gtfdeer.recipe import Recipe

M, S = gd.models, gd.solvers
FIXED, ADAPTIVE = gd.forcing.Constant(0.5), gd.forcing.Adaptive(every=1)
PAGE = os.sysconf("SC_PAGE_SIZE")


def plrnn(latent_dim, hidden_dim=20):
    return M.ClippedShallowPLRNN(latent_dim=latent_dim, hidden_dim=hidden_dim, observed_dim=3, rngs=nnx.Rngs(0))


def linear(kind, latent_dim, width, depth):
    return kind(latent_dim=latent_dim, width=width, depth=depth, observed_dim=3, rngs=nnx.Rngs(0))


POINTS = {
    "DEER": (lambda: plrnn(10), S.DEER(), FIXED, 20_000, 4),
    "adaptive": (lambda: plrnn(20), S.Shooting(), ADAPTIVE, 10_000, 4),
    "Mamba": (lambda: linear(M.Mamba, 8, 16, 2), S.Auto(), FIXED, 2_000, 8),
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
    "adaptive DEER": (lambda: plrnn(20), S.DEER(), ADAPTIVE, 10_000, 4),
    "LRU": (lambda: linear(M.LRU, 16, 32, 2), S.Auto(), FIXED, 5_000, 8),
    "S5, deep": (lambda: linear(M.S5, 16, 32, 4), S.Auto(), FIXED, 5_000, 8),
    "LRU, many states": (lambda: linear(M.LRU, 64, 16, 2), S.Auto(), FIXED, 5_000, 8),
    "adaptive LRU": (lambda: linear(M.LRU, 16, 32, 2), S.Auto(), ADAPTIVE, 5_000, 8),
    "Mamba, more states": (lambda: linear(M.Mamba, 16, 16, 2), S.Auto(), FIXED, 2_000, 8),
}
CHOSEN = POINTS | WHOLE if os.environ.get("GTFDEER_WHOLE_GRID") else POINTS


def resident():
    """Bytes of this process in the machine's memory."""
    return PAGE * int(Path("/proc/self/statm").read_text().split()[1])


class Peak:
    """A callback that measures the second update: what the process held before it, and the most during it."""

    def __init__(self):
        self.idle = self.most = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._sample)

    def _sample(self):
        while not self._over.is_set():
            self.most = max(self.most, resident())
            time.sleep(1e-3)

    def __call__(self, moment):
        if self.idle:
            self._over.set()
            moment.stop()
        else:  # after the first update: everything is compiled, and its memory given back
            self.idle = resident()
            self._watch.start()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory a process holds")
@pytest.mark.parametrize("name", CHOSEN)
def test_the_estimate_is_near_what_an_update_takes(name):
    make, solver, forcing, window, batch = CHOSEN[name]
    values = np.random.default_rng(0).normal(size=(window + 10, 3)).astype(np.float32)
    series, model, peak = gd.data.Series(values, dt=1.0), make(), Peak()
    settings = {"window": window, "batch": batch, "updates": 3, "forcing": forcing, "solver": solver}
    try:
        gd.fit(model, series, looks=0, progress=False, callbacks=[peak], **settings)
    finally:
        peak._over.set()
    estimate = memory_for(prepare(model, [series], None, Recipe(**settings), jax.random.key(0), 0))
    assert peak.most - peak.idle > 2e7, "too small to measure"
    assert estimate == pytest.approx(peak.most - peak.idle, rel=0.25)
