"""An update that is not finite changes nothing, and training goes on after it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtfdeer as gd
from gtfdeer.solvers import DEER, ELK, Sequential
from gtfdeer.training._config import Recipe
from gtfdeer.training._loop import train
from gtfdeer.training._step import MOST_FAILURES, climb

from .small import model, recording


def with_a_glitch(series):
    """A recording with one sample whose square is beyond float32: only windows without it give a finite loss."""
    values = series.standardise().values.astype(np.float32)
    values[600] = 1e30
    return gd.data.Series(values, dt=series.dt)


@pytest.fixture(scope="module")
def standings():
    """Where a run stood before its first update and after every one; about one in four meets the glitch."""
    recipe = Recipe(window=80, batch=4, updates=60, forcing=gd.forcing.Constant(0.5), solver=Sequential())
    seen = []
    settings = {"key": jax.random.key(0), "every": 1, "save": seen.append, "progress": False}
    trained, last = train(model(), [with_a_glitch(recording())], recipe, **settings)
    return trained, last, seen


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_an_update_that_is_not_finite_is_not_applied_and_the_next_one_is(standings):
    _, last, seen = standings
    skipped = last.history["skipped"].astype(bool)
    assert last.ending == "finished"
    assert MOST_FAILURES < skipped.sum() < 40  # more than would end the run, were they in a row
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


def outcome(converged, loss):
    return jnp.asarray(loss), jnp.asarray(converged), jnp.asarray(1), jnp.asarray(False), {"W": jnp.asarray(loss)}


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        (DEER, {"retried": 0, "damped": 0, "sequential": 0}),
        (ELK, {"retried": 1, "damped": 1, "sequential": 0}),
        (Sequential, {"retried": 1, "damped": 1, "sequential": 1}),
        (None, {"retried": 1, "damped": 1, "sequential": 1}),
    ],
)
@pytest.mark.parametrize("fails", ["not converged", "not finite"])
def test_an_update_climbs_the_ladder_as_far_as_it_must(holds, expected, fails):
    def attempt(solver):
        if type(solver) is holds:
            return outcome(True, float(type(solver) is ELK))
        return outcome(fails == "not finite", 7.0 if fails == "not converged" else np.nan)

    (value, converged, *_), counts = jax.jit(lambda: climb((DEER(), ELK(), Sequential()), attempt))()
    assert {name: int(count) for name, count in counts.items()} == expected
    if holds is not None:
        assert (bool(converged), float(value)) == (True, float(holds is ELK))
    else:
        assert bool(converged) == (fails == "not finite")
