"""Every solver against the dumb loop, in value, and against autodiff through `lax.scan`, in gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solve import Status, solve

from .maps import STEPS, enable_x64, every_solver, name_of, off_by, parameters, problem, switched, walk

# Short lengths, odd ones, one that is cut into many windows; each alone or as a batch of all kinds of step.
GRID = [
    (1, "float32", "jit"),
    (2, "float64", "vmap"),
    (3, "float32", "jit"),
    (17, "float32", "vmap"),
    (1000, "float32", "vmap"),
    (1000, "float64", "jit"),
]


def _gradients_of(trajectory):
    """Gradients of a random linear functional with respect to parameters, start and inputs; and the trajectory."""

    def loss(p, kind, z0, inputs, guess):
        found = trajectory(functools.partial(switched, kind, p), z0, inputs, guess)
        weights = jnp.cos(jnp.arange(inputs["u"].size, dtype=z0.dtype)).reshape(inputs["u"].shape)
        return jnp.sum(weights * found[0]), found

    return jax.grad(loss, argnums=(0, 2, 3), has_aux=True)


def _by_scan(step, z0, inputs, guess):
    def one(z, x):
        z = step(z, x)
        return z, z

    return (jax.lax.scan(one, z0, inputs)[1],)


@functools.cache
def _expected(length):
    """In double precision: states from the loop, gradients from autodiff through `lax.scan`, for each kind of step."""
    with enable_x64(True):
        compiled = jax.jit(_gradients_of(_by_scan))
        cases = [problem(name, length) for name in STEPS]
        gradients = [compiled(parameters(), kind, *case)[0] for kind, case in enumerate(cases)]
    states = [walk(name, parameters(), case[0], case[1]) for name, case in zip(STEPS, cases, strict=True)]
    return states, jax.tree.map(np.asarray, gradients)


def _solved(solver, length, dtype, mode):
    """Gradients, states and status of every kind of step: one after the other, or all in one batch."""

    def trajectory(step, z0, inputs, guess):
        solution = solve(step, z0, inputs, solver=solver, guess=guess)
        return solution.states, solution.code

    with enable_x64(dtype == "float64"):
        cases = jax.tree.map(lambda x: x.astype(dtype), [problem(name, length) for name in STEPS])
        p = jax.tree.map(lambda x: x.astype(dtype), parameters())
        gradients_of = _gradients_of(trajectory)
        if mode == "jit":
            compiled = jax.jit(gradients_of)
            found = [compiled(p, kind, *case) for kind, case in enumerate(cases)]
        else:
            compiled = jax.jit(jax.vmap(gradients_of, in_axes=(None, 0, 0, 0, 0)))
            batch = compiled(p, jnp.arange(len(cases)), *jax.tree.map(lambda *x: np.stack(x), *cases))
            found = [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(len(cases))]
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize(("length", "dtype", "mode"), GRID)
@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_equals_the_loop_in_value_and_gradient(solver, length, dtype, mode):
    tol = 1e-5 if dtype == "float32" else 1e-10  # the documented residual, relative to 1 + max |z|
    found = _solved(solver, length, dtype, mode)
    for name, (gradients, (states, code)), expected_states, expected_gradients in zip(
        STEPS, found, *_expected(length), strict=True
    ):
        z0, inputs, _ = problem(name, length)
        scale = 1 + np.max(np.abs(expected_states))
        stray = off_by(name, parameters(), z0, inputs, expected_states, tol * scale)
        if stray > 0.05 * scale:  # chaos: nobody can know the trajectory; each step must hold, or the status say so
            before = np.concatenate([z0[None], states[:-1]]).astype(float)
            images = [STEPS[name](np, parameters(), z, {"u": 0, "z_hat": h}) for z, h in zip(before, inputs["z_hat"], strict=True)]
            assert code != Status.CONVERGED or np.max(np.abs(states - images)) <= 2 * tol * scale, name
            continue
        assert code == Status.CONVERGED, name
        assert states.dtype == dtype
        # Each step may be off by tol * scale; three times what that does to the loop.
        np.testing.assert_allclose(states, expected_states, rtol=0, atol=3 * stray, err_msg=name)
        for leaf, expected in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
            size = np.max(np.abs(expected), initial=0)
            amplified = stray / (tol * scale)  # one step's error in the end: the adjoint has the same conditioning
            np.testing.assert_allclose(leaf, expected, rtol=0, atol=10 * amplified * tol * (1 + size), err_msg=name)
