"""A real JupyterLab in a real browser: notebooks 03, 04 and 05 under mouse and keyboard; picture and words follow.

All three run as a whole; for their controls 04 and 05 run down to their panel. Menus: the keyboard moves them as a
student's does; for the mouse playwright's `select_option` stands in, because a headless browser draws no list to click
on.

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


def opened(browser, lab, name, command="notebook:run-all-above"):
    """The notebook, run down to its panel, or by another command of JupyterLab."""
    page = browser.new_page(viewport={"width": 1400, "height": 1250})
    page.goto(f"{lab}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=PATIENCE,
    )
    page.evaluate(
        """async ([panel, command]) => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            const cells = notebook.widgets;
            const last = cells.findIndex(cell => cell.model.sharedModel.source.includes(panel + "("));
            notebook.activeCellIndex = last + 1;
            await window.jupyterapp.commands.execute(command);
            notebook.activeCellIndex = last;
            await notebook.scrollToItem(last, "start");
        }""",
        [PANELS[name], command],
    )
    page.wait_for_selector(".jp-OutputArea img.widget-image", timeout=PATIENCE)
    page.locator(".jp-OutputArea img.widget-image").first.scroll_into_view_if_needed()
    return page


@pytest.fixture(scope="module")
def page(browser, lab):
    """Notebook 03, after all of its cells ran."""
    page = opened(browser, lab, "03_deer_from_scratch", "notebook:run-all-cells")
    yield page
    page.close()


def printed(page):
    """What the code cells printed, by JupyterLab's own account, and whether one of them failed."""
    return page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
            cell => cell.model.outputs ? cell.model.outputs.toJSON() : []
        ).map(o => o.output_type === "error" ? "ERROR " + o.evalue : [o.text || ""].flat().join(""))"""
    )


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


def alpha_of(page):
    """The alpha that the words below the picture name."""
    (alpha,) = re.findall(r"alpha (\S+), T", page.locator(".jp-OutputArea p", has_text="alpha").last.inner_text())
    return float(alpha)


def select(page, label):
    return page.locator(".widget-dropdown", has_text=label).locator("select")


def choose_by_keyboard(page, label, arrow):
    """Open a menu, go one entry up or down, take it; bare arrow keys on a closed menu belong to JupyterLab."""
    select(page, label).focus()
    for key in ("Space", arrow, "Enter"):
        page.keyboard.press(key)


def readout(page, label):
    return page.locator(".widget-slider", has_text=label).locator(".widget-readout").inner_text()


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


def press(page, label, key, times=1):
    """Press a key on a slider."""
    handle(page, label).focus()
    for _ in range(times):
        page.keyboard.press(key)


def wait_for_the_end(page):
    """Until the last cell has said that all is good, or a cell has failed."""
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets.some(
            cell => JSON.stringify(cell.model.outputs?.toJSON() ?? "").match(/all good|"error"/)
        )""",
        timeout=PATIENCE,
    )
    outputs = printed(page)
    assert not [text for text in outputs if text.startswith("ERROR")]
    assert outputs[-1].strip() == "all good"


def test_notebook_03_runs_from_top_to_bottom(page):
    wait_for_the_end(page)
    wait_for_words(page, "T 1000: iteration")
    assert "converged in" in status(page)
    shoot(page, "microscope-first")


def test_alpha_and_iteration_of_03_move_by_mouse(page):
    before, alpha = picture(page), alpha_of(page)
    drag(page, "forcing alpha", by=60)
    wait_for_another(page, before)
    page.wait_for_function(
        "words => !document.body.innerText.includes(words)", arg=f"alpha {alpha:.2f}, T 1000:", timeout=PATIENCE
    )
    assert alpha_of(page) > alpha
    assert "converged in" in status(page)
    press(page, "iteration k", "Home")
    wait_for_words(page, "iteration 0 of")
    before = picture(page)
    drag(page, "iteration k", by=400)  # beyond its end
    wait_for_another(page, before)
    last = re.findall(r"converged in (\d+)", status(page))[0]
    wait_for_words(page, f"iteration {last} of {last};")
    shoot(page, "microscope-mouse")


def test_alpha_and_iteration_of_03_move_by_keyboard(page):
    before, alpha = picture(page), alpha_of(page)
    press(page, "forcing alpha", "ArrowRight")
    wait_for_another(page, before)
    wait_for_words(page, f"alpha {alpha + 0.01:.2f}, T 1000: iteration")
    press(page, "iteration k", "Home")
    wait_for_words(page, "iteration 0 of")
    before = picture(page)
    press(page, "iteration k", "ArrowRight")
    wait_for_another(page, before)
    wait_for_words(page, "iteration 1 of")
    shoot(page, "microscope-keyboard")


def test_the_length_of_03_is_chosen_by_mouse_and_keyboard(page):
    before = picture(page)
    select(page, "length T").select_option("300")
    wait_for_another(page, before)
    wait_for_words(page, "T 300: iteration")
    wait_for_status(page, "converged in")
    before = picture(page)
    choose_by_keyboard(page, "length T", "ArrowUp")
    wait_for_another(page, before)
    wait_for_words(page, "T 100: iteration")
    wait_for_status(page, "converged in")
    shoot(page, "microscope-length")


def test_alpha_and_length_of_04_turn_by_mouse_and_keyboard(browser, lab):
    page = opened(browser, lab, "04_chaos_breaks_newton")
    wait_for_status(page, "idle")
    press(page, "forcing alpha", "Home")
    wait_for_words(page, "alpha 0.00, T 1000")
    wait_for_status(page, "idle: chaotic, errors grow")
    shoot(page, "dial-first")
    before = picture(page)
    press(page, "forcing alpha", "PageUp")
    wait_for_another(page, before)
    wait_for_status(page, "idle: contracting, errors are forgotten")
    shoot(page, "dial-keyboard")
    before, alpha = picture(page), alpha_of(page)
    drag(page, "forcing alpha", by=80)
    wait_for_another(page, before)
    page.wait_for_function(
        "words => !document.body.innerText.includes(words)", arg=f"alpha {alpha:.2f}, T 1000:", timeout=PATIENCE
    )
    assert alpha_of(page) > alpha
    shoot(page, "dial-mouse")
    before = picture(page)
    select(page, "length T").select_option("300")
    wait_for_another(page, before)
    wait_for_words(page, "T 300: exponent")
    before = picture(page)
    choose_by_keyboard(page, "length T", "ArrowDown")
    wait_for_another(page, before)
    wait_for_words(page, "T 1000: exponent")
    wait_for_status(page, "idle: contracting")
    page.close()


def test_training_in_05_starts_stops_and_goes_on_by_mouse_and_keyboard(browser, lab):
    page = opened(browser, lab, "05_training_live")
    wait_for_status(page, "idle: press Start")
    shoot(page, "training-first")

    alpha = float(readout(page, "constant alpha"))
    drag(page, "constant alpha", by=60)
    moved = float(readout(page, "constant alpha"))
    assert moved > alpha
    press(page, "constant alpha", "ArrowRight")
    assert float(readout(page, "constant alpha")) == pytest.approx(moved + 0.01, abs=1e-6)
    select(page, "length T").select_option("50")
    choose_by_keyboard(page, "length T", "ArrowDown")
    assert select(page, "length T").locator("option:checked").inner_text() == "200"

    before = picture(page)
    button(page, "Start").click()
    wait_for_status(page, "running")
    assert select(page, "length T").is_disabled()
    wait_for_another(page, before)
    shoot(page, "training-running")
    button(page, "Stop").focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "stopped after")
    wait_for_words(page, "updates: loss")
    assert select(page, "length T").is_enabled()
    shoot(page, "training-stopped")

    before = picture(page)
    button(page, "Resume").click()
    wait_for_status(page, "running")
    wait_for_another(page, before)
    button(page, "Stop").click()
    wait_for_status(page, "stopped after")

    button(page, "Start").focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "running")
    button(page, "Stop").click()
    wait_for_status(page, "stopped after")
    button(page, "Reset").focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "idle: press Start")
    wait_for_words(page, "Nothing learned yet")
    page.close()


@pytest.mark.parametrize("name", ["04_chaos_breaks_newton", "05_training_live"])
def test_04_and_05_run_from_top_to_bottom(browser, lab, name):
    page = opened(browser, lab, name, "notebook:run-all-cells")
    wait_for_the_end(page)
    shoot(page, name)
    page.close()
