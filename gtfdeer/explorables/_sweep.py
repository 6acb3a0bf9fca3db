"""The base of the panels whose alpha is dragged: an answer for alpha as it stands, and 62 that are prepared."""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .. import Reconstruction, data
from ._canvas import ALPHA, PREPARED, axis, line, plot, vline
from ._panel import Panel
from ._task import SYSTEMS, task_of

KEPT = 2  # tasks and compiled programs, at 10 to 30 MB; older ones make room
_FINE, _COARSE = 1500, 500  # time steps that are sent of the answer at hand, and of those prepared for dragging


class SweepPanel(Panel, abc.ABC):
    """A forced recurrence, with an alpha to turn: only what the menus say compiles, alpha never does.

    The browser draws answers for 62 values of alpha, prepared in the background, while alpha is dragged; when it is let
    go, this very alpha is answered. A subclass declares menus and `alpha`, and makes a function of alpha of what the
    menus say. Its answers have a `verdict` for the status, `draw(most)` for plots of at most so many time steps,
    `describe()` for texts, and `numbers`: iterations, -1 where they did not converge, and others.

    Args:
        reconstruction: a trained model to look at, beside the known systems.
        series: the recording that teaches it.
        strict: as for every panel.

    Attributes:
        found: the answer that is shown.
    """

    most: int  # iterations
    alpha: Any

    def __init__(
        self,
        reconstruction: Reconstruction | None = None,
        series: data.Series | None = None,
        *,
        strict: bool | None = None,
    ) -> None:
        subjects = SYSTEMS if reconstruction is None else {"trained model": reconstruction, **SYSTEMS}
        super().__init__(strict=strict, subject=[*subjects])
        self._task = lru_cache(KEPT)(lambda subject, length: task_of(subjects[subject], series, length=length))
        self._program = lru_cache(KEPT)(self._make_program)
        self._asked: tuple = ()
        self._attempt(self.run)

    def run(self) -> None:
        """Answer anew what the controls say."""
        with self._settled():
            self._say("running")
            asked = tuple(control.value for control in self.controls.values())
            solve = self._make_solve(*asked)
            self.found = solve(self.alpha)
            if asked != self._asked:
                self._asked, self._swept = asked, {}
                self._set_frames({})
                self._prepare(lambda stop: self._sweep(asked, solve, stop))
            self._redraw()
            self._say(self.found.verdict)

    _respond = run

    def _make_solve(self, *asked: Any) -> Callable[[float], Any]:
        return self._program(*asked)

    @abc.abstractmethod
    def _make_program(self, subject: str, length: int) -> Callable[..., Any]:
        """Return what the menus say, compiled: a function of alpha."""

    def _sweep(self, asked: tuple, solve: Callable[[float], Any], stop: Callable[[], bool]) -> None:
        """Answer every alpha of `PREPARED`, the quick ones first, and send what is drawn of it."""
        frames: dict[float, Any] = {}
        numbers = []
        for alpha in map(float, PREPARED[::-1]):
            if stop():
                return
            found = solve(alpha)
            numbers.insert(0, found.numbers)
            frames[alpha] = found.draw(_COARSE), found.describe()
            if len(numbers) % 20 == 0 or len(numbers) == len(PREPARED):
                self._set_frames(frames)
        self._swept = {asked: np.array(numbers)}

    def _numbers(self) -> np.ndarray:
        """`(62, n)`, the numbers of all prepared answers; waits until they are there."""
        if self._asked not in self._swept:
            self._finish_preparing()
        return self._swept[self._asked]

    def _draw_answer(self, label: str, columns: list[float], *plots: Any, **values: Any) -> None:
        """The answer, and below on the right the iterations for all alphas; a cross stands for no convergence."""
        counts = self._swept.get(self._asked, np.zeros((0, 1)))[:, 0]
        alphas, good = PREPARED[: len(counts)], counts >= 0
        swept = plot(
            *(1, 1, ALPHA, axis("iterations", (0, self.most + 2))),
            line(counts[good], "error", alphas[good], "iterations", marker="D", size=2),
            line(0 * alphas[~good] + self.most + 1, "truth", alphas[~good], "no convergence", marker="x", line=False),
            vline("alpha", "model", strong=True),
        )
        self._draw(label, columns, [*self.found.draw(_FINE), *plots, swept], self.found.describe(), **values)
