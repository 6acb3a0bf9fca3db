"""Benchmarks: they report, they assert nothing."""

from .solvers import Case, Measurement, cases, compare, table

__all__ = ["Case", "Measurement", "cases", "compare", "table"]
