"""What every live panel shares: controls that speak Python, a state in words, a picture, errors that are seen.

A panel is no widget; it holds one, `panel.widget`, and shows it where a notebook's last line names the panel. Viewers
without a kernel get the picture and the summary as text instead. Every handler runs under one lock; of several waiting
requests for the same work (a slider moved quickly) one is answered, with what the controls say by then. However a piece
of work ends, by an answer, an error or an interrupt, the status says so.
"""

from __future__ import annotations

import base64
import contextvars
import html
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import ipywidgets as widgets

from ._canvas import Canvas, pack

__all__ = ["KEPT", "Panel", "Setting", "Turn", "button", "ending_of", "menu", "plural", "slider", "threads_show"]

KEPT = 2  # compiled programs of each kind, at 10 to 30 MB; older ones make room
_REMEMBERED = 20  # errors
_WIDE = {"description_width": "9em"}
_ROOMY = {"width": "30em"}


class Setting:
    """A control's value as an attribute of the panel: `panel.alpha`, `panel.alpha = 0.3`."""

    def __init__(self, control: str) -> None:
        self.control = control

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else getattr(panel, self.control).value

    def __set__(self, panel: Any, value: Any) -> None:
        getattr(panel, self.control).value = value


class Turn:
    """A slider below the picture, as an attribute of the panel: the browser draws while it is dragged."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else panel._canvas.values.get(self.name, 0)

    def __set__(self, panel: Any, value: Any) -> None:
        panel.turn(self.name, value)


class Panel:
    """Controls, status, picture and summary. Subclasses call `_arrange` once and `_draw` for every picture.

    Attributes:
        error: what went wrong in the latest piece of work, or None; shown in the panel.
        errors: the last 20 of them, oldest first; later successes do not remove any.
        strict: raise it too, by default where `GTFDEER_FAST=1`, so that a notebook that is tested fails with its panel.
        summary: what the picture says, in one or two sentences.
        png: the picture, as bytes.
        widget: the whole panel.
    """

    def __init__(self, *, strict: bool | None = None) -> None:
        self.strict = os.environ.get("GTFDEER_FAST") == "1" if strict is None else strict
        self.error: Exception | None = None
        self.errors: list[Exception] = []
        self.status = "idle"
        self._lock = threading.RLock()
        self._wanted: set[Callable[[], Any]] = set()  # work that was asked for and has not begun
        self._silencer: int | None = None  # the thread that sets controls without answering them
        self._caches: list[Any] = []
        self._listeners: list[Callable[[], Any]] = []
        self._status = widgets.HTML()
        self._canvas, self._trouble = Canvas(), widgets.HTML()
        self._ahead: tuple[Any, Callable[[Callable[[], bool]], None]] | None = None  # what is prepared, and how
        self._preparing: threading.Thread | None = None
        self.widget = widgets.VBox()

    @property
    def png(self) -> bytes:
        return self._canvas.png()

    @property
    def summary(self) -> str:
        return self._canvas.text()

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The sliders below the picture: "name", "label", "stops"."""
        return self._canvas.spec.get("sliders", [])

    def turn(self, name: str, value: Any) -> None:
        """Set one of them, as if it were let go there."""
        stops = next(slider["stops"] for slider in self.turns if slider["name"] == name)
        self._canvas.values = {**self._canvas.values, name: type(stops[0])(min(max(value, stops[0]), stops[-1]))}

    def _arrange(self, *rows: Sequence[widgets.Widget]) -> None:
        lines = [widgets.HBox(list(row), layout={"flex_flow": "row wrap"}) for row in rows]
        self.widget.children = [*lines, self._status, self._canvas, self._trouble]

    def _say(self, status: str) -> None:
        self.status = status
        self._status.value = f'<span role="status" aria-live="polite"><b>status:</b> {html.escape(status)}</span>'

    def _draw(self, spec: dict[str, Any], arrays: dict[str, Any], texts: Sequence[str], **values: Any) -> None:
        """Show a picture; `values` are those of its sliders, others stay as they are."""
        with self._silently(), self._canvas.hold_sync():
            self._canvas.spec = spec
            self._canvas.arrays = {name: pack(array) for name, array in arrays.items()}
            self._canvas.texts = list(texts)
            self._canvas.values = {**self._canvas.values, **values}
        for listener in self._listeners:
            listener()

    def on_show(self, listener: Callable[[], Any]) -> None:
        """Call `listener` after every new picture."""
        self._listeners.append(listener)

    def _observe(self, control: widgets.Widget, work: Callable[[], Any]) -> None:
        """Answer every change of the control's value; changes that come while one waits are answered with it."""

        def handler(_change: Any) -> None:
            if self._silencer != threading.get_ident():
                self._answer(work)

        control.observe(handler, names="value")

    def _answer(self, work: Callable[[], Any]) -> None:
        self._wanted.add(work)
        with self._lock:
            if work in self._wanted:
                self._wanted.discard(work)  # before the controls are read: what changes from here on asks anew
                self._attempt(work)

    def _observe_turns(self, **works: Callable[[], Any] | None) -> None:
        """Answer the sliders below the picture when they are let go, each by its work."""
        for name, work in works.items():

            def handler(change: Any, name: str = name, work: Any = work) -> None:
                if change.new.get(name) != change.old.get(name) and self._silencer != threading.get_ident():
                    self._answer(work)

            self._canvas.observe(handler, names="values")

    def _prepare(self, key: Any, work: Callable[[Callable[[], bool]], None]) -> None:
        """Do `work` ahead of being asked, in the background where widgets can show it; newer work ends it.

        Args:
            key: what is prepared; what is under way already does not begin again.
            work: it is passed a function that says whether to stop.
        """
        if self._ahead is not None and self._ahead[0] == key:
            return
        ahead = self._ahead = (key, work)
        self._preparing = None
        if threads_show():
            context = contextvars.copy_context()
            self._preparing = threading.Thread(target=context.run, args=(self._do_ahead, ahead), daemon=True)
            self._preparing.start()

    def _do_ahead(self, ahead: tuple[Any, Callable]) -> None:
        try:
            ahead[1](lambda: self._ahead is not ahead)
        except Exception as problem:
            self._keep(problem)

    def _finish_preparing(self) -> None:
        """Wait until everything that was prepared is there."""
        thread, ahead = self._preparing, self._ahead
        if thread is not None:
            thread.join()
        elif ahead is not None:
            ahead[1](lambda: False)
            self._ahead = None

    def _press(self, control: widgets.Button, work: Callable[[], Any]) -> None:
        """Answer every click."""

        def handler(_button: Any) -> None:
            with self._lock:
                self._attempt(work)

        control.on_click(handler)

    def _attempt(self, work: Callable[[], Any]) -> None:
        try:
            with self._settled():
                work()
        except Exception:
            if self.strict:
                raise

    @contextmanager
    def _working(self) -> Iterator[None]:
        """For what handlers and Python both call: one at a time, and `_settled`."""
        with self._lock, self._settled():
            yield

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Whatever ends this block, the status does not stay at "running"; errors are kept, shown and passed on."""
        self._forget_error()
        try:
            yield
        except BaseException as problem:
            if isinstance(problem, Exception):
                self._keep(problem)
            self._say(ending_of(problem))
            raise

    def _keep(self, problem: Exception) -> None:
        if not (self.errors and self.errors[-1] is problem):  # not yet kept further inside
            self.errors = [*self.errors, problem][-_REMEMBERED:]
        self.error = problem
        if _is_memory(problem):
            for cache in self._caches:
                cache.cache_clear()
        story = "".join(traceback.format_exception(problem))
        self._trouble.value = f"<details><summary>what went wrong</summary><pre>{html.escape(story)}</pre></details>"

    def _forget_error(self) -> None:
        self.error = None
        self._trouble.value = ""

    def _remembering(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """`make`, whose `KEPT` latest answers are kept until memory runs short."""
        cache = lru_cache(maxsize=KEPT)(make)
        self._caches.append(cache)
        return cache

    @contextmanager
    def _silently(self) -> Iterator[None]:
        """Set controls without answering them; what other threads change meanwhile is answered."""
        before, self._silencer = self._silencer, threading.get_ident()
        try:
            yield
        finally:
            self._silencer = before

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


def ending_of(problem: BaseException) -> str:
    """A status: how work that raised this ended.

    >>> ending_of(ValueError("no such length"))
    'failed: no such length'
    """
    if not isinstance(problem, Exception):
        return "stopped: interrupted"
    return f"{'out of memory' if _is_memory(problem) else 'failed'}: {problem}"


def _is_memory(problem: Exception) -> bool:
    return isinstance(problem, MemoryError) or "RESOURCE_EXHAUSTED" in str(problem)  # XLA's name for it


def slider(label: str, value: float, low: float, high: float, step: float) -> Any:
    """A slider with its number box; it answers when it is let go, not while it moves."""
    whole = all(isinstance(x, int) for x in (value, low, high, step))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        continuous_update=False,
        style=_WIDE,
        layout=_ROOMY,
        **({} if whole else {"readout_format": ".3g"}),
    )


def menu(label: str, options: Sequence[Any], value: Any) -> Any:
    """A drop-down."""
    return widgets.Dropdown(options=options, value=value, description=label, style=_WIDE, layout=_ROOMY)


def button(label: str) -> Any:
    """A button with a word on it."""
    return widgets.Button(description=label, layout={"width": "9em"})


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "iteration"), plural(3, "iteration")
    ('1 iteration', '3 iterations')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
