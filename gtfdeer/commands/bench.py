"""`gtfdeer bench`: every solver against the sequential scan, on this device."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from ..files import write_whole
from .command import Command
from .files import require_writable
from .info import environment

__all__ = ["COMMAND"]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="the whole grid, up to 131,072 steps (about ten minutes)")
    parser.add_argument("--turns", type=int, default=9, metavar="K", help="timings of each program (default 9)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the measurements as JSON")


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
        print(f"\nwritten to {options.out}")


COMMAND = Command(
    name="bench",
    summary="speed and memory of every solver on this device",
    description="Times one training loss and its gradient with every solver, beside lax.scan with autodiff.",
    example="  gtfdeer bench --out bench.json",
    add_options=add_options,
    run=run,
)
