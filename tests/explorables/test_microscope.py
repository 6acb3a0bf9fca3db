"""NewtonMicroscope: its iterates are those of `solve`, and its sliders never compile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtfdeer as gd
from gtfdeer import explorables
from gtfdeer.explorables.task import task_of


def compilations(caplog, work):
    """How many XLA programs were compiled while `work` ran."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level("WARNING"):
        work()
    return sum("Finished XLA compilation" in r.getMessage() for r in caplog.records)


def test_it_stops_where_solve_stops(microscope):
    microscope.alpha, microscope.guess = 0.1, "all zeros"
    task = task_of("Lorenz-63", length=100)
    solution = gd.solve(
        gd.forcing.force(task.step),
        task.start,
        task.inputs(0.1, 100),
        solver=gd.solvers.DEER(tol=1e-5),
        guess=jnp.zeros((100, 3)),
    )
    assert microscope.iterations == int(solution.iterations)
    microscope.iteration = microscope.iterations
    np.testing.assert_allclose(microscope.iterate, solution.states, atol=1e-4)  # ten tolerances
    np.testing.assert_allclose(microscope.iterate, microscope.truth, atol=1e-4)
    assert microscope.status == f"converged in {microscope.iterations} iterations"


def test_after_k_iterations_the_first_k_steps_are_right(microscope):
    microscope.alpha, microscope.guess = 0.05, "random numbers"
    for k in range(1, microscope.iterations + 1):
        assert microscope._found.solved(k) >= k


def test_the_picture_follows_the_iteration(microscope):
    microscope.alpha, microscope.guess = 0.2, "all zeros"
    microscope.iteration = 0
    before = microscope.png
    microscope.iteration = 2
    assert microscope.png != before
    assert f"iteration 2 of {microscope.iterations}" in microscope.summary


def test_alpha_and_iteration_never_compile(microscope, caplog):
    def turn(alphas):
        for alpha in alphas:
            microscope.alpha = alpha
            microscope.iteration = 1
            microscope.iteration = microscope.iteration_slider.max

    turn((0.3, 0.31))  # the first turn may compile the odd slice
    program = microscope._program()
    assert compilations(caplog, lambda: turn((0.5, 0.51))) == 0
    assert microscope._program() is program


def test_the_counter_of_compilations_counts(caplog):
    assert compilations(caplog, lambda: jax.jit(lambda x: x * 1.2345)(jnp.ones(7))) >= 1


def test_a_trained_model_can_be_looked_at():
    series = gd.data.simulate(gd.data.Lorenz63(), length=2000, key=jax.random.key(0))
    from flax import nnx

    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    rec = gd.fit(model, series, window=20, updates=3, progress=False)
    panel = explorables.NewtonMicroscope(rec, series)
    assert panel.subject == "trained model"
    assert panel.error is None
    assert "ShallowPLRNN on Lorenz63" in panel.summary


@pytest.mark.parametrize(("subject", "error"), [("Lorenz-64", TypeError), (3, TypeError)])
def test_what_is_no_system_is_refused(subject, error):
    with pytest.raises(error, match="Lorenz-63"):
        task_of(subject, length=10)
