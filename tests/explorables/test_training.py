"""TrainingPanel: start, stop, resume, reset and download, in the background and in the foreground."""

import io
import time

import jax
import numpy as np
import pytest

import gtfdeer as gd
from gtfdeer import explorables


@pytest.fixture(scope="module")
def series():
    return gd.data.simulate(gd.data.Lorenz63(), length=3000, key=jax.random.key(0))


@pytest.fixture(scope="module")
def panel(series):
    panel = explorables.TrainingPanel(series, hidden_dim=5, strict=True)
    panel.window = 50
    return panel


def test_in_the_foreground_it_trains_and_downloads(panel, tmp_path):
    panel.reset_button.click()
    panel.where, panel.updates, panel.alpha, panel.forcing_menu.value = "foreground", 100, 0.5, "constant"
    panel.start_button.click()
    assert panel.status == "finished after 100 updates"
    assert len(panel.history["loss"]) == 100
    assert panel.history["loss"][-10:].mean() < panel.history["loss"][:5].mean()
    panel.forcing_menu.value = "adaptive"
    panel.download_button.click()
    assert 'download="reconstruction.npz"' in panel._link.value
    (tmp_path / "r.npz").write_bytes(panel.download())
    again = gd.load(tmp_path / "r.npz")
    assert np.array_equal(again.simulate(20), panel.reconstruction.simulate(20))


def test_resume_goes_on_where_it_stopped(panel):
    panel.reset_button.click()
    panel.where, panel.updates = "foreground", 300
    panel.start(until=1)
    count = len(panel.history["loss"])
    assert panel.status == f"stopped after {count} updates"
    assert 1 <= count < 300
    before = panel.history["loss"]
    panel.resume_button.click()
    assert panel.status == "finished after 300 updates"
    assert np.array_equal(panel.history["loss"][:count], before)
    panel.resume_button.click()
    assert "nothing left to resume" in panel.status


def test_stop_in_the_background_keeps_what_was_learned(panel):
    panel.reset_button.click()
    panel.where, panel.updates = "background", 30_000
    panel.start_button.click()
    assert panel.running
    assert all(control.disabled for control in panel._settings)
    patience = time.monotonic() + 60
    while panel.reconstruction is None and time.monotonic() < patience:
        time.sleep(0.05)
    assert "running" in panel.status
    panel.stop_button.click()
    panel.wait(30)
    assert not panel.running
    assert panel.status.startswith("stopped after")
    assert 0 < len(panel.history["loss"]) < 30_000
    assert np.isfinite(panel.reconstruction.free_run(10, panel._train.values[0])).all()
    assert not any(control.disabled for control in panel._settings)


def test_reset_forgets(panel):
    panel.reset_button.click()
    assert (panel.reconstruction, panel.history, panel.score) == (None, {}, None)
    assert panel.status == "idle: press Start"
    assert panel.download() == b""
    panel.resume_button.click()
    assert "nothing to resume" in panel.status


def test_an_error_in_the_thread_is_kept_shown_and_raised(panel, monkeypatch):
    panel.reset_button.click()
    panel.where = "background"
    panel._train = panel._train.select([0])  # the model will be asked to observe what it cannot
    monkeypatch.setattr(panel, "_prepare", lambda: None)
    monkeypatch.setattr(panel, "_fresh", lambda: "no model")
    panel.start_button.click()
    with pytest.raises(TypeError, match=r"gtfdeer\.models"):
        panel.wait(60)
    assert panel.status.startswith("failed: model is 'no model'")
    monkeypatch.undo()
    panel._forget_error()
    panel.reset()
    assert panel.status == "idle: press Start"


def test_random_clicks_leave_no_stuck_state(panel):
    draw = np.random.default_rng(1)
    panel.where, panel.updates = "background", 300
    clicks = [panel.start_button, panel.stop_button, panel.resume_button, panel.download_button, panel.reset_button]
    for _ in range(12):
        clicks[draw.integers(len(clicks))].click()
        time.sleep(0.02)
    panel.stop_button.click()
    panel.wait(60)
    assert panel.error is None
    assert not panel.status.startswith(("running", "compiling", "stopping", "failed"))
    assert io.BytesIO(panel.png).read(4) == b"\x89PNG"
