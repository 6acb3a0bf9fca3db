"""Benchmarks: they report, they assert nothing."""

from .solvers import BASELINE, Case, Measurement, cases, compare, table

__all__ = ["BASELINE", "Case", "Measurement", "cases", "compare", "table"]
