"""A browser, and one panel of each kind for all tests: building one compiles its programs."""

import shutil

import jax
import pytest

import gtfdeer as gd
from gtfdeer import explorables


@pytest.fixture(scope="module")
def browser():
    """Chromium, where it and playwright are installed; elsewhere the test says that it was skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


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
    panel = explorables.SpeedLab(hidden_dim=5, strict=True)
    panel.longest = 100
    return panel
