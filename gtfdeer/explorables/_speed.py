"""SpeedLab: step by step against parallel in time, on this very machine, compile time apart.

The same forced recurrence (a random network of 50 hidden units on Lorenz-63) is solved by each solver for each
length; best of several runs after one that compiles. Nothing is quoted: what you see is what this machine did while
you watched. Stored results of another device can be drawn beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from .. import Status, data, forcing, models, solvers
from ..solvers import scan, solve
from ._background import LongPanel
from ._canvas import axis, line, plot
from ._panel import Setting, button, menu, plural, slider
from ._task import task_of

__all__ = ["SpeedLab", "Timing"]

LENGTHS = (100, 1000, 10_000, 100_000)
SOLVERS: dict[str, solvers.Solver] = {
    "Sequential": solvers.Sequential(),
    "DEER": solvers.DEER(),
    "Shooting": solvers.Shooting(),
}
LOOKS = {"Sequential": ("data", "o"), "DEER": ("error", "D"), "Shooting": ("model", "s")}
_REPEATS = 5


@dataclass(frozen=True)
class Timing:
    """One solver at one length; seconds, and the largest difference from the step-by-step answer."""

    solver: str
    length: int
    seconds: float
    compile: float
    iterations: int
    error: float
    status: str


class SpeedLab(LongPanel):
    """Press Measure, and see which solver is fastest at which length here.

    Controls: `longest_menu`, `alpha_slider`, `where_menu`, `measure_button`, `stop_button`. Each solver compiles once
    for each length; alpha never does.

    Args:
        stored: results of another device to draw beside these: its name, and for each solver a list of
            (length, seconds).
        hidden_dim: hidden units of the network.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.

    Attributes:
        timings: a list of `Timing`, what was measured.
    """

    longest = Setting("longest_menu")
    alpha = Setting("alpha_slider")

    def __init__(
        self,
        stored: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]] | None = None,
        *,
        hidden_dim: int = 50,
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self._stored, self._hidden_dim = stored or {}, hidden_dim
        self.longest_menu = menu("longest T", LENGTHS, 10_000)
        self.alpha_slider = slider("forcing alpha", 0.2, 0.0, 1.0, 0.05)
        self._settings = (self.longest_menu, self.alpha_slider, self.where_menu)
        self.measure_button = button("Measure")
        self._arrange(self._settings, (self.measure_button, self.stop_button))
        self.timings: list[Timing] = []
        self._programs: dict[tuple[str, int], solvers.Timing] = {}  # at most one for each solver and length
        self._press(self.measure_button, self.start)
        self._paint()
        self._say("idle: press Measure")

    def start(self) -> None:
        """Measure every solver at every length up to `longest`, in the background where the front end allows it."""
        self._launch(self._measure_all, self.where)

    def run(self) -> None:
        """The same, here and now: it returns when all is measured, also where measuring had begun already."""
        self.stop()
        self._join()
        self._launch(self._measure_all, "foreground")

    def _measure_all(self) -> str:
        self.timings = []
        lengths = [length for length in LENGTHS if length <= self.longest]
        jobs = [(length, name) for length in lengths for name in SOLVERS]
        began = time.perf_counter()
        for k, (length, name) in enumerate(jobs):
            what = f"{k + 1} of {len(jobs)}: {name} at T {length}"
            if (name, length) not in self._programs:
                self._report(f"compiling {what}")
                self._programs[name, length] = _compiled(name, length, self._hidden_dim)
            left = (time.perf_counter() - began) / k * (len(jobs) - k) if k else None
            self._report(f"running {what}" + ("" if left is None else f", about {left:.0f} s left"))
            if self._halt.is_set():
                break
            self.timings = [*self.timings, self._measure(name, length)]
            self._paint()
        stopped = len(self.timings) < len(jobs)
        return f"{'stopped' if stopped else 'finished'}: {len(self.timings)} of {len(jobs)} measured"

    def speedup(self, solver: str, length: int) -> float:
        """Seconds of the sequential solver divided by seconds of this one."""
        taken = {(t.solver, t.length): t.seconds for t in self.timings}
        if (solver, length) not in taken:
            raise KeyError(f"{solver!r} at T {length} was not measured; press Measure, or choose from {sorted(taken)}")
        return taken["Sequential", length] / taken[solver, length]

    def _measure(self, name: str, length: int) -> Timing:
        alpha = np.float32(self.alpha)
        found = solvers.benchmark({name: self._programs[name, length]}, alpha, repeats=_REPEATS)[name]
        answer, best = found.result, float(found.seconds.min())
        exact = answer if name == "Sequential" else self._programs["Sequential", length].program(alpha)
        error = float(np.abs(np.asarray(answer.states) - np.asarray(exact.states)).max())
        iterations, status = int(answer.iterations), Status(int(answer.code)).name
        return Timing(name, length, best, found.compile_seconds, iterations, error, status)

    def _paint(self) -> None:
        arrays: dict[str, Any] = {}
        solving, compiling = [], []
        for name, (role, marker) in LOOKS.items():
            mine = [t for t in self.timings if t.solver == name]
            good = [t for t in mine if t.status == "CONVERGED"]
            arrays |= {f"{name} T": [t.length for t in good], name: [1e3 * t.seconds for t in good]}
            arrays |= {f"{name} all": [t.length for t in mine], f"{name} compile": [t.compile for t in mine]}
            solving.append(line(name, role, f"{name} T", name, marker=marker))
            compiling.append(line(f"{name} compile", role, f"{name} all", name, marker=marker))
            for device, results in self._stored.items():
                other = np.asarray(results.get(name, np.empty((0, 2))), float).reshape(-1, 2)
                arrays |= {f"{name} {device} T": other[:, 0], f"{name} {device}": 1e3 * other[:, 1]}
                label = f"{name}, {device} (stored)"
                solving.append(line(f"{name} {device}", role, f"{name} {device} T", label, faint=True, marker=marker))
        length = axis("length T (samples)", (70, 1.5 * self.longest), "log")
        spec = {
            "label": "Speed of the solvers on this machine",
            "columns": [1.6, 1],
            "height": 330,
            "sliders": [],
            "plots": [
                plot(0, 0, length, axis("one solve (ms)", kind="log"), *solving),
                plot(0, 1, length, axis("compiling it, once (s)"), *compiling),
            ],
        }
        self._draw(spec, arrays, [self._words()])

    def _words(self) -> str:
        device = scan.this_device().platform.upper()
        where = f"{device}, float32, M 3, H {self._hidden_dim}, B 1, alpha {self.alpha:.2f}"
        if not self.timings:
            return f"{where}: nothing measured yet."
        last = self.timings[-1]
        failed = sum(t.status != "CONVERGED" for t in self.timings)
        note = f" {failed} did not converge and are not drawn." if failed else ""
        worst = max(t.error for t in self.timings if t.status == "CONVERGED")
        return (
            f"{where}: {last.solver} at T {last.length} took {1e3 * last.seconds:.2f} ms, "
            f"{plural(last.iterations, 'iteration')}; largest difference from step by step so far: {worst:.0e}.{note}"
        )


def _compiled(name: str, length: int, hidden_dim: int) -> solvers.Timing:
    """A compiled solve as a function of alpha, timed once."""
    task = task_of(data.Lorenz63(), length=length)
    model = models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=hidden_dim, rngs=nnx.Rngs(0))
    forced, jacobian = forcing.force(model.step), forcing.force_jacobian(model.jacobian)

    def run(alpha: Any) -> Any:
        guess = task.teacher[:length]
        inputs = task.inputs(alpha, length)
        return solve(forced, task.start, inputs, solver=SOLVERS[name], guess=guess, jacobian=jacobian)

    return solvers.benchmark({name: run}, np.float32(0.2), repeats=1)[name]
