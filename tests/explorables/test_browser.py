"""A real JupyterLab in a real browser: notebooks 03, 04 and 05 under mouse and keyboard; picture and words follow.

Skipped where Chromium or playwright is missing.
"""

import os
import re
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
PANELS = {
    "03_deer_from_scratch": "NewtonMicroscope",
    "04_chaos_breaks_newton": "ForcingDial",
    "05_training_live": "TrainingPanel",
}
PATIENCE = 240_000  # ms: a cold compilation on a slow machine

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on copies of the notebooks; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    for name in PANELS:
        shutil.copy(ROOT / f"notebooks/{name}.ipynb", folder)
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
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def opened(browser, lab, name):
    """The notebook, run down to its panel."""
    page = browser.new_page(viewport={"width": 1400, "height": 1250})
    page.goto(f"{lab}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=PATIENCE,
    )
    page.evaluate(
        """async panel => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            const cells = notebook.widgets;
            const last = cells.findIndex(cell => cell.model.sharedModel.source.includes(panel + "("));
            notebook.activeCellIndex = last + 1;
            await window.jupyterapp.commands.execute("notebook:run-all-above");
        }""",
        PANELS[name],
    )
    page.wait_for_selector(".jp-OutputArea img.widget-image", timeout=PATIENCE)
    page.locator(".jp-OutputArea img.widget-image").scroll_into_view_if_needed()
    return page


@pytest.fixture(scope="module")
def page(browser, lab):
    """Notebook 03."""
    page = opened(browser, lab, "03_deer_from_scratch")
    page.wait_for_function("() => document.body.innerText.includes('converged in')", timeout=PATIENCE)
    yield page
    page.close()


def button(page, name):
    return page.locator("button.widget-button", has_text=name)


def status(page):
    return page.locator("[role=status]").inner_text()


def wait_for_status(page, words):
    page.wait_for_function(
        "words => document.querySelector('[role=status]').innerText.includes(words)", arg=words, timeout=PATIENCE
    )


def picture(page):
    return page.locator("img.widget-image").get_attribute("src")


def wait_for_another(page, before):
    page.wait_for_function(
        "before => document.querySelector('img.widget-image').src !== before", arg=before, timeout=PATIENCE
    )


def wait_for_words(page, words):
    """Until the words below the picture say so; picture and words arrive one after the other."""
    page.locator(".jp-OutputArea p", has_text=words).last.wait_for(timeout=PATIENCE)


def summary(page):
    return page.locator(".jp-OutputArea p", has_text="iteration").last.inner_text()


def handle(page, label):
    return page.locator(".widget-slider", has_text=label).locator(".noUi-handle")


def drag(page, label, by):
    """Move a slider's handle `by` pixels to the right with the mouse."""
    box = handle(page, label).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + by, middle, steps=5)
    page.mouse.up()


def shoot(page, name):
    """Leave a screenshot where `GTFDEER_SCREENSHOTS` says, for a person to look at."""
    folder = os.environ.get("GTFDEER_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_the_mouse_moves_alpha_and_the_picture_follows(page):
    before = picture(page)
    wait_for_words(page, "alpha 0.05, T 1000: iteration")
    shoot(page, "microscope-first")
    drag(page, "forcing alpha", by=60)
    wait_for_another(page, before)
    page.wait_for_function("() => !document.body.innerText.includes('alpha 0.05, T 1000')", timeout=PATIENCE)
    assert "converged in" in status(page)
    shoot(page, "microscope-mouse")


def test_the_keyboard_moves_alpha_and_iteration(page):
    before, (alpha,) = picture(page), re.findall(r"alpha (\S+),", summary(page))
    handle(page, "forcing alpha").focus()
    page.keyboard.press("ArrowRight")
    wait_for_another(page, before)
    wait_for_words(page, f"alpha {float(alpha) + 0.01:.2f}, T 1000: iteration")
    before = picture(page)
    handle(page, "iteration k").focus()
    page.keyboard.press("ArrowRight")
    wait_for_another(page, before)
    wait_for_words(page, "iteration 1 of")
    shoot(page, "microscope-keyboard")


def test_the_dial_of_notebook_04_turns_by_mouse_and_keyboard(browser, lab):
    page = opened(browser, lab, "04_chaos_breaks_newton")
    wait_for_status(page, "status:")
    before = picture(page)
    handle(page, "forcing alpha").focus()
    page.keyboard.press("PageUp")
    wait_for_another(page, before)
    shoot(page, "dial-keyboard")
    before = picture(page)
    drag(page, "forcing alpha", by=80)
    wait_for_another(page, before)
    assert "failed" not in status(page)
    shoot(page, "dial-mouse")
    page.close()


def test_training_in_notebook_05_starts_stops_and_goes_on(browser, lab):
    page = opened(browser, lab, "05_training_live")
    before = picture(page)
    button(page, "Start").click()
    wait_for_status(page, "running")
    wait_for_another(page, before)
    shoot(page, "training-running")
    button(page, "Stop").focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "stopped")
    shoot(page, "training-stopped")
    button(page, "Resume").click()
    wait_for_status(page, "running")
    button(page, "Stop").click()
    wait_for_status(page, "stopped")
    page.close()
