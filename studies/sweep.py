"""Settings times seeds through joblib: a table that grows run by run in a CSV file, and is gone on from.

    table = sweep(measure, grid(learning_rate=[1e-3, 1e-2], seed=range(5)), "out/rates.csv", jobs=2)

`measure(learning_rate=, seed=)` returns what it found as a dictionary, or a list of them, one a row. Runs that the file
holds are not made again. `joblib.parallel_config(backend=...)` around the call spreads them over Dask or Ray.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

Run = dict[str, Any]


def grid(**lists: Iterable[Any]) -> list[Run]:
    """All combinations of these values; the last name runs fastest.

    >>> grid(alpha=[0.1, 0.2], seed=range(2))[1]
    {'alpha': 0.1, 'seed': 1}
    """
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def sweep(
    measure: Callable[..., Run | list[Run]],
    runs: Sequence[Run],
    path: str | Path | None = None,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Make the runs that the file does not hold, and return the rows of all of them, in their order.

    Args:
        measure: a function of a module, called with the settings of a run.
        runs: settings, numbers and words, the same names in each.
        path: of a CSV file, written anew after every run; None keeps nothing.
        jobs: processes; None makes one run after the other, unless `joblib.parallel_config` says otherwise.
        progress: show a bar.

    Raises:
        ValueError: if there are no runs, or two are equal.
    """
    place = {_key(run.values()): k for k, run in enumerate(runs)}
    if len(place) < max(1, len(runs)):
        raise ValueError(f"{len(runs)} runs came, {len(place)} of them different; pass each once, and at least one")
    names = list(runs[0])
    table = pd.read_csv(path) if path is not None and Path(path).exists() else pd.DataFrame(columns=names)
    missing = set(names) - set(table.columns)
    if missing:
        raise ValueError(f"{path} has no columns {sorted(missing)}; it is the table of other runs: pass another path")
    done = {_key(row) for row in table[names].itertuples(index=False)}
    calls = [delayed(_make)(measure, run) for key, run in zip(place, runs, strict=True) if key not in done]
    try:
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    except ValueError:  # Ray's backend hands everything over at the end
        parallel = Parallel(n_jobs=jobs)
    for rows in tqdm(parallel(calls), total=len(calls), unit="run", disable=not progress or not calls):
        new = pd.DataFrame(rows)
        table = pd.concat([table, new], ignore_index=True) if len(table) else new
        if path is not None:
            _write(table, Path(path))
    table = pd.read_csv(path) if path is not None and calls else table  # stopped or not: what the file says
    keys = [_key(row) for row in table[names].itertuples(index=False)]
    table = table.assign(place=[place.get(key, -1) for key in keys]).query("place >= 0")
    return table.sort_values("place", kind="stable").drop(columns="place").reset_index(drop=True)


def _make(measure: Callable[..., Run | list[Run]], run: Run) -> list[Run]:
    found = measure(**run)
    return [{**run, **row} for row in (found if isinstance(found, list) else [found])]


def _key(values: Iterable[Any]) -> tuple[str, ...]:
    """Settings as the file spells them: six digits of a number."""
    return tuple(value if isinstance(value, str) else f"{value:.6g}" for value in values)


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    table.to_csv(draft, index=False, float_format="%.6g")
    os.replace(draft, path)  # whole or not at all
