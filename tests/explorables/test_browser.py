"""A real JupyterLab in a real browser: the panels of notebooks 03, 04 and 05 under mouse and keyboard.

One server, one browser, one page a notebook. The tests wait for states and never look once; that the notebooks run to
their end is tested elsewhere. Latencies, from the input event to the painted canvas, are reported in the JUnit
properties; asserted is ten times what is asked. Skipped where Chromium or playwright is missing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import pytest

from .waiting import drag, shoot, until

ROOT = Path(__file__).parents[2]
PANELS = {
    "03_deer_from_scratch": "NewtonMicroscope",
    "04_chaos_breaks_newton": "ForcingDial",
    "05_training_live": "TrainingPanel",
}
PATIENCE = 300_000  # ms: a cold compilation on a slow and busy machine
PREPARED = "[...document.querySelectorAll('.gd-canvas canvas')].some(c => c.dataset.prepared >= 62)"
RUN = """async panel => {
    const notebook = window.jupyterapp.shell.currentWidget.content, cells = notebook.widgets;
    const last = cells.findIndex(cell => cell.model.sharedModel.source.includes(panel + "("));
    for (const index of [cells.findIndex(cell => cell.model.type === "code"), last]) {
        notebook.activeCellIndex = index;
        await window.jupyterapp.commands.execute("notebook:run-cell");
    }
}"""
LISTEN = """() => {
    window.paints = [];
    document.querySelector(".gd-canvas canvas").addEventListener("painted", e => window.paints.push(e.detail));
    window.long = 0;
    new PerformanceObserver(all => all.getEntries().forEach(e => { window.long = Math.max(window.long, e.duration); }))
        .observe({ entryTypes: ["longtask"] });
}"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on copies of the notebooks, which shows all cells and asks nothing; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    for name in PANELS:
        shutil.copy(ROOT / f"notebooks/{name}.ipynb", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = {
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    (folder / "app").mkdir()
    (folder / "app/overrides.json").write_text(json.dumps(chosen))
    settings = [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.app_settings_dir={folder / 'app'}",
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]
    environment = {**os.environ, "GTFDEER_FAST": "1", "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / "c")}
    log = (folder / "server.log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *settings], env=environment, stdout=log, stderr=log)

    def answers():
        assert server.poll() is None, (folder / "server.log").read_text()
        try:
            return urlopen(f"http://127.0.0.1:{port}/api", timeout=2).status == 200
        except OSError:
            return False

    try:
        until(answers)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def open_panel(browser, lab, name):
    """A page with the notebook, whose set-up and panel ran."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}/doc/tree/{name}.ipynb?reset")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    show(page, PANELS[name])
    return page


def show(page, panel):
    """Run the set-up and the panel's cell, and answer the question that stands before it."""
    page.evaluate(RUN, panel)
    if panel == "NewtonMicroscope":
        page.get_by_label("fewer moves").check()
        click(page, "Answer")
    page.wait_for_selector(".gd-canvas canvas[aria-label]")
    page.evaluate(LISTEN)
    page.locator(".gd-canvas").first.scroll_into_view_if_needed()


@pytest.fixture(scope="module")
def microscope(browser, lab):
    page = open_panel(browser, lab, "03_deer_from_scratch")
    yield page
    page.close()


@pytest.fixture(scope="module")
def training(browser, lab):
    page = open_panel(browser, lab, "05_training_live")
    yield page
    page.close()


def wait_for_status(page, words):
    page.wait_for_function(
        "words => [...document.querySelectorAll('[role=status]')].some(s => s.innerText.includes(words))", arg=words
    )


def wait_for_words(page, words):
    """Until the words below the picture say so."""
    page.locator(".gd-text", has_text=words).first.wait_for()


def select(page, label, option):
    page.locator(".widget-dropdown", has_text=label).locator("select").select_option(option)


def press(page, label, key):
    """Press a key on a slider."""
    page.locator(f"input[type=range][aria-label='{label}']").first.focus()
    page.keyboard.press(key)


def click(page, name):
    """Click a button as soon as it may be clicked."""
    page.locator("button.widget-button:not([disabled])", has_text=name).first.click()


def elapsed(page, work):
    """Milliseconds that work took by the browser's clock."""
    began = page.evaluate("performance.now()")
    work()
    return page.evaluate("performance.now()") - began


def test_alpha_and_iteration_answer_while_they_are_dragged(microscope, record_testsuite_property):
    page = microscope
    wait_for_words(page, "T 1000: iteration")
    page.wait_for_function(PREPARED)  # all alphas are solved
    page.evaluate("window.long = 0")
    took = {"k": drag(page, "iteration k", [0.05 * i for i in range(15)])}
    page.mouse.up()
    took["alpha"] = drag(page, "forcing alpha", [0.7 + 0.01 * i for i in range(20)])
    record_testsuite_property("longest task while dragging, ms", f"{page.evaluate('window.long'):.0f}")
    page.evaluate("window.paints.length = 0")
    page.mouse.up()
    page.wait_for_function("window.paints.some(p => p.arrays)")
    refined = page.evaluate("window.paints.filter(p => p.arrays).map(p => p.painted - p.asked)")[0]
    record_testsuite_property("alpha let go to refined picture, ms", f"{refined:.0f}")
    for name, times in took.items():
        record_testsuite_property(f"drag of {name}, median ms", f"{median(times):.0f}")
        assert median(times) < 500
    wait_for_status(page, "converged in")
    shoot(page, "microscope-mouse")


def test_keyboard_and_hover(microscope):
    press(microscope, "iteration k", "Home")
    wait_for_words(microscope, "iteration 0 of")
    press(microscope, "iteration k", "ArrowRight")
    wait_for_words(microscope, "iteration 1 of")
    microscope.evaluate("window.paints.length = 0")
    microscope.locator(".gd-canvas canvas").first.hover(position={"x": 300, "y": 100})
    microscope.wait_for_function("window.paints.length")
    shoot(microscope, "microscope-hover")


def test_another_length_and_system(microscope, record_testsuite_property):
    def choose(label, option, words):
        select(microscope, label, option)
        wait_for_words(microscope, words)
        wait_for_status(microscope, "converge")

    others = (
        ("length T", "300", "T 300: ", "1000", "T 1000: "),
        ("system", "Rossler", "Rossler, ", "Lorenz-63", "Lorenz63"),
    )
    for label, option, words, before, back in others:
        for when in ("first", "again"):
            took = elapsed(microscope, lambda o=option, w=words, label=label: choose(label, o, w))
            record_testsuite_property(f"another {label}, {when}, ms", f"{took:.0f}")
            choose(label, before, back)


def test_full_screen(microscope):
    microscope.get_by_text("Full screen").first.click()
    microscope.wait_for_function("document.fullscreenElement?.className === 'gd-canvas'")
    microscope.evaluate("window.paints.length = 0; window.dispatchEvent(new Event('resize'))")
    shoot(microscope, "microscope-full")
    microscope.evaluate("document.exitFullscreen()")
    microscope.wait_for_function("!document.fullscreenElement")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_it_fits_700_and_360_pixels_in_both_themes(microscope, theme):
    page, light = microscope, str(theme == "Light").lower()
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {theme}' }})")
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
    for width in (700, 360, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function(
            """width => {
                const box = document.querySelector(".gd-canvas canvas").getBoundingClientRect();
                return box.width > 200 && box.right <= width && document.querySelector(".gd-canvas canvas").width > 0;
            }""",
            arg=width,
        )
        page.locator(".gd-canvas").first.scroll_into_view_if_needed()
        shoot(page, f"microscope-{theme}-{width}")


def test_after_a_restart_the_page_says_how_to_go_on(microscope):
    microscope.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    microscope.locator(".gd-dead", has_text="run its cell again").first.wait_for()
    shoot(microscope, "microscope-dead")
    microscope.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    show(microscope, "NewtonMicroscope")
    microscope.wait_for_function("document.querySelector('.gd-dead')?.hidden")
    wait_for_words(microscope, "T 1000: iteration")


def test_the_dial_turns_by_keyboard_and_mouse(browser, lab, record_testsuite_property):
    page = open_panel(browser, lab, "04_chaos_breaks_newton")
    press(page, "forcing alpha", "Home")
    wait_for_words(page, "alpha 0, T 1000")
    wait_for_status(page, "idle: chaotic, errors grow")
    page.wait_for_function(PREPARED)
    took = drag(page, "forcing alpha", [0.3 + 0.03 * i for i in range(20)])
    page.mouse.up()
    record_testsuite_property("drag of the dial, median ms", f"{median(took):.0f}")
    assert median(took) < 500
    wait_for_status(page, "idle: contracting, errors are forgotten")
    shoot(page, "dial")
    page.close()


def test_training_starts_takes_another_alpha_and_stops(training, record_testsuite_property):
    page = training
    wait_for_status(page, "idle: press Start")
    click(page, "Start")
    wait_for_words(page, "updates: loss")
    page.evaluate("window.paints.length = 0")
    page.wait_for_function("window.paints.filter(p => p.arrays).length >= 9")
    first, *_, last = page.evaluate("window.paints.map(p => p.painted)")
    count = page.evaluate("window.paints.length")
    record_testsuite_property("pictures a second while it trains", f"{1e3 * (count - 1) / (last - first):.1f}")
    press(page, "alpha by hand", "ArrowRight")
    page.wait_for_function(
        "[...document.querySelectorAll('select')].some(s => s.selectedOptions[0]?.text === 'constant')"
    )
    shoot(page, "training-running")

    def stop():
        click(page, "Stop")
        wait_for_status(page, "stopped after")

    record_testsuite_property("Stop, ms", f"{elapsed(page, stop):.0f}")
    wait_for_words(page, "Replay")


def test_training_is_replayed_resumed_and_reset(training):
    press(training, "replay", "Home")
    shoot(training, "training-replay")
    click(training, "Resume")
    wait_for_status(training, "running")
    click(training, "Stop")
    wait_for_status(training, "stopped after")
    click(training, "Reset")
    wait_for_status(training, "idle: press Start")
    wait_for_words(training, "Nothing learned yet")
