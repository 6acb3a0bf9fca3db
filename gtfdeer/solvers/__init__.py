"""Solvers: one algorithm a file, each a frozen dataclass of settings for `gtfdeer.solve`."""

from . import scan
from ._auto import Auto
from ._base import Iterative, Problem, Solver
from ._benchmark import Timing, benchmark
from ._columns import SUMMED
from ._newton import DEER, ELK, QuasiDEER
from ._sequential import Sequential
from ._shooting import Shooting
from ._solve import Solution, Status, iterates, solve

__all__ = [
    "DEER",
    "ELK",
    "SUMMED",
    "Auto",
    "Iterative",
    "Problem",
    "QuasiDEER",
    "Sequential",
    "Shooting",
    "Solution",
    "Solver",
    "Status",
    "Timing",
    "benchmark",
    "iterates",
    "scan",
    "solve",
]
