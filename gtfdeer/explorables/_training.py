"""TrainingPanel: choose data, model and forcing, press Start, watch the attractor grow, and turn alpha meanwhile.

The training runs in a thread of its own, `gtfdeer.fit` with a callback. Stop pauses it there, Resume lets it go on to
the very result that it would have had. alpha is read before every update; another T, solver or cap begins a new stretch
from the parameters as they are, with the memory of the optimiser empty.
"""

from __future__ import annotations

import base64
import inspect
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import Reconstruction, data, forcing, models, solvers
from ..training import Progress, TrainConfig, fit
from ._canvas import ALPHAS
from ._live import MOST, Growth
from ._panel import Panel, Turn, menu, plural, slider
from ._task import SYSTEMS, record

_FRAME, _SCORED = 0.15, 2.0  # seconds between two pictures, and between two scores
_FIRST_RATE, _LAST_RATE = 1e-2, 1e-5


def _concrete(room: Any, base: type) -> dict[str, Any]:
    kinds = inspect.getmembers(room, lambda each: inspect.isclass(each) and issubclass(each, base))
    return {name: kind for name, kind in kinds if not inspect.isabstract(kind)}


MODELS, SOLVERS = _concrete(models, models.Model), _concrete(solvers, solvers.Solver)
SCHEDULES = ("annealed", "adaptive", "learned gain", "constant")
RECORDINGS: dict[str, Callable[[], data.Series]] = {
    **{f"{name}, 5 % noise": partial(record, system, 20_000) for name, system in SYSTEMS.items()},
    "electrocardiogram, 5 delays": lambda: data.electrocardiogram().split(0.2)[0].delay_embed(5),  # a minute
}


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

    data, model = menu("data", RECORDINGS), menu("model", MODELS, "ShallowPLRNN")
    updates = slider("updates", 4000, 100, 30_000, 100)
    window, schedule = menu("length T", (50, 200, 800), 200), menu("alpha schedule", SCHEDULES)
    solver, cap = menu("solver", SOLVERS, "DEER"), slider("most iterations", MOST, 1, MOST, 1)
    alpha, snapshot = Turn("alpha by hand", ALPHAS, 0.15), Turn("replay")
    buttons = ("start", "stop", "resume", "reset", "download")
    locked = ("data", "model", "updates", "start", "resume")

    def __init__(self, series: data.Series | None = None, *, hidden_dim: int = 50, strict: bool | None = None) -> None:
        self._recordings = RECORDINGS if series is None else {"your recording": lambda: series, **RECORDINGS}
        super().__init__(strict=strict, data=[*self._recordings])
        self._hidden_dim, self._link, self._over, self._by_hand = hidden_dim, widgets.HTML(), False, self.alpha
        self.widget.children = [*self.widget.children, self._link]
        self.reset()

    @property
    def history(self) -> dict[str, np.ndarray]:
        """As `Reconstruction.history`, over all stretches of training."""
        return self.growth.history

    def start(self, until: float = np.inf) -> None:
        """Train a new model with what the controls say; pause after `until` updates."""
        if not self.running:
            self._end()
            self._until = until
            self._launch(self._train)

    def resume(self, until: float = np.inf) -> None:
        """Go on with a run that was stopped."""
        if self._paused:
            self._until = until
            self._halt.clear()
            self._paused = False
            self._say("running")
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
        while self._busy:
            time.sleep(0.01)
        self._over = False

    def _respond(self) -> None:
        """Whoever turns alpha wants it by hand."""
        if self.alpha != self._by_hand:
            self._by_hand, self.schedule = self.alpha, "constant"

    def _forget(self) -> None:
        self.reconstruction: Reconstruction | None = None
        self.growth = Growth(self._recordings[self.data]().standardise())
        self._link.value = ""

    def _stretch(self) -> tuple[Any, ...]:
        """What another value of begins a new stretch of training."""
        by_hand = self.schedule in ("annealed", "constant")  # LiveAlpha goes from one to the other
        return self.window, self.solver, self.cap, "" if by_hand else self.schedule

    def _train(self) -> str:
        self._forget()
        recording, total, ending = self.growth.recording, self.updates, "stopped by a callback"
        model = build_model(self.model, recording.columns, self._hidden_dim)
        self._drawn = 0.0
        while ending == "stopped by a callback" and not self._over:
            self._say("compiling: some seconds")
            self._before, self._now, done = self.history, self._stretch(), self.growth.updates
            window, solver, cap, kind = self._now
            limits = {"max_iterations", "max_sweeps"} & set(inspect.signature(SOLVERS[solver]).parameters)
            rate = _LAST_RATE + (_FIRST_RATE - _LAST_RATE) * (1 + np.cos(np.pi * done / total)) / 2
            rec = fit(
                model,
                recording,
                window=min(window, len(recording) // 2),
                updates=total - done,
                learning_rate=float(rate),
                forcing=self._schedule(kind, done, total),
                solver=SOLVERS[solver](**dict.fromkeys(limits, cap)),
                validations=0,  # what is seen is what is kept
                polish=0,  # one such step takes as long as some hundred updates: Stop would wait for it
                callbacks=[self._look],
                progress=False,
            )
            self._remember(rec, rec.history, judge=True)
            model, ending = rec.model, rec.ending
        self.growth.show(self, whole=True)
        return f"{ending.removesuffix(' by a callback')} after {plural(self.growth.updates, 'update')}"

    def _schedule(self, kind: str, done: int, total: int) -> forcing.Schedule:
        """Of the updates that are left."""
        if kind == "learned gain":  # its bound goes on from where it would be by now
            bound = forcing.LearnedGain.last ** (done / total)
            return forcing.LearnedGain(bound, gain=self.reconstruction and self.reconstruction.gain)
        by_hand = LiveAlpha(lambda: self.alpha if self.schedule == "constant" else np.nan, done, total)
        return forcing.Adaptive() if kind == "adaptive" else by_hand

    def _look(self, moment: Progress) -> None:
        """What `fit` calls a few times a second."""
        done, left = len(self._before.get("loss", ())) + moment.update, moment.updates - moment.update
        pause = moment.update > 0 and (self._halt.is_set() or done >= self._until)
        self._say(f"running {done} of {done + left}, about {left * moment.pace:.0f} s left")
        now = time.monotonic()
        if moment.update and (pause or now - self._drawn > _FRAME):
            recording = self.growth.recording
            first, known = np.asarray(recording.values[0], np.float32), (recording.name, recording.embedding)
            rec = Reconstruction(moment.model, recording.scaling, recording.dt, first, *known, ending="stopped")
            self._remember(rec, moment.history, judge=pause or now // _SCORED > self._drawn // _SCORED)
            self._drawn = time.monotonic()
            if not pause:
                self._show()
        if pause and not self._over:
            self._pause(done)
        if self._over or self._stretch() != self._now:
            moment.stop()

    def _pause(self, done: int) -> None:
        """Wait for Resume or for the end, with everything kept as it is."""
        self.growth.show(self, whole=True)
        self._say(f"stopped after {plural(done, 'update')}")
        self._until, self._paused = np.inf, True
        self._say()
        while self._paused and not self._over:
            time.sleep(0.01)
        self._paused = False

    def _remember(self, rec: Reconstruction, history: dict[str, np.ndarray], *, judge: bool) -> None:
        parts = [part for part in (self._before, history) if part]
        # where no gain was learned, it was alpha times the pseudo-inverse of the readout
        names = self._before | history
        whole = {name: np.concatenate([part.get(name, part["alpha"]) for part in parts]) for name in names}
        self.reconstruction = replace(rec, history=whole, update=len(whole["loss"]))
        self.growth.add(rec.model, whole, self._now[0], judge)

    def _redraw(self) -> None:
        """While it trains the newest snapshot alone; when it stands, all of them for the replay."""
        self.growth.show(self, whole=not self.running)


@dataclass(frozen=True, eq=False)
class LiveAlpha(forcing.Schedule):
    """alpha as the panel says it now, without compiling anew: a number by hand, or annealed where that is NaN.

    Args:
        by_hand: called by the running program before every update.
        done: updates that were done before this stretch, `updates` of all stretches together.
    """

    by_hand: Callable[[], float]
    done: int
    updates: int

    def start(self) -> Any:
        return TrainConfig.forcing.start()

    def alpha(self, state: Any) -> Any:
        return state

    def advance(self, state: Any, update: Any, updates: int, jacobians: Any) -> Any:
        annealed = TrainConfig.forcing.advance(state, update + self.done, self.updates, jacobians)
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        hand = jax.pure_callback(lambda _: np.float32(self.by_hand()), shape, update)
        return jnp.where(jnp.isnan(hand), annealed, hand)


def build_model(name: str, columns: int, hidden_dim: int) -> models.Model:
    """An untrained model for a recording of so many columns; the sizes that it has by itself stay.

    >>> build_model("GRU", 3, 50).latent_dim
    16
    """
    keywords = inspect.signature(MODELS[name].__init__).parameters
    own = keywords["latent_dim"].default
    sizes: dict[str, Any] = {"observed_dim": columns}
    if own in {inspect.Parameter.empty, *range(columns)}:
        sizes["latent_dim"] = columns
    if "hidden_dim" in keywords:
        sizes["hidden_dim"] = hidden_dim
    return MODELS[name](**sizes, rngs=nnx.Rngs(0))
