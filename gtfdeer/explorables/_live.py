"""LiveView: watch a training that runs in a cell: loss, alpha, and what the model draws on its own."""

from __future__ import annotations

import time

import ipywidgets as widgets
import numpy as np
from IPython.display import display

from .. import data, plots
from ..training import Progress, rollout

__all__ = ["LiveView"]


class LiveView:
    """A callback of `gtfdeer.fit` that shows a picture and redraws it while training goes on.

    Args:
        series: what the free run starts from and is drawn beside: the training series, standardised, and embedded where
            the model sees delays.
        steps: of the free run.
        seconds: between two pictures; drawing one takes some tenths of a second.

    >>> view = LiveView(train)                                           # doctest: +SKIP
    >>> rec = gd.fit(model, train, updates=5000, callbacks=[view])       # doctest: +SKIP
    """

    def __init__(self, series: data.Series, *, steps: int = 1000, seconds: float = 2.0) -> None:
        self._truth = np.asarray(series.values[: steps + 1])
        self.seconds, self._last = seconds, -np.inf
        self.training, self.run = (widgets.Image(format="png", layout={"max_width": "760px"}) for _ in range(2))
        display(widgets.VBox([self.training, self.run]))

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last < self.seconds and progress.update < progress.updates:
            return
        orbit = rollout(progress.model, len(self._truth) - 1, self._truth[0])
        self.training.value = plots.png(plots.training(progress.history), dpi=80)
        self.run.value = plots.png(plots.attractors(self._truth[1:], orbit, unit="s.d."), dpi=80)
        self._last = time.monotonic()
