"""TrainingPanel: start, stop, resume, reset and download; LiveView draws a training that runs in a cell."""

import inspect
import threading

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.explorables import _training as choices
from gtfdeer.explorables._live import Growth
from gtfdeer.explorables._panel import plural

from .waiting import until


@pytest.fixture
def panel(training):
    training.controls["reset"].click()
    training.schedule = "annealed"
    return training


def train(panel, until=np.inf):
    panel.start(until)
    panel.wait(300)


def go_on(panel, until=np.inf):
    panel.resume(until)
    panel.wait(300)


def test_it_trains_and_downloads(panel, tmp_path):
    panel.updates, panel.alpha = 100, 0.5
    panel.controls["start"].click()  # without a page that shows what threads draw, a click waits
    assert panel.status == "finished after 100 updates"
    assert len(panel.history["loss"]) == 100
    assert panel.history["loss"][-10:].mean() < panel.history["loss"][:5].mean()
    panel.schedule = "adaptive"
    panel.controls["download"].click()
    assert 'download="reconstruction.npz"' in panel._link.value
    (tmp_path / "r.npz").write_bytes(panel.download())
    again = gd.load(tmp_path / "r.npz")
    assert np.array_equal(again.simulate(20), panel.reconstruction.simulate(20))


def test_resume_goes_on_where_it_stopped_and_snapshots_replay_how_it_grew(panel):
    panel.updates = 300
    train(panel, until=1)
    before = panel.history["loss"]
    assert panel.status == f"stopped after {plural(len(before), 'update')}"
    assert 1 <= len(before) < 300
    panel.controls["resume"].click()
    assert panel.status == "finished after 300 updates"
    assert np.array_equal(panel.history["loss"][: len(before)], before)
    panel.controls["resume"].click()
    assert "nothing left to resume" in panel.status
    orbits, errors, at = (panel._canvas.array(name) for name in ("02.0.y", "21.0.z", "00.1.at"))
    assert len(orbits) == len(errors) == len(at) == len(panel._canvas.texts) >= 2
    assert [*at] == sorted(at)
    assert errors[-1, -1].max() < 1e-4 < errors[-1, 0].max()  # Newton's method solved the window
    assert panel.summary.startswith("300 updates: loss")
    panel.snapshot = 0
    assert panel.summary.startswith(f"Replay: after {plural(int(at[0]), 'update')}: loss")
    assert np.isfinite(panel.growth.measured).all()
    assert panel.growth.measured[-1, 2] < 0  # alpha is near 1: the forced map contracts
    assert f"{panel.growth.floor:.2f}" in panel.summary
    panel.controls["reset"].click()
    assert (panel.status, panel.reconstruction) == ("idle: press Start", None)


def test_alpha_turns_while_it_trains(panel):
    """By hand alpha holds from the next update on; back to the schedule it is that of this update."""
    panel.updates, panel.schedule = 200, "annealed"
    train(panel, until=1)
    annealed = panel.history["alpha"].copy()
    panel.alpha = 0.4  # it means: by hand
    assert panel.schedule == "constant"
    go_on(panel, until=len(annealed) + 1)
    by_hand = panel.history["alpha"][len(annealed) :]
    np.testing.assert_allclose(by_hand, 0.4, rtol=1e-6)
    panel.schedule = "annealed"
    go_on(panel)
    assert panel.status == "finished after 200 updates"
    np.testing.assert_allclose(panel.history["alpha"][-1], 0.03 ** (199 / 1999), rtol=1e-3)


def test_another_length_solver_or_cap_begins_a_new_stretch(panel):
    panel.updates = 200
    train(panel, until=1)
    before = panel.history["loss"].copy()
    panel.window, panel.solver, panel.cap = 200, "Shooting", 4
    go_on(panel)
    assert panel.status == "finished after 200 updates"
    np.testing.assert_array_equal(panel.history["loss"][: len(before)], before)
    assert len(panel.history["loss"]) == 200
    assert panel._now[:3] == (200, "Shooting", 4)
    panel.window, panel.solver, panel.cap = 50, "DEER", 20


def test_stop_in_the_background_keeps_what_was_learned(panel):
    panel.updates = 30_000
    panel.start()
    assert panel.running
    assert panel.controls["start"].disabled
    assert panel.controls["data"].disabled
    until(lambda: panel.reconstruction is not None)
    assert "running" in panel.status
    panel.controls["stop"].click()
    panel.wait(30)
    assert not panel.running
    assert panel.status.startswith("stopped after")
    assert 0 < len(panel.history["loss"]) < 30_000
    assert np.isfinite(panel.reconstruction.rollout(10, panel.growth.recording.values[0])).all()
    assert not any(control.disabled for control in panel.controls.values())


def test_an_error_in_the_thread_is_kept_shown_raised_and_reset(panel, monkeypatch):
    def break_down():
        raise TypeError("on purpose")

    monkeypatch.setattr(panel, "_train", break_down)
    panel.start()
    with pytest.raises(TypeError, match="on purpose"):
        panel.wait(60)
    assert panel.status == "failed: on purpose"
    assert not panel.controls["data"].disabled
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
    panel.start()
    until(lambda: panel.reconstruction is not None)
    monkeypatch.setattr(panel, "_due", Interrupted())
    panel.wait(60)
    monkeypatch.undo()
    assert panel.status.startswith("stopped after")
    assert not panel.running


def test_every_family_and_every_solver_is_offered(panel):
    def concrete(module, base):
        kinds = (getattr(module, name) for name in module.__all__)
        return {k for k in kinds if isinstance(k, type) and issubclass(k, base) and not inspect.isabstract(k)}

    assert set(choices.MODELS.values()) == concrete(gd.models, gd.models.Model)
    assert set(choices.SOLVERS.values()) == concrete(gd.solvers, gd.solvers.Solver)
    assert [*panel.controls["model"].options] == [*choices.MODELS]
    for name in choices.MODELS:
        assert nnx.eval_shape(lambda name=name: choices.build_model(name, 5, 7)).observed_dim == 5


SERIES = gd.data.Series(np.stack([np.sin(np.arange(300) / 9), np.cos(np.arange(300) / 9)], axis=1), dt=1.0)


def test_a_training_in_a_cell_is_seen_and_replayed():
    view = gd.explorables.LiveView(SERIES)
    model = gd.models.ShallowPLRNN(latent_dim=2, hidden_dim=5, rngs=nnx.Rngs(0))
    rec = gd.fit(model, SERIES, window=20, updates=60, callbacks=[view], key=jax.random.key(0), progress=False)
    assert f"gain {rec.history['gain'][-1]:.3f}" in view.summary  # the default learns a gain
    assert view.summary.startswith("60 updates: loss")
    assert len(view.growth.snapshots) == len(view._canvas.texts)
    assert view.png[:4] == b"\x89PNG"


def test_a_run_that_escapes_is_drawn_too():
    growth = Growth(SERIES)
    model = gd.models.ShallowPLRNN(latent_dim=2, hidden_dim=5, rngs=nnx.Rngs(0))
    nnx.update(model, jax.tree.map(lambda leaf: 1e6 * leaf, nnx.state(model, nnx.Param)))
    growth.add(model, {name: np.ones(1) for name in ("loss", "alpha", "iterations", "retried")}, 20, judge=True)
    assert "it leaves all bounds" in growth.describe()
    view = gd.explorables.LiveView(SERIES)
    growth.show(view, whole=True)
    assert len(view._canvas.spec["plots"]) == 8
    assert view.png[:4] == b"\x89PNG"
