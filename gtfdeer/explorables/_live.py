"""The picture of a training: curves, the free run growing beside the data, Newton's method on a window of a batch."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from IPython.display import display

from .. import measures, plots, solvers
from ..data import Series
from ..models import RecurrentModel
from ..training import Progress, rollout
from ._canvas import axis, heat, hline, line, orbit, plot, vline
from ._controls import plural
from ._panel import Panel
from ._task import Task, compile_fast, parts_of

SNAPSHOTS, DRAWN, SCORED = 60, 1500, 5000  # that are replayed; steps of a free run that are drawn, and scored
MOST, _COLUMNS = 20, 100  # Newton's iterations, and times of a window, that are shown


class Growth:
    """What is seen of a training.

    Attributes:
        recording: the data, standardised; those of a delay embedding where the model sees one.
        history: as `Reconstruction.history`; where a gain is learned, Newton's method and the exponent are those of an
            alpha of its size.
        measured: update, norm of the loss's gradient, exponent of the forced map per unit of time; one row a picture.
        snapshots: update, free run `(T, N)`, errors of Newton's iterates `(K, T)`; the newest last.
        score, floor: D_stsp of the free run, and of another stretch of the recording.
    """

    def __init__(self, recording: Series) -> None:
        self.recording, values = recording, recording.values
        self.history: dict[str, np.ndarray] = {}
        self.measured = np.zeros((0, 3))
        self.snapshots: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._seen = seen = values[np.isfinite(values).all(axis=1)]
        half = min(SCORED, len(seen) // 2)
        self.score, self.floor = np.nan, measures.state_space_divergence(seen[:half], seen[-half:])

    def add(self, model: Any, history: dict[str, np.ndarray], window: int, judge: bool) -> None:
        """Look at a model; `judge`: and score its free run."""
        values, done, self.history = self.recording.values, len(history["loss"]), history
        run = rollout(model, SCORED if judge else DRAWN, values[0])
        if judge:
            bounded = np.isfinite(run).all()
            self.score = measures.state_space_divergence(self._seen[:SCORED], run) if bounded else np.inf
        begin = np.random.default_rng(done).integers(max(1, len(values) - window))  # as the windows of a batch
        x, alpha = np.asarray(values[begin : begin + window], np.float32), np.float32(history[self.forcing][-1])
        norm, exponent, errors = (np.asarray(part) for part in _examine(model, x, alpha))
        self.measured = np.append(self.measured, [[done, norm, exponent / self.recording.dt]], axis=0)
        self.snapshots.append((done, np.asarray(run[:DRAWN], np.float32), errors))
        if len(self.snapshots) > 2 * SNAPSHOTS:
            del self.snapshots[1:-1:2]

    @property
    def forcing(self) -> str:
        """What the history says of the strength of forcing: "alpha", or "gain", the size of a learned gain."""
        return "gain" if "gain" in self.history else "alpha"

    def draw(self, whole: bool) -> tuple[list[dict[str, Any]], list[str]]:
        """Plots and texts: all snapshots for the replay, or the newest alone."""
        kept, recording = self.snapshots if whole else self.snapshots[-1:], self.recording
        columns = min(3, recording.columns)
        truth, limits = recording.values[:DRAWN, :columns], [(-1.0, 1.0)] * 3
        for d, values in enumerate(truth.T):
            margin = 0.15 * np.nanmax(values) - 0.15 * np.nanmin(values)
            limits[d] = float(np.nanmin(values) - margin), float(np.nanmax(values) + margin)
        at = kept and vline(np.array([done for done, *_ in kept]), "model", row="snapshot")
        updates = axis("update", (0, max(10, len(self.history.get("loss", ())))))
        shown = ("loss", self.forcing, "iterations")
        curves = {name: plots.thinned(self.history.get(name, np.zeros(0)), 1000)[::-1] for name in shown}
        curves |= {name: (self.measured[:, i], self.measured[:, 0]) for i, name in enumerate(_MEASURED, start=1)}
        places = {name: (row, 0) for row, name in enumerate(curves)} | {"exponent": (2, 2)}
        most = max(2.0, 1.1 * float(np.nanmax(curves["iterations"][0], initial=0)))
        axes = {"iterations": axis("iterations", (0, most), whole=True), "alpha": axis("alpha", (1e-3, 1), "log")}
        axes["gain"] = axis("size |K| of the gain", (1e-3, 2), "log")
        axes["exponent"] = axis("exponent (1/time)", kind="symlog")
        drawn = [
            plot(*places[name], updates, axes.get(name, axis(name, kind="log")), line(y, role, x), at)
            for (name, (y, x)), role in zip(curves.items(), ("error", "forced", "error", "error", "error"), strict=True)
        ]
        drawn[-1]["items"].append(hline(0))
        drawn[-1] |= {"rows": 2, "note": "forced map; below 0 it forgets"}
        common = {"rows": 2, "flat": columns < 3, "axes": ["1", "2", "3"]}
        drawn.append(orbit(0, 1, limits, line(truth, "data", label=f"data: {recording.name}"), **common))
        run = kept and line(
            np.clip([r[:, :columns] for _, r, _ in kept], -20, 20), "model", label="free run", row="snapshot"
        )
        drawn.append(orbit(0, 2, limits, run, **common))
        stack = np.stack([e for *_, e in kept]) if kept else np.zeros((1, 1, 1))
        rows = int((stack > 1e-6).any(axis=(0, 2)).sum()) + 1  # those above are solved
        errors = kept and heat(stack[:, :rows], (1e-6, 10.0), "s.d.", row="snapshot")
        note = "error of Newton's iterates" if kept and kept[-1][2].size > 1 else "solved at once, without Newton"
        time, k = axis("time in a window of the batch (%)", (0, 100)), axis("iteration k", whole=True)
        drawn.append(plot(2, 1, time, k, errors, rows=2, note=note if kept else ""))
        texts = [self.describe()]
        if len(kept) > 1:
            texts = [f"Replay: after {self._describe_updates(done)}. Now: {texts[0]}" for done, *_ in kept[:-1]] + texts
        return drawn, texts

    def describe(self) -> str:
        if not self.history:
            return f"{self.recording!r}. Nothing learned yet."
        score = "it leaves all bounds" if self.score == np.inf else f"D_stsp {self.score:.2f}"
        again = int(self.history["retried"][-50:].sum())
        failed = f" {again} of the last 50 solves did not converge and were done step by step." if again else ""
        return (
            f"{self._describe_updates(len(self.history['loss']))}; free run: {score} "
            f"(another stretch of the recording: {self.floor:.2f}).{failed} Trained on {self.recording.name}."
        )

    def _describe_updates(self, done: int) -> str:
        loss, strength = self.history["loss"][max(0, done - 50) : done].mean(), self.history[self.forcing][done - 1]
        return f"{plural(done, 'update')}: loss {loss:.4f}, {self.forcing} {strength:.3f}"


_MEASURED = ("gradient norm", "exponent")


@nnx.jit
def _examine(model: Any, x: Any, alpha: Any) -> tuple[Any, Any, Any]:
    """Along a window `(T, N)`: norm of the loss's gradient, exponent per step, errors of Newton's iterates."""

    def loss(model: Any) -> Any:
        predicted, _ = model.teacher_forced(x, alpha, solvers.Sequential(), None)
        return jnp.mean((predicted - x[1:]) ** 2)

    squares = jax.tree.map(lambda g: jnp.sum(g**2), nnx.grad(loss)(model))
    norm = jnp.sqrt(jax.tree.reduce(jnp.add, squares))
    if not isinstance(model, RecurrentModel):
        return norm, jnp.nan, jnp.zeros((1, 1))
    task = Task("", model.step, *parts_of(model, x), 1.0)
    truth, growth = task.walk(alpha)
    count, states, _ = task.trace(compile_fast(solvers.DEER(max_iterations=MOST)), MOST, alpha, task.teacher)
    errors = jnp.abs(states - truth).max(axis=2)
    errors = jnp.where(jnp.arange(MOST + 1)[:, None] <= count, errors, errors[count])
    return norm, growth[-1] * jnp.log(10) / len(x), errors[:, jnp.linspace(0, len(x) - 1, _COLUMNS).astype(int)]


class LiveView(Panel):
    """A callback of `gtfdeer.fit` that shows a training while it runs in a cell; afterwards a slider replays it.

    Args:
        series: what the free run starts from and is drawn beside: the training series, standardised, and embedded where
            the model sees delays.
        seconds: between two pictures.

    >>> view = LiveView(train)                                           # doctest: +SKIP
    >>> rec = gd.fit(model, train, updates=5000, callbacks=[view])       # doctest: +SKIP
    """

    def __init__(self, series: Series, *, seconds: float = 1.0) -> None:
        super().__init__()
        self.growth, self.seconds, self._last = Growth(series), seconds, -np.inf
        self.widget.children = [self._canvas]
        self._add_turns(self._redraw, {"name": "snapshot", "label": "replay"}, snapshot=0)
        self._handle = display(self, display_id=True)

    def __call__(self, progress: Progress) -> None:
        last = progress.update == progress.updates
        if progress.update and (last or time.monotonic() - self._last > self.seconds):
            window = min(200, len(self.growth.recording) // 2)
            self.growth.add(progress.model, progress.history, window, judge=last)
            drawn, texts = self.growth.draw(whole=last)
            label = f"Training: {self.growth.recording.name}"
            self._draw(label, [1, 1.1, 1.1], drawn, texts, snapshot=len(texts) - 1)
            self._last = time.monotonic()
        if last and self._handle is not None:
            self._handle.update(self)  # its picture, for viewers without a kernel
