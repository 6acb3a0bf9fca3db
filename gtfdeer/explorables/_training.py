"""TrainingPanel: choose data, model and forcing, press Start, watch the attractor grow, and turn alpha meanwhile.

The training runs in a thread of its own, `gtfdeer.fit` with a callback. Stop pauses it there, Resume lets it go on to
the very result that it would have had. alpha is read before every update; another T, solver or cap begins a new stretch
from the parameters as they are, with the memory of the optimiser empty. Whatever ends it, `panel.reconstruction` is
what was learned by then.
"""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import Reconstruction, forcing, measures, solvers
from ..data import Series
from ..training import Progress, describe_device, fit
from ._background import LongPanel
from ._choices import MODELS, RECORDINGS, SCHEDULES, SOLVERS, LiveAlpha, capped, new_model
from ._growth import DRAWN, SLIDERS, SNAPSHOTS, describe_growth
from ._panel import Setting, Turn, button, menu, plural, slider, threads_show

__all__ = ["TrainingPanel"]

_FRAME = 0.2  # seconds between two pictures
_SCORED = 2.0  # seconds between two scores while it trains
_RUN = 5000  # steps of the free run that is scored
_FIRST_RATE, _LAST_RATE = 1e-2, 1e-5


class TrainingPanel(LongPanel):
    """Train with Start, Stop, Resume, Reset and Download.

    Controls: `data_menu`, `model_menu`, `updates_slider`, `where_menu`, `start_button`, `stop_button`, `resume_button`,
    `reset_button`, `download_button`; while it trains too `window_menu`, `forcing_menu` ("constant" is alpha by hand),
    `solver_menu`, `cap_slider`, and below the picture alpha. Afterwards a slider replays how the attractor grew.

    Args:
        series: your own recording, offered beside the built-in ones.
        hidden_dim: hidden units, of the models that have them.
        strict: raise errors too; those of the training thread are raised by `wait`.

    Attributes:
        reconstruction: what was learned by now, or None before the first look.
        history: as `Reconstruction.history`, over all stretches of training.
        gradients: update and norm of the loss's gradient over one window, one row a picture.
        score: D_stsp of the last free run against the data (5,000 steps), or None.
    """

    data = Setting("data_menu")
    model = Setting("model_menu")
    window = Setting("window_menu")
    schedule = Setting("forcing_menu")
    solver = Setting("solver_menu")
    cap = Setting("cap_slider")
    updates = Setting("updates_slider")
    alpha = Turn("alpha")

    def __init__(self, series: Series | None = None, *, hidden_dim: int = 50, strict: bool | None = None) -> None:
        super().__init__(strict=strict)
        self._series, self._hidden_dim = series, hidden_dim
        names = [*([] if series is None else ["your recording"]), *RECORDINGS]
        self.data_menu = menu("data", names, names[0])
        self.model_menu = menu("model", [*MODELS], "shallow PLRNN")
        self.window_menu = menu("length T", (50, 200, 800), 200)
        self.forcing_menu = menu("alpha schedule", SCHEDULES, "annealed")
        self.solver_menu = menu("solver", [*SOLVERS], "DEER")
        self.cap_slider = slider("iterations, at most", 20, 1, 20, 1)
        self.updates_slider = slider("updates", 4000, 100, 30_000, 100)
        self.start_button, self.resume_button = button("Start"), button("Resume")
        self.reset_button, self.download_button = button("Reset"), button("Download")
        self._link = widgets.HTML()
        self._settings = (self.data_menu, self.model_menu, self.updates_slider, self.where_menu)
        buttons = (self.start_button, self.stop_button, self.resume_button, self.reset_button, self.download_button)
        live = (self.window_menu, self.forcing_menu, self.solver_menu, self.cap_slider)
        self._arrange(self._settings[:2], self._settings[2:], live[:2], live[2:], (*buttons, self._link))
        self._canvas.spec, self._canvas.values = {"sliders": SLIDERS}, {"alpha": 0.15, "snapshot": 0}
        self._go, self._paused, self._over, self._due = (threading.Event() for _ in range(4))
        self._attended = False  # whether the caller waits, and draws
        self._press(self.start_button, self.start)
        self._press(self.resume_button, self.resume)
        self._press(self.reset_button, self.reset)
        self._press(self.download_button, self.download)
        self._observe_turns(alpha=self._by_hand)
        self.reset()

    @property
    def running(self) -> bool:
        return self._one.locked() and not self._paused.is_set()

    def start(self, until: int | None = None) -> None:
        """Train a new model with what the controls say; pause after `until` updates where that is given."""
        if not self.running:
            self._end()
        self._until = until
        if self._launch(self._train, "background"):
            self._attend()

    def resume(self, until: int | None = None) -> None:
        """Go on with a run that was stopped."""
        if self.running:
            return
        if not self._paused.is_set():
            done = "finished: nothing left to resume; press Start for a new run"
            self._say("idle: nothing to resume; press Start" if self.reconstruction is None else done)
            return
        self._until = until
        self._halt.clear()
        self._enable(False)
        self._paused.clear()
        self._go.set()
        self._attend()

    def wait(self, timeout: float = 600.0) -> None:
        """Block until training has paused or ended; with `strict`, raise what went wrong in it.

        Raises:
            TimeoutError: if it goes on for longer than `timeout` seconds.
        """
        patience = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > patience:
                raise TimeoutError(f"still {self.status} after {timeout:g} s; press Stop, or wait longer")
            if self._due.wait(0.1):
                self._due.clear()
                self._paint(whole=False)
        if self.strict and self.error is not None:
            raise self.error

    def reset(self) -> None:
        """Stop, and forget what was learned, errors included."""
        with self._working():
            self._end()
            self._clear()
            self._prepare_data()
            self._paint()
            self._say("idle: press Start")

    def download(self) -> bytes:
        """Offer the reconstruction as one `.npz` file; returns its bytes."""
        if self.reconstruction is None:
            self._say("idle: nothing to download; press Start")
            return b""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "reconstruction.npz"
            self.reconstruction.save(path)
            content = path.read_bytes()
        address = f"data:application/octet-stream;base64,{base64.b64encode(content).decode('ascii')}"
        self._link.value = f'<a download="reconstruction.npz" href="{address}">save reconstruction.npz</a>'
        return content

    def _attend(self) -> None:
        """In the foreground: wait, and draw what the thread cannot; an interrupt stops."""
        foreground = self.where == "foreground" or (self.where == "auto" and not threads_show())
        self._attended = foreground
        if foreground:
            try:
                self.wait(float("inf"))
            except KeyboardInterrupt:
                self.stop()
                self.wait(60)
            self._paint()  # what the thread drew last may not have been shown

    def _end(self) -> None:
        """End a run for good, paused or not."""
        self._over.set()
        self._halt.set()
        self._go.set()
        self._join()
        self._over.clear()
        self._paused.clear()

    def _by_hand(self) -> None:
        if self.schedule != "constant":
            self.schedule = "constant"

    def _enable(self, on: bool) -> None:
        for control in self._settings:
            control.disabled = not on

    def _clear(self) -> None:
        self.reconstruction: Reconstruction | None = None
        self.score: float | None = None
        self.history: dict[str, np.ndarray] = {}
        self.gradients = np.zeros((0, 2))
        self._snapshots: list[tuple[int, np.ndarray]] = []
        self._link.value = ""

    def _prepare_data(self) -> None:
        made = self._series if self.data == "your recording" else RECORDINGS[self.data]()
        assert made is not None
        self._recording = made.standardise()

    def _fresh(self) -> Any:
        return new_model(self.model, self._recording.columns, self._hidden_dim)

    def _stretch(self) -> tuple[Any, ...]:
        """What another value of begins a new stretch of training."""
        return self.window, self.solver, self.cap, self.schedule == "adaptive"

    def _train(self) -> str:
        self._go.clear()
        self._paused.clear()
        self._clear()
        self._prepare_data()
        self._drawn = self._judged = 0.0
        model, total = self._fresh(), self.updates
        while True:
            self._report("compiling: some seconds")
            done, self._now = len(self.history.get("loss", ())), self._stretch()
            self._before = self.history
            window, solver, cap, adaptive = self._now
            schedule = forcing.Adaptive() if adaptive else forcing.Annealed(least_updates=2000)
            rate = _LAST_RATE + (_FIRST_RATE - _LAST_RATE) * (1 + np.cos(np.pi * done / total)) / 2
            self._norm = _gradient_norm()
            rec = fit(
                model,
                self._recording,
                window=min(window, len(self._recording) // 2),
                updates=total - done,
                learning_rate=float(rate),
                forcing=LiveAlpha(schedule, self._alpha_by_hand, done, total),
                solver=capped(solver, cap),
                validations=0,  # what is seen is what is kept
                callbacks=[self._look],
                progress=False,
            )
            self._remember(rec, rec.history, judge=True)
            if rec.ending != "stopped by a callback" or self._over.is_set():
                break
            model = rec.model
        self._paint()
        known = {"finished": "finished", "stopped by a callback": "stopped"}
        ended = known.get(rec.ending, f"stopped: {rec.ending.removeprefix('stopped: ')}")
        return f"{ended} after {plural(len(self.history['loss']), 'update')}"

    def _alpha_by_hand(self) -> float:
        return self.alpha if self.schedule == "constant" else float("nan")

    def _look(self, moment: Progress) -> None:
        """What `fit` calls a few times a second."""
        done = len(self._before.get("loss", ())) + moment.update
        enough = self._until is not None and done >= self._until
        pause = (self._halt.is_set() or enough) and moment.update > 0
        left = moment.pace * (moment.updates - moment.update)
        total = done + moment.updates - moment.update
        self._report(f"running {done} of {total}, about {left:.0f} s left")
        now = time.monotonic()
        if moment.update and (pause or now - self._drawn > _FRAME):
            rec = Reconstruction(
                model=moment.model,
                scaling=self._recording.scaling,
                dt=self._recording.dt,
                first=np.asarray(self._recording.values[0], np.float32),
                name=self._recording.name,
                embedding=self._recording.embedding,
                ending="stopped" if pause else "still training",
                update=done,
            )
            self._remember(rec, moment.history, judge=pause or now - self._judged > _SCORED)
            self._drawn = time.monotonic()
            if not pause:
                self._show()
        if self._over.is_set():
            moment.stop()
        elif pause:
            self._pause(done)
        if self._over.is_set() or self._stretch() != self._now:
            moment.stop()

    def _pause(self, done: int) -> None:
        """Wait for Resume or for the end, with everything kept as it is."""
        self._go.clear()
        self._until = None
        self._paint(whole=True)
        self._say(f"stopped after {plural(done, 'update')}")
        self._enable(True)
        self._paused.set()
        self._go.wait()

    def _show(self) -> None:
        """Draw here, or let the caller who waits draw, where threads cannot."""
        if self._attended:
            self._due.set()
        else:
            self._paint(whole=False)

    def _remember(self, rec: Reconstruction, history: dict[str, np.ndarray], *, judge: bool) -> None:
        self.history = {
            name: np.concatenate([self._before.get(name, part[:0]), part]) for name, part in history.items()
        }
        values, done = self._recording.values, len(self.history["loss"])
        self.reconstruction = rec = Reconstruction(**{**vars(rec), "history": self.history, "update": done})
        run = rec.rollout(_RUN if judge else DRAWN, values[0])
        if judge:
            bounded = np.isfinite(run).all()
            self.score = measures.state_space_divergence(values[:_RUN], run) if bounded else None
            self._judged = time.monotonic()
        norm = self._norm(rec.model, values[: self._now[0]], float(self.history["alpha"][-1]))
        self.gradients = np.append(self.gradients, [[done, norm]], axis=0)
        self._snapshots.append((done, np.asarray(run[:DRAWN], np.float32)))
        if len(self._snapshots) > 2 * SNAPSHOTS:
            del self._snapshots[1:-1:2]

    def _paint(self, whole: bool = True) -> None:
        """While it trains the newest snapshot alone; `whole`, when it stands, all of them for the replay."""
        kept = self._snapshots if whole else self._snapshots[-1:]
        texts = [self._words()]
        if len(kept) > 1:
            texts = [f"Replay: after {plural(done, 'update')}. {texts[0]}" for done, _ in kept]
        spec, arrays = describe_growth(self._recording, self.history, self.gradients, kept)
        self._draw(spec, arrays, texts, snapshot=max(0, len(kept) - 1))

    def _words(self) -> str:
        where = f"Computed on {describe_device()}."
        if not len(self.history.get("loss", ())):
            return f"{self._recording!r}. Nothing learned yet. {where}"
        loss, alpha = self.history["loss"][-50:].mean(), self.history["alpha"][-1]
        score = "it leaves all bounds" if self.score is None else f"D_stsp {self.score:.2f} (0 is perfect)"
        again = int(self.history["retried"][-50:].sum())
        capped = f" {again} of the last 50 solves did not converge and were done step by step." if again else ""
        return (
            f"{plural(len(self.history['loss']), 'update')}: loss {loss:.4f}, alpha {alpha:.3f}; free run: {score}."
            f"{capped} Trained on {self._recording.name}. {where}"
        )


def _gradient_norm() -> Callable[[Any, Any, float], float]:
    """The norm of the loss's gradient over one window, as a function of model, window `(T, N)` and alpha."""

    @nnx.jit
    def norm(model: Any, x: Any, alpha: Any) -> Any:
        def loss(model: Any) -> Any:
            predicted, _ = model.teacher_forced(x, alpha, solvers.Sequential(), None)
            return jnp.mean((predicted - x[1:]) ** 2)

        squares = jax.tree.map(lambda g: jnp.sum(g**2), nnx.grad(loss)(model))
        return jnp.sqrt(jax.tree.reduce(jnp.add, squares))

    return lambda model, x, alpha: float(norm(model, jnp.asarray(x, jnp.float32), jnp.float32(alpha)))
