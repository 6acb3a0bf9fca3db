"""Predict: a question that stands before a panel; the panel opens when it is answered, the guess stays in its plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from ._panel import Panel


class Predict(Panel):
    """Ask before showing: a guess is due before the panel opens.

    Controls: `guess`, `answer`. From Python: `predict.answer(0.1)`.

    Args:
        question: one sentence.
        answers: a list of options to choose from, or a number where the guess begins.
        panel: the panel that opens; None where the result stands in the cells below.
        result: a function of the panel, what the guess is compared with; asked again with every new picture.
        axis: of the panel's plots, as its label begins: a number that is guessed is drawn there.
        strict: as for every panel.

    Attributes:
        guess: the answer, or None before it.

    >>> predict = Predict("How many iterations at alpha 1?", ["one", "a thousand"])
    >>> predict.answer("one")
    >>> predict.guess, predict.summary
    ('one', 'How many iterations at alpha 1? Your guess: one.')
    """

    buttons = ("answer",)

    def __init__(
        self,
        question: str,
        answers: Sequence[str] | float,
        panel: Panel | None = None,
        *,
        result: Callable[[Any], Any] | None = None,
        axis: str = "",
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self.question, self.panel, self.guess, self._result, self._axis = question, panel, None, result, axis
        self._verdict, self._canvas = "", self._canvas if panel is None else panel._canvas
        if isinstance(answers, int | float):
            given, kind = {"value": answers}, widgets.IntText if isinstance(answers, int) else widgets.FloatText
        else:
            given, kind = {"options": [*answers], "value": None, "layout": {"width": "auto"}}, widgets.RadioButtons
        self.controls = {"guess": kind(description="your guess", **given), **self.controls}
        self._told, ask = widgets.HTML(), widgets.HTML(f"<p><b>{escape(question)}</b></p>")
        self.widget.children = [ask, *self.controls.values(), self._told, self._trouble]

    def answer(self, guess: Any = None) -> None:
        """Take the guess, by default that of the control, and open the panel.

        Raises:
            ValueError: for a guess that is not among the options.
        """
        control = self.controls["guess"]
        with self._settled():
            guess = control.value if guess is None else guess
            if guess is None:
                self._told.value = "<p>Choose an answer first.</p>"
                return
            if guess not in getattr(control, "options", (guess,)):
                raise ValueError(f"the guess is {guess!r}; choose one of {[*control.options]}")
            control.value = self.guess = guess
            if self.panel is not None and self._axis:
                self.panel.guesses[self._axis] = float(guess)
                self.panel._redraw()
            if self.panel is not None and self.panel.widget not in self.widget.children:
                self._canvas.observe(self._compare, names="arrays")
                self.widget.children = [*self.widget.children, self.panel.widget]
            self._compare()
            self.controls["answer"].description = "Answer again"

    def _compare(self, _change: Any = None) -> None:
        """Name the guess and the result."""
        found = self._result(self.panel) if self._result is not None else None
        shown = f"{found:.3g}" if isinstance(found, float) else f"{found}"
        self._verdict = f"Your guess: {self.guess}." + ("" if found is None else f" Here: {shown}.")
        self._told.value = f"<p>{escape(self._verdict)}</p>"

    @property
    def summary(self) -> str:
        return f"{self.question} {self._verdict}".strip()
