"""Steps that every solver has to solve, each formula written once for NumPy and JAX, and the dumb loop solving them.

All have three units and the inputs `{"u": (T, 3), "z_hat": (T, 3)}`.
"""

import functools
import inspect
from dataclasses import fields

import jax
import numpy as np

import gtfdeer.solvers as solvers

from ..conftest import enable_x64 as enable_x64


def every_solver():
    """One of each concrete solver that the package exports, with default settings."""
    classes = [c for name in sorted(solvers.__all__) if isinstance(c := getattr(solvers, name), type)]
    return [c() for c in classes if issubclass(c, solvers.Solver) and not inspect.isabstract(c)]


def name_of(solver):
    return type(solver).__name__


def cap_of(solver):
    """The name of the setting that caps the iterations, or None."""
    return next((f.name for f in fields(solver) if f.name.startswith("max_")), None)


# --- the steps, `f(xp, p, z, x)`; products as sums, so that no device rounds them to fewer digits ---


def _times(W, z):
    return (W * z).sum(-1)


def _sigmoid(xp, v):
    return (1 + xp.tanh(v / 2)) / 2


def _linear(xp, p, z, x):
    return _times(p["A"], z) + x["u"]


def _tanh(xp, p, z, x):
    return xp.tanh(_times(p["A"], z) + x["u"])


def _gru(xp, p, z, x):
    g = _sigmoid(xp, _times(p["B"], z) + x["u"])
    r = _sigmoid(xp, _times(p["A"], z) - x["u"])
    c = xp.tanh(_times(p["C"], r * z) + 0.5)
    return (1 - g) * c + g * z


def _plrnn(xp, p, z, x, gain=0.4):
    return p["d"] * z + gain * _times(p["W1"], xp.maximum(_times(p["W2"], z) + p["h"], 0)) + 0.1 * x["u"]


def _plrnn_forced(xp, p, z, x):
    return _plrnn(xp, p, 0.5 * z + 0.5 * x["z_hat"], x, gain=1.5)  # expands unforced: |F'| up to 2


def _lorenz_rate(xp, p, z):
    return _times(p["L"], z) + z[0] * xp.concatenate([0 * z[:1], -z[2:], z[1:2]])


def _lorenz(xp, p, z, x, dt=0.01):
    k1 = _lorenz_rate(xp, p, z)
    k2 = _lorenz_rate(xp, p, z + dt / 2 * k1)
    k3 = _lorenz_rate(xp, p, z + dt / 2 * k2)
    k4 = _lorenz_rate(xp, p, z + dt * k3)
    return z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _lorenz_forced(xp, p, z, x):
    return _lorenz(xp, p, 0.8 * z + 0.2 * x["z_hat"], x)


STEPS = {
    "linear": _linear,
    "tanh": _tanh,
    "gru": _gru,
    "plrnn": _plrnn,
    "plrnn_forced": _plrnn_forced,
    "lorenz": _lorenz,
    "lorenz_forced": _lorenz_forced,
}


def walk(step, p, z0, inputs, kick=0.0):
    """The dumb loop in NumPy; every step off by `kick` (a number or `(T, 3)`)."""
    states, z = [], z0
    kicks = np.broadcast_to(kick, inputs["u"].shape)
    for t in range(len(inputs["u"])):
        z = step(np, p, z, {k: v[t] for k, v in inputs.items()}) + kicks[t]
        states.append(z)
    return np.stack(states)


def images(step, p, z0, inputs, states):
    """What every step makes of the state before it, one by one in NumPy; a solution is its own image."""
    before = np.concatenate([z0[None], states[:-1]]).astype(float)
    return np.stack([step(np, p, z, {k: v[t] for k, v in inputs.items()}) for t, z in enumerate(before)])


def off_by(step, p, z0, inputs, states, error):
    """How far a trajectory strays whose every step is off by `error`: the largest deviation over some sign patterns."""
    with np.errstate(over="ignore", invalid="ignore"):
        patterns = [1, -1, *np.random.default_rng(3).choice([-1, 1], (4, *states.shape))]
        return max(np.max(np.abs(walk(step, p, z0, inputs, error * s) - states)) for s in patterns)


# --- the numbers, all exact in float32, so that both precisions solve the same problem ---


def _round(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float32).astype(np.float64), tree)


def parameters():
    rng = np.random.default_rng(0)

    def matrix(rows, columns, norm):
        W = rng.normal(size=(rows, columns))
        return norm * W / np.linalg.norm(W, 2)

    return _round(
        {
            "A": matrix(3, 3, 0.9),
            "B": matrix(3, 3, 0.5),
            "C": matrix(3, 3, 0.7),
            "d": np.array([0.3, 0.5, 0.55]),
            "W1": matrix(3, 8, 1.0),
            "W2": matrix(8, 3, 1.0),
            "h": 0.3 * rng.normal(size=8),
            "L": np.array([[-10, 10, 0], [28, -1, 0], [0, 0, -8 / 3]]),
        }
    )


def lorenz_orbit(length):
    """A point near the attractor, `(3,)`, and the orbit that follows it, `(length, 3)`."""
    nothing = {"u": np.zeros((length + 500, 3))}
    orbit = walk(_lorenz, parameters(), np.array([1.0, 1.0, 25.0]), nothing)
    return orbit[499], orbit[500:]


@functools.cache
def problem(name, length, member=0):
    """`(z0, inputs, guess)`, a member of a batch: the guess is the teacher for Lorenz, else z0 repeated."""
    rng = np.random.default_rng([length, member])
    z0, u, z_hat = rng.normal(size=3), rng.normal(size=(length, 3)), rng.normal(size=(length, 3))
    guess = np.broadcast_to(z0, (length, 3))
    if name.startswith("lorenz"):
        z0, orbit = lorenz_orbit(length)
        noisy = np.concatenate([z0[None], orbit]) + 0.4 * rng.normal(size=(length + 1, 3))  # 5% of the spread
        z_hat, guess = noisy[:-1], noisy[1:]
    return _round((z0, {"u": u, "z_hat": z_hat}, guess))
