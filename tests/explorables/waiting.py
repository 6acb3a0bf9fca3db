"""What tests of panels wait for, what they count meanwhile, and how they hold a mouse."""

import os
import time
from pathlib import Path

import jax


def compilations(caplog, work):
    """How many XLA programs were compiled while `work` ran."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level("WARNING"):
        work()
    return sum("Finished XLA compilation" in r.getMessage() for r in caplog.records)


def until(condition, seconds=300):
    """Wait for what another thread brings about."""
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, "it did not come"
        time.sleep(0.001)


def shoot(page, name, **more):
    """Leave a screenshot where `GTFDEER_SCREENSHOTS` says, for a person to look at."""
    if folder := os.environ.get("GTFDEER_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", **more)


def drag(page, label, shares):
    """Hold a slider's handle and move it to each share of its width; milliseconds from each input to the paint."""
    box = page.locator(f"input[type=range][aria-label='{label}']").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + shares[0] * box["width"], y)
    page.mouse.down()
    page.evaluate("window.paints.length = 0")
    for share in shares[1:]:
        page.mouse.move(box["x"] + share * box["width"], y)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function("window.paints.some(p => p.asked)", timeout=60_000)
    return page.evaluate("window.paints.filter(p => p.asked).map(p => p.painted - p.asked)")
