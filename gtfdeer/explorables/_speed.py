"""SpeedLab: step by step against parallel in time, on this very machine, compile time apart.

The same forced recurrence (a random network on Lorenz-63) is solved by each solver for each length; best of several
runs after one that compiles. Faint lines are one NVIDIA H100, measured beforehand (medians, `studies/results/gpu`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from .. import Status, data, forcing, models, solvers
from ..solvers import scan, solve
from ._canvas import axis, line, plot
from ._panel import Panel, menu, plural, slider
from ._task import task_of

LENGTHS = (100, 1000, 10_000, 100_000)
_REPEATS = 5
# solver, its role and marker, and ms of one solve on an H100 (M 3, H 50, B 1, alpha 0.2)
SOLVERS: dict[str, tuple[solvers.Solver, str, str, dict[int, float]]] = {
    "Sequential": (solvers.Sequential(), "data", "o", {1000: 6.10, 10_000: 54.2, 100_000: 547.0}),
    "DEER": (solvers.DEER(), "error", "D", {1000: 0.83, 10_000: 0.89, 100_000: 1.54}),
    "Shooting": (solvers.Shooting(), "model", "s", {1000: 2.06, 10_000: 2.95, 100_000: 2.45}),
}


@dataclass(frozen=True)
class Timing:
    """One solver at one length; seconds, and the largest relative difference from the step-by-step answer."""

    solver: str
    length: int
    seconds: float
    compile: float
    iterations: int
    error: float
    status: str


class SpeedLab(Panel):
    """Press Measure, and see which solver is fastest at which length here.

    Controls: `longest`, `alpha`, `measure`, `stop`. Each solver compiles once for each length; alpha never does.

    Args:
        hidden_dim: hidden units of the network.
        strict: as for every panel.

    Attributes:
        timings: a list of `Timing`, what was measured.
    """

    longest, alpha = menu("longest T", LENGTHS, 10_000), slider("forcing alpha", 0.2, 0.0, 1.0, 0.05)
    buttons = ("measure", "stop")
    locked = ("longest", "alpha", "measure")

    def __init__(self, *, hidden_dim: int = 50, strict: bool | None = None) -> None:
        super().__init__(strict=strict)
        self._hidden_dim = hidden_dim
        self.timings: list[Timing] = []
        self._programs: dict[tuple[str, int], solvers.Timing] = {}  # at most one for each solver and length
        self._redraw()
        self._say("idle: press Measure")

    def measure(self) -> None:
        """Measure every solver at every length up to `longest`; `wait` waits for it."""
        self._launch(self._measure_all)

    def _measure_all(self) -> str:
        self.timings, alpha = [], np.float32(self.alpha)
        jobs = [(length, name) for length in LENGTHS if length <= self.longest for name in SOLVERS]
        began = time.perf_counter()
        for k, (length, name) in enumerate(jobs):
            what = f"{k + 1} of {len(jobs)}: {name} at T {length}"
            if (name, length) not in self._programs:
                self._say(f"compiling {what}")
                self._programs[name, length] = _compile(name, length, self._hidden_dim)
            left = (time.perf_counter() - began) / max(k, 1) * (len(jobs) - k)
            self._say(f"running {what}" + (f", about {left:.0f} s left" if k else ""))
            if self._halt.is_set():
                return f"stopped: {k} of {len(jobs)} measured"
            found = solvers.benchmark({name: self._programs[name, length]}, alpha, repeats=_REPEATS)[name]
            self._programs[name, length], answer = found, found.result
            error = found.error(self._programs["Sequential", length], lambda answer: answer.states)
            took, status = (float(found.seconds.min()), found.compile_seconds), Status(int(answer.code)).name
            self.timings = [*self.timings, Timing(name, length, *took, int(answer.iterations), error, status)]
            self._show()
        self._redraw()
        return f"finished: {len(jobs)} of {len(jobs)} measured"

    def _redraw(self) -> None:
        solving, beside, compiling = [], [], []
        for name, (_, role, marker, h100) in SOLVERS.items():
            mine = [t for t in self.timings if t.solver == name]
            good = [t for t in mine if t.status == "CONVERGED"]
            there = {T: ms for T, ms in h100.items() if self.longest >= T}
            solving += [line([1e3 * t.seconds for t in good], role, [t.length for t in good], name, marker=marker)]
            beside += [line([*there.values()], "ghost", [*there], f"{name}, H100", marker=marker)] if there else []
            compiling += [line([t.compile for t in mine], role, [t.length for t in mine], name, marker=marker)]
        length = axis("length T (samples)", (70, 1.5 * self.longest), "log")
        plots = [
            plot(0, 0, length, axis("one solve (ms)", kind="log"), *solving, *beside),
            plot(0, 1, length, axis("compiling it, once (s)"), *compiling),
        ]
        self._draw("Speed of the solvers on this machine", [1.6, 1], plots, [self._describe()])

    def _describe(self) -> str:
        device = scan.this_device().platform.upper()
        where = f"{device}, float32, M 3, H {self._hidden_dim}, B 1, alpha {self.alpha:.2f}"
        beside = " Grey: one NVIDIA H100 with H 50, alpha 0.20." if self.longest > LENGTHS[0] else ""
        if not self.timings:
            return f"{where}: nothing measured yet.{beside}"
        last, failed = self.timings[-1], sum(t.status != "CONVERGED" for t in self.timings)
        worst = max((t.error for t in self.timings if t.status == "CONVERGED"), default=0.0)
        note = f" {failed} did not converge and are not drawn." if failed else ""
        return (
            f"{where}: {last.solver} at T {last.length} took {1e3 * last.seconds:.2f} ms, "
            f"{plural(last.iterations, 'iteration')}; "
            f"largest relative difference from step by step: {worst:.0e}.{note}{beside}"
        )


def _compile(name: str, length: int, hidden_dim: int) -> solvers.Timing:
    """A compiled solve as a function of alpha, timed once."""
    task = task_of(data.Lorenz63(), length=length)
    model = models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=hidden_dim, rngs=nnx.Rngs(0))
    forced, jacobian = forcing.force(model.step), forcing.force_jacobian(model.jacobian)

    def run(alpha: Any) -> Any:
        inputs = task.inputs(alpha)
        return solve(forced, task.start, inputs, solver=SOLVERS[name][0], guess=task.teacher, jacobian=jacobian)

    return solvers.benchmark({name: run}, np.float32(0.2), repeats=1)[name]
