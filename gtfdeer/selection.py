"""Which moment of training is kept: the one whose free run looks most like the training data.

The loss looks a few dozen steps ahead; it cannot tell a model that draws the attractor from one that, after a while,
spirals into a fixed point. So a few times in the second half of training the model is run freely from the first
training sample, for as long as the training data are, and judged by D_stsp + D_H against them; the parameters with the
lowest sum win. Test data play no part. Choosing by D_stsp on the training data is what the public AL-RNN code does
(arXiv 2410.14240).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import measures
from .free import free_run

if TYPE_CHECKING:
    from jaxtyping import Float

    from .fit import Moment
    from .models import Model

__all__ = ["BestFreeRun"]

_LONGEST = 100_000  # steps of a judged free run
_SHORTEST = 1_000  # steps of data below which a free run cannot be judged


class BestFreeRun:
    """A callback that remembers the best model; `moments` says when it wants to look.

    Attributes:
        model, update: the best model so far and after how many updates it stood; None and 0 before the first look.
        lowest: its D_stsp + D_H.
        looked: after how many updates it looked last.
    """

    def __init__(self, reference: Float[np.ndarray, "time observed"], updates: int, looks: int) -> None:
        self.reference = reference[:_LONGEST]
        enough = len(self.reference) >= _SHORTEST and looks > 0
        first = updates // 2
        self.moments = {updates - k * (updates - first) // looks for k in range(looks)} if enough else set()
        self.recall(None, 0, np.inf, 0)

    def recall(self, model: Model | None, update: int, lowest: float, looked: int) -> None:
        """Take up where an earlier run stood."""
        self.model, self.update, self.lowest, self.looked = model, update, lowest, looked

    def __call__(self, moment: Moment) -> None:
        if moment.update not in self.moments or moment.update <= self.looked:
            return
        model = moment.model
        run = free_run(model, len(self.reference), self.reference[0])
        misfit = self._misfit(run) if np.isfinite(run).all() else np.inf
        if misfit < self.lowest:
            self.model, self.update, self.lowest = model, moment.update, misfit
        self.looked = moment.update

    def _misfit(self, run: Float[np.ndarray, "time observed"]) -> float:
        divergence = measures.state_space_divergence(self.reference, run)
        return divergence + measures.power_spectrum_error(self.reference, run)
