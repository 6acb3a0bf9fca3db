"""`gtfdeer bench`: every solver against the sequential scan, on this device."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_whole
from .command import Command
from .files import require_writable
from .info import environment

if TYPE_CHECKING:
    from gtfdeer.benchmarks import Measurement

__all__ = ["COMMAND"]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="the whole grid, up to 131,072 steps (about ten minutes)")
    parser.add_argument("--turns", type=int, default=9, metavar="K", help="timings of each program (default 9)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help="also write the measurements as JSON, and a figure beside it"
    )


def run(options: Namespace) -> None:
    if options.turns < 1:
        raise ValueError(f"--turns is {options.turns}; pass at least 1")
    if options.out is not None:
        require_writable(options.out)
    import jax

    from gtfdeer.benchmarks import cases, compare, table

    device = jax.devices()[0]
    print(f"loss and gradient of a clipped shPLRNN on {device.device_kind} ({device.platform}), float32;")
    print("x is how many times faster than lax.scan with autodiff; errors are relative to it\n", flush=True)
    rows = []
    for case in cases(full=options.full):
        measured = list(compare(case, turns=options.turns))
        print(table(measured), flush=True)
        rows += measured
    if options.out is not None:
        facts = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "environment": environment()}
        write_whole(options.out, json.dumps(facts | {"rows": [row.as_row() for row in rows]}, indent=1).encode())
        picture = options.out.with_suffix(".png")
        write_whole(picture, _picture(rows))
        print(f"\nwritten to {options.out} and {picture}")


def _picture(rows: Sequence[Measurement]) -> bytes:
    """Loss and gradient: how many times as fast as the baseline each solver is."""
    from gtfdeer import plots
    from gtfdeer.benchmarks import BASELINE

    tasks = list(dict.fromkeys(row.case for row in rows))
    found = {(row.solver, row.case): row.gradient_ratio for row in rows}
    names = [name for name in dict.fromkeys(row.solver for row in rows) if name != BASELINE]
    ratios = {name: [found.get((name, task), math.nan) for task in tasks] for name in names}
    return plots.png(plots.speedup([str(task) for task in tasks], ratios, baseline=f"{BASELINE}, loss and gradient"))


COMMAND = Command(
    name="bench",
    summary="speed and memory of every solver on this device",
    description="Times one training loss and its gradient with every solver, beside lax.scan with autodiff.",
    example="  gtfdeer bench --out bench.json",
    add_options=add_options,
    run=run,
)
