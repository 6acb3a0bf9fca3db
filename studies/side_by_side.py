"""Runs of a study in several processes, each on a core of its own.

A training run of small networks keeps one core busy and hardly a second one: two runs side by side take about half the
time of two runs one after the other. What a run finds does not depend on it; in which order runs end does, so that
whoever writes them down brings them into order.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

__all__ = ["made"]


def made(make: Callable[[Any], Any], runs: Sequence[Any], jobs: int) -> Iterator[tuple[Any, Any]]:
    """Every run with what `make` found, in the order in which they end.

    Args:
        make: a function of a module, which other processes can import.
        runs: what it is called with.
        jobs: processes; with 1 everything happens in this one, in order.

    >>> list(made(abs, [-2, 3], jobs=1))
    [(-2, 2), (3, 3)]
    """
    if jobs == 1:
        yield from ((run, make(run)) for run in runs)
        return
    context = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
    cores = context.SimpleQueue()
    for k in range(jobs):
        cores.put(k)
    with ProcessPoolExecutor(jobs, context, _settle, (cores,)) as pool:
        waiting = {pool.submit(make, run): run for run in runs}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _settle(cores: Any) -> None:
    """Take a core, where the system lets one choose."""
    place = cores.get()
    if hasattr(os, "sched_setaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {usable[place % len(usable)]})
