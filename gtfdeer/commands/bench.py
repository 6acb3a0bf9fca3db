"""`gtfdeer bench`: every solver, or every model, against the sequential scan, on this device."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training._files import write_whole
from .command import Command
from .files import require_writable
from .info import provenance

if TYPE_CHECKING:
    from ..benchmarks import Case, Measurement

__all__ = ["COMMAND", "Record", "race_all"]


def add_options(parser: ArgumentParser) -> None:
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--full", action="store_true", help="the whole grid, up to 1,000,000 steps (half an hour)")
    grid.add_argument("--models", action="store_true", help="every model as fit trains it, instead of every solver")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases with these words, such as 'T 8192,' or GRU")
    parser.add_argument("--turns", type=int, default=9, metavar="K", help="timings of each program (default 9)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="also write the measurements, after every case, as JSON, and a figure beside it",
    )


def run(options: Namespace) -> None:
    if options.turns < 1:
        raise ValueError(f"--turns is {options.turns}; pass at least 1")
    if options.out is not None:
        _require_json(options.out)
    import jax

    from ..benchmarks import compare, model_cases, solver_cases

    device = jax.devices()[0]
    every = model_cases() if options.models else solver_cases(full=options.full, platform=device.platform)
    chosen = _only(options.only, every)
    print(f"loss and gradient of one training update on {device.device_kind} ({device.platform}), float32;")
    print("x is how many times faster than lax.scan with autodiff; errors are relative to it", flush=True)
    flags: Any = jax.config  # whose attributes are made at run time
    if flags.jax_compilation_cache_dir:
        print("JAX keeps compiled programs here (JAX_COMPILATION_CACHE_DIR): `compile` may be reading a file")
    record = None if options.out is None else Record(options.out, provenance(_words(options)))
    race_all(chosen, lambda case: compare(case, turns=options.turns, progress=True), record)
    if record is not None:
        print(f"\nwritten to {record.path} and {record.picture}")


class Record:
    """Measurements on their way into a JSON file and a figure beside it, both written anew after every case."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.picture = path, path.with_suffix(".png")
        self._facts = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        self._rows: list[Measurement] = []
        self._left_out: list[dict[str, Any]] = []

    def add(self, rows: Sequence[Measurement], left_out: Mapping[str, int] | None = None) -> None:
        """Keep the rows of one case, and what took no part in it for want of so many bytes."""
        self._rows += rows
        self._left_out += [
            rows[0].case.as_row() | {"solver": name, "estimated": size} for name, size in (left_out or {}).items()
        ]
        content = self._facts | {"rows": [row.as_row() for row in self._rows], "left out": self._left_out}
        write_whole(self.path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
        write_whole(self.picture, _drawn(self._rows))


def race_all(cases: Sequence[Case], measure: Callable[[Case], list[Measurement]], record: Record | None) -> None:
    """Measure case after case; print each as soon as it is there, and keep it.

    Raises:
        KeyboardInterrupt: after Ctrl-C, with what is kept and where.
    """
    from ..benchmarks import table

    done = 0
    try:
        for case in cases:
            missing, rows = case.left_out(), measure(case)
            print(f"\n{table(rows)}", flush=True)
            if missing:
                needs = ", ".join(f"{name} ({size / 1e6:,.0f} MB)" for name, size in missing.items())
                print(f"left out, for the memory that they would need: {needs}", flush=True)
            done += 1
            if record is not None:
                record.add(rows, missing)
    except KeyboardInterrupt:
        where = "printed; pass --out to have them in a file" if record is None else f"kept in {str(record.path)!r}"
        raise KeyboardInterrupt(f"{done} of {len(cases)} cases are {where}" if done else "") from None


def _require_json(path: Path) -> None:
    if path.suffix != ".json":
        raise ValueError(
            f"--out is {str(path)!r}; pass a name that ends in .json, such as {str(path.with_suffix('.json'))!r} "
            "(a figure is written beside it)"
        )
    require_writable(path)
    require_writable(path.with_suffix(".png"))


def _only(words: str, cases: Sequence[Case]) -> list[Case]:
    """The cases whose name holds these words."""
    chosen = [case for case in cases if words in str(case)]
    if not chosen:
        names = "; ".join(map(str, cases))
        raise ValueError(f"--only is {words!r}, which is in no case's name; pass words of one of these: {names}")
    return chosen


def _drawn(rows: Sequence[Measurement]) -> bytes:
    """How many times as fast as the baseline, loss and gradient; what did not converge has no speed."""
    from .. import plots
    from ..benchmarks import BASELINE

    tasks = list(dict.fromkeys(row.case for row in rows))
    found = {(row.solver, row.case): row.gradient_ratio if row.converged else math.nan for row in rows}
    names = [name for name in dict.fromkeys(row.solver for row in rows) if name != BASELINE]
    ratios = {name: [found.get((name, task), math.nan) for task in tasks] for name in names}
    ax = plots.speedup([str(task) for task in tasks], ratios, baseline=f"{BASELINE}, loss and gradient")
    missing = sum(not row.converged for row in rows)
    if missing:
        ax.set_title(f"{missing} that did not converge are left out", loc="right", fontsize=9)
    return plots.png(ax)


def _words(options: Namespace) -> list[str]:
    """The command that measures this again."""
    words = ["gtfdeer", "bench"]
    words += [f"--{name}" for name in ("full", "models") if getattr(options, name)]
    words += ["--only", options.only] if options.only else []
    return [*words, "--turns", str(options.turns), "--out", str(options.out)]


COMMAND = Command(
    name="bench",
    summary="speed and memory of every solver on this device",
    description=(
        "Times one training loss and its gradient with every solver, or for every model (--models), beside lax.scan "
        "with autodiff.\nCompile time is apart, and error, memory and the way the solve ended stand beside the speed."
    ),
    example="  gtfdeer bench --out bench.json\n  gtfdeer bench --models --only 'T 200,'",
    add_options=add_options,
    run=run,
)
