"""The front door of solvers: what it refuses, what it returns, and its pictures of the iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import DEER, ELK, Auto, QuasiDEER, Sequential, Shooting, scan
from gtfdeer.solvers._auto import choose
from gtfdeer.solvers._solve import Status, iterates, solve

EVERY = [Sequential(), DEER(), QuasiDEER(), ELK(), Shooting(), Shooting(length=6), Auto()]
every_solver = pytest.mark.parametrize(
    "solver", EVERY, ids=[*(type(s).__name__ for s in EVERY[:5]), "Shooting6", "Auto"]
)

W = jnp.array([[0.6, -0.5], [0.4, 0.7]])


def step(z, u):
    return jnp.tanh(W @ z + u)


def inputs(length=40):
    return jax.random.normal(jax.random.key(0), (length, 2))


def loop(z, us):
    """In NumPy, double precision."""
    states = []
    for u in np.asarray(us, float):
        z = np.tanh(np.asarray(W, float) @ z + u)
        states.append(z)
    return np.stack(states)


# --- what comes back ---


def test_states_follow_their_inputs_by_index():
    """states[t] = step(states[t-1], inputs[t]), states[-1] meaning z0: by hand, 1 * 2 + 10, 12 * 2 + 20, ..."""
    found = solve(lambda z, u: 2 * z + u, jnp.ones(1), jnp.array([[10.0], [20.0], [30.0]]))
    np.testing.assert_array_equal(found.states[:, 0], [12, 44, 118])


def test_status_is_an_integer_array_inside_jit_and_for_batches():
    seen = []

    @jax.jit
    def inside(z0):
        found = solve(step, z0, inputs())
        seen.append(found.status)
        return found.status

    assert int(inside(jnp.zeros(2))) == Status.CONVERGED
    assert isinstance(seen[0], jax.core.Tracer)
    assert jnp.issubdtype(seen[0].dtype, jnp.integer)
    batch = jax.vmap(lambda z: solve(step, z, inputs()))(jnp.zeros((3, 2))).status
    assert batch.shape == (3,)
    assert jnp.issubdtype(batch.dtype, jnp.integer)


def test_auto_is_the_default():
    np.testing.assert_array_equal(
        solve(step, jnp.zeros(2), inputs()).states, solve(step, jnp.zeros(2), inputs(), solver=Auto()).states
    )


def test_numpy_arrays_and_trees_of_inputs_are_welcome():
    us = np.asarray(inputs())
    found = solve(
        lambda z, u: jnp.tanh(W @ z + u["a"] + u["b"][0]), np.zeros(2, np.float32), {"a": us / 2, "b": (us / 2,)}
    )
    np.testing.assert_allclose(found.states, loop(np.zeros(2), us), atol=1e-5)  # float32, a contraction


@pytest.mark.parametrize("tol", [1e-2, 1e-12])
@every_solver
def test_a_tolerance_is_kept(solver, tol):
    if isinstance(solver, Sequential):
        pytest.skip("it has no tolerance")
    found = solve(step, jnp.zeros(2), inputs(), solver=type(solver)(tol=tol))
    assert found.status is Status.CONVERGED
    met = max(tol, 4 * float(jnp.finfo(jnp.float32).eps))  # no float32 solve can do better: documented
    assert float(found.residual) <= met * (1 + float(jnp.max(jnp.abs(found.states))))


@pytest.mark.parametrize("solver", [Sequential(), Auto()], ids=["Sequential", "Auto"])
def test_step_by_step_is_exact_whatever_rounding_does_to_its_residual(solver):
    """A step whose rounding is a thousand times that of its result: many at once round it unlike one at a time."""
    u = jax.random.normal(jax.random.key(0), (200, 8))
    found = jax.jit(lambda u: solve(lambda z, u: jnp.cos(1e3 * jnp.tile(W, (4, 4)) @ z + u), u[0], u, solver=solver))(u)
    assert float(found.residual) > 1e-5 * (1 + float(jnp.max(jnp.abs(found.states))))
    assert found.status is Status.CONVERGED


def test_auto_says_when_it_fell_back_on_going_step_by_step():
    """The logistic map: chaotic at 3.9, at rest at 1.5. Where nothing was tried in parallel nothing fell back."""

    def logistic(rate, length, solver):
        return solve(lambda z, u: rate * z * (1 - z), jnp.full(1, 0.3), jnp.zeros((length, 0)), solver=solver)

    found = jax.jit(lambda rate: logistic(rate, 2048, Auto()))
    chaotic, calm = found(3.9), found(1.5)
    assert [bool(chaotic.fallback), bool(calm.fallback)] == [True, False]
    assert chaotic.status is calm.status is Status.CONVERGED
    np.testing.assert_array_equal(chaotic.states, jax.jit(lambda r: logistic(r, 2048, Sequential()))(3.9).states)
    assert not logistic(3.9, 2047, Auto()).fallback
    assert not logistic(3.9, 100, Sequential()).fallback


@pytest.mark.parametrize(
    ("length", "latent_dim", "batch", "solver"),
    [
        (63, 3, 1, Sequential),
        (200, 16, 16, DEER),
        (300_000, 3, 1, DEER),
        (1_000_000, 3, 1, Shooting),
        (5000, 33, 1, Shooting),
    ],
)
def test_the_choice_on_an_accelerator(length, latent_dim, batch, solver):
    assert type(choose("gpu", None, 8, length=length, latent_dim=latent_dim, batch=batch)) is solver


# --- every iterate, for pictures ---


@every_solver
def test_iterates_lead_from_the_guess_to_the_solution(solver):
    length = 40
    us, guess = inputs(length), jnp.full((length, 2), 0.9)
    found = solve(step, jnp.zeros(2), us, solver=solver, guess=guess)
    pictures = iterates(step, jnp.zeros(2), us, solver=solver, guess=guess)
    assert len(pictures) == int(found.iterations) + 1
    np.testing.assert_array_equal(pictures[0], guess)
    np.testing.assert_allclose(pictures[-1], found.states, atol=1e-6)  # compiled apart: the last bits of float32


@pytest.mark.parametrize("solver", [Shooting(length=16), Auto(), DEER()], ids=["Shooting16", "Auto", "DEER"])
def test_iterates_end_at_the_solution_however_it_was_found(solver):
    """A slow unit makes Shooting change to Newton corrections after two sweeps, and Auto perhaps to Sequential."""

    def slow(z, u):
        return 0.999 * z + 0.1 * u

    z0, us, guess = jnp.zeros(1), inputs(600)[:, :1], jnp.zeros((600, 1))
    found = solve(slow, z0, us, solver=solver, guess=guess)
    pictures = iterates(slow, z0, us, solver=solver, guess=guess)
    assert found.status is Status.CONVERGED
    assert len(pictures) == int(found.iterations) + 1
    scale = 1 + float(jnp.max(jnp.abs(found.states)))
    assert float(jnp.max(jnp.abs(pictures[-1] - found.states))) <= 1e-3 * scale  # the documented residual, 100 steps


def steep(z, u):
    return jnp.tanh(2 * W @ z + u)


def test_iterates_of_elk_are_those_it_accepted():
    """Where plain Newton's first moves make things worse, damping grows until one helps: the merit never rises."""
    us = inputs(60)
    merits, repeated = {}, {}
    for solver in (DEER(), ELK()):
        pictures = iterates(steep, jnp.zeros(2), us, solver)
        before = np.concatenate([np.zeros((len(pictures), 1, 2)), pictures[:, :-1]], axis=1)
        images = np.tanh(before @ (2 * np.asarray(W).T) + np.asarray(us))
        merits[type(solver)] = np.sum((images - pictures) ** 2, axis=(1, 2))
        repeated[type(solver)] = int(np.sum(np.all(pictures[1:] == pictures[:-1], axis=(1, 2))))
    assert np.all(np.diff(merits[ELK]) <= 1e-6)  # float32 at the end
    assert repeated[ELK] > 3
    assert merits[DEER][1] > 10 * merits[DEER][0]
    assert repeated[DEER] == 0


def test_iterates_of_auto_are_those_of_its_choice_and_then_the_way_out():
    def logistic(z, u):
        return 3.9 * z * (1 - z)

    z0, nothing = jnp.full(1, 0.3), jnp.zeros((2048, 0))
    pictures = iterates(logistic, z0, nothing, Auto(max_iterations=3))
    chosen = iterates(logistic, z0, nothing, Shooting(max_sweeps=3))
    np.testing.assert_array_equal(pictures[:4], chosen)
    np.testing.assert_array_equal(pictures[4], solve(logistic, z0, nothing, solver=Sequential()).states)


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.jacrev], ids=["jit", "vmap", "jacrev"])
def test_iterates_inside_a_transformation_are_refused_in_a_sentence(transform):
    with pytest.raises(TypeError, match=r"iterates cannot run under jit, vmap or grad.* call it outside"):
        transform(lambda z: iterates(step, z[0] * jnp.ones(2), inputs()))(jnp.ones((3, 1)))


@pytest.mark.parametrize("solver", [DEER(), QuasiDEER()], ids=["DEER", "QuasiDEER"])
def test_after_k_iterations_the_first_k_steps_are_exact(solver):
    us = inputs()
    exact = loop(np.zeros(2), us)
    pictures = iterates(step, jnp.zeros(2), us, solver=solver, guess=jnp.full((40, 2), 5.0))
    for k, picture in enumerate(pictures):
        np.testing.assert_allclose(picture[:k], exact[:k], atol=2e-6)  # float32


def test_iterates_default_to_deer_and_to_the_repeated_start():
    pictures = iterates(step, jnp.array([0.1, 0.2]), inputs())
    np.testing.assert_array_equal(pictures[0], np.broadcast_to(np.float32([0.1, 0.2]), (40, 2)))
    expected = solve(step, jnp.array([0.1, 0.2]), inputs(), solver=DEER())
    assert len(pictures) == int(expected.iterations) + 1


# --- what is refused: what came, what was expected, what to type ---

T, V = TypeError, ValueError
FIVE = jnp.zeros((5, 2))
HALF = {"z0": jnp.zeros(2, jnp.float16), "step": lambda z, u: z / 2}
BRAIN = {"z0": jnp.zeros(2, jnp.bfloat16), "step": lambda z, u: z}
REFUSED = [
    ({"solver": DEER}, T, "DEER | gtfdeer.solvers.Auto()"),
    ({"solver": "deer"}, T, "'deer' | gtfdeer.solvers.Auto()"),
    ({"z0": jnp.zeros((3, 2))}, V, "(3, 2) | (M,) | vmap"),
    ({"z0": jnp.zeros(())}, V, "() | (M,)"),
    ({"z0": jnp.zeros(2, int)}, V, "int32 | float32"),
    (HALF, V, "z0 | float16 | float32 or float64"),
    (BRAIN, V, "bfloat16 | float32"),
    ({"z0": jnp.zeros(0), "step": lambda z, u: z}, V, "(0,) | (M,)"),
    ({"z0": (jnp.zeros(2), jnp.zeros(2))}, T, "tuple | one array"),
    ({"z0": [0.0, 0.0]}, T, "list | one array"),
    ({"inputs": (jnp.zeros((4, 2)), FIVE)}, V, "4 | 5 | same T"),
    ({"inputs": jnp.zeros((0, 2))}, V, "0 | T >= 1"),
    ({"inputs": jnp.zeros(())}, V, "None | T >= 1"),
    ({"inputs": None}, V, "jnp.zeros((T, 0))"),
    ({"guess": jnp.zeros((4, 2))}, V, "(4, 2) | (5, 2)"),
    ({"guess": jnp.zeros((5, 3))}, V, "(5, 3) | (5, 2)"),
    ({"step": lambda z, u: jnp.zeros(3)}, V, "step | float32[3] | float32[2]"),
    ({"step": lambda z, u: z.astype(jnp.float16)}, V, "step | float16 | float32"),
    ({"step": lambda z, u: (z, z)}, V, "step | float32[2]"),
    ({"step": lambda z, u: (z,)}, V, "step | float32[2]"),
    ({"step": lambda z, u: None}, V, "step | None | float32[2]"),
    ({"jacobian": lambda z, u: z[0]}, V, "jacobian | float32[] | float32[2, 2]"),
]


@pytest.mark.parametrize(("changed", "error", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_bad_input_is_refused_by_name(changed, error, words):
    for entry in (solve, iterates):
        with pytest.raises(error) as refusal:
            entry(**{"step": step, "z0": jnp.zeros(2), "inputs": FIVE, **changed})
        assert not [word for word in words.split(" | ") if word not in str(refusal.value)], refusal.value


def test_a_scan_by_hand_is_welcome():
    found = solve(step, jnp.zeros(2), inputs(), solver=DEER(method=scan.Blocked(7)))
    np.testing.assert_allclose(found.states, loop(np.zeros(2), inputs()), atol=1e-5)  # float32, a contraction
