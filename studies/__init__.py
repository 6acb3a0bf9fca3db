"""The findings re-run as small programs: each study leaves a table and a figure that says what was found.

    chaos                 when does Newton's method over a whole trajectory converge, and what does forcing change?
    speed                 what does an update cost, step by step and in parallel over time?
    linear-vs-nonlinear   can a linear recurrence with a nonlinear readout learn chaos?
    long-sequences        do longer training sequences help, where time scales are slow and where they are not?
    models                what does every family learn of Lorenz-63 in a few minutes?

A study is a list of runs, each a frozen dataclass of its settings and its seed; `conduct` makes those that the table
does not hold yet. `python -m studies NAME` is the same from the command line.
"""

from __future__ import annotations

import importlib

from .conduct import Findings, conduct
from .study import Study

__all__ = ["NAMES", "Findings", "Study", "conduct", "find"]

NAMES = ("chaos", "speed", "linear-vs-nonlinear", "long-sequences", "models")


def find(name: str) -> Study:
    """The study of this name.

    Raises:
        ValueError: if there is none.

    >>> find("quiet")
    Traceback (most recent call last):
    ValueError: there is no study 'quiet'; pass chaos, speed, linear-vs-nonlinear, long-sequences or models
    """
    if name not in NAMES:
        raise ValueError(f"there is no study {name!r}; pass {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    return importlib.import_module(f".{name.replace('-', '_')}", __name__).STUDY
