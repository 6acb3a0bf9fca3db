"""Solvers: one algorithm a file, each a frozen dataclass of settings for `gtfdeer.solve`."""

from .auto import Auto
from .base import Problem, Solver
from .deer import DEER
from .elk import ELK
from .memory import memory_needed
from .quasi import QuasiDEER
from .sequential import Sequential
from .sharded import Sharded
from .shooting import Shooting

__all__ = [
    "DEER",
    "ELK",
    "Auto",
    "Problem",
    "QuasiDEER",
    "Sequential",
    "Sharded",
    "Shooting",
    "Solver",
    "memory_needed",
]
