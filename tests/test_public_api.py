"""The names that users and notebooks rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import gtfdeer as gd

NAMES = {
    gd: "Reconstruction Solution Status data fit forcing iterates load measures models notebook resume solve solvers",
    gd.solvers: "Sequential DEER QuasiDEER ELK Shooting Auto",
    gd.forcing: "force Constant Annealed Adaptive sparse",
    gd.models: "ShallowPLRNN ClippedShallowPLRNN AlmostLinearRNN VanillaRNN GRU LSTM LRU S5 Mamba",
    gd.measures: "state_space_divergence power_spectrum_error prediction_error lyapunov_spectrum",
    gd.explorables: "NewtonMicroscope ForcingDial TrainingPanel AttractorExplorer SpeedLab",
    gd.data: "Series simulate Lorenz63 Lorenz96 Rossler BurstingNeuron SlowFastLorenz read_series electrocardiogram",
}


@pytest.mark.parametrize("room", NAMES, ids=lambda room: room.__name__)
def test_every_promised_name_is_public_and_every_public_object_explains_itself(room):
    assert set(NAMES[room].split()) <= set(room.__all__)
    for name in room.__all__:
        thing = getattr(room, name)
        assert inspect.getdoc(thing) or not (inspect.isclass(thing) or inspect.isfunction(thing)), name


def test_importing_opens_no_window_and_loads_no_widgets():
    code = "import sys, gtfdeer; print([m for m in ('matplotlib.pyplot', 'ipywidgets') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pyplot" not in out
    assert "ipywidgets" not in out
