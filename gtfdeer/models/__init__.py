"""Models: flax nnx modules that keep one contract (`gtfdeer.models.Model`)."""

from ._base import Model, RecurrentModel, predict
from ._counting import matched, parameter_count
from ._gated import GRU, LSTM, VanillaRNN
from ._linear import LRU, S5, Mamba
from ._observation import AffineObservation, IdentityObservation, NonlinearReadout, Observation, ScaledObservation
from ._plrnn import AlmostLinearRNN, ClippedShallowPLRNN, ShallowPLRNN
from ._ssm import StateSpaceModel

__all__ = [
    "GRU",
    "LRU",
    "LSTM",
    "S5",
    "AffineObservation",
    "AlmostLinearRNN",
    "ClippedShallowPLRNN",
    "IdentityObservation",
    "Mamba",
    "Model",
    "NonlinearReadout",
    "Observation",
    "RecurrentModel",
    "ScaledObservation",
    "ShallowPLRNN",
    "StateSpaceModel",
    "VanillaRNN",
    "matched",
    "parameter_count",
    "predict",
]
