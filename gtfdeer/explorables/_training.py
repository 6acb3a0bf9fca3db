"""TrainingPanel: choose data, model and forcing, press Start, watch the attractor grow, and turn alpha meanwhile.

The training runs in a thread of its own, `gtfdeer.fit` with a callback. Stop pauses it there, Resume lets it go on to
the very result that it would have had. alpha is read before every update; another T, solver or cap begins a new stretch
from the parameters as they are, with the memory of the optimiser empty.
"""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from .. import Reconstruction, forcing
from ..data import Series
from ..training import Progress, TrainConfig, describe_device, fit
from ._canvas import ALPHAS
from ._choices import MODELS, RECORDINGS, SCHEDULES, SOLVERS, LiveAlpha, build_model, cap_iterations
from ._controls import Setting, button, menu, plural, slider
from ._live import MOST, Growth
from ._panel import Panel

_FRAME, _SCORED = 0.15, 2.0  # seconds between two pictures, and between two scores
_FIRST_RATE, _LAST_RATE = 1e-2, 1e-5


class TrainingPanel(Panel):
    """Train with Start, Stop, Resume, Reset and Download.

    Controls: `data`, `model`, `updates`; while it trains too the `window`, `schedule` ("constant" is alpha by hand),
    `solver`, `cap`, and below the picture `alpha`. Afterwards a slider replays how the attractor grew.

    Args:
        series: your own recording, offered beside the built-in ones.
        hidden_dim: hidden units, of the models that have them.
        strict: as for every panel.

    Attributes:
        reconstruction: what was learned by now, or None.
        growth: what is seen of it: `history` over all stretches, `score` and `floor`, snapshots.
    """

    data, model, updates = Setting(), Setting(), Setting()
    window, schedule, solver, cap, alpha = Setting(), Setting(), Setting(), Setting(), Setting()

    def __init__(self, series: Series | None = None, *, hidden_dim: int = 50, strict: bool | None = None) -> None:
        super().__init__(strict=strict)
        self._recordings = ({} if series is None else {"your recording": lambda: series}) | RECORDINGS
        self._hidden_dim = hidden_dim
        self._add(data=menu("data", [*self._recordings]), model=menu("model", [*MODELS], "ShallowPLRNN"))
        self._add(updates=slider("updates", 4000, 100, 30_000, 100))
        self._add(window=menu("length T", (50, 200, 800), 200), schedule=menu("alpha schedule", SCHEDULES))
        self._add(solver=menu("solver", [*SOLVERS], "DEER"), cap=slider("most iterations", MOST, 1, MOST, 1))
        self._add(**{name: button(name.capitalize()) for name in ("start", "stop", "resume", "reset", "download")})
        self._locked = ("data", "model", "updates", "start", "resume")
        self._link = widgets.HTML()
        self.widget.children = [*self.widget.children, self._link]
        turns = {"name": "alpha", "label": "alpha by hand", "stops": ALPHAS}, {"name": "snapshot", "label": "replay"}
        self._add_turns(self._take_alpha, *turns, alpha=0.15, snapshot=0)
        self._go, self._over, self._until = threading.Event(), False, None
        self.reset()

    @property
    def history(self) -> dict[str, np.ndarray]:
        """As `Reconstruction.history`, over all stretches of training."""
        return self.growth.history

    def start(self, until: int | None = None) -> None:
        """Train a new model with what the controls say; pause after `until` updates where that is given."""
        if not self.running:
            self._end()
            self._until = until
            self._launch(self._train)

    def resume(self, until: int | None = None) -> None:
        """Go on with a run that was stopped."""
        if self._paused:
            self._until = until
            self._halt.clear()
            self._enable(False)
            self._paused = False
            self._go.set()
        elif not self.running:
            done = "finished: nothing left to resume; press Start for a new run"
            self._say("idle: nothing to resume; press Start" if self.reconstruction is None else done)

    def reset(self) -> None:
        """Stop, and forget what was learned."""
        with self._settled():
            self._end()
            self._forget()
            self._redraw()
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

    def _end(self) -> None:
        """End a run for good, paused or not."""
        self._over = True
        self._halt.set()
        self._go.set()
        while self._busy:
            time.sleep(0.01)
        self._over = False

    def _take_alpha(self) -> None:
        self.schedule = "constant"

    def _forget(self) -> None:
        self.reconstruction: Reconstruction | None = None
        self.growth = Growth(self._recordings[self.data]().standardise())
        self._link.value = ""

    def _build_model(self) -> Any:
        return build_model(self.model, self.growth.recording.columns, self._hidden_dim)

    def _stretch(self) -> tuple[Any, ...]:
        """What another value of begins a new stretch of training."""
        by_hand = self.schedule in ("annealed", "constant")  # LiveAlpha goes from one to the other
        return self.window, self.solver, self.cap, "" if by_hand else self.schedule

    def _train(self) -> str:
        self._forget()
        recording, total, model = self.growth.recording, self.updates, self._build_model()
        self._drawn = self._judged = 0.0
        while True:
            self._report("compiling: some seconds")
            self._before, self._now = self.history, self._stretch()
            done, (window, solver, cap, kind) = len(self.history.get("loss", ())), self._now
            if kind == "learned gain":  # its bound goes on from where it would be by now
                bound = forcing.LearnedGain.last ** (done / total)
                forced = forcing.LearnedGain(bound, gain=self.reconstruction and self.reconstruction.gain)
            else:
                schedule = forcing.Adaptive() if kind == "adaptive" else TrainConfig.forcing
                forced = LiveAlpha(schedule, self._say_alpha, done, total)
            rate = _LAST_RATE + (_FIRST_RATE - _LAST_RATE) * (1 + np.cos(np.pi * done / total)) / 2
            rec = fit(
                model,
                recording,
                window=min(window, len(recording) // 2),
                updates=total - done,
                learning_rate=float(rate),
                forcing=forced,
                solver=cap_iterations(solver, cap),
                validations=0,  # what is seen is what is kept
                callbacks=[self._look],
                progress=False,
            )
            self._remember(rec, rec.history, judge=True)
            if rec.ending != "stopped by a callback" or self._over:
                break
            model = rec.model
        self._paint(whole=True)
        ended = {"stopped by a callback": "stopped"}.get(rec.ending, rec.ending)
        return f"{ended} after {plural(len(self.history['loss']), 'update')}"

    def _say_alpha(self) -> float:
        return self.alpha if self.schedule == "constant" else float("nan")

    def _look(self, moment: Progress) -> None:
        """What `fit` calls a few times a second."""
        done = len(self._before.get("loss", ())) + moment.update
        enough = self._until is not None and done >= self._until
        pause = (self._halt.is_set() or enough) and moment.update > 0
        left = moment.updates - moment.update
        self._report(f"running {done} of {done + left}, about {left * moment.pace:.0f} s left")
        now = time.monotonic()
        if moment.update and (pause or now - self._drawn > _FRAME):
            recording = self.growth.recording
            known = {"scaling": recording.scaling, "dt": recording.dt, "name": recording.name}
            first = np.asarray(recording.values[0], np.float32)
            rec = Reconstruction(moment.model, **known, first=first, embedding=recording.embedding, ending="stopped")
            self._remember(rec, moment.history, judge=pause or now - self._judged > _SCORED)
            self._drawn = time.monotonic()
            if not pause:
                self._show()
        if pause and not self._over:
            self._pause(done)
        if self._over or self._stretch() != self._now:
            moment.stop()

    def _pause(self, done: int) -> None:
        """Wait for Resume or for the end, with everything kept as it is."""
        self._go.clear()
        self._until = None
        self._paint(whole=True)
        self._say(f"stopped after {plural(done, 'update')}")
        self._enable(True)
        self._paused = True
        self._go.wait()
        self._paused = False

    def _remember(self, rec: Reconstruction, history: dict[str, np.ndarray], *, judge: bool) -> None:
        parts = [part for part in (self._before, history) if part]
        # where no gain was learned, it was alpha times the pseudo-inverse of the readout
        names = self._before | history
        whole = {name: np.concatenate([part.get(name, part["alpha"]) for part in parts]) for name in names}
        done = len(whole["loss"])
        self.reconstruction = Reconstruction(**{**vars(rec), "history": whole, "update": done})
        self.growth.add(rec.model, whole, self._now[0], judge)
        self._judged = time.monotonic() if judge else self._judged

    def _redraw(self) -> None:
        self._paint(whole=not self.running)

    def _paint(self, whole: bool) -> None:
        """While it trains the newest snapshot alone; `whole`, when it stands, all of them for the replay."""
        drawn, texts = self.growth.draw(whole)
        texts = [f"{text} Computed on {describe_device()}." for text in texts]
        label = f"Training: {self.growth.recording.name}"
        self._draw(label, [1, 1.1, 1.1], drawn, texts, snapshot=len(texts) - 1)
