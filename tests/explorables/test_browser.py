"""A real JupyterLab in a real browser: mouse and keyboard move the microscope of notebook 03, and the picture follows.

Skipped where Chromium or playwright is missing.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
PATIENCE = 240_000  # ms: a cold compilation on a slow machine

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on a copy of notebook 03; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks/03_deer_from_scratch.ipynb", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.workspaces_dir=" + str(folder / "workspaces"),
    ]
    environment = {**os.environ, "GTFDEER_FAST": "1", "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / "c")}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *settings], env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api", server)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(address, server):
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"no answer from {address}")


@pytest.fixture(scope="module")
def page(lab):
    """Notebook 03, run down to its microscope."""
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1250})
        page.goto(f"{lab}/lab/tree/03_deer_from_scratch.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE)
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=PATIENCE,
        )
        page.evaluate(
            """async () => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                const cells = notebook.widgets;
                const last = cells.findIndex(cell => cell.model.sharedModel.source.includes("NewtonMicroscope"));
                notebook.activeCellIndex = last + 1;
                await window.jupyterapp.commands.execute("notebook:run-all-above");
            }"""
        )
        page.wait_for_selector(".jp-OutputArea img.widget-image", timeout=PATIENCE)
        page.wait_for_function("() => document.body.innerText.includes('converged in')", timeout=PATIENCE)
        page.locator(".jp-OutputArea img.widget-image").scroll_into_view_if_needed()
        yield page
        browser.close()


def picture(page):
    return page.locator("img.widget-image").get_attribute("src")


def summary(page):
    return page.locator(".jp-OutputArea p", has_text="iteration").last.inner_text()


def wait_for_another(page, before):
    page.wait_for_function(
        "before => document.querySelector('img.widget-image').src !== before", arg=before, timeout=PATIENCE
    )


def handle(page, label):
    return page.locator(".widget-slider", has_text=label).locator(".noUi-handle")


def shoot(page, name):
    """Leave a screenshot where `GTFDEER_SCREENSHOTS` says, for a person to look at."""
    folder = os.environ.get("GTFDEER_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_the_mouse_moves_alpha_and_the_picture_follows(page):
    before, words = picture(page), summary(page)
    assert "alpha 0.05" in words
    shoot(page, "microscope-first")
    box = handle(page, "forcing alpha").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    wait_for_another(page, before)
    page.wait_for_function("() => !document.body.innerText.includes('alpha 0.05, T 1000')", timeout=PATIENCE)
    assert "converged in" in page.locator("[role=status]").inner_text()
    shoot(page, "microscope-mouse")


def test_the_keyboard_moves_alpha_and_iteration(page):
    before, words = picture(page), summary(page)
    handle(page, "forcing alpha").focus()
    page.keyboard.press("ArrowRight")
    wait_for_another(page, before)
    assert summary(page) != words
    before = picture(page)
    handle(page, "iteration k").focus()
    page.keyboard.press("ArrowRight")
    wait_for_another(page, before)
    assert "iteration 1 of" in summary(page)
    shoot(page, "microscope-keyboard")
