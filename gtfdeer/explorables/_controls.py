"""Controls with a visible label each; declared in the body of a panel, their values are its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np

_LOOK = {"style": {"description_width": "9em"}, "layout": {"width": "30em", "max_width": "100%"}}


class Control:
    """A widget above the picture, which `make` makes for each panel."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else panel.controls[self.name].value

    def __set__(self, panel: Any, value: Any) -> None:
        panel.controls[self.name].value = value


class Turn(Control):
    """A slider below the picture, which answers while it is dragged; without stops it points at rows of arrays."""

    def __init__(self, label: str, stops: Sequence[float] = (), value: float = 0) -> None:
        super().__init__(lambda: {"name": self.name, "label": label} | ({"stops": [*stops]} if stops else {}))
        self.value, self._ends = value, (stops[0], stops[-1]) if stops else (0, np.inf)

    def __get__(self, panel: Any, owner: type | None = None) -> Any:
        return self if panel is None else panel._canvas.values[self.name]

    def __set__(self, panel: Any, value: Any) -> None:
        low, high = self._ends
        panel._canvas.values = {**panel._canvas.values, self.name: type(low)(min(max(value, low), high))}


def slider(label: str, value: float, low: float, high: float, step: float) -> Control:
    """A slider with its number box; it answers when it is let go, not while it moves."""
    whole = all(isinstance(x, int) for x in (value, low, high, step))
    kind, more = (widgets.IntSlider, {}) if whole else (widgets.FloatSlider, {"readout_format": ".3g"})
    given = {"value": value, "min": low, "max": high, "step": step, "description": label, "continuous_update": False}
    return Control(lambda: kind(**given, **more, **_LOOK))


def menu(label: str, options: Iterable[Any], value: Any = None) -> Control:
    """A drop-down, at its first option unless told otherwise."""
    given: dict[str, Any] = {"options": [*options], "description": label} | ({} if value is None else {"value": value})
    return Control(lambda: widgets.Dropdown(**given, **_LOOK))


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "iteration"), plural(3, "iteration")
    ('1 iteration', '3 iterations')
    """
    return f"{count} {noun}{'s' * (count != 1)}"
