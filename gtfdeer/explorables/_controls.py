"""Controls with a visible label each, and their values as attributes of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

_LOOK = {"style": {"description_width": "9em"}, "layout": {"width": "30em", "max_width": "100%"}}


class Setting:
    """A control's value as an attribute: `panel.alpha`, `panel.alpha = 0.3`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        if panel is None:
            return self
        return panel.controls[self.name].value if self.name in panel.controls else panel._canvas.values[self.name]

    def __set__(self, panel: Any, value: Any) -> None:
        if self.name in panel.controls:
            panel.controls[self.name].value = value
        else:
            panel.turn(self.name, value)


def slider(label: str, value: float, low: float, high: float, step: float) -> Any:
    """A slider with its number box; it answers when it is let go, not while it moves."""
    whole = all(isinstance(x, int) for x in (value, low, high, step))
    kind, more = (widgets.IntSlider, {}) if whole else (widgets.FloatSlider, {"readout_format": ".3g"})
    given = {"value": value, "min": low, "max": high, "step": step, "description": label, "continuous_update": False}
    return kind(**given, **more, **_LOOK)


def menu(label: str, options: Sequence[Any], value: Any = None) -> Any:
    """A drop-down, at its first option unless told otherwise."""
    return widgets.Dropdown(options=options, value=options[0] if value is None else value, description=label, **_LOOK)


def button(label: str) -> Any:
    """A button with a word on it."""
    return widgets.Button(description=label, layout={"width": "9em"})


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "iteration"), plural(3, "iteration")
    ('1 iteration', '3 iterations')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
