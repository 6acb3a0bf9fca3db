"""ForcingDial against what is known about Lorenz-63; AttractorExplorer against a fixed point and a return map."""

import os

import numpy as np
import pytest

from gtfdeer import explorables

from .test_microscope import compilations

ACTIONS = int(os.environ.get("GTFDEER_RANDOM_ACTIONS", "30"))


def test_a_free_run_of_lorenz_is_chaotic_and_forcing_ends_it(dial):
    dial.alpha = 0.0
    assert 0.4 < dial.exponent < 1.4  # 0.9056 over infinite time; ten units of time scatter
    assert dial.memory == dial.length
    assert 0 < dial.critical_alpha < 0.05
    dial.alpha = 0.3
    assert dial.exponent == pytest.approx(np.log(0.7) / 0.01, abs=2)  # ln(1 - alpha) / dt plus what F itself adds
    assert dial.memory < 30
    assert "contracting" in dial.status


def test_newton_converges_only_where_the_forced_map_contracts(dial):
    assert dial.iterations[0] == -1
    contracting = dial.exponents < 0
    assert (contracting[dial.iterations >= 0]).all()
    assert dial.iterations[-1] <= 3


def test_alpha_never_compiles(dial, caplog):
    dial.alpha = 0.7
    assert compilations(caplog, lambda: [setattr(dial, "alpha", a) for a in (0.71, 0.72)]) == 0


def test_below_rho_one_everything_falls_asleep(explorer):
    explorer.system = "Lorenz-63"
    explorer.first_slider.value = 0.5
    assert np.abs(explorer.orbit[-1]).max() < 1e-2
    assert "stands still" in explorer.summary


def test_run_step_and_reset(explorer, caplog):
    explorer.system = "Rossler"
    explorer.system = "Lorenz-63"
    assert explorer.parameters == {"rho": 28.0, "sigma": 10.0}
    explorer.reset_button.click()
    assert len(explorer.orbit) == 2001
    explorer.step_button.click()
    assert len(explorer.orbit) == 2101
    for _ in range(3):
        explorer.run_button.click()
    assert len(explorer.orbit) == 6000
    assert compilations(caplog, lambda: setattr(explorer.first_slider, "value", 29.0)) == 0
    before = explorer.png
    explorer.angle = 20
    assert explorer.png != before


def test_the_return_map_of_lorenz_is_a_tent(explorer):
    explorer.first_slider.value = 28.0
    explorer.run_button.click()
    now, after = explorer.maxima[:-1], explorer.maxima[1:]
    left, right = now < 38, now > 39.5
    assert np.corrcoef(now[left], after[left])[0, 1] > 0.95
    assert np.corrcoef(now[right], after[right])[0, 1] < -0.9


def test_random_actions_leave_no_error_and_no_stuck_state(microscope, dial, explorer):
    draw = np.random.default_rng(0)
    microscope.length = 100
    actions = [
        lambda: setattr(microscope, "alpha", draw.uniform()),
        lambda: setattr(microscope, "alpha", 0.0),
        lambda: setattr(microscope, "iteration", int(draw.integers(0, 41))),
        lambda: setattr(microscope, "guess", draw.choice(["all zeros", "teacher signal", "random numbers"])),
        lambda: setattr(dial, "alpha", draw.choice([0.0, 1.0, draw.uniform()])),
        lambda: setattr(explorer.first_slider, "value", draw.uniform(0, 100)),
        lambda: setattr(explorer.second_slider, "value", draw.uniform(5, 20)),
        lambda: setattr(explorer, "angle", int(draw.integers(-180, 181))),
        explorer.step_button.click,
        explorer.reset_button.click,
    ]
    for _ in range(ACTIONS):
        actions[draw.integers(len(actions))]()
    for panel in (microscope, dial, explorer):
        assert panel.error is None
        assert not panel.status.startswith(("running", "compiling", "failed"))


def test_speed_lab_measures_and_agrees():
    lab = explorables.SpeedLab(stored={"a GPU": {"DEER": [(100, 1e-3)]}}, hidden_dim=5, strict=True)
    lab.longest = 100
    lab.measure_button.click()
    assert lab.status == "finished: 3 of 3 measured"
    assert [t.status for t in lab.timings] == ["CONVERGED"] * 3
    assert max(t.error for t in lab.timings) < 1e-4
    assert lab.speedup("Sequential", 100) == 1
    with pytest.raises(KeyError, match="not measured"):
        lab.speedup("DEER", 1000)
