"""Which moment of training is kept: the one whose free run looks most like the training data.

The loss looks a few dozen steps ahead; it cannot tell a model that draws the attractor from one that, after a while,
spirals into a fixed point. So a few times in the second half of training the model is run freely, for as long as the
training data are, and judged by D_stsp + D_H against them; the parameters with the lowest sum win. Test data play no
part. Choosing by D_stsp on the training data is what the public AL-RNN code does (arXiv 2410.14240).

One run does not see chaos that is only a long transient, so a moment counts as much as its worst run from many samples
of the training data, and a moment that has lost is not run again. (With five runs, one in ten shallow PLRNNs trained on
Lorenz-63 came to rest in the run that scored it.) State-space models, of which a step costs 10 to 100 times as much,
have five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import measures
from ..models import StateSpaceModel
from ._rollout import rollout

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..models import Model
    from ._loop import Progress

__all__ = ["BestCheckpoint"]

_LONGEST = 100_000  # steps of a judged free run
_SHORTEST = 1_000  # steps of data below which a free run cannot be judged
_STARTS, _FEW = 16, 5  # free runs of a moment, and of one of a state-space model


class BestCheckpoint:
    """A callback that remembers the best model; `moments` says when it wants to look.

    Attributes:
        model, update: the best model so far and after how many updates it stood; None and 0 before the first look.
        lowest: D_stsp + D_H of the worst of its free runs.
        looked: after how many updates it looked last.
    """

    def __init__(self, reference: Float[np.ndarray, "time observed"], updates: int, validations: int) -> None:
        self.reference = reference[:_LONGEST]
        enough = len(self.reference) >= _SHORTEST and validations > 0
        first = updates // 2
        self.moments = {updates - k * (updates - first) // validations for k in range(validations)} if enough else set()
        self.recall(None, 0, np.inf, 0)

    def recall(self, model: Model | None, update: int, lowest: float, looked: int) -> None:
        """Take up where an earlier run stood."""
        self.model, self.update, self.lowest, self.looked = model, update, lowest, looked

    def __call__(self, moment: Progress) -> None:
        if moment.update not in self.moments or moment.update <= self.looked:
            return
        model, worst = moment.model, 0.0
        for start in self._starts(_FEW if isinstance(model, StateSpaceModel) else _STARTS):
            worst = max(worst, self._misfit(rollout(model, len(self.reference), start)))
            if worst >= self.lowest:
                break
        else:
            self.model, self.update, self.lowest = model, moment.update, worst
        self.looked = moment.update

    def _starts(self, count: int) -> Float[np.ndarray, "starts observed"]:
        """Evenly through the training data."""
        return self.reference[:: max(1, len(self.reference) // count)][:count]

    def _misfit(self, run: Float[np.ndarray, "time observed"]) -> float:
        if not np.isfinite(run).all():
            return np.inf
        divergence = measures.state_space_divergence(self.reference, run)
        return divergence + measures.power_spectrum_error(self.reference, run)
