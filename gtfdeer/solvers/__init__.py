"""Solvers: one algorithm a file, each a frozen dataclass of settings for `gtfdeer.solve`."""

from .base import Problem, Solver
from .deer import DEER
from .sequential import Sequential

__all__ = ["DEER", "Problem", "Sequential", "Solver"]
