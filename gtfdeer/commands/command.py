"""What a command is: a name, a sentence, a worked example, options, and what to do with them.

No command imports jax, flax or matplotlib before it runs: help and a mistyped option answer at once.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Command", "Failure", "add_debug_option"]


class Failure(Exception):
    """A command did not succeed, for a reason that its one sentence says; what it had made is kept."""


@dataclass(frozen=True)
class Command:
    """One command of `gtfdeer`, as the module of the same name defines it.

    Attributes:
        name: what the user types after `gtfdeer`.
        summary: one line for the list of commands.
        description: a short paragraph above the options.
        example: lines of shell under the options, which work as they stand where the files exist.
        add_options: gives a parser the options.
        run: does the work; imports what it needs, prints, returns nothing.
    """

    name: str
    summary: str
    description: str
    example: str
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]

    def add_to(self, commands: Any) -> None:
        """Become a sub-command; `commands` is what `ArgumentParser.add_subparsers` returned."""
        parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=self.description,
            epilog=f"example:\n{self.example}",
            formatter_class=RawDescriptionHelpFormatter,
        )
        self.add_options(parser)
        add_debug_option(parser)
        parser.set_defaults(run=self.run)


def add_debug_option(parser: ArgumentParser) -> None:
    """`--debug`, before or after the command's name; unset unless given: neither place hides the other."""
    parser.add_argument(
        "--debug",
        action="store_true",
        default=SUPPRESS,
        help="show the traceback of an error, for a bug report",
    )
