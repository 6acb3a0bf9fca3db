"""Predict: the panel opens with the answer, and guess and result stand side by side."""

import pytest

from gtfdeer.explorables import Predict

from .test_panel import Toy

GUESS = {"type": "hline", "role": "ghost", "strong": True, "label": "your guess"}


def test_the_panel_opens_with_the_answer():
    panel = Toy(strict=True)
    predict = Predict("12 / 3?", 5, panel, result=lambda panel: panel.answers[-1], axis="y")
    assert panel.widget not in predict.widget.children
    panel.divisor = 3
    predict.controls["guess"].value = 6
    predict.controls["answer"].click()
    assert panel.widget in predict.widget.children
    assert predict.guess == 6
    assert predict.summary == "12 / 3? Your guess: 6. Here: 4."
    panel.divisor = 4
    assert "Here: 3." in predict.summary  # it follows the panel
    assert panel._canvas.spec["plots"][0]["items"][-1] == {**GUESS, "at": 6.0}  # the guess is drawn on the axis


def test_options_are_all_that_can_be_guessed():
    predict = Predict("Which?", ["this", "that"], strict=True)
    predict.controls["answer"].click()
    assert predict.guess is None  # nothing chosen yet
    with pytest.raises(ValueError, match="other"):
        predict.answer("other")
    predict.answer("that")
    assert predict.guess == "that"
