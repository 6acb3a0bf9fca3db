"""The base of the panels whose alpha is dragged: an answer for alpha as it stands, and 62 that are prepared."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .. import Reconstruction, data
from ._canvas import ALPHA, PREPARED, axis, line, pack, plot, vline
from ._panel import Panel, start_thread, threads_show
from ._task import SYSTEMS, task_of

KEPT = 2  # tasks and compiled programs, at 10 to 30 MB; older ones make room


class SweepPanel(Panel, abc.ABC):
    """A forced recurrence, with an alpha to turn: only what the menus say compiles, alpha never does.

    The browser draws answers for 62 values of alpha, prepared in the background, while alpha is dragged; when it is let
    go, this very alpha is answered. A subclass declares `alpha` and menus, and makes a function of alpha of what the
    menus say. Its answers have a `verdict` for the status, `plots`, `texts`, and `numbers`: iterations, or -1 where it
    did not converge, and others.

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
        self._asked: tuple = ()  # what the menus say
        self._numbers: dict[tuple, np.ndarray] = {}  # of the prepared answers, by what was asked
        self._preparing = threading.Lock()
        with self._settled(self.strict):
            self.run()

    def run(self) -> None:
        """Answer anew what the controls say."""
        with self._settled():
            self._say("running")
            asked = tuple(control.value for control in self.controls.values())
            solve = partial(self._program(*asked[:3]), *asked[3:])  # another first guess does not compile
            self.found = solve(self.alpha)
            if asked != self._asked:
                self._asked, self._solve, self._numbers = asked, solve, {}  # what is prepared for others ends
                self._send({})
                if threads_show():
                    start_thread(self._keeping()(self.prepare))
            self._redraw()
            self._say(self.found.verdict)

    _respond = run

    @abc.abstractmethod
    def _make_program(self, *menus: Any) -> Callable[..., Any]:
        """Return what the menus say, compiled: a function of alpha, or of a first guess and alpha."""

    def prepare(self) -> np.ndarray:
        """`(62, n)`, the numbers of the answers for all prepared alphas; waits until they are there."""
        while (numbers := self._numbers.get(self._asked)) is None:
            with self._preparing:
                self._prepare(self._asked, self._solve)
            with self._lock:
                self._redraw()
        return numbers

    def _prepare(self, asked: tuple, solve: Callable[[float], Any]) -> None:
        """Answer every alpha of `PREPARED`, the quick ones first, and send what is drawn of it."""
        answers: dict[float, tuple] = {}
        for alpha in map(float, PREPARED[::-1]):
            if asked != self._asked or asked in self._numbers:
                return
            found = solve(alpha)
            answers[alpha] = pack(found.plots)[1], found.texts, found.numbers
            if len(answers) % 20 == 0 or len(answers) == len(PREPARED):
                self._send(answers)
        self._numbers = {asked: np.array([numbers for *_, numbers in answers.values()])[::-1]}

    def _send(self, answers: dict[float, tuple]) -> None:
        """What the browser draws while alpha is dragged."""
        arrays, texts = [arrays for arrays, *_ in answers.values()], [texts for _, texts, _ in answers.values()]
        self._canvas.frames = {"by": "alpha", "at": [*answers], "arrays": arrays, "texts": texts}

    def _draw_answer(self, label: str, columns: list[float], *plots: Any, **values: Any) -> None:
        """The answer, and below on the right the iterations for all alphas; a cross stands for no convergence."""
        counts = self._numbers.get(self._asked, np.zeros((0, 1)))[:, 0]
        alphas, good = PREPARED[: len(counts)], counts >= 0
        swept = plot(
            *(1, 1, ALPHA, axis("iterations", (0, self.most + 2))),
            line(counts[good], "error", alphas[good], "iterations", marker="D", size=2),
            line(0 * alphas[~good] + self.most + 1, "truth", alphas[~good], "no convergence", marker="x", line=False),
            vline("alpha", "model", strong=True),
        )
        self._draw(label, columns, [*self.found.plots, *plots, swept], self.found.texts, **values)


def choose_steps(length: int) -> np.ndarray:
    """The indices of the time steps that are drawn, about as many as a plot has pixels."""
    return np.arange(0, length, -(-length // 600))
