"""The base of all panels: controls that speak Python, a status in words, a picture, errors that are seen.

A panel is no widget; it holds one, `panel.widget`, and shows it where a notebook's last line names the panel. Every
handler runs under one lock; of several waiting requests for the same work (a slider moved quickly) one is answered,
with what the controls say by then. Long work runs in a thread, so that the page stays alive; where threads cannot
redraw widgets (Colab, scripts), whoever clicks or waits draws for it.
"""

from __future__ import annotations

import base64
import contextvars
import html
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import ipywidgets as widgets

from ._canvas import Canvas, hline, pack, vline

KEPT = 2  # compiled programs of each kind, at 10 to 30 MB; older ones make room
_REMEMBERED = 20  # errors


class Panel:
    """Controls, status, picture and summary. Subclasses call `_add` for each row of controls and `_draw` for a picture.

    Args:
        strict: raise errors too, by default where `GTFDEER_FAST=1`, so that a notebook that is tested fails with its
            panel; those of a thread are raised by `wait`.

    Attributes:
        controls: the widgets by name; the sliders below the picture are in `turns`.
        status: what the panel is doing.
        error: what went wrong in the latest piece of work, or None; shown in the panel.
        errors: the last 20 of them, oldest first; later successes do not remove any.
        guesses: of `Predict`, by the name of the axis on which they are drawn.
        listeners: called after every picture.
        widget: the whole panel.
    """

    def __init__(self, *, strict: bool | None = None) -> None:
        self.strict = os.environ.get("GTFDEER_FAST") == "1" if strict is None else strict
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.controls: dict[str, Any] = {}
        self.guesses: dict[str, float] = {}
        self.listeners: list[Callable[[], Any]] = []
        self._lock, self._telling = threading.RLock(), threading.Lock()  # of handlers; of the end of long work
        self._wanted: set[Callable[[], Any]] = set()  # work that was asked for and has not begun
        self._silencer: int | None = None  # the thread that sets controls without answering them
        self._caches: list[Any] = []
        self._ahead: Callable[[Callable[[], bool]], None] | None = None  # what is prepared
        self._preparing: threading.Thread | None = None
        self._busy, self._paused = False, False
        self._halt, self._due = threading.Event(), threading.Event()  # stop; draw
        self._locked: Sequence[str] = ()  # controls that long work disables
        self._status, self._trouble, self._canvas = widgets.HTML(), widgets.HTML(), Canvas()
        self.widget = widgets.VBox([self._status, self._canvas, self._trouble])
        self._say("idle")

    # --- controls ---

    def _add(self, work: Callable[[], Any] | None = None, **controls: Any) -> None:
        """A row of controls, answered by `work`; a button is answered by the method of its name."""
        for name, control in controls.items():
            if isinstance(control, widgets.Button):
                control.on_click(partial(self._click, name))
            elif work is not None:
                control.observe(lambda _, work=work: self._answer(work), names="value")
        self.controls |= controls
        row = widgets.HBox([*controls.values()], layout={"flex_flow": "row wrap"})
        self.widget.children = [*self.widget.children[:-3], row, *self.widget.children[-3:]]

    def _add_turns(self, work: Callable[[], Any], *turns: dict[str, Any], **values: Any) -> None:
        """Sliders below the picture, `name`, `label` and `stops` each; `work` answers when alpha is let go."""
        self._canvas.spec, self._canvas.values = {"sliders": [*turns]}, values

        def handler(change: Any) -> None:
            if change.new.get("alpha") != change.old.get("alpha"):
                self._answer(work)

        self._canvas.observe(handler, names="values")

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The sliders below the picture; those without "stops" point at rows of arrays."""
        return self._canvas.spec.get("sliders", [])

    def turn(self, name: str, value: Any) -> None:
        """Set one of them, as if it were let go there."""
        (turn,) = (turn for turn in self.turns if turn["name"] == name)
        stops = turn.get("stops") or [0, self._canvas.last_row(name)]
        self._canvas.values = {**self._canvas.values, name: type(stops[0])(min(max(value, stops[0]), stops[-1]))}

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """Set controls without answering them; what other threads change meanwhile is answered."""
        self._silencer = threading.get_ident()
        try:
            yield
        finally:
            self._silencer = None

    # --- work ---

    def _click(self, name: str, _button: Any) -> None:
        if name == "stop":  # not under the lock
            return self.stop()
        self._attempt(getattr(self, name))
        return None if threads_show() else self.wait(float("inf"))

    def _answer(self, work: Callable[[], Any]) -> None:
        """Answer a change of a control; changes that come while one waits are answered with it."""
        if self._silencer == threading.get_ident():
            return
        self._wanted.add(work)
        with self._lock:
            asked = work in self._wanted
            self._wanted.discard(work)  # before the controls are read: what changes from here on asks anew
            if asked:
                self._attempt(work)

    def _attempt(self, work: Callable[[], Any]) -> None:
        try:
            with self._settled():
                work()
        except Exception:
            if self.strict:
                raise

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """One at a time; whatever ends this block, the status says so; errors are kept, shown and passed on."""
        with self._lock:
            self.error, self._trouble.value = None, ""
            try:
                yield
            except BaseException as problem:
                self._keep(problem)
                raise

    def _keep(self, problem: BaseException) -> None:
        self._say(describe_ending(problem))
        if not isinstance(problem, Exception):
            return
        if not (self.errors and self.errors[-1] is problem):  # not yet kept further inside
            self.errors = [*self.errors, problem][-_REMEMBERED:]
        self.error = problem
        for cache in self._caches if _is_memory(problem) else ():
            cache.cache_clear()
        story = html.escape("".join(traceback.format_exception(problem)))
        self._trouble.value = f"<details><summary>what went wrong</summary><pre>{story}</pre></details>"

    def _remembering(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """`make`, whose `KEPT` latest answers are kept until memory runs short."""
        self._caches.append(lru_cache(maxsize=KEPT)(make))
        return self._caches[-1]

    def _prepare(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Do `work` ahead of being asked, in the background; it is passed a function that says whether to stop."""

        def do() -> None:
            try:
                work(lambda: self._ahead is not work)
            except Exception as problem:
                self._keep(problem)

        self._ahead = work  # older work ends
        self._preparing = _start_thread(do) if threads_show() else None

    def _finish_preparing(self) -> None:
        """Wait until everything that was prepared is there."""
        if self._preparing is not None:
            self._preparing.join()
        elif self._ahead is not None:
            self._ahead(lambda: False)

    # --- long work, one piece at a time ---

    @property
    def running(self) -> bool:
        """Whether long work runs, and is not paused."""
        return self._busy and not self._paused

    def stop(self) -> None:
        """End long work at its next stop, a fraction of a second away once it is compiled; what was done is kept."""
        self._halt.set()
        with self._telling:
            if self.running:
                self._say("stopping")

    def wait(self, timeout: float = 600.0) -> None:
        """Block until long work has ended; a keyboard interrupt stops it; with `strict`, raise what went wrong in it.

        Raises:
            TimeoutError: if it goes on for longer than `timeout` seconds.
        """
        patience = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > patience:
                raise TimeoutError(f"still {self.status} after {timeout:g} s; press Stop, or wait longer")
            try:
                if self._due.wait(0.05):
                    self._due.clear()
                    self._redraw()
            except KeyboardInterrupt:
                self.stop()
        if not threads_show():
            self._redraw()
        if self.strict and self.error is not None:
            raise self.error

    def _launch(self, work: Callable[[], str]) -> None:
        """Begin `work`, which returns its closing words, in a thread, unless other work runs already."""
        if not self._busy:
            self._busy = True
            self._halt.clear()
            self._enable(False)
            _start_thread(self._to_the_end, work)

    def _to_the_end(self, work: Callable[[], str]) -> None:
        self.error, self._trouble.value, ending = None, "", ""
        try:
            ending = work()
        except Exception as problem:
            self._keep(problem)
            ending = self.status
        with self._telling:  # a Stop that comes now finds nothing running, so that these words are the last
            self._say(ending)
            self._enable(True)
            self._busy = False

    def _enable(self, on: bool) -> None:
        for name in self._locked:
            self.controls[name].disabled = not on

    def _report(self, words: str) -> None:
        """What long work says of itself."""
        with self._telling:
            self._say("stopping" if self._halt.is_set() else words)

    def _show(self) -> None:
        """Draw while work runs, or ask who waits to do so, where threads cannot."""
        if threads_show():
            self._redraw()
        else:
            self._due.set()

    def _redraw(self) -> None:
        """Draw what is known."""

    # --- what is seen ---

    def _say(self, status: str) -> None:
        self.status = status
        self._status.value = f'<span role="status" aria-live="polite"><b>status:</b> {html.escape(status)}</span>'

    def _draw(self, label: str, columns: Sequence[float], plots: Any, texts: Sequence[str], **values: Any) -> None:
        """Show a picture with the guesses drawn in, one text, or one for each row of the slider that `values` set."""
        for quantity, guess in self.guesses.items():
            for p in plots:
                for which, mark in ("x", vline), ("y", hline):
                    if p[which] is not None and p[which]["label"].startswith(quantity):
                        p["items"].append(mark(guess, "ghost", strong=True, label="your guess"))
        named, arrays = pack(plots)
        spec = {
            "label": label,
            "columns": columns,
            "plots": named,
            "sliders": self.turns,
            "text": next(iter(values), ""),
        }
        with self._canvas.hold_sync():
            self._canvas.spec, self._canvas.arrays, self._canvas.texts = spec, arrays, list(texts)
            self._canvas.values = {**self._canvas.values, **values}
        for listener in self.listeners:
            listener()

    def _set_frames(self, frames: dict[float, tuple[Any, list[str]]]) -> None:
        """What the browser draws while alpha is dragged: plots and texts for each value."""
        arrays = [pack(plots)[1] for plots, _ in frames.values()]
        self._canvas.frames = {
            "by": "alpha",
            "at": [*frames],
            "arrays": arrays,
            "texts": [t for _, t in frames.values()],
        }

    @property
    def png(self) -> bytes:
        """The picture."""
        return self._canvas.png()

    @property
    def summary(self) -> str:
        """What the picture shows, in one or two sentences."""
        return self._canvas.text()

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.status}. {self.summary}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        describe = getattr(self._canvas, "_repr_mimebundle_", None)  # ipywidgets 7 has none
        shown: Any = describe and describe()  # on Colab with metadata that let it load the widget
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        picture = {"image/png": base64.b64encode(png).decode("ascii")} if (png := self.png) else {}
        data = {"text/plain": repr(self), **picture, "application/vnd.jupyter.widget-view+json": view}
        return data, shown[1] if isinstance(shown, tuple) else {}


def threads_show() -> bool:
    """Whether widgets that a thread changes are redrawn: in a Jupyter kernel, but not on Colab."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None and "google.colab" not in sys.modules


def _start_thread(work: Callable[..., Any], *arguments: Any) -> threading.Thread:
    """In a copy of the context, without which some kernels cannot find the cell that a widget belongs to."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work, *arguments), daemon=True)
    thread.start()
    return thread


def describe_ending(problem: BaseException) -> str:
    """A status: how work that raised this ended.

    >>> describe_ending(ValueError("no such length"))
    'failed: no such length'
    """
    if not isinstance(problem, Exception):
        return "stopped: interrupted"
    return f"{'out of memory' if _is_memory(problem) else 'failed'}: {problem}"


def _is_memory(problem: Exception) -> bool:
    return isinstance(problem, MemoryError) or "RESOURCE_EXHAUSTED" in str(problem)  # XLA's name for it
