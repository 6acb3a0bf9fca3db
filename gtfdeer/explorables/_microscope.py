"""NewtonMicroscope: watch Newton's method bend a whole trajectory at once until it obeys its equation.

Lim, Zhu, Selfridge, Kasim, arXiv 2309.12252 (DEER); Hess, Götz, Durstewitz, arXiv 2605.12683 (with forcing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .. import Status, solvers
from ._canvas import ALPHAS, axis, heat, hline, line, plot, vline
from ._panel import Turn, menu, plural
from ._sweep import SweepPanel, choose_steps
from ._task import COMPILE_FAST, SYSTEMS, compile_fast

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST, TOLERANCE = 40, 1e-5  # iterations that are kept
SOLVERS: dict[str, solvers.Iterative] = {
    "DEER": solvers.DEER(tol=TOLERANCE, max_iterations=MOST),
    "QuasiDEER": solvers.QuasiDEER(tol=TOLERANCE, max_iterations=MOST),
    "ELK": solvers.ELK(tol=TOLERANCE, max_iterations=MOST),
    "Shooting": solvers.Shooting(tol=TOLERANCE, max_sweeps=MOST),
}
GUESSES = ("all zeros", "teacher signal", "random numbers")
LENGTHS = (100, 300, 1000, 3000)


@dataclass(frozen=True)
class Trace:
    """What one solve went through, K iterations.

    Attributes:
        states: `(K + 1, T, M)`, the guess first.
        residuals: `(K + 1,)`, largest violation of the step equation.
        truth: `(T, M)`, computed step by step.
        errors: `(K + 1, T)`, distance of every iterate from the truth, largest unit.
        front: `(K + 1,)`, how many steps from the beginning each iterate has right, to 0.1 %.
    """

    name: str
    alpha: float
    states: Float[np.ndarray, "iterate time latent"]
    residuals: Float[np.ndarray, " iterate"]
    truth: Float[np.ndarray, "time latent"]
    errors: Float[np.ndarray, "iterate time"]
    front: Int[np.ndarray, " iterate"]

    @property
    def iterations(self) -> int:
        return len(self.states) - 1

    @property
    def status(self) -> Status:
        if not np.isfinite(self.residuals[-1]):  # then neither are the states
            return Status.NONFINITE
        solved = self.residuals[-1] <= TOLERANCE * (1 + np.abs(self.states[-1]).max())
        return Status.CONVERGED if solved else Status.OUT_OF_ITERATIONS

    @property
    def numbers(self) -> tuple[int]:
        return (self.iterations if self.status is Status.CONVERGED else -1,)

    @property
    def verdict(self) -> str:
        count, good = plural(self.iterations, "iteration"), self.status is Status.CONVERGED
        return f"converged in {count}" if good else f"did not converge in {count}: {self.status.advice}"

    @property
    def texts(self) -> list[str]:
        sizes = [f"{r:.1e}" if np.isfinite(r) else "overflow" for r in self.residuals]
        return [
            f"{self.name}, alpha {self.alpha:.3g}, T {len(self.truth)}: iteration {k} of {self.iterations}; "
            f"the first {front} steps are right to 0.1 % (the front of certainty: "
            f"each iteration moves it by one step or more); residual {size}."
            for k, (front, size) in enumerate(zip(self.front, sizes, strict=True))
        ]

    @property
    def plots(self) -> list[dict[str, Any]]:
        """The iterates, their residuals and errors; values beyond the axes stay at their edge."""
        length, size = len(self.truth), np.abs(self.truth[:, 0]).max()
        shown = choose_steps(length)
        with np.errstate(invalid="ignore"):
            states = np.clip(self.states[:, shown, 0], -1.55 * size, 1.55 * size)
        finite = self.residuals[np.isfinite(self.residuals)].max(initial=1.0)
        time = axis("time step t (samples)", (1, length))
        k = axis("iteration k", (-0.3, max(2, self.iterations) + 0.3), whole=True)
        return [
            plot(
                *(0, 0, time, axis("first variable (s.d.)", (-1.6 * size, 1.6 * size))),
                line(self.truth[shown, 0], "data", shown + 1, "step by step"),
                line(states, "model", shown + 1, "iterate k", row="iteration"),
                vline(self.front, "forced", label="front of certainty", row="iteration"),
                note="capped at the edge",
            ),
            plot(
                *(0, 1, k, axis("residual", (1e-8, 10 * min(finite, 1e12)), "log")),
                line(np.clip(self.residuals, 1e-8, 1e30), "error", None, "residual", marker="D", at="iteration"),
                hline(TOLERANCE, label="tolerance"),
            ),
            plot(
                *(1, 0, time, axis("iteration k", whole=True)),
                heat(self.errors[:, shown]),
                hline("iteration", "model", strong=True),
                note="error of every iterate; hatched: overflow",
            ),
        ]


class NewtonMicroscope(SweepPanel):
    """Scrub through the iterations of a parallel solve, all of which the browser has.

    Controls: `subject`, `length`, `solver`, `guess`, and below the picture `alpha` and the `iteration`. Arguments and
    attributes as of every `SweepPanel`: `reconstruction` and `series` (a trained model and what teaches it), `strict`,
    `found`, with `states`, `residuals`, `truth`, `errors`.

    >>> panel = NewtonMicroscope(strict=True)                       # doctest: +SKIP
    >>> panel.alpha = 0.3                                           # doctest: +SKIP
    >>> panel.status, panel.iterate.shape                           # doctest: +SKIP
    ('converged in 3 iterations', (1000, 3))
    """

    subject, length = menu("system", SYSTEMS), menu("length T", LENGTHS, 1000)
    solver, guess = menu("solver", SOLVERS), menu("first guess", GUESSES)
    alpha, iteration = Turn("forcing alpha", ALPHAS, 0.06), Turn("iteration k")
    most = MOST

    @property
    def iterate(self) -> np.ndarray:
        """`(T, M)`, the iterate that the slider points at, in standard deviations."""
        return self.found.states[min(self.iteration, self.iterations)]

    @property
    def iterations(self) -> int:
        """K, how many iterations the solve took."""
        return self.found.iterations

    def _make_program(self, subject: str, length: int, solver: str) -> Callable[[str, float], Trace]:
        self._say("compiling: a new system, length or solver takes some seconds")
        task, method = self._task(subject, length), compile_fast(SOLVERS[solver])
        program = jax.jit(
            lambda alpha, z: (*task.trace(method, MOST, alpha, z), task.walk(alpha)[0]), compiler_options=COMPILE_FAST
        )

        def solve(guess: str, alpha: float) -> Trace:
            begin = np.zeros_like(task.teacher) if guess == "all zeros" else task.teacher
            if guess == "random numbers":
                begin = np.random.default_rng(2).normal(size=begin.shape).astype(begin.dtype)
            k, states, residuals, truth = (np.asarray(x) for x in program(np.float32(alpha), begin))
            states = states[: k + 1]
            with np.errstate(invalid="ignore", over="ignore"):
                errors = np.abs(states - truth).max(axis=2)
            right = errors <= 1e-3 * (1 + np.abs(truth).max())
            front = np.minimum.accumulate(right, axis=1).sum(axis=1)
            return Trace(task.name, alpha, states, residuals[: k + 1], truth, errors, front)

        return solve

    def _redraw(self) -> None:
        k = min(self.iteration, self.iterations)
        self._draw_answer(f"Newton microscope: {self.found.name}", [1.7, 1], iteration=k)
