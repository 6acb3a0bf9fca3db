"""Every solver against the dumb loop, in value, and against autodiff through `lax.scan`, in gradient."""

import functools
import itertools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers._solve import Status, solve

from .maps import STEPS, enable_x64, every_solver, images, name_of, off_by, parameters, problem, walk

# Every step, length, precision and mode, each with half of the solvers by turns (Shooting and DEER, whose adjoints the
# others use, with all); GTFDEER_WHOLE_GRID=1 runs all combinations.
LENGTHS = (1, 2, 3, 17, 512, 1000)  # shorter than a window, many windows, whole stretches of 256 and a rest
GRID = [
    ("tanh", 1, "float32", "vmap"),
    ("linear", 2, "float64", "jit"),
    ("gru", 3, "float32", "jit"),
    ("lorenz", 17, "float32", "jit"),
    ("plrnn", 17, "float64", "vmap"),
    ("plrnn_forced", 512, "float64", "jit"),
    ("tanh", 1000, "float32", "vmap"),
    ("lorenz_forced", 1000, "float32", "jit"),
]
if os.environ.get("GTFDEER_WHOLE_GRID"):
    GRID = list(itertools.product(STEPS, LENGTHS, ("float32", "float64"), ("jit", "vmap")))

CASES = [
    pytest.param(solver, *row, id="-".join(map(str, (name_of(solver), *row))))
    for place, solver in enumerate(every_solver())
    for number, row in enumerate(GRID)
    if (place + number) % 2 or name_of(solver) in ("DEER", "Shooting") or len(GRID) > 8
]


def _gradients_of(trajectory, name):
    """Gradients of a fixed linear functional for closed-over parameters, start and inputs; and the trajectory."""

    def loss(p, z0, inputs, guess):
        found = trajectory(functools.partial(STEPS[name], jnp, p), z0, inputs, guess)
        weights = jnp.cos(jnp.arange(inputs["u"].size, dtype=z0.dtype)).reshape(inputs["u"].shape)
        return jnp.sum(weights * found[0]), found

    return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)


def _by_scan(step, z0, inputs, guess):
    def one(z, x):
        z = step(z, x)
        return z, z

    return (jax.lax.scan(one, z0, inputs)[1],)


@functools.cache
def _reference(name, length):
    """Autodiff through `lax.scan`, compiled once for all solvers, in double precision."""
    compiled = jax.jit(_gradients_of(_by_scan, name))

    def gradients(*case):
        with enable_x64(True):
            return jax.tree.map(np.asarray, compiled(*case)[0])

    return gradients


def _by_solver(solver, name, dtype, mode, cases):
    """Gradients, states and status of every case: one after the other, or all in one batch."""

    def trajectory(step, z0, inputs, guess):
        solution = solve(step, z0, inputs, solver=solver, guess=guess)
        return solution.states, solution.code

    gradients_of = _gradients_of(trajectory, name)
    with enable_x64(dtype == "float64"):
        p, cases = jax.tree.map(lambda x: jnp.asarray(x, dtype), (parameters(), cases))
        if mode == "jit":
            compiled = jax.jit(gradients_of)
            found = [compiled(p, *case) for case in cases]
        else:
            compiled = jax.jit(jax.vmap(gradients_of, in_axes=(None, 0, 0, 0)))
            batch = compiled(p, *jax.tree.map(lambda *x: jnp.stack(x), *cases))
            found = [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(len(cases))]
        return jax.tree.map(np.asarray, found)


@functools.cache
def _by_loop(name, length, member, tol):
    """States from the loop in NumPy, their size, and how far they stray if every step may be off by tol * size."""
    z0, inputs, _ = problem(name, length, member)
    states = walk(STEPS[name], parameters(), z0, inputs)
    scale = 1 + np.max(np.abs(states))
    return states, scale, off_by(STEPS[name], parameters(), z0, inputs, states, tol * scale)


@pytest.mark.parametrize(("solver", "name", "length", "dtype", "mode"), CASES)
def test_equals_the_loop_in_value_and_gradient(solver, name, length, dtype, mode):
    tol = 1e-5 if dtype == "float32" else 1e-10  # the documented residual, relative to 1 + max |z|
    cases = [problem(name, length, member) for member in range(2)]
    for member, (gradients, (states, code)) in enumerate(_by_solver(solver, name, dtype, mode, cases)):
        expected, scale, stray = _by_loop(name, length, member, tol)
        if stray > 0.05 * scale:  # chaos: nobody knows the trajectory; every step holds, or the status says so
            error = np.max(np.abs(states - images(STEPS[name], parameters(), *cases[member][:2], states)))
            assert code != Status.CONVERGED or error <= 2 * tol * scale
            continue
        if name == "lorenz" and code != Status.CONVERGED:  # free chaos: fail and say so, or be right
            assert name_of(solver) not in ("Auto", "Sequential")
            continue
        assert code == Status.CONVERGED
        assert states.dtype == dtype
        # Every step may be off by tol * scale: three times what that does to the loop (six patterns of signs).
        np.testing.assert_allclose(states, expected, rtol=0, atol=3 * stray)
        amplified = stray / (tol * scale)  # an error of one step, in the end; the adjoint recurrence amplifies alike
        reference = _reference(name, length)(parameters(), *cases[member])
        for leaf, exact in zip(jax.tree.leaves(gradients), jax.tree.leaves(reference), strict=True):
            np.testing.assert_allclose(leaf, exact, rtol=0, atol=10 * amplified * tol * (1 + np.max(np.abs(exact))))
