"""Measurements as text."""

from __future__ import annotations

from collections.abc import Sequence

from .race import Measurement

__all__ = ["table"]

_HEAD = (
    f"{'':15}{'value':>10}{'x':>7}{'gradient':>11}{'x':>7}{'+-':>6}{'compile':>9}{'memory':>9}{'estimate':>10}"
    f"{'it':>4}{'error':>8}{'grad err':>9}  status"
)


def table(rows: Sequence[Measurement]) -> str:
    """One line a measurement, grouped by case; memory by XLA's account, beside it the estimate."""
    lines = []
    for case in dict.fromkeys(row.case for row in rows):
        lines += ["", str(case), _HEAD, *(_line(row) for row in rows if row.case == case)]
    return "\n".join(lines[1:])


def _line(r: Measurement) -> str:
    return (
        f"{r.solver:15}{1e3 * r.value:8.2f}ms{r.value_ratio:7.2f}{1e3 * r.gradient:9.2f}ms{r.gradient_ratio:7.2f}"
        f"{r.ratio_spread:6.2f}{r.compile:8.1f}s{_size(r.temporary):>9}{_size(r.estimated):>10}{r.iterations:4d}"
        f"{r.error:8.0e}{r.gradient_error:9.0e}  {_ending(r)}"
    )


def _ending(r: Measurement) -> str:
    return r.status.lower().replace("_", " ") + (", step by step" if r.fallback else "")


def _size(size: int | None) -> str:
    """Bytes in MB, with a digit more where there are few.

    >>> _size(2**29), _size(2**18), _size(None)
    ('512MB', '0.2MB', '-')
    """
    if size is None:
        return "-"
    return f"{size / 2**20:.{0 if size >= 10 * 2**20 else 1}f}MB"
