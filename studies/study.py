"""What a study is: which runs, what one run measures, and what the table of all of them looks like and says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Row", "Study"]

Row = dict[str, Any]
"""A row of the table: settings of the run, then what was measured; numbers, words, pictures, or None for no value."""


@dataclass(frozen=True)
class Picture:
    """A figure that a run leaves beside the table, as `name`.png; the table holds the name of the file."""

    name: str
    figure: Figure


@dataclass(frozen=True)
class Study:
    """A question, and the program that answers it.

    Attributes:
        name: what the user types.
        question: in one line.
        plan: the runs of one seed, `plan(full, seed)`: frozen dataclasses with numbers and words, `seed` among them.
            They say everything that the result depends on.
        measure: makes one run; what it found, one dictionary a row of the table, the same columns always.
        draw: the figure of a whole table, without its caption.
        caption: what the table shows, computed from it.
        clock: columns that a clock measured, which differ between two runs of the same seed.
        seeds: by default, in the quick setting and in the full one.
        alone: whether it times what must not share the machine with other runs.
    """

    name: str
    question: str
    plan: Callable[[bool, int], Sequence[Any]]
    measure: Callable[[Any], list[Row]]
    draw: Callable[[list[Row]], Figure]
    caption: Callable[[list[Row]], str]
    clock: tuple[str, ...] = ()
    seeds: tuple[int, int] = (2, 5)
    alone: bool = False
