"""Panels whose work takes longer than a click: Stop answers at once, and whatever ends the work, the status says how.

In Jupyter the work runs in a thread of its own, so that the page stays alive and other cells run; elsewhere (scripts,
Colab, whose widgets are not redrawn from threads) it runs in the foreground, where a keyboard interrupt stops it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from ._panel import Panel, Setting, button, ending_of, menu, threads_show

__all__ = ["LongPanel"]


class LongPanel(Panel):
    """A panel that does one long piece of work at a time. Leaves call `_launch`, and `_report` while they work.

    Controls: `where_menu`, `stop_button`; those that leaves put into `_settings` are disabled while work runs.

    Args:
        strict: raise errors too; those of the thread are raised by `wait`.
    """

    where = Setting("where_menu")

    def __init__(self, *, strict: bool | None = None) -> None:
        super().__init__(strict=strict)
        self.where_menu = menu("runs in", ("auto", "background", "foreground"), "auto")
        self.stop_button = button("Stop")
        self.stop_button.on_click(lambda _: self.stop())  # not through the panel's lock: a foreground run holds it
        self._settings: tuple[Any, ...] = ()
        self._halt, self._asked_again = threading.Event(), False
        self._one, self._telling = threading.Lock(), threading.Lock()  # held while work runs; while its state is told

    @property
    def running(self) -> bool:
        """Whether work runs, in the background or in the foreground of another cell."""
        return self._one.locked()

    def stop(self) -> None:
        """End the work at its next stop, a fraction of a second away once it is compiled; what was done is kept."""
        self._halt.set()
        with self._telling:
            if self.running:
                self._say("stopping")

    def wait(self, timeout: float = 600.0) -> None:
        """Block until the work has ended; with `strict`, raise what went wrong in it.

        Raises:
            TimeoutError: if it goes on for longer than `timeout` seconds.
        """
        self._join(timeout)
        if self.strict and self.error is not None:
            raise self.error

    def _join(self, timeout: float = 600.0) -> None:
        if not self._one.acquire(timeout=timeout):
            raise TimeoutError(f"still {self.status} after {timeout:g} s; press Stop, or wait longer")
        self._one.release()

    def _launch(self, work: Callable[[], str], where: str) -> bool:
        """Begin `work`, which returns its closing words, where `where` says; False if other work runs already."""
        if not self._one.acquire(blocking=False):
            self._asked_again = True
            return False
        self._halt.clear()
        self._asked_again = False
        for control in self._settings:
            control.disabled = True
        if self._in_background(where):
            # without a copy of the context some kernels cannot find the cell that a widget belongs to
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._quietly, work), daemon=True).start()
        else:
            self._to_the_end(work)
        return True

    def _in_background(self, where: str) -> bool:
        return threads_show() if where == "auto" else where == "background"

    def _quietly(self, work: Callable[[], str]) -> None:
        try:
            self._to_the_end(work)
        except Exception:
            return  # kept as `error`, shown in the panel, raised by `wait`

    def _to_the_end(self, work: Callable[[], str]) -> None:
        ending = ""
        try:
            with self._settled():
                ending = work()
        except BaseException as problem:
            ending = ending_of(problem)
            raise
        finally:
            with self._telling:  # a Stop that comes now finds nothing running, so that these words are the last
                self._say(ending)
                for control in self._settings:
                    control.disabled = False
                self._one.release()

    def _report(self, words: str) -> None:
        """What the work says of itself."""
        with self._telling:
            again = " (already running: press Stop before you start anew)" if self._asked_again else ""
            self._say("stopping" if self._halt.is_set() else words + again)
