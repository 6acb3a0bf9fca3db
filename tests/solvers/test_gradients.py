"""Gradients belong to the solution: not to the iterations, the guess, or the Jacobian that steered them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import DEER, SUMMED, Sequential, Shooting
from gtfdeer.solvers._solve import Status, solve

from .maps import STEPS, every_solver, name_of, parameters, problem, walk

tanh = functools.partial(STEPS["tanh"], jnp)


def _problem(length):
    """Parameters, start, inputs, guess in single precision."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (parameters(), *problem("tanh", length)))


def _tanh_jacobian(p, z, x):
    return (1 - tanh(p, z, x) ** 2)[:, None] * p["A"]


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_a_step_that_closes_over_nothing_has_a_gradient(solver):
    def total(z0):
        return solve(lambda z, u: jnp.tanh(0.5 * z + u), z0, jnp.ones((9, 2)), solver=solver).states.sum()

    slope = 0.5 * (1 - jnp.tanh(0.5 * 0 + 1.0) ** 2)
    found = jax.grad(total)(jnp.zeros(2))
    assert np.all(found > slope)  # of the first step alone; all later ones add to it
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_the_guess_gets_no_gradient_and_the_residual_gives_none(solver):
    p, z0, inputs, guess = _problem(70)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradients(z0, guess, of_states, of_residual):
        found = solve(functools.partial(tanh, p), z0, inputs, solver=solver, guess=guess)
        return of_states * found.states.sum() + of_residual * found.residual

    of_states, of_residual = gradients(z0, guess, 1.0, 0.0), gradients(z0, guess, 0.0, 1.0)
    assert np.all(of_states[0] != 0)
    np.testing.assert_array_equal(of_states[1], np.zeros_like(guess))
    np.testing.assert_array_equal(of_residual[0], np.zeros(3))


def test_few_iterations_and_many_have_the_same_gradient():
    """Where the iteration started makes no difference, and neither does how long it took."""
    p, z0, inputs, _ = _problem(50)
    answer = solve(functools.partial(tanh, p), z0, inputs, solver=Sequential()).states

    def gradient(guess):
        def loss(p):
            solution = solve(functools.partial(tanh, p), z0, inputs, solver=DEER(), guess=guess)
            return solution.states.sum(), solution.iterations

        return jax.jit(jax.grad(loss, has_aux=True))(p)

    (from_answer, none), (from_zero, some) = gradient(answer), gradient(jnp.zeros((50, 3)))
    assert none == 0
    assert some > 2
    # states that differ by float32 rounding, 50 terms
    np.testing.assert_allclose(from_answer["A"], from_zero["A"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_an_analytic_jacobian_changes_nothing_and_one_that_is_not_exact_steers_the_solve_only(solver):
    p, z0, inputs, _ = _problem(70)

    def gradient(p, approximate):
        def loss(p):
            jacobian = None if approximate is None else lambda z, x: approximate(_tanh_jacobian(p, z, x))
            found = solve(functools.partial(tanh, p), z0, inputs, solver=solver, jacobian=jacobian)
            return jnp.sum(jnp.sin(found.states)), found

        return jax.grad(loss, has_aux=True)(p)

    ways = None, lambda J: J, lambda J: J / 2, jnp.diagonal
    (expected, found), *others = jax.jit(lambda p: [gradient(p, way) for way in ways])(p)
    exact = others[0]
    np.testing.assert_allclose(exact[1].states, found.states, atol=1e-5)  # the solver's tolerance
    np.testing.assert_allclose(exact[0]["A"], expected["A"], atol=1e-5 * 70)  # the same, 70 terms
    for gradients, solution in others:
        assert solution.code == found.code == Status.CONVERGED
        for name, right in expected.items():  # 70 terms, each right to the tolerance of the solve, 1e-5
            np.testing.assert_allclose(gradients[name], right, rtol=1e-3, atol=1e-3 * np.abs(right).max())


@pytest.mark.parametrize("solver", every_solver(), ids=name_of)
def test_a_wrong_jacobian_gives_the_right_value_or_an_honest_status(solver):
    p, z0, inputs, _ = _problem(70)

    @jax.jit
    def run(factor):
        jacobian = lambda z, x: factor * _tanh_jacobian(p, z, x)  # noqa: E731
        return solve(functools.partial(tanh, p), z0, inputs, solver=solver, jacobian=jacobian)

    expected = walk(STEPS["tanh"], parameters(), *problem("tanh", 70)[:2])
    for found in map(run, (0.0, 3.0)):
        if found.status is Status.CONVERGED:  # residual 2e-5, forgotten at a rate below 0.9
            np.testing.assert_allclose(found.states, expected, atol=1e-4)


@pytest.mark.parametrize("solver", [DEER(), Shooting(length=7), Sequential()], ids=name_of)
def test_whole_numbers_and_keys_pass_through_as_inputs_and_constants(solver):
    """Indices, masks and random keys have no gradient and must not disturb that of the rest."""
    table = jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    index, mask = jnp.arange(30) % 3, jnp.arange(30) % 2 == 0
    keys = jax.random.split(jax.random.key(0), 30)
    order = jnp.array([1, 0])

    def step(scale, z, x):
        noise = jax.random.uniform(x["key"], (2,))
        return jnp.tanh(scale * z[order] + table[x["index"]] + jnp.where(x["mask"], 0.1 * noise, 0))

    def by_scan(scale):
        return jax.lax.scan(lambda z, x: (step(scale, z, x),) * 2, jnp.zeros(2), inputs)[1].sum()

    def by_solver(scale):
        return solve(functools.partial(step, scale), jnp.zeros(2), inputs, solver=solver).states.sum()

    inputs = {"index": index, "mask": mask, "key": keys}
    # 60 terms of float32 and a residual of 1e-5
    found, expected = (jax.jit(jax.grad(f))(0.7) for f in (by_solver, by_scan))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gradients_reach_only_as_far_as_the_loss_looks():
    """Inputs after the last state that counts have gradient zero, exactly."""
    p, z0, inputs, _ = _problem(40)

    def loss(inputs, solver):
        return solve(functools.partial(tanh, p), z0, inputs, solver=solver).states[9].sum()

    for solver in (DEER(), Shooting(length=8)):
        gradient = jax.jit(jax.grad(loss), static_argnums=1)(inputs, solver)["u"]
        np.testing.assert_array_equal(gradient[10:], np.zeros((30, 3)))
        assert np.all(gradient[9] != 0)


def test_batched_parameters_get_their_own_gradients():
    p, z0, inputs, _ = _problem(30)
    gains = jnp.array([0.2, 0.5, 1.0])

    def gradient(gain):
        scaled = {**p, "A": gain * p["A"]}
        return jax.grad(lambda q: solve(functools.partial(tanh, q), z0, inputs, solver=DEER()).states.sum())(scaled)[
            "A"
        ]

    together = jax.jit(jax.vmap(gradient))(gains)
    alone = jnp.stack([jax.jit(gradient)(gain) for gain in gains])
    np.testing.assert_allclose(together, alone, atol=1e-4 * 30)  # the solver's tolerance, 30 terms


def test_a_batch_of_which_only_the_sum_is_wanted_has_the_same_gradient():
    p, *_ = _problem(50)
    cases = [
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), problem("tanh", 50, member)[:2]) for member in range(3)
    ]
    starts, inputs = jax.tree.map(lambda *x: jnp.stack(x), *cases)

    @functools.partial(jax.jit, static_argnums=3)
    @functools.partial(jax.grad, argnums=(0, 1, 2))
    def gradient(p, starts, inputs, name):
        def states(z0, inputs):
            return solve(functools.partial(tanh, p), z0, inputs, solver=Shooting(length=8)).states

        return jnp.sum(jnp.sin(jax.vmap(states, axis_name=name)(starts, inputs)))

    pairs = zip(*(jax.tree.leaves(gradient(p, starts, inputs, name)) for name in (SUMMED, None)), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # float32, 150 terms in another order


@pytest.mark.parametrize("rate", [0.5, 0.99, 1.0])
def test_windows_pass_on_what_they_owe_each_other_however_long_it_is_remembered(rate):
    """z_t = rate z_{t-1} + u_t: dL/du_t is a geometric series; nothing is forgotten at rate 1."""
    length = 60
    weights = jnp.cos(jnp.arange(length, dtype=jnp.float32))

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradient(rate, u):
        return weights @ solve(lambda z, u: rate * z + u, jnp.zeros(1), u, solver=Shooting(length=6)).states[:, 0]

    of_rate, of_u = gradient(rate, jnp.ones((length, 1)))
    lags = np.subtract.outer(np.arange(length), np.arange(length))
    powers = np.where(lags >= 0, float(rate) ** np.maximum(lags, 0), 0)
    adjoint, states = np.asarray(weights, float) @ powers, powers.sum(axis=1)
    np.testing.assert_allclose(of_u[:, 0], adjoint, atol=1e-3)  # float32, 60 terms of size one
    np.testing.assert_allclose(of_rate, adjoint[1:] @ states[:-1], rtol=1e-3, atol=1e-2)
