"""The command line: `gtfdeer demo | fit | score | simulate | study | sweep | info | bench | lab`.

Leaves with 0 when all went well, 1 and one sentence when something did not, 2 for a command that cannot be
understood, 130 after Ctrl-C, or when told to end (SIGTERM: a batch system at its time limit, a container that stops).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ._checks import trouble
from ._version import __version__
from .commands import COMMANDS, Failure, add_debug_option
from .commands.wording import in_options

_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended: 128 + SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; options not understood leave by SystemExit(2)."""
    options = _parser().parse_args(arguments)
    try:
        with _terminated_like_ctrl_c():
            options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        return _complain("interrupted", str(stopped) or "nothing was written", _INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if getattr(options, "debug", False):
            raise
        return _complain("error", _sentence(error, vars(options)), 1)
    return 0


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """SIGTERM ends what runs in here as Ctrl-C does, so that what was learned is kept."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="gtfdeer",
        description="Learn the rules of a chaotic system from a recording.",
        epilog=(
            "example:\n  gtfdeer demo\n"
            "  gtfdeer fit recording.csv --dt 0.004 --delay-embed 5 --out heart.npz\n\n"
            "Every command explains itself: gtfdeer fit --help"
        ),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gtfdeer {__version__}")
    add_debug_option(parser)
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def _complain(kind: str, sentence: str, status: int) -> int:
    print(f"gtfdeer: {kind}: {sentence}", file=sys.stderr)
    return status


def _sentence(error: Exception, options: Collection[str]) -> str:
    """The error in one line: its own words if gtfdeer or the system refused, else a request to report."""
    words = " ".join(str(error).split()) or type(error).__name__
    if "RESOURCE_EXHAUSTED" in words:  # XLA's word for memory of a device, under no class of its own
        more = trouble("the-kernel-died")
        return f"the device ran out of memory ({words}); pass a smaller --batch or --window ({more})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(__file__).parent in Path(last.filename).parents
    if isinstance(error, OSError | Failure) or (ours and isinstance(error, MemoryError | TypeError | ValueError)):
        return in_options(words, options)
    return f"unexpected {type(error).__name__} ({words}); please report it, with what --debug and info print"


if __name__ == "__main__":
    sys.exit(main())
