"""Random actions on all five panels: no error, no stuck state, no growing memory.

`GTFDEER_RANDOM_ACTIONS=100` makes it as many as the course promises; the default is what fits into a short test run.
"""

import gc
import os

import ipywidgets as widgets
import numpy as np
import psutil

ACTIONS = int(os.environ.get("GTFDEER_RANDOM_ACTIONS", "30"))
MOST = 100e6  # bytes
STUCK = ("running", "compiling", "stopping", "failed", "out of memory")
CHOICES = {  # of the controls that would take too long at others
    "data": ["your recording"],
    "length": [100, 300],
    "longest": [100, 1000],
    "model": ["ShallowPLRNN", "ClippedShallowPLRNN"],
    "schedule": ["annealed", "adaptive", "constant"],
    "solver": ["DEER", "Shooting"],
    "updates": [100],
    "window": [50],
}


def act(panel, draw):
    """Do with a random control what a student may do with it; say what."""
    controls = {
        **panel.controls,
        **getattr(panel, "sliders", {}),
        **{turn["name"]: turn for turn in panel._canvas.spec["sliders"]},
    }
    name = draw.choice([*controls])
    control = controls[name]
    if isinstance(control, widgets.Button):
        control.click()
        return name
    if isinstance(control, dict):
        value = draw.choice([*control.get("stops", range(41)), draw.uniform(0, 1) if name == "alpha" else 0])
        setattr(panel, name, float(value))
    elif name in CHOICES:
        value = control.value = draw.choice([v for v in CHOICES[name] if v in getattr(control, "options", [v])]).item()
    elif isinstance(control, widgets.Dropdown):
        value = control.value = draw.choice([*control.options]).item()
    else:
        value = control.value = draw.uniform(control.min, control.max)
    return f"{name} {value}"


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


def test_random_actions_leave_no_error_no_stuck_state_and_no_heap(
    microscope, dial, explorer, training, speed_lab, record_testsuite_property
):
    draw, panels = np.random.default_rng(0), (microscope, dial, explorer, training, speed_lab)
    training.updates = 100
    training.controls["start"].click()  # once each: what a library needs for good is in memory before it is measured
    speed_lab.controls["measure"].click()
    before = resident()
    for k in range(ACTIONS):
        panel = panels[k % len(panels)]
        what = act(panel, draw)
        assert panel.error is None, f"action {k}, {type(panel).__name__}.{what}: {panel.status}"
    for panel in (training, speed_lab):
        panel.stop()
        panel.wait(120)
    for panel in panels:
        assert panel.errors == []
        assert not panel.status.startswith(STUCK)
        assert panel.png[:4] == b"\x89PNG"
    grown = resident() - before
    dial.subject, dial.length, explorer.system = "Lorenz-63", 1000, "Lorenz-63"  # as other tests know them
    microscope.subject, microscope.length, microscope.solver = "Lorenz-63", 100, "DEER"
    training.solver, training.cap, training.model, speed_lab.longest = "DEER", 20, "ShallowPLRNN", 100
    record_testsuite_property("grown by random actions", f"{grown / 1e6:.0f} MB")
    assert grown < MOST, f"{grown / 1e6:.0f} MB more than before"
