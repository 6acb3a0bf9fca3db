"""A real JupyterLab in a real browser: three panels under mouse and keyboard, one after the other on one page.

One server, one browser, one kernel. The test waits for states and never looks once. Latencies, from the input event to
the painted canvas, are reported in the JUnit properties; asserted is ten times what is asked. Skipped where Chromium or
playwright is missing.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import nbformat
import pytest

from .waiting import drag, shoot, until

ROOT = Path(__file__).parents[2]
PANELS = {
    "ForcingDial": "gd.explorables.ForcingDial()",
    "TrainingPanel": "panel = gd.explorables.TrainingPanel()\npanel.updates = 30_000\npanel",
    "NewtonMicroscope": "panel = gd.explorables.NewtonMicroscope()\n"
    "gd.explorables.Predict('Alpha goes up. Newton needs', ['more moves', 'fewer moves'], panel)",
}
PATIENCE = 300_000  # ms: a cold compilation on a slow and busy machine
PREPARED = "[...document.querySelectorAll('.gd-canvas canvas')].some(c => c.dataset.prepared >= 62)"
RUN = """async panel => {
    const notebook = window.jupyterapp.shell.currentWidget.content, cells = notebook.widgets;
    const last = cells.findIndex(cell => cell.model.sharedModel.source.includes(panel + "("));
    await window.jupyterapp.commands.execute("notebook:clear-all-cell-outputs");
    for (const index of [0, last]) {
        notebook.activeCellIndex = index;
        await window.jupyterapp.commands.execute("notebook:run-cell");
    }
}"""
LISTEN = """() => {
    window.paints = [];
    window.refined = () => window.paints.filter(p => p.arrays).map(p => p.painted - p.asked);
    document.querySelector(".gd-canvas canvas").addEventListener("painted", e => window.paints.push(e.detail));
    window.long = 0;
    new PerformanceObserver(all => all.getEntries().forEach(e => { window.long = Math.max(window.long, e.duration); }))
        .observe({ entryTypes: ["longtask"] });
}"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on a notebook with the panels, which shows all cells and asks nothing; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    cells = map(nbformat.v4.new_code_cell, ["import gtfdeer as gd", *PANELS.values()])
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}  # else Lab asks
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells], metadata=kernel), folder / "panels.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = {
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    (folder / "app").mkdir()
    (folder / "app/overrides.json").write_text(json.dumps(chosen))
    settings = {
        "ServerApp": {"port": port, "ip": "127.0.0.1", "open_browser": False, "allow_root": True, "root_dir": folder},
        "IdentityProvider": {"token": ""},
        "LabApp": {"app_settings_dir": folder / "app", "expose_app_in_browser": True, "workspaces_dir": folder / "w"},
    }
    flags = [f"--{app}.{name}={value}" for app, values in settings.items() for name, value in values.items()]
    environment = {**os.environ, "GTFDEER_FAST": "1", "PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder / "c")}
    log = (folder / "server.log").open("w")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *flags], env=environment, stdout=log, stderr=log)

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


@pytest.fixture(scope="module")
def page(browser, lab):
    """The notebook, open and with a kernel."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, device_scale_factor=2)
    page.set_default_timeout(PATIENCE)
    problems = []
    page.on("pageerror", lambda error: problems.append(error.stack))
    page.goto(f"{lab}/doc/tree/panels.ipynb?reset")
    wait_for_kernel(page)
    yield page
    assert not [stack for stack in problems if "blob:" in stack]  # canvas.js; what JupyterLab says is its own


def wait_for_kernel(page):
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")


def show(page, panel):
    """Run the cell of a panel, the only one that is shown then, and answer the question that stands before it."""
    page.evaluate(RUN, panel)
    if panel == "NewtonMicroscope":
        page.get_by_label("fewer moves").check()
        click(page, "Answer")
    page.wait_for_selector(".gd-canvas canvas[aria-label]")
    page.evaluate(LISTEN)
    page.locator(".gd-canvas").first.scroll_into_view_if_needed()


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


def elapsed(page, work, *arguments):
    """Milliseconds that work took by the browser's clock."""
    began = page.evaluate("performance.now()")
    work(*arguments)
    return page.evaluate("performance.now()") - began


def drag_alpha_and_iteration(page, report):
    wait_for_words(page, "T 1000: iteration")
    page.wait_for_function(PREPARED)  # all alphas are solved
    page.evaluate("window.long = 0")
    took = {"k": drag(page, "iteration k", [0.05 * i for i in range(15)])}
    page.mouse.up()
    took["alpha"] = drag(page, "forcing alpha", [0.7 + 0.01 * i for i in range(20)])
    assert not page.evaluate("window.refined().length")  # while it is dragged Python hears nothing
    page.mouse.up()
    refined = []
    for _ in range(5):
        page.evaluate("window.paints.length = 0")
        press(page, "forcing alpha", "ArrowRight")
        page.wait_for_function("window.refined().length")
        refined.append(page.evaluate("window.refined()[0]"))
    report("alpha let go to refined picture, median ms", f"{median(refined):.0f}")
    report("longest task while dragging, ms", f"{page.evaluate('window.long'):.0f}")
    assert median(refined) < 3000
    for name, times in took.items():
        report(f"drag of {name}, median ms", f"{median(times):.0f}")
        assert median(times) < 500
    wait_for_status(page, "converged in")
    shoot(page, "microscope-mouse")


def press_keys_and_hover(page):
    press(page, "iteration k", "Home")
    wait_for_words(page, "iteration 0 of")
    press(page, "iteration k", "ArrowRight")
    wait_for_words(page, "iteration 1 of")
    page.evaluate("window.paints.length = 0")
    page.locator(".gd-canvas canvas").first.hover(position={"x": 300, "y": 100})
    page.wait_for_function("window.paints.length")
    shoot(page, "microscope-hover")
    with page.expect_download() as found:
        page.get_by_text("Save PNG").first.click()
    assert Path(found.value.path()).read_bytes()[:4] == b"\x89PNG"
    assert found.value.suggested_filename.endswith(".png")


def choose_another_length_and_system(page, report):
    def choose(label, option, words):
        select(page, label, option)
        wait_for_words(page, words)
        wait_for_status(page, "converge")

    lengths = ("length T", "300", "T 300: "), ("length T", "1000", "T 1000: ")
    systems = ("system", "Rossler", "Rossler, "), ("system", "Lorenz-63", "Lorenz63")
    for other, back in (lengths, systems):
        for when in ("first", "again"):
            report(f"another {other[0]}, {when}, ms", f"{elapsed(page, choose, *other):.0f}")
            choose(*back)


def fill_the_screen(page):
    page.get_by_text("Full screen").first.click()
    page.wait_for_function("document.fullscreenElement?.className === 'gd-canvas'")
    page.evaluate("window.paints.length = 0; window.dispatchEvent(new Event('resize'))")
    shoot(page, "microscope-full")
    page.evaluate("document.exitFullscreen()")
    page.wait_for_function("!document.fullscreenElement")


def change_theme_and_width(page, theme):
    light = str(theme == "Light").lower()
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {theme}' }})")
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
    for width in (700, 360, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function(
            """([width, light]) => {
                const canvas = document.querySelector(".gd-canvas canvas"), box = canvas.getBoundingClientRect();
                const [red, green, blue] = canvas.getContext("2d").getImageData(0, 0, 1, 1).data;
                return box.width > 200 && box.right <= width && canvas.width === Math.round(2 * box.width)
                    && (red + green + blue < 120) !== light;
            }""",
            arg=[width, theme == "Light"],
        )
        page.locator(".gd-canvas").first.scroll_into_view_if_needed()
        shoot(page, f"microscope-{theme}-{width}")


def restart_the_kernel(page):
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.locator(".gd-dead", has_text="run its cell again").first.wait_for()
    shoot(page, "microscope-dead")
    wait_for_kernel(page)
    show(page, "NewtonMicroscope")
    page.wait_for_function("document.querySelector('.gd-dead')?.hidden")
    wait_for_words(page, "T 1000: iteration")


def test_three_panels_in_jupyterlab(page, record_testsuite_property):
    turn_the_dial(page, record_testsuite_property)
    show(page, "TrainingPanel")
    train_with_another_alpha_and_stop(page, record_testsuite_property)
    replay_resume_and_reset(page)
    show(page, "NewtonMicroscope")
    drag_alpha_and_iteration(page, record_testsuite_property)
    press_keys_and_hover(page)
    choose_another_length_and_system(page, record_testsuite_property)
    fill_the_screen(page)
    change_theme_and_width(page, "Dark")
    change_theme_and_width(page, "Light")
    restart_the_kernel(page)


def turn_the_dial(page, report):
    show(page, "ForcingDial")
    press(page, "forcing alpha", "Home")
    wait_for_words(page, "alpha 0, T 1000")
    page.locator("input[type=number][aria-label='forcing alpha, as a number']").fill("1")
    page.keyboard.press("Enter")
    wait_for_words(page, "alpha 1, T 1000")
    press(page, "forcing alpha", "Home")
    wait_for_words(page, "alpha 0, T 1000")
    wait_for_status(page, "idle: chaotic, errors grow")
    page.wait_for_function(PREPARED)
    took = drag(page, "forcing alpha", [0.3 + 0.03 * i for i in range(20)])
    page.mouse.up()
    report("drag of the dial, median ms", f"{median(took):.0f}")
    assert median(took) < 500
    wait_for_status(page, "idle: contracting, errors are forgotten")
    shoot(page, "dial")


def train_with_another_alpha_and_stop(page, report):
    wait_for_status(page, "idle: press Start")
    click(page, "Start")
    wait_for_words(page, "updates: loss")
    page.evaluate("window.paints.length = 0")
    page.wait_for_function("window.paints.filter(p => p.arrays).length >= 9")
    first, *_, last = page.evaluate("window.paints.map(p => p.painted)")
    count = page.evaluate("window.paints.length")
    report("pictures a second while it trains", f"{1e3 * (count - 1) / (last - first):.1f}")
    press(page, "alpha by hand", "ArrowRight")
    page.wait_for_function(
        "[...document.querySelectorAll('select')].some(s => s.selectedOptions[0]?.text === 'constant')"
    )
    shoot(page, "training-running")
    report("Stop, ms", f"{elapsed(page, stop, page):.0f}")


def stop(page):
    click(page, "Stop")
    wait_for_status(page, "stopped after")


def replay_resume_and_reset(page):
    page.locator("input[type=range][aria-label='replay']").wait_for()
    press(page, "replay", "Home")
    wait_for_words(page, "Replay: after")
    shoot(page, "training-replay")
    click(page, "Resume")
    wait_for_status(page, "running")
    stop(page)
    click(page, "Reset")
    wait_for_status(page, "idle: press Start")
    wait_for_words(page, "Nothing learned yet")
