"""What every live panel shares: controls that speak Python, a state in words, a picture, errors that are seen.

A panel is no widget; it holds one, `panel.widget`, and shows it where a notebook's last line names the panel. Viewers
without a kernel get the picture and the summary as text instead. Every handler runs under one lock; of several waiting
requests for the same work (a slider moved quickly) one is answered, with what the controls say by then. However a piece
of work ends, by an answer, an error or an interrupt, the status says so.
"""

from __future__ import annotations

import base64
import html
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..plots import png

__all__ = ["KEPT", "Panel", "Setting", "button", "canvas", "ending_of", "menu", "plural", "slider"]

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


class Panel:
    """Controls, status, picture and summary. Leaves call `_arrange` once and `_show` for every picture.

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
        self.status, self.summary = "idle", ""
        self._lock = threading.RLock()
        self._wanted: set[Callable[[], Any]] = set()  # work that was asked for and has not begun
        self._silencer: int | None = None  # the thread that sets controls without answering them
        self._caches: list[Any] = []
        self._listeners: list[Callable[[], Any]] = []
        self._status = widgets.HTML()
        self._image = widgets.Image(format="png", layout={"width": "100%", "max_width": "980px"})
        self._summary, self._trouble = widgets.HTML(), widgets.HTML()
        self.widget = widgets.VBox()

    @property
    def png(self) -> bytes:
        return bytes(self._image.value)

    def _arrange(self, *rows: Sequence[widgets.Widget]) -> None:
        lines = [widgets.HBox(list(row), layout={"flex_flow": "row wrap"}) for row in rows]
        self.widget.children = [*lines, self._status, self._image, self._summary, self._trouble]

    def _say(self, status: str) -> None:
        self.status = status
        self._status.value = f'<span role="status" aria-live="polite"><b>status:</b> {html.escape(status)}</span>'

    def _show(self, sheet: Figure, summary: str, dpi: float = 80) -> None:
        self._image.value = png(sheet, dpi=dpi)
        self.summary = summary
        self._summary.value = f"<p>{html.escape(summary)}</p>"
        for listener in self._listeners:
            listener()

    def on_show(self, listener: Callable[[], Any]) -> None:
        """Call `listener` after every new picture."""
        self._listeners.append(listener)

    def _observe(self, control: widgets.Widget, work: Callable[[], Any]) -> None:
        """Answer every change of the control's value; changes that come while one waits are answered with it."""

        def handler(_change: Any) -> None:
            if self._silencer == threading.get_ident():
                return
            self._wanted.add(work)
            with self._lock:
                if work in self._wanted:
                    self._wanted.discard(work)  # before the controls are read: what changes from here on asks anew
                    self._attempt(work)

        control.observe(handler, names="value")

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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        picture = {"image/png": base64.b64encode(self.png).decode("ascii")} if self.png else {}
        return {"text/plain": repr(self), **picture, "application/vnd.jupyter.widget-view+json": view}


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


def canvas(width: float, height: float) -> Figure:
    """A figure with fixed margins: looking for good ones takes longer than drawing, and it would tremble."""
    sheet = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(sheet)
    sheet.subplots_adjust(left=0.07, right=0.975, bottom=0.09, top=0.94, wspace=0.25, hspace=0.38)
    return sheet


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "iteration"), plural(3, "iteration")
    ('1 iteration', '3 iterations')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
