"""The way in: `python -m studies chaos --full --out studies/results/chaos`.

NAME.csv holds the table and is what a stopped study goes on from; NAME.png the figure; NAME.json device, versions,
date, seeds and command.
"""

from __future__ import annotations

import importlib
import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib

import gtfdeer as gd

from .sweep import sweep

NAMES = ("chaos", "speed", "linear-vs-nonlinear", "long-sequences", "models", "peers", "bench")
STYLE = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#DDDDDD"}
STYLE |= {"axes.axisbelow": True, "font.size": 9, "legend.frameon": False, "axes.titlesize": 10}


def main(arguments: list[str] | None = None) -> None:
    """Run one study."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = ArgumentParser(prog="python -m studies", description="Re-run a finding, or measure speed on this device.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--full", action="store_true", help="the whole of it, hours instead of minutes")
    parser.add_argument("--seeds", type=int, help="repetitions; by default the study's own number")
    parser.add_argument("--jobs", type=int, help="runs side by side (1); not where time is measured")
    parser.add_argument("--out", type=Path, help="folder (out/studies/NAME)")
    if arguments and arguments[0] == "gpu":
        return importlib.import_module("studies.gpu").main(arguments[1:])
    options = parser.parse_args(arguments)
    run_study(
        options.name, options.out, options.full, options.seeds, options.jobs, ["python", "-m", "studies", *arguments]
    )


def run_study(
    name: str,
    out: Path | None,
    full: bool,
    seeds: int | None = None,
    jobs: int | None = None,
    command: Sequence[str] = (),
) -> None:
    """Make what is missing of a study, and draw all of it."""
    study = importlib.import_module(f"studies.{name.replace('-', '_')}")
    out = Path("out", "studies", name) if out is None else out
    seeds = study.SEEDS[full] if seeds is None else seeds
    csv = out / f"{name}.csv"
    before = csv.read_bytes() if csv.exists() else b""
    runs = [run for seed in range(seeds) for run in study.plan(full, seed)]
    table = sweep(study.measure, runs, csv, jobs=jobs)
    if csv.read_bytes() != before:
        facts = {**gd.info(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "seeds": seeds}
        (out / f"{name}.json").write_text(json.dumps({**facts, "command": " ".join(command)}, indent=1) + "\n")
    with matplotlib.rc_context(STYLE):
        (out / f"{name}.png").write_bytes(gd.plots.png(study.draw(table)))
    if name == "bench":
        print(study.tabulate(table))
    print(f"{len(table)} rows in {csv}, drawn in {csv.with_suffix('.png')}")


if __name__ == "__main__":
    main()
