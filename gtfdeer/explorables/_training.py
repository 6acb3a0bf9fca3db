"""TrainingPanel: choose data, model and forcing, press Start, and watch the attractor grow.

In Jupyter it trains in a thread of its own, elsewhere in the foreground (`gtfdeer.explorables._background`). Whatever
ends it, `panel.reconstruction` is what was learned by then.
"""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from .. import Reconstruction, measures, models, plots, resume
from ..data import Series
from ..plots import INK, dress, thinned
from ..training import Progress, fit
from ._background import LongPanel
from ._choices import MODELS, RECORDINGS, SCHEDULES, SOLVERS, new_model
from ._panel import Setting, button, canvas, menu, plural, slider

__all__ = ["TrainingPanel"]

_PICTURE_EVERY = 1.0  # seconds
_RUN = 5000  # steps of the free run that is drawn and scored


class TrainingPanel(LongPanel):
    """Train with Start, Stop, Resume, Reset and Download.

    Controls: `data_menu`, `model_menu`, `window_menu`, `forcing_menu`, `alpha_slider`, `solver_menu`, `updates_slider`,
    `where_menu`, `start_button`, `stop_button`, `resume_button`, `reset_button`, `download_button`.

    Args:
        series: your own recording, offered beside the built-in ones.
        hidden_dim: hidden units, of the models that have them.
        strict: raise errors too; those of the training thread are raised by `wait`.

    Attributes:
        reconstruction: what was learned by now, or None before the first look.
        history: as `Reconstruction.history`, over all stretches of training.
        score: D_stsp of the last free run against the data (5,000 steps), or None.
    """

    data = Setting("data_menu")
    model = Setting("model_menu")
    window = Setting("window_menu")
    schedule = Setting("forcing_menu")
    alpha = Setting("alpha_slider")
    solver = Setting("solver_menu")
    updates = Setting("updates_slider")

    def __init__(self, series: Series | None = None, *, hidden_dim: int = 50, strict: bool | None = None) -> None:
        super().__init__(strict=strict)
        self._series, self._hidden_dim = series, hidden_dim
        names = [*([] if series is None else ["your recording"]), *RECORDINGS]
        self.data_menu = menu("data", names, names[0])
        self.model_menu = menu("model", [*MODELS], "shallow PLRNN")
        self.window_menu = menu("length T", (50, 200, 800), 200)
        self.forcing_menu = menu("alpha schedule", [*SCHEDULES], "annealed")
        self.alpha_slider = slider("constant alpha", 0.15, 0.0, 1.0, 0.01)
        self.solver_menu = menu("solver", [*SOLVERS], "Auto")
        self.updates_slider = slider("updates", 4000, 100, 30_000, 100)
        self.start_button, self.resume_button = button("Start"), button("Resume")
        self.reset_button, self.download_button = button("Reset"), button("Download")
        self._link = widgets.HTML()
        self._settings = (
            self.data_menu,
            self.model_menu,
            self.window_menu,
            self.solver_menu,
            self.forcing_menu,
            self.alpha_slider,
            self.updates_slider,
            self.where_menu,
        )
        buttons = (self.start_button, self.stop_button, self.resume_button, self.reset_button, self.download_button)
        pairs = zip(self._settings[::2], self._settings[1::2], strict=True)
        self._arrange(*pairs, (*buttons, self._link))
        self._press(self.start_button, self.start)
        self._press(self.resume_button, self.resume)
        self._press(self.reset_button, self.reset)
        self._press(self.download_button, self.download)
        self._folder = _folder()
        self.reset()

    def start(self, until: int | None = None) -> None:
        """Train a new model with what the controls say; stop after `until` updates where that is given."""
        self._launch(lambda: self._train(self._fit_anew, until), self.where)

    def resume(self, until: int | None = None) -> None:
        """Go on with a run that was stopped, to the very result that it would have had."""
        if self.running or self._resumable():
            self._launch(lambda: self._train(self._fit_on, until), self.where)

    def reset(self) -> None:
        """Stop, and forget what was learned, errors included."""
        with self._working():
            self.stop()
            self._join()
            self._clear()
            self._prepare()
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

    def _resumable(self) -> bool:
        if self.reconstruction is None or not self._checkpoint.exists():
            self._say("idle: nothing to resume; press Start")
            return False
        if self.reconstruction.ending == "finished":
            self._say("finished: nothing left to resume; press Start for a new run")
            return False
        return True

    def _clear(self) -> None:
        self.reconstruction: Reconstruction | None = None
        self.score: float | None = None
        self.history: dict[str, np.ndarray] = {}
        self._folder.cleanup()
        self._folder = _folder()
        self._checkpoint = Path(self._folder.name) / "run.npz"
        self._orbit: np.ndarray | None = None
        self._link.value = ""

    def _prepare(self) -> None:
        made = self._series if self.data == "your recording" else RECORDINGS[self.data]()
        assert made is not None
        self._recording = made.standardise()

    def _fresh(self) -> models.Model:
        return new_model(self.model, self._recording.columns, self._hidden_dim)

    def _train(self, work: Callable[[], Reconstruction], until: int | None) -> str:
        self._until, self._drawn = until, 0.0
        self._report("compiling: the first update takes some seconds")
        rec = work()
        self._remember(rec)
        self._paint()
        known = {"finished": "finished", "stopped by a callback": "stopped"}
        ended = known.get(rec.ending, f"stopped: {rec.ending.removeprefix('stopped: ')}")
        return f"{ended} after {plural(len(self.history['loss']), 'update')}"

    def _fit_anew(self) -> Reconstruction:
        self._clear()
        self._prepare()
        return fit(
            self._fresh(),
            self._recording,
            window=self.window,
            updates=self.updates,
            forcing=SCHEDULES[self.schedule](self.alpha),
            solver=SOLVERS[self.solver](),
            validations=0,  # what is seen is what is kept
            callbacks=[self._look],
            checkpoint=self._checkpoint,
            progress=False,
        )

    def _fit_on(self) -> Reconstruction:
        return resume(self._checkpoint, callbacks=[self._look], progress=False)

    def _look(self, moment: Progress) -> None:
        """What `fit` calls a few times a second."""
        enough = self._until is not None and moment.update >= self._until
        if self._halt.is_set() or enough:
            moment.stop()
        left = moment.pace * (moment.updates - moment.update)
        self._report(f"running {moment.update} of {moment.updates}, about {left:.0f} s left")
        if time.monotonic() - self._drawn > _PICTURE_EVERY:
            self._remember(
                Reconstruction(
                    model=moment.model,
                    scaling=self._recording.scaling,
                    dt=self._recording.dt,
                    first=np.asarray(self._recording.values[0], np.float32),
                    name=self._recording.name,
                    embedding=self._recording.embedding,
                    history=moment.history,
                    ending="still training",
                    update=moment.update,
                )
            )
            self._paint()
            self._drawn = time.monotonic()

    def _remember(self, rec: Reconstruction) -> None:
        self.reconstruction, self.history = rec, rec.history
        self._orbit = run = rec.rollout(_RUN, self._recording.values[0])
        bounded = np.isfinite(run).all()
        self.score = measures.state_space_divergence(self._recording.values[:_RUN], run) if bounded else None

    def _paint(self) -> None:
        sheet = canvas(10.6, 5.0)
        grid = sheet.add_gridspec(3, 3)
        loss, alpha, count = (sheet.add_subplot(grid[i, 0]) for i in range(3))
        for ax, name, role, label in (
            (loss, "loss", plots.ERROR, "loss"),
            (alpha, "alpha", plots.FORCED, r"$\alpha$"),
            (count, "iterations", plots.TRUTH, "iterations"),
        ):
            values = self.history.get(name, np.zeros(0))
            point = "." if len(values) == 1 else ""
            ax.plot(*thinned(values), color=role.colour, linewidth=1.2, marker=point)
            ax.set_xlim(0, max(10, len(values)))  # the first update alone would be a point on a scale of hundredths
            dress(ax, "update (count)" if ax is count else "", label)
        loss.set_yscale("log" if len(self.history.get("loss", ())) else "linear")
        alpha.set_ylim(-0.05, 1.05)
        count.set_ylim(0, max(2, 1.1 * self.history.get("iterations", np.zeros(1)).max(initial=0)))
        pair = (0, min(2, self._recording.columns - 1))
        truth = self._recording.values[:_RUN]
        for place, values, role in ((1, truth, plots.DATA), (2, self._orbit, plots.MODEL)):
            ax = sheet.add_subplot(grid[:, place])
            if values is not None:
                ax.plot(values[:, pair[0]], values[:, pair[1]], **{**role.line(len(values)), "linestyle": "-"})
            ax.set(xlim=_limits(truth[:, pair[0]]), ylim=_limits(truth[:, pair[1]]))
            dress(ax, f"column {pair[0] + 1} (s.d.)", f"column {pair[1] + 1} (s.d.)")
            ax.set_title("data" if role is plots.DATA else "model, running free", fontsize=11, color=INK)
        self._show(sheet, self._words())

    def _words(self) -> str:
        if not len(self.history.get("loss", ())):
            return f"{self._recording!r}. Nothing learned yet."
        loss, alpha = self.history["loss"][-50:].mean(), self.history["alpha"][-1]
        score = "it leaves all bounds" if self.score is None else f"D_stsp {self.score:.2f} (0 is perfect)"
        return f"{plural(len(self.history['loss']), 'update')}: loss {loss:.4f}, alpha {alpha:.3f}; free run: {score}."


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gtfdeer-")


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.15 * (high - low)
    return low - margin, high + margin
