"""`gtfdeer study`: a finding re-run, with a table and a figure that says what was found."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from .command import Command
from .files import require_writable_folder
from .info import environment

__all__ = ["COMMAND", "FACTS"]

FACTS = ("versions", "backend", "devices", "machine", "cpu", "float64", "matmul precision")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="chaos, speed, linear-vs-nonlinear or long-sequences")
    parser.add_argument("--full", action="store_true", help="the whole study, hours instead of minutes")
    parser.add_argument("--seeds", type=int, metavar="K", help="repetitions; by default the study's own number")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the files go (out/studies/NAME)")


def run(options: Namespace) -> None:
    from gtfdeer.studies import conduct, find

    study = find(options.name)
    if options.seeds is not None and options.seeds < 1:
        raise ValueError(f"--seeds is {options.seeds}; pass how many repetitions to make, 1 or more")
    folder = options.out or Path("out") / "studies" / study.name
    require_writable_folder(folder)
    print(f"{study.name}: {study.question}", flush=True)
    found = conduct(study, folder, full=options.full, seeds=options.seeds, facts=_facts(options))
    print(found.caption)
    for file in found.files:
        print(f"  {file}")


def _facts(options: Namespace) -> dict[str, Any]:
    """The command that makes these results, and what they depend on."""
    words = ["gtfdeer", "study", options.name, *(["--full"] if options.full else [])]
    words += ["--seeds", str(options.seeds)] if options.seeds is not None else []
    words += ["--out", str(options.out)] if options.out is not None else []
    known = environment()
    return {"command": shlex.join(words), **{name: known[name] for name in FACTS}}


COMMAND = Command(
    name="study",
    summary="re-run a finding: table, figure, caption",
    description=(
        "Re-run one of four findings in a few minutes (--full: in hours). Leaves NAME.csv, NAME.json and NAME.png. "
        "Stopped, it\nkeeps every finished run, and the same command goes on from there."
    ),
    example="  gtfdeer study chaos\n  gtfdeer study long-sequences --full --seeds 5 --out results/long-sequences",
    add_options=add_options,
    run=run,
)
