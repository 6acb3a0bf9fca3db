"""One panel of each kind for all tests: building one compiles its programs."""

import pytest

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
