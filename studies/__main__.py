"""The studies and the benchmark: `python -m studies chaos`, `python -m studies bench --out out/bench/solvers.json`.

python -m studies NAME [--full] [--seeds K] [--jobs J] [--out FOLDER]      chaos, speed, linear-vs-nonlinear,
                                                                           long-sequences, models
python -m studies bench [--full | --models] [--only WORDS] [--turns K] [--out FILE.json]
"""

from __future__ import annotations

import json
import math
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gtfdeer as gd
from gtfdeer.training import write_whole

from . import conduct, find
from .benchmarks import BASELINE, compare, model_cases, solver_cases, table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study, or the benchmark."""
    parser = ArgumentParser(prog="python -m studies", description="Re-run a finding, or measure speed on this device.")
    parser.add_argument("name", help="chaos, speed, linear-vs-nonlinear, long-sequences, models or bench")
    parser.add_argument("--full", action="store_true", help="the whole of it, hours instead of minutes")
    parser.add_argument("--seeds", type=int, help="repetitions of a study; by default its own number")
    parser.add_argument("--jobs", type=int, default=1, help="runs of a study side by side, each on a core (1)")
    parser.add_argument("--models", action="store_true", help="bench: every model as fit trains it, not every solver")
    parser.add_argument("--only", default="", help="bench: cases with these words, such as 'T 8192,' or GRU")
    parser.add_argument("--turns", type=int, default=9, help="bench: timings of each program (9)")
    parser.add_argument("--out", type=Path, help="a folder for a study, a .json file for the benchmark")
    options = parser.parse_args(arguments)
    words = ["python", "-m", "studies", *(sys.argv[1:] if arguments is None else arguments)]
    facts = {**gd.info(), "command": " ".join(words)}
    try:
        (_bench if options.name == "bench" else _study)(options, facts)
    except (ValueError, OSError) as error:
        parser.exit(1, f"studies: error: {error}\n")
    except KeyboardInterrupt as stopped:
        parser.exit(130, f"studies: interrupted: {stopped}\n")


def _study(options: Namespace, facts: dict[str, Any]) -> None:
    study = find(options.name)
    folder = options.out or Path("out") / "studies" / study.name
    print(f"{study.name}: {study.question}", flush=True)
    found = conduct(study, folder, full=options.full, seeds=options.seeds, jobs=options.jobs, facts=facts)
    print("\n".join([found.caption, *(f"  {file}" for file in found.files)]))


def _bench(options: Namespace, facts: dict[str, Any]) -> None:
    cases = (
        model_cases() if options.models else solver_cases(full=options.full, platform=gd.scan.this_device().platform)
    )
    facts = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
    rows: list[Any] = []
    left_out: list[dict[str, Any]] = []
    chosen = [case for case in cases if options.only in str(case)]
    if not chosen:
        names = "; ".join(map(str, cases))
        raise ValueError(f"--only is {options.only!r}, which is in no case's name; pass words of one of these: {names}")
    for case in chosen:
        measured = compare(case, turns=options.turns, progress=True)
        print(f"\n{table(measured)}", flush=True)
        rows += measured
        left_out += [case.as_row() | {"solver": name, "estimated": size} for name, size in case.left_out().items()]
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            content = facts | {"rows": [row.as_row() for row in rows], "left out": left_out}
            write_whole(options.out, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
            write_whole(options.out.with_suffix(".png"), _draw(rows))


def _draw(rows: Sequence[Any]) -> bytes:
    """How many times as fast as the baseline, loss and gradient; what did not converge has no speed."""
    cases = list(dict.fromkeys(row.case for row in rows))
    found = {(row.solver, row.case): row.gradient_ratio if row.converged else math.nan for row in rows}
    names = [name for name in dict.fromkeys(row.solver for row in rows) if name != BASELINE]
    ratios = {name: [found.get((name, case), math.nan) for case in cases] for name in names}
    return gd.plots.png(gd.plots.speedup([str(case) for case in cases], ratios, baseline=f"{BASELINE}, with gradient"))


if __name__ == "__main__":
    main()
