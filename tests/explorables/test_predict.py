"""Predict: the panel opens with the answer, and guess and result stand side by side."""

import pytest

from gtfdeer.explorables import Predict

from .test_panel import Toy


def test_the_panel_opens_with_the_answer():
    panel = Toy(strict=True)
    predict = Predict("12 / 3?", 5, panel, result=lambda panel: panel.answers[-1])
    assert panel.widget not in predict.widget.children
    panel.divisor.value = 3
    predict.guess_control.value = 6
    predict.answer_button.click()
    assert panel.widget in predict.widget.children
    assert predict.guess == 6
    assert predict.summary == "12 / 3? Your guess: 6. Here: 4."
    panel.divisor.value = 4
    assert "Here: 3." in predict.summary  # it follows the panel


def test_options_are_all_that_can_be_guessed():
    predict = Predict("Which?", ["this", "that"], strict=True)
    predict.answer_button.click()
    assert predict.guess is None  # nothing chosen yet
    with pytest.raises(ValueError, match="other"):
        predict.answer("other")
    predict.answer("that")
    assert predict.guess == "that"
