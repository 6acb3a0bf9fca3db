"""Training: from a model and a recording to a reconstruction that is simulated, scored and saved."""

from .._checks import file_path
from ._archive import require_writable, write_whole
from ._config import TrainConfig
from ._fit import fit, load, resume
from ._info import describe_device, info, notebook
from ._json import name_parameters
from ._loop import Progress
from ._reconstruction import Reconstruction
from ._rollout import rollout, rollout_for_comparison
from ._scores import Scores, warm_up
from ._step import TrainState
from ._validation import BestCheckpoint

__all__ = [
    "BestCheckpoint",
    "Progress",
    "Reconstruction",
    "Scores",
    "TrainConfig",
    "TrainState",
    "describe_device",
    "file_path",
    "fit",
    "info",
    "load",
    "name_parameters",
    "notebook",
    "require_writable",
    "resume",
    "rollout",
    "rollout_for_comparison",
    "warm_up",
    "write_whole",
]
