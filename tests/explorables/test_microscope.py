"""NewtonMicroscope: its iterates are those of `solve`, and its sliders never compile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer import explorables
from gtfdeer.explorables import _sweep
from gtfdeer.explorables._canvas import PREPARED
from gtfdeer.explorables._task import task_of

from .waiting import compilations


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("DEER", gd.solvers.DEER(tol=1e-5)),
        ("QuasiDEER", gd.solvers.QuasiDEER(tol=1e-5, max_iterations=40)),
        ("ELK", gd.solvers.ELK(tol=1e-5)),
    ],
)
def test_it_stops_where_solve_stops(microscope, name, solver):
    microscope.alpha, microscope.guess, microscope.solver = 0.1, "all zeros", name
    task = task_of(gd.data.Lorenz63(), length=100)
    solution = gd.solve(
        gd.forcing.force(task.step), task.start, task.inputs(0.1), solver=solver, guess=jnp.zeros((100, 3))
    )
    assert solution.status is gd.Status.CONVERGED
    assert microscope.iterations == int(solution.iterations)
    microscope.iteration = microscope.iterations
    np.testing.assert_allclose(microscope.iterate, solution.states, atol=1e-4)  # ten tolerances
    np.testing.assert_allclose(microscope.iterate, microscope.found.truth, atol=1e-4)
    assert microscope.status == f"converged in {microscope.iterations} iterations"
    microscope.solver = "DEER"


def test_alpha_and_iteration_never_compile(microscope, caplog):
    def turn(alphas):
        for alpha in alphas:
            microscope.alpha = alpha
            microscope.iteration = 1
            microscope.iteration = microscope.iterations

    turn((0.3, 0.31))  # the first turn may compile the odd slice
    assert compilations(caplog, lambda: turn((0.5, 0.51))) == 0
    with microscope._settled():
        microscope.alpha = 0.75
    microscope.iteration = 0
    assert "alpha 0.51" in microscope.summary  # of what was solved, wherever the slider stands
    microscope.run()
    assert "alpha 0.75" in microscope.summary


def test_the_counter_of_compilations_counts(caplog):
    assert compilations(caplog, lambda: jax.jit(lambda x: x * 1.2345)(jnp.ones(7))) >= 1


def test_a_trained_model_can_be_looked_at(series):
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    rec = gd.fit(model, series, window=20, updates=3, progress=False)
    panel = explorables.NewtonMicroscope(rec, series)
    assert panel.subject == "trained model"
    assert panel.error is None
    assert "ShallowPLRNN on Lorenz63" in panel.summary


def test_the_browser_has_all_iterates_and_prepared_alphas(microscope, monkeypatch):
    """What it draws while a slider is dragged is what the kernel finds for the same values."""
    monkeypatch.setattr(_sweep, "PREPARED", PREPARED[[0, 30, 61]])
    microscope.alpha, microscope.guess = 0.3, "teacher signal"
    assert microscope._canvas.arrays["00.1.y"]["shape"] == [microscope.iterations + 1, 100]
    microscope.prepare()
    frames = microscope._canvas.frames
    assert frames["at"] == [float(a) for a in PREPARED[[61, 30, 0]]]
    microscope.alpha = frames["at"][1]
    assert frames["arrays"][1] == {name: microscope._canvas.arrays[name] for name in frames["arrays"][1]}
    assert frames["texts"][1][0] == microscope._canvas.texts[0]
    assert microscope.prepare()[-1, 0] > 0  # at alpha 1


def test_where_chaos_breaks_newton_its_iterates_stay_in_the_picture(microscope):
    microscope.guess, microscope.alpha = "all zeros", 0.0
    microscope.length = 1000
    assert microscope.status.startswith("did not converge")
    spread = 1.55 * np.abs(microscope.found.truth[:, 0]).max()
    shown = microscope._canvas.array("00.1.y")
    assert np.nanmax(np.abs(shown)) <= spread * (1 + 1e-6)
    front = microscope._canvas.array("00.2.at")
    assert (front >= np.arange(len(front))).all()  # one step an iteration, or more
    microscope.length = 100
