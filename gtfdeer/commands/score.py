"""`gtfdeer score`: how good a model is, judged on a recording that it was not trained on."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .command import Command
from .recordings import add_reading_options, describe, read, read_as_trained

if TYPE_CHECKING:
    from ..data import Series


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="a model file written by gtfdeer fit")
    parser.add_argument("recording", help="the test recording, in data units, sampled as the training data were")
    parser.add_argument("--dt", type=float, help="sampling step of the recordings, if the model's shall be checked")
    parser.add_argument(
        "--floor",
        metavar="FILE",
        help="another recording of the same system: what it scores is the best any model can; "
        "by default the two halves of the test recording",
    )
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps ahead of the prediction error (20)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_reading_options(parser)


def run(options: Namespace) -> None:
    from .. import __version__, load

    if options.steps < 1:
        raise ValueError(f"--steps is {options.steps}; pass a whole number of at least 1")
    reconstruction = load(options.model)
    test = _read(options.recording, reconstruction.dt, options)
    floor = None if options.floor is None else _read(options.floor, reconstruction.dt, options)
    scores = reconstruction.score(test, steps=options.steps, floor=floor)
    if options.json:
        about = {"model": options.model, "recording": options.recording, "dt": test.dt, "gtfdeer": __version__}
        print(json.dumps({**about, **scores.as_dict()}, indent=2, allow_nan=False))
    else:
        print(f"test  {describe(test)}")
        print(scores)


def _read(path: str, trained_at: float, options: Namespace) -> Series:
    return read_as_trained(path, trained_at, options) if options.dt is None else read(path, options.dt, options)


COMMAND = Command(
    name="score",
    summary="judge a model on a test recording",
    description=(
        "Let the model run freely and compare it with a recording that it was not trained on. Beside each "
        "number\n"
        "stands its floor, what a second recording of the same system would get: no model can be expected to "
        "do better."
    ),
    example="  gtfdeer score heart.npz test.csv\n  gtfdeer score heart.npz test.csv --json > scores.json",
    add_options=add_options,
    run=run,
)
