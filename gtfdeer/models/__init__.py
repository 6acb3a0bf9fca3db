"""Models: flax nnx modules that keep one contract (`gtfdeer.models.Model`)."""

from .base import Model, RecurrentModel
from .observation import AffineObservation, IdentityObservation, Observation
from .plrnn import ClippedShallowPLRNN, ShallowPLRNN

__all__ = [
    "AffineObservation",
    "ClippedShallowPLRNN",
    "IdentityObservation",
    "Model",
    "Observation",
    "RecurrentModel",
    "ShallowPLRNN",
]
