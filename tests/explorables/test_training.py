"""TrainingPanel: start, stop, resume, reset and download, in the background and in the foreground."""

import inspect
import io
import threading
import time

import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.explorables import _choices as choices
from gtfdeer.explorables._panel import plural

from .waiting import until


@pytest.fixture
def panel(training):
    training.reset_button.click()
    return training


def test_in_the_foreground_it_trains_and_downloads(panel, tmp_path):
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
    panel.where, panel.updates = "foreground", 300
    panel.start(until=1)
    count = len(panel.history["loss"])
    assert panel.status == f"stopped after {plural(count, 'update')}"
    assert 1 <= count < 300
    before = panel.history["loss"]
    panel.resume_button.click()
    assert panel.status == "finished after 300 updates"
    assert np.array_equal(panel.history["loss"][:count], before)
    panel.resume_button.click()
    assert "nothing left to resume" in panel.status


def test_a_picture_of_a_long_run_is_not_drawn_point_by_point(panel):
    panel.where, panel.updates = "foreground", 100
    panel.start_button.click()
    panel.history = {name: np.resize(column, 300_000) for name, column in panel.history.items()}
    panel._paint()
    for name in ("loss", "alpha", "iterations"):
        assert panel._canvas.arrays[name]["shape"] == [1000]
    assert panel._canvas.array("loss at")[-1] == 300_000


def test_alpha_turns_while_it_trains(panel):
    """By hand alpha holds from the next update on; back to the schedule it is that of this update."""
    panel.where, panel.updates, panel.schedule = "foreground", 200, "annealed"
    panel.start(until=1)
    annealed = panel.history["alpha"].copy()
    panel.alpha = 0.4  # it means: by hand
    assert panel.schedule == "constant"
    panel.resume(until=len(annealed) + 1)
    by_hand = panel.history["alpha"][len(annealed) :]
    np.testing.assert_allclose(by_hand, 0.4, rtol=1e-6)
    panel.schedule = "annealed"
    panel.resume()
    assert panel.status == "finished after 200 updates"
    np.testing.assert_allclose(panel.history["alpha"][-1], 0.03 ** (199 / 1999), rtol=1e-3)


def test_another_length_solver_or_cap_begins_a_new_stretch(panel):
    panel.where, panel.updates = "foreground", 200
    panel.start(until=1)
    before = panel.history["loss"].copy()
    panel.window, panel.solver, panel.cap = 200, "Shooting", 4
    panel.resume()
    assert panel.status == "finished after 200 updates"
    np.testing.assert_array_equal(panel.history["loss"][: len(before)], before)
    assert len(panel.history["loss"]) == 200
    assert panel._now[:3] == (200, "Shooting", 4)
    panel.window, panel.solver, panel.cap = 50, "DEER", 20


def test_snapshots_replay_how_it_grew(panel):
    panel.where, panel.updates = "foreground", 300
    panel.start(until=1)
    panel.resume()
    shape = panel._canvas.arrays["orbits"]["shape"]
    assert shape[0] == len(panel._canvas.texts) >= 2
    assert [*panel._canvas.array("at")] == sorted(panel._canvas.array("at"))
    assert panel._canvas.text().startswith("Replay: after 300 updates")
    panel._canvas.values = {**panel._canvas.values, "snapshot": 0}
    assert not panel._canvas.text().startswith("Replay: after 300 updates")
    assert np.isfinite(panel.gradients).all()


def test_stop_in_the_background_keeps_what_was_learned(panel):
    panel.where, panel.updates = "background", 30_000
    panel.start_button.click()
    assert panel.running
    assert all(control.disabled for control in panel._settings)
    until(lambda: panel.reconstruction is not None)
    assert "running" in panel.status
    panel.stop_button.click()
    panel.wait(30)
    assert not panel.running
    assert panel.status.startswith("stopped after")
    assert 0 < len(panel.history["loss"]) < 30_000
    assert np.isfinite(panel.reconstruction.rollout(10, panel._recording.values[0])).all()
    assert not any(control.disabled for control in panel._settings)


def test_reset_forgets(panel):
    panel.reset_button.click()
    assert (panel.reconstruction, panel.history, panel.score) == (None, {}, None)
    assert panel.status == "idle: press Start"
    assert panel.download() == b""
    panel.resume_button.click()
    assert "nothing to resume" in panel.status


def test_start_while_it_trains_says_so(panel):
    panel.where, panel.updates = "background", 30_000
    said = []
    panel._status.observe(lambda change: said.append(change.new), names="value")
    panel.start_button.click()
    panel.start_button.click()
    until(lambda: panel.reconstruction is not None)
    panel.stop()
    panel.wait(60)
    assert any("already running" in words for words in said)
    assert panel.status.startswith("stopped after")


def test_an_error_in_the_thread_is_kept_shown_raised_and_reset(panel, monkeypatch):
    panel.where = "background"
    monkeypatch.setattr(panel, "_fresh", lambda: "no model")
    panel.start_button.click()
    with pytest.raises(TypeError, match=r"gtfdeer\.models"):
        panel.wait(60)
    assert panel.status.startswith("failed: model is 'no model'")
    assert not panel.window_menu.disabled
    monkeypatch.undo()
    panel.reset()
    assert (panel.status, panel.error) == ("idle: press Start", None)
    assert [type(error) for error in panel.errors] == [TypeError]
    panel.errors = []


class Interrupted(threading.Event):
    """Ctrl-C at the first wait, and only there."""

    pressed = False

    def wait(self, timeout=None):
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        return super().wait(timeout)


def test_an_interrupt_pauses_and_keeps_what_was_learned(panel, monkeypatch):
    panel.where = "foreground"
    monkeypatch.setattr(panel, "_due", Interrupted())
    panel.start()
    monkeypatch.undo()
    assert panel.status.startswith("stopped after")
    assert not panel.running


def test_every_family_and_every_solver_is_offered(panel):
    def concrete(module, base):
        kinds = (getattr(module, name) for name in module.__all__)
        return {k for k in kinds if isinstance(k, type) and issubclass(k, base) and not inspect.isabstract(k)}

    assert set(choices.MODELS.values()) == concrete(gd.models, gd.models.Model)
    assert set(choices.SOLVERS.values()) == concrete(gd.solvers, gd.solvers.Solver)
    assert [*panel.model_menu.options] == [*choices.MODELS]
    for name in choices.MODELS:
        assert nnx.eval_shape(lambda name=name: choices.new_model(name, 5, 7)).observed_dim == 5


def test_the_settings_can_be_read_and_set(panel):
    assert (panel.data, panel.model, panel.solver) == ("your recording", "shallow PLRNN", "DEER")
    panel.solver, panel.schedule = "ELK", "adaptive"
    assert (panel.solver_menu.value, panel.forcing_menu.value) == ("ELK", "adaptive")
    panel.solver, panel.schedule = "DEER", "annealed"


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


def test_a_picture_without_positive_values_is_drawn_all_the_same(panel):
    """Logarithmic axes have nothing to show where every update was skipped."""
    panel.history = {name: np.full(3, np.nan) for name in ("loss", "alpha", "iterations")} | {"retried": np.zeros(3)}
    panel._paint()
    assert panel.png[:4] == b"\x89PNG"
    panel.reset()
