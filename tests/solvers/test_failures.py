"""A solve satisfies its equation or says that it does not."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import DEER, Auto, Sequential, Shooting
from gtfdeer.solvers._solve import Status, solve

from .maps import STEPS, cap_of, enable_x64, every_solver, images, lorenz_orbit, name_of, parameters, problem, walk

ITERATIVE = [s for s in every_solver() if not isinstance(s, Auto | Sequential)]  # with a cap of its own


def _lorenz(z, x):
    p = jax.tree.map(lambda v: jnp.asarray(v, z.dtype), parameters())
    return STEPS["lorenz"](jnp, p, z, {"u": x})


def _tanh(z, x):
    p = jax.tree.map(lambda v: jnp.asarray(v, z.dtype), parameters())
    return STEPS["tanh"](jnp, p, z, x)


Z0, INPUTS, GUESS = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), problem("tanh", 70))


@functools.cache
def _run(solver):
    """A solve of the network above from any guess, compiled once."""
    return jax.jit(lambda guess: solve(_tanh, Z0, INPUTS, solver=solver, guess=guess))


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_a_map_that_blows_up_is_not_called_solved(solver):
    """3^(2^7) exceeds float32."""
    solution = solve(lambda z, u: z**2, jnp.full(1, 3.0), jnp.zeros((12, 0)), solver=solver)
    assert solution.status is Status.NONFINITE


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_nan_in_a_long_trajectory_is_not_overlooked_and_its_gradient_comes_back(solver):
    """XLA's maximum over a large array with a NaN is -inf on CPUs (jax 0.10.2), which is below any tolerance.

    The gradient may be NaN, but must not take thousands of sweeps: training meets NaN and wants to hear of it.
    """
    inputs = jnp.ones((6000, 1)).at[5000].set(-1.0)  # the square root of a negative number

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(scale):
        found = solve(lambda z, u: 0.5 * z + scale * jnp.sqrt(u), jnp.zeros(1), inputs, solver=solver)
        return found.states.sum(), found

    (_, found), _ = jax.block_until_ready(run(1.0))
    assert found.status is Status.NONFINITE
    assert not float(found.residual) < 1


@pytest.mark.parametrize("solver", ITERATIVE, ids=name_of)
def test_convergence_on_the_last_allowed_iteration_is_convergence(solver):
    free = _run(solver)(GUESS)
    needed = int(free.iterations)
    assert needed > 1
    capped = _run(replace(solver, **{cap_of(solver): needed}))(GUESS)
    assert capped.status is Status.CONVERGED
    assert int(capped.iterations) == needed
    np.testing.assert_array_equal(capped.states, free.states)


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_too_low_a_cap_is_out_of_iterations_and_the_residual_is_the_largest_violation(solver):
    """Half way, where it is large: by hand in NumPy."""
    cap = cap_of(solver)
    found = _run(replace(solver, **{cap: 1}) if cap else solver)(5 * jnp.ones_like(GUESS))
    if solver in ITERATIVE:
        assert found.status is Status.OUT_OF_ITERATIONS
        assert int(found.iterations) == 1
    states = np.asarray(found.states)
    by_hand = np.max(np.abs(states - images(STEPS["tanh"], parameters(), *problem("tanh", 70)[:2], states)))
    # float32 rounding of a state of size 1 through one step: a few units of 6e-8
    assert float(found.residual) == pytest.approx(by_hand, abs=5e-7)


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_a_guess_of_nan_is_never_called_converged_with_nan(solver):
    found = _run(solver)(jnp.full_like(GUESS, jnp.nan))
    if found.status is Status.CONVERGED:
        expected = walk(STEPS["tanh"], parameters(), *problem("tanh", 70)[:2])
        np.testing.assert_allclose(found.states, expected, atol=1e-4)  # residual 2e-5, forgotten at a rate below 0.9
    else:
        assert found.status is Status.NONFINITE


@pytest.mark.parametrize("solver", [DEER(), Shooting(), Auto()], ids=name_of)
def test_unforced_chaos_is_admitted_or_solved(solver):
    """Free Lorenz-63, 5000 steps of 0.01, float32: rounding grows by e^45. Auto must come out right."""
    z0, _ = lorenz_orbit(1)
    with enable_x64(False):
        found = jax.jit(lambda z: solve(_lorenz, z, jnp.zeros((5000, 3)), solver=solver))(jnp.asarray(z0, "float32"))
    states = np.asarray(found.states)
    if isinstance(solver, Auto):
        assert found.status is Status.CONVERGED
    if found.status is Status.CONVERGED:
        start, inputs = z0.astype("float32"), {"u": np.zeros((5000, 3))}
        error = np.max(np.abs(states - images(STEPS["lorenz"], parameters(), start, inputs, states)))
        # the documented tolerance 1e-5 relative to 1 + max |z|, and float32 rounding inside the step
        assert error <= 2e-5 * (1 + np.max(np.abs(states)))
    else:
        assert not float(found.residual) <= 1e-5


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_one_bad_member_leaves_the_rest_of_a_batch_right(solver):
    """The middle one meets the square root of a negative number; each member gets its own status."""
    length = 70
    inputs = jnp.stack([jnp.ones((length, 1)), jnp.ones((length, 1)).at[2].set(-1.0), 4 * jnp.ones((length, 1))])

    def one(inputs):
        return solve(lambda z, u: 0.5 * jnp.tanh(z) + jnp.sqrt(u), jnp.zeros(1), inputs, solver=solver)

    found = jax.jit(jax.vmap(one))(inputs)
    np.testing.assert_array_equal(found.status, [Status.CONVERGED, Status.NONFINITE, Status.CONVERGED])
    for member, u in ((0, 1), (2, 2)):
        z, exact = 0.0, []
        for _ in range(length):
            z = 0.5 * np.tanh(z) + u
            exact.append(z)
        np.testing.assert_allclose(found.states[member, :, 0], exact, atol=1e-4)  # residual 3e-5, halved every step
