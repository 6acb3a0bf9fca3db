"""Training: from a model and a recording to a reconstruction that is simulated, scored and saved."""

from ._reconstruction import Reconstruction, fit, load, resume
from ._rollout import rollout
from ._scores import Scores

__all__ = ["Reconstruction", "Scores", "fit", "load", "resume", "rollout"]
