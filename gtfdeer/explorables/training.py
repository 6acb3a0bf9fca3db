"""TrainingPanel: choose data, model and forcing, press Start, and watch the attractor grow.

Training runs in a thread of its own in Jupyter, so that Stop answers at once and other cells run; elsewhere (scripts,
Colab, whose widgets are not redrawn from threads) it runs in the foreground, where a keyboard interrupt stops it.
Whatever ends it, `panel.reconstruction` is what was learned by then.
"""

from __future__ import annotations

import base64
import contextvars
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import jax
import numpy as np
from flax import nnx

from .. import Reconstruction, data, fit, forcing, measures, models, plots, resume, solvers
from ..fit import Moment
from ..plots.canvas import INK, dress
from .panel import Panel, Setting, button, canvas, menu, slider

__all__ = ["TrainingPanel"]

MODELS = {"shallow PLRNN": models.ShallowPLRNN, "clipped shallow PLRNN": models.ClippedShallowPLRNN}
SOLVERS = {"Auto": solvers.Auto, "Sequential": solvers.Sequential, "DEER": solvers.DEER, "Shooting": solvers.Shooting}
_PICTURE_EVERY = 1.0  # seconds
_RUN = 5000  # steps of the free run that is drawn and scored


def _noisy(system: data.System) -> data.Series:
    return data.simulate(system, length=20_000, key=jax.random.key(0)).with_noise(0.05, key=jax.random.key(1))


DATA: dict[str, Callable[[], data.Series]] = {
    "Lorenz-63, 5 % noise": lambda: _noisy(data.Lorenz63()),
    "Rossler, 5 % noise": lambda: _noisy(data.Rossler()),
    "electrocardiogram, 5 delays": lambda: _beginning(data.electrocardiogram(), 20_000).delay_embed(5),
}


def _beginning(series: data.Series, length: int) -> data.Series:
    return replace(series, values=series.values[:length])


class TrainingPanel(Panel):
    """Train with Start, Stop, Resume, Reset and Download.

    Controls: `data_menu`, `model_menu`, `window_menu`, `forcing_menu`, `alpha_slider`, `solver_menu`, `updates_slider`,
    `where_menu`, `start_button`, `stop_button`, `resume_button`, `reset_button`, `download_button`.

    Args:
        series: your own recording, offered beside the built-in ones.
        hidden_dim: hidden units of the model.
        strict: raise errors instead of only showing them; those of the training thread are raised by `wait`.

    Attributes:
        reconstruction: what was learned by now, or None before the first look.
        history: as `Reconstruction.history`, over all stretches of training.
        score: D_stsp of the last free run against the data (5,000 steps), or None.
    """

    alpha = Setting("alpha_slider")
    window = Setting("window_menu")
    updates = Setting("updates_slider")
    where = Setting("where_menu")

    def __init__(self, series: data.Series | None = None, *, hidden_dim: int = 50, strict: bool = False) -> None:
        super().__init__(strict=strict)
        self._series, self._hidden_dim = series, hidden_dim
        names = [*([] if series is None else ["your recording"]), *DATA]
        self.data_menu = menu("data", names, names[0])
        self.model_menu = menu("model", [*MODELS], "shallow PLRNN")
        self.window_menu = menu("length T", (50, 200, 800), 200)
        self.forcing_menu = menu("alpha schedule", ("annealed", "adaptive", "constant"), "annealed")
        self.alpha_slider = slider("constant alpha", 0.15, 0.0, 1.0, 0.01)
        self.solver_menu = menu("solver", [*SOLVERS], "Auto")
        self.updates_slider = slider("updates", 4000, 100, 30_000, 100)
        self.where_menu = menu("training runs in", ("auto", "background", "foreground"), "auto")
        self.start_button, self.stop_button = button("Start"), button("Stop")
        self.resume_button, self.reset_button = button("Resume"), button("Reset")
        self.download_button = button("Download")
        self._link = widgets.HTML()
        self._settings = (
            self.data_menu,
            self.model_menu,
            self.window_menu,
            self.forcing_menu,
            self.alpha_slider,
            self.solver_menu,
            self.updates_slider,
            self.where_menu,
        )
        buttons = (self.start_button, self.stop_button, self.resume_button, self.reset_button, self.download_button)
        self._arrange(self._settings[:3], self._settings[3:6], self._settings[6:], (*buttons, self._link))
        self._press(self.start_button, self.start)
        self._press(self.resume_button, self.resume)
        self._press(self.reset_button, self.reset)
        self._press(self.download_button, self.download)
        self.stop_button.on_click(lambda _: self.stop())  # not through the lock: a foreground run holds it
        self._halt, self._thread, self._folder = threading.Event(), None, _folder()
        self.reset()

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, until: int | None = None) -> None:
        """Train a new model with what the controls say; stop after `until` updates where that is given."""
        if not self.running:
            self._clear()
            self._prepare()
            self._launch(self._fit, until)

    def resume(self, until: int | None = None) -> None:
        """Go on with a run that was stopped, to the very result that it would have had."""
        if self.running:
            return
        if self.reconstruction is None or not self._checkpoint.exists():
            self._say("idle: nothing to resume; press Start")
        elif self.reconstruction.ending == "finished":
            self._say("finished: nothing left to resume; press Start for a new run")
        else:
            self._launch(lambda: resume(self._checkpoint, callbacks=[self._look], progress=False), until)

    def stop(self) -> None:
        """End training within a fraction of a second; `reconstruction` keeps what was learned."""
        self._halt.set()
        if self.running:
            self._say("stopping")

    def reset(self) -> None:
        """Stop, and forget what was learned."""
        self.stop()
        self.wait()
        self._clear()
        self._prepare()
        self._paint()
        self._say("idle: press Start")

    def wait(self, timeout: float = 600.0) -> None:
        """Block until training has ended; with `strict`, raise what went wrong in it."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self.running:
                raise TimeoutError(f"still {self.status} after {timeout:g} s; press Stop, or wait longer")
        if self.strict and self.error is not None:
            raise self.error

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

    def _clear(self) -> None:
        self.reconstruction: Reconstruction | None = None
        self.score: float | None = None
        self.history: dict[str, np.ndarray] = {}
        self._folder.cleanup()
        self._folder = _folder()
        self._checkpoint = Path(self._folder.name) / "run.npz"
        self._orbit: np.ndarray | None = None
        self._link.value = ""
        self._forget_error()

    def _prepare(self) -> None:
        name = self.data_menu.value
        made = self._series if name == "your recording" else DATA[name]()
        assert made is not None
        self._train = made.standardise()

    def _fresh(self) -> models.Model:
        columns = self._train.columns
        return MODELS[self.model_menu.value](latent_dim=columns, hidden_dim=self._hidden_dim, rngs=nnx.Rngs(0))

    def _launch(self, work: Callable[[], Reconstruction], until: int | None) -> None:
        self._halt.clear()
        self._until, self._drawn = until, 0.0
        self._say("compiling: the first update takes some seconds")
        for control in self._settings:
            control.disabled = True
        if self._in_background():
            # without a copy of the context some kernels cannot find the cell that a widget belongs to
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._train_safely, work), daemon=True)
            self._thread.start()
        else:
            self._train_to_the_end(work)

    def _in_background(self) -> bool:
        if self.where != "auto":
            return self.where == "background"
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        return getattr(shell, "kernel", None) is not None and "google.colab" not in sys.modules

    def _train_safely(self, work: Callable[[], Reconstruction]) -> None:
        try:
            self._train_to_the_end(work)
        except Exception as problem:
            self._fail(problem)  # raised by `wait`

    def _train_to_the_end(self, work: Callable[[], Reconstruction]) -> None:
        try:
            rec = work()
        finally:
            for control in self._settings:
                control.disabled = False
        self._remember(rec)
        self._paint()
        known = {"finished": "finished", "stopped by a callback": "stopped"}
        ended = known.get(rec.ending, f"stopped: {rec.ending.removeprefix('stopped: ')}")
        self._say(f"{ended} after {len(self.history['loss'])} updates")

    def _fit(self) -> Reconstruction:
        return fit(
            self._fresh(),
            self._train,
            window=self.window,
            updates=self.updates,
            forcing=self._schedule(),
            solver=SOLVERS[self.solver_menu.value](),
            looks=0,  # what is seen is what is kept
            callbacks=[self._look],
            checkpoint=self._checkpoint,
            progress=False,
        )

    def _schedule(self) -> forcing.Schedule:
        kind = self.forcing_menu.value
        if kind == "constant":
            return forcing.Constant(self.alpha)
        return forcing.Adaptive() if kind == "adaptive" else forcing.Annealed()

    def _look(self, moment: Moment) -> None:
        """What `fit` calls a few times a second."""
        enough = self._until is not None and moment.update >= self._until
        if self._halt.is_set() or enough:
            moment.stop()
        left = float(np.median(moment.history["seconds"][-50:])) * (moment.updates - moment.update)
        self._say(f"running {moment.update} of {moment.updates}, about {left:.0f} s left")
        if time.monotonic() - self._drawn > _PICTURE_EVERY:
            self._remember(
                Reconstruction(
                    model=moment.model,
                    scaling=self._train.scaling,
                    dt=self._train.dt,
                    first=np.asarray(self._train.values[0], np.float32),
                    name=self._train.name,
                    embedding=self._train.embedding,
                    history=moment.history,
                    ending="still training",
                    update=moment.update,
                )
            )
            self._paint()
            self._drawn = time.monotonic()

    def _remember(self, rec: Reconstruction) -> None:
        self.reconstruction, self.history = rec, rec.history
        self._orbit = run = rec.free_run(_RUN, self._train.values[0])
        bounded = np.isfinite(run).all()
        self.score = measures.state_space_divergence(self._train.values[:_RUN], run) if bounded else None

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
            ax.plot(np.arange(1, len(values) + 1), values, color=role.colour, linewidth=1.2)
            dress(ax, "update (count)" if ax is count else "", label)
        loss.set_yscale("log" if len(self.history.get("loss", ())) else "linear")
        alpha.set_ylim(-0.05, 1.05)
        pair = (0, min(2, self._train.columns - 1))
        truth = self._train.values[:_RUN]
        for place, values, role in ((1, truth, plots.DATA), (2, self._orbit, plots.MODEL)):
            ax = sheet.add_subplot(grid[:, place])
            if values is not None:
                ax.plot(values[:, pair[0]], values[:, pair[1]], **{**role.line(len(values)), "linestyle": "-"})
            ax.set(xlim=_limits(truth[:, pair[0]]), ylim=_limits(truth[:, pair[1]]))
            dress(ax, f"column {pair[0] + 1} (s.d.)", f"column {pair[1] + 1} (s.d.)")
            ax.set_title("data" if role is plots.DATA else "model, running free", fontsize=11, color=INK)
        self._show(sheet, self._words())

    def _words(self) -> str:
        if not self.history:
            return f"{self._train!r}. Nothing learned yet."
        loss, alpha = self.history["loss"][-50:].mean(), self.history["alpha"][-1]
        score = "it leaves all bounds" if self.score is None else f"D_stsp {self.score:.2f} (0 is perfect)"
        return f"{len(self.history['loss'])} updates: loss {loss:.4f}, alpha {alpha:.3f}; free run: {score}."


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gtfdeer-")


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.15 * (high - low)
    return low - margin, high + margin
