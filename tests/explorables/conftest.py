"""One panel of each kind for all tests: building one compiles its programs."""

import jax
import pytest

import gtfdeer as gd
from gtfdeer import explorables


@pytest.fixture(scope="session")
def microscope():
    panel = explorables.NewtonMicroscope(strict=True)
    panel.length = 100
    return panel


@pytest.fixture(scope="session")
def dial():
    return explorables.ForcingDial(strict=True)


@pytest.fixture(scope="session")
def explorer():
    return explorables.AttractorExplorer(strict=True)


@pytest.fixture(scope="session")
def series():
    return gd.data.simulate(gd.data.Lorenz63(), length=3000, key=jax.random.key(0))


@pytest.fixture(scope="session")
def training(series):
    panel = explorables.TrainingPanel(series, hidden_dim=5, strict=True)
    panel.window = 50
    return panel


@pytest.fixture(scope="session")
def speed_lab():
    panel = explorables.SpeedLab(stored={"a GPU": {"DEER": [(100, 1e-3)]}}, hidden_dim=5, strict=True)
    panel.longest = 100
    return panel
