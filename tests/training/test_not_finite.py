"""An update that is not finite changes nothing, and training goes on after it."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.solvers import Sequential
from gtfdeer.training import TrainConfig
from gtfdeer.training._loop import TrainRun, train
from gtfdeer.training._step import MAX_FAILURES, init_state

from .small import model, recording


def with_a_glitch(series):
    """A recording with one sample whose square is beyond float32: only windows without it give a finite loss."""
    values = series.standardise().values.astype(np.float32)
    values[600] = 1e30
    return gd.data.Series(values, dt=series.dt)


@pytest.fixture(scope="module")
def standings():
    """Where a run stood before its first update and after every one; about one in four meets the glitch."""
    config = TrainConfig(
        window=80, batch=4, updates=60, validations=0, forcing=gd.forcing.Constant(0.5), solver=Sequential()
    )
    seen, untrained = [], model()
    state = init_state(config, nnx.split(untrained, nnx.Param, ...)[1])
    data = [with_a_glitch(recording())]
    run = TrainRun(untrained, data, None, config, jax.random.key(0), state, every=1)
    last = train(run, save=seen.append, progress=False)
    return last.build_model(), last, seen


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_an_update_that_is_not_finite_is_not_applied_and_the_next_one_is(standings):
    _, last, seen = standings
    skipped = last.history["skipped"].astype(bool)
    assert last.ending == "finished"
    assert MAX_FAILURES < skipped.sum() < 40  # more than would end the run, were they in a row
    for k in range(1, 60):
        before, after = seen[k - 1].state, seen[k].state
        assert equal(before.parameters, after.parameters) == skipped[k]
        assert equal(before.optimiser, after.optimiser) == skipped[k]  # moments, and the place in its schedule
        assert int(after.failures) == (int(before.failures) + 1 if skipped[k] else 0)
        assert int(after.update) == k + 1


def test_the_losses_tell_which_ones_and_what_is_learned_is_finite(standings):
    trained, last, _ = standings
    history = last.history
    assert np.array_equal(np.isfinite(history["loss"]), history["skipped"] == 0)
    assert np.isfinite(trained.forecast(np.zeros((5, 3), np.float32), 0.5, Sequential())).all()
