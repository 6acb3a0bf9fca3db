"""Benchmarks: they report, they assert nothing."""

from .models import ModelCase, model_cases
from .race import BASELINE, Case, Measurement, compare
from .solvers import SolverCase, solver_cases
from .table import table

__all__ = [
    "BASELINE",
    "Case",
    "Measurement",
    "ModelCase",
    "SolverCase",
    "compare",
    "model_cases",
    "solver_cases",
    "table",
]
