"""Questions to a table of rows: which values are there, which rows have them, and what is in the middle."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from .study import Row

__all__ = ["counted", "distinct", "quartiles", "told", "where"]


def distinct(rows: Sequence[Row], column: str) -> list[Any]:
    """The values of a column, in the order in which they come.

    >>> distinct([{"T": 10}, {"T": 5}, {"T": 10}], "T")
    [10, 5]
    """
    return list(dict.fromkeys(row[column] for row in rows))


def where(rows: Sequence[Row], **values: Any) -> list[Row]:
    """The rows that have these values.

    >>> where([{"T": 10, "seed": 0}, {"T": 5, "seed": 0}], T=5)
    [{'T': 5, 'seed': 0}]
    """
    return [row for row in rows if all(row[column] == value for column, value in values.items())]


def quartiles(rows: Sequence[Row], column: str) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile over rows that have a value; NaN without any, infinities count.

    >>> quartiles([{"error": 1.0}, {"error": 2.0}, {"error": None}, {"error": 3.0}], "error")
    (1.5, 2.0, 2.5)
    """
    values = sorted(row[column] for row in rows if row.get(column) is not None)
    if not values:
        return math.nan, math.nan, math.nan
    middle = statistics.median(values)
    if len(values) == 1 or not all(map(math.isfinite, values)):
        return values[0], middle, values[-1]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def told(rows: Sequence[Row], column: str) -> str:
    """Median and quartiles in words; the median alone where they are the same.

    >>> told([{"error": 1.0}, {"error": 2.0}, {"error": 3.0}], "error")
    '2 (1.5 to 2.5)'
    """
    low, middle, high = quartiles(rows, column)
    if math.isnan(middle):
        return "no value"
    return f"{middle:.2g}" if low == high else f"{middle:.2g} ({low:.2g} to {high:.2g})"


def counted(rows: Sequence[Row]) -> str:
    """How many seeds there are, in words.

    >>> counted([{"seed": 0}, {"seed": 1}]), counted([{"seed": 0}])
    ('2 seeds', '1 seed')
    """
    seeds = len(distinct(rows, "seed"))
    return f"{seeds} seed" + "s" * (seeds > 1)
