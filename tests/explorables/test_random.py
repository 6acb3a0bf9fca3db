"""Random actions on all five panels: no error, no stuck state, no growing memory.

`GTFDEER_RANDOM_ACTIONS=100` makes it as many as the course promises; the default is what fits into a short test run.
"""

import gc
import os

import numpy as np
import psutil

from gtfdeer.explorables._dial import LENGTHS as DIAL_LENGTHS
from gtfdeer.explorables._microscope import GUESSES, SOLVERS
from gtfdeer.explorables._task import SYSTEMS

ACTIONS = int(os.environ.get("GTFDEER_RANDOM_ACTIONS", "30"))
MOST = 100e6  # bytes
STUCK = ("running", "compiling", "stopping", "failed", "out of memory")


def setting(panel, name, draw, values):
    """An action that sets one control to a random one of `values`, or to a random number between two."""

    def act():
        value = values[draw.integers(len(values))] if isinstance(values, list) else draw.uniform(*values)
        setattr(panel, name, value)

    act.__name__ = f"{type(panel).__name__}.{name}"
    return act


def turning(explorer, draw):
    """An action that moves one of the sliders of the explorer's present system."""

    def act():
        control = list(explorer.sliders.values())[draw.integers(len(explorer.sliders))]
        control.value = draw.uniform(control.min, control.max)

    act.__name__ = "AttractorExplorer.slider"
    return act


def clicking(panel, *names):
    def click(name):
        def act():
            panel.controls[name].click()

        act.__name__ = f"{type(panel).__name__}.{name}"
        return act

    return [click(name) for name in names]


def actions_of(microscope, dial, explorer, training, speed_lab, draw):
    """For each panel what a student may do with it."""
    return {
        microscope: [
            setting(microscope, "alpha", draw, (0, 1)),
            setting(microscope, "alpha", draw, [0.0, 1.0]),
            setting(microscope, "iteration", draw, [*range(41)]),
            setting(microscope, "guess", draw, [*GUESSES]),
            setting(microscope, "solver", draw, [*SOLVERS]),
            setting(microscope, "length", draw, [100, 300]),
            setting(microscope, "subject", draw, [*SYSTEMS]),
        ],
        dial: [
            setting(dial, "alpha", draw, (0, 1)),
            setting(dial, "alpha", draw, [0.0, 1.0]),
            setting(dial, "length", draw, [*DIAL_LENGTHS]),
            setting(dial, "subject", draw, [*SYSTEMS]),
        ],
        explorer: [
            turning(explorer, draw),
            setting(explorer, "system", draw, [*explorer.controls["system"].options]),
            *clicking(explorer, "run", "reset"),
        ],
        training: [
            setting(training, "schedule", draw, ["annealed", "adaptive", "constant"]),
            setting(training, "alpha", draw, (0, 1)),
            setting(training, "model", draw, ["ShallowPLRNN", "ClippedShallowPLRNN"]),
            setting(training, "solver", draw, ["Auto", "Sequential", "Shooting"]),
            setting(training, "cap", draw, [*range(1, 21)]),
            *clicking(training, "start", "stop", "resume", "reset", "download"),
        ],
        speed_lab: [
            setting(speed_lab, "alpha", draw, (0, 1)),
            setting(speed_lab, "longest", draw, [100, 1000]),
            *clicking(speed_lab, "measure", "stop"),
        ],
    }


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


def test_random_actions_leave_no_error_no_stuck_state_and_no_heap(
    microscope, dial, explorer, training, speed_lab, record_testsuite_property
):
    draw = np.random.default_rng(0)
    training.updates = 100
    training.controls[
        "start"
    ].click()  # once each, so that what a library needs for good is in memory before it is measured
    speed_lab.controls["measure"].click()
    choices = actions_of(microscope, dial, explorer, training, speed_lab, draw)
    before = resident()
    for k in range(ACTIONS):
        panel = list(choices)[k % len(choices)]  # all in turn
        act = choices[panel][draw.integers(len(choices[panel]))]
        act()
        assert panel.error is None, f"action {k}, {act.__name__}: {panel.status}"
    for panel in (training, speed_lab):
        panel.stop()
        panel.wait(120)
    for panel in choices:
        assert panel.errors == []
        assert not panel.status.startswith(STUCK)
        assert panel.png[:4] == b"\x89PNG"
    grown = resident() - before
    dial.subject, dial.length, explorer.system = "Lorenz-63", 1000, "Lorenz-63"  # as other tests know them
    microscope.subject, microscope.length, microscope.solver = "Lorenz-63", 100, "DEER"
    speed_lab.longest = 100
    record_testsuite_property("grown by random actions", f"{grown / 1e6:.0f} MB")
    assert grown < MOST, f"{grown / 1e6:.0f} MB more than before"
