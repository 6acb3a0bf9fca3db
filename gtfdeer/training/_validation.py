"""Which model of a training run is kept: the one whose free run is most like the training data.

The loss looks a few dozen steps ahead; it cannot tell a model that draws the attractor from one that, after a while,
spirals into a fixed point. So a few times in the second half of training the model is run freely, for as long as the
training data are, and D_stsp + D_H are computed against them; the parameters with the lowest sum are kept. Test data
play no part. Choosing by D_stsp on the training data is what the public AL-RNN code does (arXiv 2410.14240).

One run does not detect chaos that is only a long transient, so a model counts as much as its worst run from many
samples of the training data, and one that is already worse is not run again. (With five runs, one in ten shallow PLRNNs
trained on Lorenz-63 came to rest in the run that scored it.) State-space models, of which a step costs 10 to 100 times
as much, have five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import measures
from ..models import StateSpaceModel
from ._rollout import rollout
from ._step import Best

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..models import Model

__all__ = ["BestCheckpoint"]

_MAX_STEPS = 100_000  # of a free run that is compared
_MIN_STEPS = 1_000  # of data, below which a free run cannot be compared
_RUNS, _FEW_RUNS = 16, 5  # free runs of a model, and of a state-space model


class BestCheckpoint:
    """Compares the free runs of a model with the training data.

    Args:
        reference: `(T, N)` the longest gap-free segment of the training data, standardised.
        updates: of the whole run.
        validations: how many, evenly through the second half of it; 0 keeps the last model.

    Attributes:
        validation_steps: numbers of updates after which the model is validated.
    """

    def __init__(self, reference: Float[np.ndarray, "time observed"], updates: int, validations: int) -> None:
        self.reference = reference[:_MAX_STEPS]
        enough = len(self.reference) >= _MIN_STEPS and validations > 0
        first = updates // 2
        steps = {updates - k * (updates - first) // validations for k in range(validations)} if enough else set()
        self.validation_steps: set[int] = steps

    def validate(self, model: Model, update: int, best: Best) -> Best:
        """Return the better one of `best` and `model`, which stands after `update` updates."""
        worst = 0.0
        for start in self._starts(_FEW_RUNS if isinstance(model, StateSpaceModel) else _RUNS):
            worst = max(worst, self._misfit(rollout(model, len(self.reference), start)))
            if worst >= float(best.misfit):
                return best._replace(validated=jnp.asarray(update, best.validated.dtype))
        count = jnp.asarray(update, best.update.dtype)
        return Best(nnx.split(model, nnx.Param, ...)[1], count, jnp.asarray(worst, best.misfit.dtype), count)

    def _starts(self, count: int) -> Float[np.ndarray, "starts observed"]:
        """Return samples evenly through the training data."""
        return self.reference[:: max(1, len(self.reference) // count)][:count]

    def _misfit(self, run: Float[np.ndarray, "time observed"]) -> float:
        if not np.isfinite(run).all():
            return np.inf
        divergence = measures.state_space_divergence(self.reference, run)
        return divergence + measures.power_spectrum_error(self.reference, run)
