"""Random steps, starts, guesses and forcing: CONVERGED is never said of a wrong or a non-finite trajectory.

GTFDEER_FUZZ_EXAMPLES=5000 runs it for long.
"""

import functools
import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtfdeer.solvers import Auto
from gtfdeer.solvers._solve import Status, solve

from .maps import every_solver, images, name_of, walk

EXAMPLES = int(os.environ.get("GTFDEER_FUZZ_EXAMPLES", "50"))
M, H = 2, 4
STEPS = ("tanh", "relu", "quadratic")


def _step(xp, p, z, x):
    """A tanh network, a shallow PLRNN or a quadratic map, forced; blended by `kind`, so that one compilation does."""
    s, kind = (1 - p["alpha"]) * z + p["alpha"] * x["u"], p["kind"]
    hidden = xp.tanh(p["W2"] @ s + p["h"]), xp.maximum(p["W2"] @ s + p["h"], 0), s[0] * (p["W2"] @ s)
    return p["d"] * s + p["W1"] @ (kind[0] * hidden[0] + kind[1] * hidden[1] + kind[2] * hidden[2])


def _problem(kind, gain, alpha, size, length, seed):
    """`(p, z0, inputs, guess)` in single precision."""
    rng = np.random.default_rng(seed)
    W1, W2 = rng.normal(size=(M, H)), rng.normal(size=(H, M))
    p = {
        "kind": np.eye(3)[STEPS.index(kind)],
        "W1": gain * W1 / np.linalg.norm(W1, 2),
        "W2": W2 / np.linalg.norm(W2, 2),
        "d": rng.uniform(-0.5, 0.5, M),
        "h": rng.normal(size=H),
        "alpha": np.array(alpha),
    }
    z0, u, guess = rng.normal(size=M), rng.normal(size=(length, M)), size * rng.normal(size=(length, M))
    return jax.tree.map(lambda x: np.asarray(x, np.float32), (p, z0, {"u": u}, guess))


@functools.cache
def _compiled(solver, length):
    def run(p, z0, inputs, guess):
        return solve(functools.partial(_step, jnp, p), z0, inputs, solver=solver, guess=guess)

    return jax.jit(run)


def _entered():
    """Every solver with lengths of a few steps, of one more than a window, of several; `Auto` where it just turns."""
    for solver in every_solver():
        if isinstance(solver, Auto):
            yield replace(solver, batch=4), 513
            continue
        for length in {"Shooting": [2, 65, 200], "Sequential": [40]}.get(name_of(solver), [3, 300]):
            yield solver, length


@pytest.mark.parametrize(("solver", "length"), [pytest.param(s, n, id=f"{name_of(s)}-{n}") for s, n in _entered()])
@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 50)
@given(
    kind=st.sampled_from(STEPS),
    gain=st.floats(0, 3),
    alpha=st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]) | st.floats(0, 1),
    size=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 10_000),
)
def test_converged_is_never_wrong(solver, length, kind, gain, alpha, size, seed):
    case = _problem(kind, gain, alpha, size, length, seed)
    found = _compiled(solver, length)(*case)
    states = np.asarray(found.states)
    if found.status is not Status.CONVERGED:
        return
    assert np.all(np.isfinite(states))
    exactly = jax.tree.map(lambda x: x.astype(float), case[:3])
    scale = 1 + np.max(np.abs(states))
    error = np.max(np.abs(images(_step, *exactly, states) - states))
    # 1e-5 is the documented tolerance; as much again for the rounding of the float32 step (gains up to 3)
    assert error <= 2e-5 * scale
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = walk(_step, *exactly)
        kicks = [2e-5 * scale * rng.choice([-1, 1], (length, M)) for _ in range(3)]
        stray = max(np.max(np.abs(walk(_step, *exactly, kick) - exact)) for kick in kicks)
    if stray < 0.02 * scale:  # otherwise the trajectory is chaotic, and its residual all that can be asked for
        # ten times the straying of three random patterns of errors of that size: the worst pattern adds up coherently
        np.testing.assert_allclose(states, exact, rtol=0, atol=10 * stray)
