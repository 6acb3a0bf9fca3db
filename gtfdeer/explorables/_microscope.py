"""NewtonMicroscope: watch Newton's method bend a whole trajectory at once until it obeys its equation.

Lim, Zhu, Selfridge, Kasim, arXiv 2309.12252 (DEER); Hess, Götz, Durstewitz, arXiv 2605.12683 (with forcing).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import Reconstruction, Status, data, solvers
from ._canvas import ALPHAS, PREPARED, axis, counts_plot, heat, hline, line, plot, vline
from ._controls import Setting, menu, plural
from ._panel import Panel
from ._task import COMPILE_FAST, SYSTEMS, Trace, compile_fast, task_of

MOST, TOLERANCE = 40, 1e-5  # iterations that are kept
SOLVERS: dict[str, solvers.Iterative] = {
    "DEER": solvers.DEER(tol=TOLERANCE, max_iterations=MOST),
    "QuasiDEER": solvers.QuasiDEER(tol=TOLERANCE, max_iterations=MOST),
    "ELK": solvers.ELK(tol=TOLERANCE, max_iterations=MOST),
    "Shooting": solvers.Shooting(tol=TOLERANCE, max_sweeps=MOST),
}
GUESSES = ("all zeros", "teacher signal", "random numbers")
LENGTHS = (100, 300, 1000, 3000)
_FINE, _COARSE = 1500, 500  # time steps that are sent for the solve at hand, and for those prepared for dragging
_SHOWN = (1e-6, 10.0)  # errors, in standard deviations, from the darkest to the brightest colour


class _Asked(NamedTuple):
    """What the controls said when a solve began: its picture tells of these, whatever they say by now."""

    subject: str
    length: int
    solver: str
    guess: str


class NewtonMicroscope(Panel):
    """Scrub through the iterations of a parallel solve.

    Controls: `subject`, `length`, `solver`, `guess`, and below the picture `alpha` and the `iteration`. Only a new
    subject, length or solver compiles. The browser has all iterates, and solves for 62 values of alpha that were
    prepared in the background; when alpha is let go, this very alpha is solved.

    Args:
        reconstruction: a trained model to look at, beside the known systems.
        series: the recording that teaches it.
        strict: as for every panel.

    Attributes:
        found: the solve that is shown: `states`, `residuals`, `truth`, `errors`.

    >>> panel = NewtonMicroscope(strict=True)                       # doctest: +SKIP
    >>> panel.alpha = 0.3                                           # doctest: +SKIP
    >>> panel.status, panel.iterate.shape                           # doctest: +SKIP
    ('converged in 3 iterations', (1000, 3))
    """

    subject, length, solver, guess = Setting(), Setting(), Setting(), Setting()
    alpha, iteration = Setting(), Setting()

    def __init__(
        self,
        reconstruction: Reconstruction | None = None,
        series: data.Series | None = None,
        *,
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self._subjects: dict[str, Any] = {} if reconstruction is None else {"trained model": reconstruction}
        self._series = series
        self._task = self._remembering(self._make_task)
        self._program = self._remembering(self._make_program)
        self._sweeps: dict[_Asked, list[int]] = {}
        self._framed: _Asked | None = None  # what the prepared frames are of
        self._add(self.run, subject=menu("system", [*self._subjects, *SYSTEMS]), length=menu("length T", LENGTHS, 1000))
        self._add(self.run, solver=menu("solver", [*SOLVERS]), guess=menu("first guess", GUESSES))
        turns = (
            {"name": "alpha", "label": "forcing alpha", "stops": ALPHAS},
            {"name": "iteration", "label": "iteration k"},
        )
        self._add_turns(self.run, *turns, alpha=0.06, iteration=0)
        self._attempt(self.run)

    @property
    def iterate(self) -> np.ndarray:
        """`(T, M)`, the iterate that the slider points at, in standard deviations."""
        return self.found.states[min(self.iteration, self.iterations)]

    @property
    def iterations(self) -> int:
        """K, how many iterations the solve took."""
        return self.found.iterations

    @property
    def sweep(self) -> dict[float, int | None]:
        """Iterations for each alpha that is prepared for dragging; None where the solve did not converge."""
        if self._asked not in self._sweeps:
            self._finish_preparing()
        return {float(a): k if k >= 0 else None for a, k in zip(PREPARED, self._sweeps[self._asked], strict=True)}

    def run(self) -> None:
        """Solve anew with what the controls say."""
        with self._settled():
            asked, alpha = _Asked(self.subject, self.length, self.solver, self.guess), self.alpha
            self._say("running")
            solve = self._program(asked.subject, asked.length, asked.solver)
            found = solve(alpha, asked.guess)
            self._asked, self._alpha, self.found = asked, alpha, found
            self._redraw()
            self._say(self._describe_ending())
            if asked != self._framed:
                self._framed = asked
                self._set_frames({})
                self._prepare(lambda stop: self._solve_ahead(asked, solve, stop))

    def _make_task(self, subject: str, length: int) -> Any:
        return task_of(self._subjects.get(subject, subject), self._series, length=length)

    def _make_program(self, subject: str, length: int, solver: str) -> Callable[[float, str], Trace]:
        self._say("compiling: a new system, length or solver takes some seconds")
        task = self._task(subject, length)
        method = compile_fast(SOLVERS[solver])
        program = jax.jit(
            lambda alpha, z: (*task.trace(method, MOST, alpha, z), task.walk(alpha)[0]), compiler_options=COMPILE_FAST
        )

        def solve(alpha: float, guess: str) -> Trace:
            begin = np.zeros_like(task.teacher) if guess == "all zeros" else task.teacher
            if guess == "random numbers":
                begin = np.random.default_rng(2).normal(size=begin.shape).astype(begin.dtype)
            k, states, residuals, truth = (np.asarray(x) for x in program(np.float32(alpha), begin))
            return Trace(states[: k + 1], residuals[: k + 1], truth)

        return solve

    def _solve_ahead(self, asked: _Asked, solve: Callable[..., Trace], stop: Callable[[], bool]) -> None:
        """Solve for every alpha of `PREPARED`, the quick ones first, and send what is drawn of it."""
        frames: dict[float, Any] = {}
        counts: list[int] = []
        for count, alpha in enumerate(map(float, PREPARED[::-1]), start=1):
            if stop():
                return
            found = solve(alpha, asked.guess)
            counts.insert(0, found.iterations if found.status(TOLERANCE) is Status.CONVERGED else -1)
            frames[alpha] = _draw_solve(found, _COARSE), self._describe(asked, alpha, found)
            if count % 20 == 0 or count == len(PREPARED):
                self._set_frames(frames)
        with self._lock:
            self._sweeps[asked] = counts
            if asked == self._asked:
                self._redraw()

    def _redraw(self) -> None:
        name = self._task(self._asked.subject, self._asked.length).name
        swept = counts_plot("iterations", self._sweeps.get(self._asked, []), MOST)
        texts, k = self._describe(self._asked, self._alpha, self.found), min(self.iteration, self.iterations)
        plots = [*_draw_solve(self.found, _FINE), swept]
        self._draw(f"Newton microscope: {name}", [1.7, 1], plots, texts, iteration=k)

    def _describe(self, asked: _Asked, alpha: float, found: Trace) -> list[str]:
        """One sentence or two for every iterate."""
        name = self._task(asked.subject, asked.length).name
        sizes = [f"{r:.1e}" if np.isfinite(r) else "overflow" for r in found.residuals]
        return [
            f"{name}, alpha {alpha:.3g}, T {asked.length}: iteration {k} of {found.iterations}; "
            f"the first {found.solved(k)} steps are right to 0.1 % (the front of certainty: "
            f"each iteration moves it by one step or more); residual {size}."
            for k, size in enumerate(sizes)
        ]

    def _describe_ending(self) -> str:
        status, count = self.found.status(TOLERANCE), plural(self.iterations, "iteration")
        good = status is Status.CONVERGED
        return f"converged in {count}" if good else f"did not converge in {count}: {status.advice}"


def _draw_solve(found: Trace, most: int) -> list[dict[str, Any]]:
    """A solve at `most` time steps or fewer; values beyond the axes stay at their edge."""
    length, size = len(found.truth), np.abs(found.truth[:, 0]).max()
    shown = np.unique(np.linspace(0, length - 1, min(length, most)).astype(int))
    with np.errstate(invalid="ignore"):
        states = np.clip(found.states[:, shown, 0], -1.55 * size, 1.55 * size)
    front = np.array([found.solved(k) for k in range(len(found.states))])
    finite = found.residuals[np.isfinite(found.residuals)].max(initial=1.0)
    time, k = (
        axis("time step t (samples)", (1, length)),
        axis("iteration k", (-0.3, max(2, found.iterations) + 0.3), whole=True),
    )
    return [
        plot(
            *(0, 0, time, axis("first variable (s.d.)", (-1.6 * size, 1.6 * size))),
            line(found.truth[shown, 0], "data", shown + 1, "step by step"),
            line(states, "model", shown + 1, "iterate k", row="iteration"),
            vline(front, "forced", label="front of certainty", row="iteration"),
            note="capped at the edge",
        ),
        plot(
            *(0, 1, k, axis("residual", (1e-8, 10 * min(finite, 1e12)), "log")),
            line(np.clip(found.residuals, 1e-8, 1e30), "error", None, "residual", marker="D", at="iteration"),
            hline(TOLERANCE, label="tolerance"),
        ),
        plot(
            *(1, 0, time, axis("iteration k", whole=True)),
            heat(found.errors[:, shown], _SHOWN, "s.d."),
            hline("iteration", "model", strong=True),
            note="error of every iterate; hatched: overflow",
        ),
    ]
