"""Solvers: one algorithm a file, each a frozen dataclass of settings for `gtfdeer.solve`."""

from . import scan
from ._auto import Auto
from ._base import Problem, Solver
from ._benchmark import Timing, benchmark
from ._deer import DEER
from ._elk import ELK
from ._memory import memory_needed
from ._quasi import QuasiDEER
from ._sequential import Sequential
from ._sharded import Sharded
from ._shooting import Shooting
from ._solve import Solution, Status, iterates, solve

__all__ = [
    "DEER",
    "ELK",
    "Auto",
    "Problem",
    "QuasiDEER",
    "Sequential",
    "Sharded",
    "Shooting",
    "Solution",
    "Solver",
    "Status",
    "Timing",
    "benchmark",
    "iterates",
    "memory_needed",
    "scan",
    "solve",
]
