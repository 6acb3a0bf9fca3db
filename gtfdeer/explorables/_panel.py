"""The base of all panels: controls that speak Python, a status in words, a picture, errors that are seen.

A panel is no widget; it holds one, `panel.widget`, and shows it where a notebook's last line names the panel. Every
handler runs under one lock; of several waiting requests (a slider moved quickly) one is answered, with what the
controls say by then. Long work runs in a thread, so that the page stays alive; where threads cannot
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython import get_ipython

from ._canvas import Canvas, hline, pack, vline

_REMEMBERED = 20  # errors
_LOOK = {"style": {"description_width": "9em"}, "layout": {"width": "30em", "max_width": "100%"}}


class Control:
    """A widget above the picture, which each panel makes for itself."""

    def __init__(self, kind: Callable[..., Any], **given: Any) -> None:
        self.make = partial(kind, **given)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else panel.controls[self.name].value

    def __set__(self, panel: Any, value: Any) -> None:
        panel.controls[self.name].value = value


class Turn(Control):
    """A slider below the picture, which answers while it is dragged; without stops it points at rows of arrays."""

    def __init__(self, label: str, stops: Sequence[float] = (), value: float = 0) -> None:
        super().__init__(dict, label=label, **({"stops": [*stops]} if stops else {}))
        self.value, self._ends = value, (stops[0], stops[-1]) if stops else (0, np.inf)

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else panel._canvas.values[self.name]

    def __set__(self, panel: Any, value: Any) -> None:
        low, high = self._ends
        panel._canvas.values = {**panel._canvas.values, self.name: type(low)(min(max(value, low), high))}


def slider(label: str, value: float, low: float, high: float, step: float) -> Control:
    """A slider with its number box; it answers when it is let go, not while it moves."""
    kind, form = (widgets.IntSlider, "d") if isinstance(step, int) else (widgets.FloatSlider, ".3g")
    given = {"value": value, "min": low, "max": high, "step": step, "readout_format": form, "continuous_update": False}
    return Control(kind, description=label, **given, **_LOOK)


def menu(label: str, options: Iterable[Any], value: Any = None) -> Control:
    """A drop-down, at its first option unless told otherwise."""
    options = [*options]
    return Control(widgets.Dropdown, options=options, value=value or options[0], description=label, **_LOOK)


class Panel:
    """Controls, status, picture and summary.

    A subclass declares its controls (`menu`, `slider`, `Turn`) and its `buttons`, answers changes in `_respond`, and
    draws in `_redraw`.

    Args:
        strict: raise errors too, by default where `GTFDEER_FAST=1`, so that a notebook that is tested fails with its
            panel; those of a thread are raised by `wait`.
        options: of a menu, by its name, in place of those declared.

    Attributes:
        buttons: names of methods that a click calls.
        locked: names of controls that long work disables.
        controls: the widgets above the picture by name.
        error: what went wrong in the latest piece of work, or None; shown in the panel.
        errors: the last 20 of them, oldest first; later successes do not remove any.
        guesses: of `Predict`, by the name of the axis on which they are drawn.
        widget: the whole panel.
    """

    buttons: Sequence[str] = ()
    locked: Sequence[str] = ()

    def __init__(self, *, strict: bool | None = None, **options: Sequence[Any]) -> None:
        self.strict = os.environ.get("GTFDEER_FAST") == "1" if strict is None else strict
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.guesses: dict[str, float] = {}
        self._lock, self._telling = threading.RLock(), threading.Lock()  # of handlers; of the status
        self._worker: int | None = None  # the thread that works under the lock
        self._changed = False  # a control that nobody has begun to answer
        self._busy, self._paused = False, False
        self._halt, self._due = threading.Event(), threading.Event()  # stop; draw
        self._status, self._trouble, self._canvas = widgets.HTML(), widgets.HTML(), Canvas()
        declared = {name: each for kind in reversed(type(self).__mro__) for name, each in vars(kind).items()}
        turns = {name: each for name, each in declared.items() if isinstance(each, Turn)}
        chosen = {name: e.make() for name, e in declared.items() if isinstance(e, Control) and name not in turns}
        clicked = {name: widgets.Button(description=name.capitalize()) for name in self.buttons}
        self._canvas.spec = {"sliders": [turn.make(name=name) for name, turn in turns.items()]}
        self._canvas.values = {name: turn.value for name, turn in turns.items()}
        for name, values in options.items():
            chosen[name].options = values
        for each in (self._canvas, *chosen.values()):
            each.observe(self._on_change, names=["value", "values"])
        for name, button in clicked.items():
            button.on_click(partial(self._on_click, name))
        self.controls: dict[str, Any] = chosen | clicked
        rows = [widgets.HBox([*row.values()], layout={"flex_flow": "row wrap"}) for row in (chosen, clicked)]
        self.widget = widgets.VBox([*rows, self._status, self._canvas, self._trouble])
        self._say("idle")

    def _respond(self) -> None:
        """Do what the controls say."""

    def _redraw(self) -> None:
        """Draw what is known."""

    # --- work ---

    def _on_click(self, name: str, _button: Any) -> None:
        if name == "stop":  # not under the lock
            return self.stop()
        with self._settled(self.strict):
            getattr(self, name)()
        return None if threads_show() else self.wait(float("inf"))

    def _on_change(self, change: Any) -> None:
        """Answer a change of a control; changes that come while one waits are answered with it."""
        of_rows = change.name == "values" and change.new.get("alpha") == change.old.get("alpha")  # known to the browser
        if of_rows or self._worker == threading.get_ident():  # or work sets a control by itself
            return
        self._changed = True
        with self._lock:
            if self._changed:
                self._changed = False  # before the controls are read: what changes from here on asks anew
                with self._settled(self.strict):
                    self._respond()

    @contextmanager
    def _settled(self, strict: bool = True) -> Iterator[None]:
        """One at a time; however this block ends, the status says so."""
        with self._lock:
            before, self._worker = self._worker, threading.get_ident()
            try:
                with self._keeping(strict):
                    yield
            finally:
                self._worker = before

    @contextmanager
    def _keeping(self, strict: bool = False) -> Iterator[None]:
        """Keep an error and show it; if strict, raise it, too."""
        self.error, self._trouble.value = None, ""
        try:
            yield
        except Exception as problem:
            short = isinstance(problem, MemoryError) or "RESOURCE_EXHAUSTED" in str(problem)  # XLA's name for it
            self._say(f"{'out of memory' if short else 'failed'}: {problem}")
            if problem not in self.errors:  # not yet kept further inside
                self.errors = [*self.errors, problem][-_REMEMBERED:]
            self.error = problem
            story = html.escape("".join(traceback.format_exception(problem)))
            self._trouble.value = f"<details><summary>what went wrong</summary><pre>{story}</pre></details>"
            if strict:
                raise
        except BaseException:
            self._say("stopped: interrupted")
            raise

    # --- long work, one piece at a time ---

    @property
    def running(self) -> bool:
        """Whether long work runs, and is not paused."""
        return self._busy and not self._paused

    def stop(self) -> None:
        """End long work at its next stop, a fraction of a second away once it is compiled; what was done is kept."""
        self._halt.set()
        self._say()

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
            self._say()
            start_thread(self._to_the_end, work)

    def _to_the_end(self, work: Callable[[], str]) -> None:
        with self._keeping():
            self._say(work())
        self._busy = False
        self._say()

    def _show(self) -> None:
        """Draw while work runs, or ask who waits to do so, where threads cannot."""
        if threads_show():
            self._redraw()
        else:
            self._due.set()

    # --- what is seen ---

    @property
    def status(self) -> str:
        """What the panel is doing."""
        return "stopping" if self.running and self._halt.is_set() else self._words

    def _say(self, words: str = "") -> None:
        """Show another status, or another state of long work."""
        with self._telling:  # so that what is shown last is what is true then
            self._words = words or self._words
            shown = html.escape(self.status)
            self._status.value = f'<span role="status" aria-live="polite"><b>status:</b> {shown}</span>'
            for name in self.locked:
                self.controls[name].disabled = self.running

    def _draw(self, label: str, columns: Sequence[float], plots: Any, texts: Sequence[str], **values: Any) -> None:
        """Show a picture with the guesses drawn in, one text, or one for each row of the slider that `values` set."""
        for quantity, guess in self.guesses.items():
            for p in plots:
                for which, mark in ("x", vline), ("y", hline):
                    if p[which] is not None and p[which]["label"].startswith(quantity):
                        p["items"].append(mark(guess, "ghost", strong=True, label="your guess"))
        named, arrays = pack(plots)
        shown = {"label": label, "columns": columns, "plots": named, "text": next(iter(values), "")}
        with self._canvas.hold_sync():
            self._canvas.spec = {**self._canvas.spec, **shown}
            self._canvas.arrays, self._canvas.texts = arrays, [*texts]
            self._canvas.values = {**self._canvas.values, **values}

    @property
    def png(self) -> bytes:
        """The picture."""
        return self._canvas.png()

    @property
    def summary(self) -> str:
        """What the picture shows, in one or two sentences."""
        row = round(self._canvas.values.get(self._canvas.spec.get("text") or "", 0))
        return self._canvas.texts[min(row, len(self._canvas.texts) - 1)] if self._canvas.texts else ""

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
    return getattr(get_ipython(), "kernel", None) is not None and "google.colab" not in sys.modules


def start_thread(*work: Any) -> None:
    """In a copy of the context, without which some kernels cannot find the cell that a widget belongs to."""
    threading.Thread(target=contextvars.copy_context().run, args=work, daemon=True).start()


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "iteration"), plural(3, "iteration")
    ('1 iteration', '3 iterations')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
