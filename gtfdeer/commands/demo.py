"""`gtfdeer demo`: the main job end to end on a system that is known, and a page that shows how it went."""

from __future__ import annotations

import json
import shlex
import time
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..training._files import write_whole
from . import demo_run
from .command import Command
from .files import require_writable_folder
from .info import versions


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="FOLDER", help="where the files go (out/demo)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of data, noise, first parameters and windows (0)")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="K",
        help="repeat with K seeds from --seed on; the model with the median D_stsp is saved and drawn (1)",
    )
    parser.add_argument(
        "--updates", type=int, metavar="U", help="training updates; by default as many as gtfdeer.fit does"
    )
    parser.add_argument("--length", type=int, default=100_000, metavar="T", help="time steps of each run (100000)")


def run(options: Namespace) -> None:
    _check(options)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - began:6.1f} s] {text}", flush=True)

    runs: list[demo_run.Run] = []
    for seed in range(options.seed, options.seed + options.seeds):
        runs.append(demo_run.repeat(seed, options.length, options.updates, say))
        print(runs[-1].scores)
        if runs[-1].reconstruction.ending != "finished":
            say(f"training {runs[-1].reconstruction.ending}: going on with what was learned")
            break
    chosen = demo_run.middle(runs)

    say(f"drawing seed {chosen.seed} and writing the report")
    from . import demo_page

    figures = demo_page.figures(chosen)
    facts = _facts(options, runs, time.perf_counter() - began)
    page = demo_page.report(chosen, runs, figures, facts)

    options.out.mkdir(parents=True, exist_ok=True)
    chosen.reconstruction.save(options.out / "lorenz63.npz")
    write_whole(options.out / "scores.json", json.dumps(facts, indent=2, allow_nan=False).encode())
    for name, figure in figures.items():
        write_whole(options.out / f"{name}.png", figure.png)
    page.write(options.out / "report.html")
    say("done. Look at the report first:")
    for name in ("report.html", "scores.json", "lorenz63.npz", *(f"{name}.png" for name in figures)):
        print(f"  {options.out / name}")


def _check(options: Namespace) -> None:
    require_writable_folder(options.out)
    if options.seeds < 1:
        raise ValueError(f"--seeds is {options.seeds}; pass how many repetitions to make, 1 or more")
    if options.length < 1000:
        raise ValueError(f"--length is {options.length}; pass at least 1000 time steps, or the scores mean nothing")


def _facts(options: Namespace, runs: list[demo_run.Run], seconds: float) -> dict[str, Any]:
    """What goes into scores.json: scores of the saved model, what they are held against, every seed."""
    from ..training._memory import device_in_words

    chosen = demo_run.middle(runs)
    return {
        **chosen.scores.as_dict(),
        "truth": {"lambda_max": demo_run.TRUE_EXPONENTS[0], "source": demo_run.TRUTH_SOURCE},
        "published": {
            **{name: list(interval) for name, interval in demo_run.PUBLISHED.items()},
            "floor": demo_run.PUBLISHED_FLOOR,
            "source": demo_run.PUBLISHED_SOURCE,
        },
        "seed": chosen.seed,
        "seeds": [demo_run.as_record(run) for run in runs],
        "summary": demo_run.summary(runs),
        "length": options.length,
        "dt": demo_run.DT,
        "noise": demo_run.NOISE,
        "seconds": round(seconds, 1),
        "command": shlex.join(_command(options)),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_in_words(),
        "versions": versions(),
    }


def _command(options: Namespace) -> list[str]:
    """The command that makes these files again."""
    words = [
        "gtfdeer",
        "demo",
        "--out",
        str(options.out),
        "--seed",
        str(options.seed),
        "--seeds",
        str(options.seeds),
    ]
    words += ["--length", str(options.length)]
    return words if options.updates is None else [*words, "--updates", str(options.updates)]


COMMAND = Command(
    name="demo",
    summary="learn Lorenz-63 end to end and leave a report",
    description=(
        "Simulate Lorenz-63, train a small network on a noisy run of it, let the network run on its own, "
        "judge it against\n"
        "runs that it never saw, and leave a model file, scores.json, figures and report.html. Ctrl-C ends "
        "training early\n"
        "and goes on with what was learned."
    ),
    example="  gtfdeer demo\n  gtfdeer demo --seeds 3 --out out/three",
    add_options=add_options,
    run=run,
)
