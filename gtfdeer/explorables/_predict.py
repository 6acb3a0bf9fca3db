"""Predict: a question that stands before a panel; the panel opens when it is answered, the guess stays beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from ._panel import Panel, button

__all__ = ["Predict"]


class Predict(Panel):
    """Ask before showing: a guess is due before the panel opens.

    Controls: `guess_control`, `answer_button`. From Python: `predict.answer(0.1)`.

    Args:
        question: one sentence.
        answers: a list of options to choose from, or a number where the guess begins.
        panel: the panel that opens; None where the result stands in the cells below.
        result: a function of the panel, what the guess is compared with; asked again with every new picture.
        strict: as for every panel.

    Attributes:
        guess: the answer, or None before it.

    >>> predict = Predict("How many iterations at alpha 1?", ["one", "a thousand"])
    >>> predict.answer("one")
    >>> predict.guess, predict.summary
    ('one', 'How many iterations at alpha 1? Your guess: one.')
    """

    def __init__(
        self,
        question: str,
        answers: Sequence[str] | float,
        panel: Panel | None = None,
        *,
        result: Callable[[Any], Any] | None = None,
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self.question, self.panel, self._result = question, panel, result
        self.guess: Any = None
        self._summary = question
        wide = {"width": "auto"}
        if isinstance(answers, int | float):
            kind = widgets.IntText if isinstance(answers, int) else widgets.FloatText
            self.guess_control: Any = kind(value=answers, description="your guess")
        else:
            self.guess_control = widgets.RadioButtons(
                options=list(answers), value=None, description="your guess", layout=wide
            )
        self.answer_button = button("Answer")
        self._told = widgets.HTML()
        self._press(self.answer_button, lambda: self.answer(self.guess_control.value))
        ask = widgets.HTML()
        ask.value = f"<p><b>{escape(question)}</b></p>"
        self.widget.children = [ask, self.guess_control, self.answer_button, self._told, self._trouble]

    def answer(self, guess: Any) -> None:
        """Take the guess and open the panel.

        Raises:
            ValueError: for a guess that is not among the options.
        """
        with self._working():
            if guess is None:
                self._told.value = "<p>Choose an answer first.</p>"
                return
            options = getattr(self.guess_control, "options", (guess,))
            if guess not in options:
                raise ValueError(f"the guess is {guess!r}; choose one of {[*options]}")
            self.guess_control.value = guess
            self.guess = guess
            self._compare()
            if self.panel is not None and self.panel.widget not in self.widget.children:
                self.panel.on_show(self._compare)
                self.widget.children = [*self.widget.children, self.panel.widget]
            self.answer_button.description = "Answer again"

    def _compare(self) -> None:
        """Guess and result in one line."""
        measured = ""
        if self._result is not None:
            found = self._result(self.panel)
            measured = f" Here: {found:.3g}." if isinstance(found, float) else f" Here: {found}."
        self._summary = f"{self.question} Your guess: {self.guess}.{measured}"
        self._told.value = f"<p>Your guess: <b>{escape(str(self.guess))}</b>.{escape(measured)}</p>"

    @property
    def summary(self) -> str:
        return self._summary

    @property
    def png(self) -> bytes:
        return b"" if self.panel is None else self.panel.png
