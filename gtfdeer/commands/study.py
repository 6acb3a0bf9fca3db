"""`gtfdeer study`: a finding re-run, with a table and a figure that says what was found."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .command import Command
from .files import require_writable_folder
from .info import provenance

__all__ = ["COMMAND"]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="chaos, speed, linear-vs-nonlinear, long-sequences or models")
    parser.add_argument("--full", action="store_true", help="the whole study, hours instead of minutes")
    parser.add_argument("--seeds", type=int, metavar="K", help="repetitions; by default the study's own number")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="runs side by side, each on a core (1)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the files go (out/studies/NAME)")


def run(options: Namespace) -> None:
    from ..studies import conduct, find

    study = find(options.name)
    if options.seeds is not None and options.seeds < 1:
        raise ValueError(f"--seeds is {options.seeds}; pass how many repetitions to make, 1 or more")
    folder = options.out or Path("out") / "studies" / study.name
    require_writable_folder(folder)
    print(f"{study.name}: {study.question}", flush=True)
    facts = provenance(_words(options))
    found = conduct(study, folder, full=options.full, seeds=options.seeds, jobs=options.jobs, facts=facts)
    print(found.caption)
    for file in found.files:
        print(f"  {file}")


def _words(options: Namespace) -> list[str]:
    """The command that makes these results."""
    words = ["gtfdeer", "study", options.name, *(["--full"] if options.full else [])]
    words += ["--seeds", str(options.seeds)] if options.seeds is not None else []
    words += ["--jobs", str(options.jobs)] if options.jobs > 1 else []
    return words + (["--out", str(options.out)] if options.out is not None else [])


COMMAND = Command(
    name="study",
    summary="re-run a finding: table, figure, caption",
    description=(
        "Re-run one of five findings in minutes (--full: hours). Leaves NAME.csv, "
        "NAME.json\nand NAME.png. Stopped, it keeps every finished run, and the same command goes on from there."
    ),
    example="  gtfdeer study chaos\n  gtfdeer study long-sequences --full --jobs 2 --out results/long-sequences",
    add_options=add_options,
    run=run,
)
