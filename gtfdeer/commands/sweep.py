"""`gtfdeer sweep`: which settings suit a recording? Several of them, several seeds, one table."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from .command import Command
from .files import require_writable_folder
from .info import provenance
from .networks import add_model, build
from .preparation import add_preparation, prepare
from .recordings import add_reading_options

__all__ = ["COMMAND"]

_HELD_OUT = 0.2


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("recordings", nargs="+", metavar="recording", help="one file or several of the same quantities")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where table, record and figure go")
    parser.add_argument("--dt", type=float, help="time between two rows; by default that of the file, else 1")
    add_reading_options(parser)
    add_preparation(parser)
    add_model(parser)
    group = parser.add_argument_group("what is tried: every combination, with every seed")
    group.add_argument("--seeds", type=int, default=3, metavar="K", help="seeds 0 to K - 1 (3)")
    group.add_argument("--learning-rate", type=float, nargs="+", default=[1e-2], metavar="R", help="first (0.01)")
    group.add_argument(
        "--alpha", type=float, nargs="+", default=[0.03], metavar="A", help="last strength of annealed forcing (0.03)"
    )
    group.add_argument("--window", type=int, nargs="+", default=[200], metavar="T", help="steps of a sequence (200)")
    group = parser.add_argument_group("the same for all")
    group.add_argument("--batch", type=int, default=16, metavar="B", help="sequences in an update (16)")
    group.add_argument("--updates", type=int, default=5000, metavar="U", help="how many (5000)")
    parser.set_defaults(test_fraction=_HELD_OUT)


def run(options: Namespace) -> None:
    from ..studies import conduct
    from ..studies.sweep import Setting, sweep

    if options.seeds < 1:
        raise ValueError(f"--seeds is {options.seeds}; pass how many seeds to try, 1 or more")
    if not options.test_fraction:
        raise ValueError(f"--test-fraction is 0, but every run is judged on what is held out; pass {_HELD_OUT}")
    require_writable_folder(options.out)
    train, held_out = prepare(options)
    settings = [Setting(*each) for each in itertools.product(options.learning_rate, options.alpha, options.window)]

    def model(seed: int) -> Any:
        return build(Namespace(**{**vars(options), "seed": seed}), train[0].columns)

    test = max(held_out, key=lambda series: series.length)
    study = sweep(model, train, test, settings, batch=options.batch, updates=options.updates)
    print(f"sweep: {len(settings)} settings, {options.seeds} seeds, {options.updates} updates each", flush=True)
    found = conduct(study, options.out, seeds=options.seeds, facts=provenance(_words(options)))
    print(found.caption)
    for file in found.files:
        print(f"  {file}")


def _words(options: Namespace) -> list[str]:
    """The command that makes these results."""
    own = {name: value for name, value in vars(options).items() if name not in {"run", "debug", "recordings"}}
    words = ["gtfdeer", "sweep", *map(str, options.recordings)]
    for name, value in own.items():
        values = value if isinstance(value, list) else [value]
        if None not in values and False not in values:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else map(str, values))]
    return words


COMMAND = Command(
    name="sweep",
    summary="try several settings and seeds on a recording",
    description=(
        "Learn a recording with every combination of the settings given and every seed, and judge each on the held-out "
        "end.\nLeaves sweep.csv, sweep.json and sweep.png. Stopped, it keeps every finished run, and the same command "
        "goes on from there."
    ),
    example=(
        "  gtfdeer sweep recording.csv --dt 0.01 --seeds 3 --alpha 0.01 0.03 0.1 --out sweep\n"
        "  gtfdeer sweep recording.csv --learning-rate 0.002 0.005 --window 100 400 --out rates"
    ),
    add_options=add_options,
    run=run,
)
