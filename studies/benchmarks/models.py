"""Every model as `gtfdeer.fit` trains it, against the same model under `lax.scan`: loss and gradient of one update.

Default sizes, three columns. A nonlinear model is solved by `Auto`; a linear state-space model is taught by one scan
over time for each layer, and its baseline is a plain `lax.scan` of its step. alpha 0.1 is about the geometric middle
of what training goes through, from 1 to 0.02; the models are untrained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from flax import nnx

from gtfdeer import models, solvers

from .race import BASELINE, Case, Race
from .task import apart, sequences, step_by_step, taught

__all__ = ["ModelCase", "model_cases"]

COLUMNS = 3
_SIZES = ((200, 16), (2000, 4))  # T and B: `fit`'s defaults, and a longer window
_ALPHA = 0.1
_SHALLOW = {"latent_dim": 3, "hidden_dim": 50}
MODELS: dict[str, Callable[..., models.Model]] = {
    "ShallowPLRNN": partial(models.ShallowPLRNN, **_SHALLOW),
    "ClippedShallowPLRNN": partial(models.ClippedShallowPLRNN, **_SHALLOW),
    "AlmostLinearRNN": models.AlmostLinearRNN,
    "VanillaRNN": models.VanillaRNN,
    "GRU": models.GRU,
    "LSTM": models.LSTM,
    "LRU": models.LRU,
    "S5": models.S5,
    "Mamba": models.Mamba,
}


@dataclass(frozen=True)
class ModelCase(Case):
    """One model at its default size: its name in `gtfdeer.models`, time steps T, batch B, forcing strength."""

    model: str
    length: int
    batch: int
    alpha: float

    def __str__(self) -> str:
        return f"{self.model}, T {self.length}, B {self.batch}, alpha {self.alpha:g}"

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    def race(self) -> Race:
        model = MODELS[self.model](observed_dim=COLUMNS, rngs=nnx.Rngs(0))
        build, parameters = apart(model)
        solver, nonlinear = solvers.Auto(batch=self.batch), isinstance(model, models.RecurrentModel)
        name = "Auto" if nonlinear else "scan over time"
        programs = {
            BASELINE: partial(step_by_step, build, self.alpha),
            name: partial(taught, build, self.alpha, solver),
        }
        x = sequences(self.length, self.batch, COLUMNS)
        return Race(programs, parameters, x, {})


def model_cases() -> list[ModelCase]:
    """Every model at both sizes; a linear one, which alpha does not reach, under alpha 1."""
    linear = {name for name in MODELS if issubclass(getattr(models, name), models.StateSpaceModel)}
    return [ModelCase(name, *size, 1.0 if name in linear else _ALPHA) for size in _SIZES for name in MODELS]
