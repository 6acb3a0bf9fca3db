"""The picture of a training: curves, the free run growing beside the data, Newton's method on a window of a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from IPython.display import display

from .. import measures, plots, solvers
from ..data import Series
from ..models import RecurrentModel
from ..training import Progress, describe_device, rollout
from ._canvas import axis, heat, hline, line, orbit, plot, vline
from ._panel import Panel, Turn, plural
from ._task import Task, compile_fast, parts_of

SNAPSHOTS, DRAWN, SCORED = 60, 1500, 5000  # that are replayed; steps of a free run that are drawn, and scored
MOST, _COLUMNS = 20, 100  # Newton's iterations, and times of a window, that are shown
_PAUSE = 1.0  # seconds between two pictures of a training in a cell


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
        self.recording = recording
        self.history: dict[str, np.ndarray] = {}
        self.measured = np.zeros((0, 3))
        self.snapshots: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._seen = seen = recording.values[np.isfinite(recording.values).all(axis=1)]
        half = min(SCORED, len(seen) // 2)
        self.score, self.floor = np.nan, measures.state_space_divergence(seen[:half], seen[-half:])

    @property
    def updates(self) -> int:
        return len(self.history.get("loss", ()))

    @property
    def forcing(self) -> str:
        """What the history says of the strength of forcing: "alpha", or "gain", the size of a learned gain."""
        return "gain" if "gain" in self.history else "alpha"

    def add(self, model: Any, history: dict[str, np.ndarray], window: int, judge: bool) -> None:
        """Look at a model; `judge`: and score its free run."""
        values, self.history = self.recording.values, history
        run = rollout(model, SCORED if judge else DRAWN, values[0])
        if judge:
            bounded = np.isfinite(run).all()
            self.score = measures.state_space_divergence(self._seen[:SCORED], run) if bounded else np.inf
        begin = np.random.default_rng(self.updates).integers(max(1, len(values) - window))  # as a batch's windows
        x, alpha = np.asarray(values[begin : begin + window], np.float32), np.float32(history[self.forcing][-1])
        norm, exponent, errors = (np.asarray(part) for part in _examine(model, x, alpha))
        self.measured = np.append(self.measured, [[self.updates, norm, exponent / self.recording.dt]], axis=0)
        self.snapshots.append((self.updates, np.asarray(run[:DRAWN], np.float32), errors))
        if len(self.snapshots) > 2 * SNAPSHOTS:
            del self.snapshots[1:-1:2]

    def show(self, panel: Panel, whole: bool) -> None:
        """Draw it in a panel: all snapshots for the replay, or the newest alone."""
        kept = self.snapshots if whole else self.snapshots[-1:]
        shown, runs, errors = zip(*kept, strict=True) if kept else ((), (), ())
        updates, forcing = axis("update", (0, max(10, self.updates))), self.forcing
        loss, strength, iterations = (
            plots.thinned(self.history.get(name, np.zeros(0)), 1000) for name in ("loss", forcing, "iterations")
        )
        most = max(2.0, 1.1 * float(np.nanmax(iterations[1], initial=0)))
        size = axis("size |K| of the gain", (1e-3, 2), "log") if forcing == "gain" else axis("alpha", (1e-3, 1), "log")
        at, norm, exponent = self.measured.T
        marked = kept and vline(np.array(shown), "model", row="snapshot")
        curves = (
            (axis("loss", kind="log"), line(loss[1], "error", loss[0])),
            (size, line(strength[1], "forced", strength[0])),
            (axis("iterations", (0, most), whole=True), line(iterations[1], "error", iterations[0])),
            (axis("gradient norm", kind="log"), line(norm, "error", at)),
        )
        exponents = axis("exponent (1/time)", kind="symlog"), line(exponent, "error", at), marked, hline(0)
        drawn = [
            *(plot(row, 0, updates, y, curve, marked) for row, (y, curve) in enumerate(curves)),
            plot(2, 2, updates, *exponents, rows=2, note="forced map; below 0 it forgets"),
            *self._draw_orbits(runs),
            _draw_errors(errors),
        ]
        texts = [f"Replay: after {self._describe_updates(done)}. Now: {self.describe()}" for done in shown[:-1]]
        texts.append(self.describe())
        panel._draw(f"Training: {self.recording.name}", [1, 1.1, 1.1], drawn, texts, snapshot=len(texts) - 1)

    def _draw_orbits(self, runs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Data and free run, in space, or in the plane where there are fewer than three columns."""
        columns = min(3, self.recording.columns)
        truth, common = self.recording.values[:DRAWN, :columns], {"rows": 2, "flat": columns < 3}
        low, high = np.nanmin(truth, axis=0), np.nanmax(truth, axis=0)
        limits = [*zip(low - 0.15 * (high - low), high + 0.15 * (high - low), strict=True), *[(-1, 1)] * (3 - columns)]
        grown = runs and line(np.clip(runs, -20, 20)[..., :columns], "model", label="free run", row="snapshot")
        known = line(truth, "data", label=f"data: {self.recording.name}")
        return [orbit(0, 1, limits, known, **common), orbit(0, 2, limits, grown, **common)]

    def describe(self) -> str:
        if not self.history:
            return f"{self.recording!r}. Nothing learned yet."
        score = "it leaves all bounds" if self.score == np.inf else f"D_stsp {self.score:.2f}"
        again = int(self.history["retried"][-50:].sum())
        failed = f" {again} of the last 50 solves did not converge and were done step by step." if again else ""
        return (
            f"{self._describe_updates(self.updates)}; free run: {score} "
            f"(another stretch of the recording: {self.floor:.2f}).{failed} Trained on {self.recording.name}. "
            f"Computed on {describe_device()}."
        )

    def _describe_updates(self, done: int) -> str:
        loss, strength = self.history["loss"][max(0, done - 50) : done].mean(), self.history[self.forcing][done - 1]
        return f"{plural(done, 'update')}: loss {loss:.4f}, {self.forcing} {strength:.3f}"


def _draw_errors(kept: Sequence[np.ndarray]) -> dict[str, Any]:
    """Newton's method on a window, up to the first iterate that is solved."""
    time, k = axis("time in a window of the batch (%)", (0, 100)), axis("iteration k", whole=True)
    if not kept:
        return plot(2, 1, time, k, rows=2)
    stack = np.stack(kept)
    rows = int((stack > 1e-6).any(axis=(0, 2)).sum()) + 1
    note = "error of Newton's iterates" if stack[-1].size > 1 else "solved at once, without Newton"
    return plot(2, 1, time, k, heat(stack[:, :rows], row="snapshot"), rows=2, note=note)


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

    >>> view = LiveView(train)                                           # doctest: +SKIP
    >>> rec = gd.fit(model, train, updates=5000, callbacks=[view])       # doctest: +SKIP
    """

    snapshot = Turn("replay")

    def __init__(self, series: Series) -> None:
        super().__init__()
        self.growth, self._last = Growth(series), -np.inf
        self.widget.children = [self._canvas]
        self._handle = display(self, display_id=True)

    def __call__(self, progress: Progress) -> None:
        last = progress.update == progress.updates
        if progress.update and (last or time.monotonic() - self._last > _PAUSE):
            window = min(200, len(self.growth.recording) // 2)
            self.growth.add(progress.model, progress.history, window, judge=last)
            self.growth.show(self, whole=last)
            self._last = time.monotonic()
        if last and self._handle is not None:
            self._handle.update(self)  # its picture, for viewers without a kernel
