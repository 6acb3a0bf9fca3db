"""Which model of a training run is kept: the one whose free run is most like the training data.

The loss looks a few dozen steps ahead; it cannot tell a model that draws the attractor from one that, after a while,
spirals into a fixed point. So the model is run freely for as long as the training data are, and the parameters with the
lowest D_stsp + D_H against these are kept, as the public AL-RNN code does by D_stsp (arXiv 2410.14240).

A model's orbit is clean, a recording is not: Gaussian noise of the model's own size, the standard deviation of its
one-step errors in each column, is added to the free run first (ours). One run does not detect chaos that is only a long
transient, so the worst of many counts, and a model that is already worse is not run again. (With five runs, one in ten
shallow PLRNNs came to rest in the run that scored it on Lorenz-63.) State-space models, of which a step costs 10 to 100
times as much, have five.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import measures
from ..models import StateSpaceModel
from ._filter import filter_series, observer_gain, one_step_noise
from ._rollout import rollout_side_by_side
from ._scores import WARM_UP, complete_rows, interpolate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..models import Model

_MAX_STEPS = 100_000  # of a free run that is compared
_MIN_STEPS = 1_000  # of data, below which a free run cannot be compared
_RUNS, _FEW_RUNS = 16, 5  # free runs of a model, at most, and of a state-space model
_ALL_STEPS = 800_000  # of all these runs: half as many where they are twice as long
_TOGETHER = 8  # runs in one program: hardly slower than four, 16 a half (2 CPU cores)


class BestCheckpoint:
    """Compares the free runs of a model with the longest gap-free segment of the training data, standardised.

    `validation_steps` are the numbers of updates after which it does: evenly through the second half of training, or
    half as often through the Gauss-Newton steps that follow (`polish`).
    """

    def __init__(
        self, reference: Float[np.ndarray, "time observed"], updates: int, validations: int, polish: int = 0
    ) -> None:
        self.reference = reference[:_MAX_STEPS]
        self._rows = complete_rows(self.reference)
        begin, end, count = updates // 2, updates, validations
        if polish:
            begin, end, count = updates, updates + polish, -(-validations // 2)
        steps = {end - k * (end - begin) // count for k in range(count)}
        self.validation_steps: set[int] = steps if len(self._rows) >= _MIN_STEPS else set()

    def validate(self, model: Model, gain: Any, best: float) -> float:
        """Return the misfit of the worst of many runs, from states evenly through the data, or one over `best`."""
        count = min(_FEW_RUNS if isinstance(model, StateSpaceModel) else _RUNS, _ALL_STEPS // len(self.reference))
        length = min(WARM_UP, len(self.reference))
        ends = np.linspace(length, len(self.reference), count).astype(int)
        windows = np.stack([self.reference[end - length : end] for end in ends])
        states, predicted = filter_series(model, windows, observer_gain(model, gain))
        warm = (part[:, length // 2 :].reshape(-1, windows.shape[-1]) for part in (windows, predicted))
        size = one_step_noise(*warm)
        noise = (size * np.random.default_rng(0).standard_normal(self.reference.shape)).astype(np.float32)
        starts = states[:, -1]
        if isinstance(model, StateSpaceModel):  # begins at rest, as in training
            starts = np.asarray([model.initial_state(model.decode(z)) for z in starts])
        worst = 0.0
        for few in np.array_split(starts, max(1, count // _TOGETHER)):
            for run in rollout_side_by_side(model, len(self.reference), few):
                worst = max(worst, self._misfit(run + noise))
                if worst >= best:
                    return worst
        return worst

    def _misfit(self, run: Float[np.ndarray, "time observed"]) -> float:
        return self._divergence(run) + self._spectrum.error(run) if np.isfinite(run).all() else np.inf

    @cached_property
    def _divergence(self) -> Callable[[np.ndarray], float]:
        return measures.build_divergence(self._rows)

    @cached_property
    def _spectrum(self) -> measures.Spectrum:
        return measures.Spectrum(interpolate(self.reference))
