"""Models: flax nnx modules that keep one contract (`gtfdeer.models.Model`)."""

from .alrnn import AlmostLinearRNN
from .base import Model, RecurrentModel
from .counting import matched, parameter_count
from .gated import GRU, LSTM, VanillaRNN
from .linear_recurrences import LRU, S5
from .mamba import Mamba
from .observation import AffineObservation, IdentityObservation, NonlinearReadout, Observation, ScaledObservation
from .plrnn import ClippedShallowPLRNN, ShallowPLRNN
from .ssm import StateSpaceModel

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
]
