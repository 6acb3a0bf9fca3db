"""The commands of `gtfdeer`, one a file. A new one is a module with a `COMMAND`, and a line here."""

from . import bench, demo, fit, info, lab, score, simulate, study, sweep
from .command import Command, Failure, add_debug_option

__all__ = ["COMMANDS", "Command", "Failure", "add_debug_option"]

COMMANDS = (
    demo.COMMAND,
    fit.COMMAND,
    score.COMMAND,
    simulate.COMMAND,
    study.COMMAND,
    sweep.COMMAND,
    info.COMMAND,
    bench.COMMAND,
    lab.COMMAND,
)
