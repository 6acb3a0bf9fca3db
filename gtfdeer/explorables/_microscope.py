"""NewtonMicroscope: watch Newton's method bend a whole trajectory at once until it obeys its equation.

Lim, Zhu, Selfridge, Kasim, arXiv 2309.12252 (DEER); Hess, Götz, Durstewitz, arXiv 2605.12683 (with forcing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import Reconstruction, Status, data, plots
from ..plots import INK, dress
from ._newton import MOST, SOLVERS, TOLERANCE, Iterates, newton_program
from ._panel import Panel, Setting, canvas, menu, plural, slider
from ._task import SYSTEMS, Task, task_of

__all__ = ["NewtonMicroscope"]

GUESSES = ("all zeros", "teacher signal", "random numbers")
LENGTHS = (100, 300, 1000, 3000)
ALPHAS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class _Asked:
    """What the controls said when a solve began: its picture and summary tell of these, whatever they say by now."""

    subject: str
    length: int
    solver: str
    guess: str
    alpha: float


class NewtonMicroscope(Panel):
    """Scrub through the iterations of a parallel solve.

    Controls: `subject_menu`, `alpha_slider`, `length_menu`, `solver_menu`, `guess_menu`, `iteration_slider`. Only a
    new subject, length or solver compiles; alpha, guess and iteration do not. What does not fit into memory is refused.

    Args:
        reconstruction: a trained model to look at, beside the known systems.
        series: the recording that teaches it.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.

    >>> panel = NewtonMicroscope(strict=True)                       # doctest: +SKIP
    >>> panel.alpha = 0.3                                           # doctest: +SKIP
    >>> panel.status, panel.iterate.shape                           # doctest: +SKIP
    ('converged in 3 iterations', (1000, 3))
    """

    alpha = Setting("alpha_slider")
    length = Setting("length_menu")
    solver = Setting("solver_menu")
    guess = Setting("guess_menu")
    subject = Setting("subject_menu")
    iteration = Setting("iteration_slider")

    def __init__(
        self,
        reconstruction: Reconstruction | None = None,
        series: data.Series | None = None,
        *,
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self._reconstruction, self._series = reconstruction, series
        subjects = [*SYSTEMS, *([] if reconstruction is None else ["trained model"])]
        self.subject_menu = menu("system", subjects, subjects[-1] if reconstruction else subjects[0])
        self.alpha_slider = slider("forcing alpha", 0.06, 0.0, 1.0, 0.01)
        self.length_menu = menu("length T", LENGTHS, 1000)
        self.solver_menu = menu("solver", [*SOLVERS], "DEER")
        self.guess_menu = menu("first guess", GUESSES, GUESSES[0])
        self.iteration_slider = slider("iteration k", 0, 0, MOST, 1)
        self._task, self._program = self._remembering(self._make_task), self._remembering(self._make_program)
        self._sweeps: dict[tuple[Any, ...], list[tuple[int, Status]]] = {}
        self._solved: tuple[_Asked, Iterates] | None = None
        self._arrange(
            (self.subject_menu, self.length_menu),
            (self.solver_menu, self.guess_menu),
            (self.alpha_slider, self.iteration_slider),
        )
        for control in (self.subject_menu, self.alpha_slider, self.length_menu, self.solver_menu, self.guess_menu):
            self._observe(control, self.run)
        self._observe(self.iteration_slider, self._look)
        self._attempt(self.run)

    @property
    def iterate(self) -> np.ndarray:
        """`(T, M)`, the iterate that the slider points at, in standard deviations."""
        return self._found.states[self.iteration]

    @property
    def truth(self) -> np.ndarray:
        """`(T, M)`, the solution, computed step by step."""
        return self._found.truth

    @property
    def residuals(self) -> np.ndarray:
        """`(K + 1,)`, the largest violation of the step equation, guess first."""
        return self._found.residuals

    @property
    def iterations(self) -> int:
        """K, how many iterations the solve took."""
        return self._found.iterations

    @property
    def sweep(self) -> dict[float, int | None]:
        """Iterations for each alpha of a coarse grid; None where the solve did not converge."""
        results = self._sweeps[_sweep_key(self._asked)]
        return {a: k if s is Status.CONVERGED else None for a, (k, s) in zip(ALPHAS, results, strict=True)}

    def run(self) -> None:
        """Solve anew with what the controls say."""
        with self._working():
            asked = _Asked(self.subject, self.length, self.solver, self.guess, self.alpha)
            self._say("running")
            task = self._task(asked.subject, asked.length)
            program = self._program(asked.subject, asked.length, asked.solver)
            guess = _first_guess(asked.guess, task.teacher[: asked.length])
            found = program(asked.alpha, guess)
            if _sweep_key(asked) not in self._sweeps:
                self._sweeps[_sweep_key(asked)] = self._swept(program, guess)
            self._solved = asked, found
            with self._silently():
                self.iteration_slider.value = min(self.iteration, found.iterations)
                self.iteration_slider.max = found.iterations
            self._paint()
            self._look()

    @property
    def _asked(self) -> _Asked:
        return self._last()[0]

    @property
    def _found(self) -> Iterates:
        return self._last()[1]

    def _last(self) -> tuple[_Asked, Iterates]:
        if self._solved is None:
            raise RuntimeError(f"nothing is solved yet ({self.status}); choose what can be solved")
        return self._solved

    def _make_task(self, subject: str, length: int) -> Task:
        return task_of(self._reconstruction if subject == "trained model" else subject, self._series, length=length)

    def _make_program(self, subject: str, length: int, solver: str) -> Callable[[float, Any], Iterates]:
        task = self._task(subject, length)
        self._say("compiling: a new system, length or solver takes some seconds")
        return newton_program(task, length, solver)

    def _swept(self, program: Callable[[float, Any], Iterates], guess: Any) -> list[tuple[int, Status]]:
        results = []
        for k, alpha in enumerate(ALPHAS, start=1):
            self._say(f"running {k} of {len(ALPHAS)}: alpha {alpha}")
            found = program(alpha, guess)
            results.append((found.iterations, found.status))
        return results

    def _paint(self) -> None:
        """All that does not depend on the iteration; what does is moved by `_look`."""
        found, length = self._found, self._asked.length
        self._sheet = sheet = canvas(10.6, 6.0)
        (orbit, residuals), (heat, sweep) = sheet.subplots(2, 2, width_ratios=(1.7, 1))
        time = np.arange(1, length + 1)
        orbit.plot(time, found.truth[:, 0], **{**plots.DATA.line(), "label": "solution, step by step"})
        (self._line,) = orbit.plot(time, found.truth[:, 0], **{**plots.MODEL.line(), "label": "iterate $k$"})
        spread = np.abs(found.truth[:, 0]).max()
        orbit.set_ylim(-1.6 * spread, 1.6 * spread)
        orbit.margins(x=0.01)
        orbit.legend(loc="upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
        dress(orbit, "time step $t$ (samples)", "first variable (s.d.)")

        plots.convergence(np.where(found.residuals > 0, found.residuals, 1e-8), tolerance=TOLERANCE, ax=residuals)
        (self._dot,) = residuals.plot([0], [1], "s", markersize=11, markerfacecolor="none", color=plots.MODEL.colour)
        residuals.legend().remove()
        residuals.minorticks_off()  # they take a fifth of the time of the whole picture
        residuals.set_title("dashed: tolerance", loc="right", fontsize=9, color=INK)

        errors = np.clip(found.errors, 1e-6, 1e1)
        errors[~np.isfinite(found.errors)] = np.nan
        plots.newton_heatmap(errors, unit="s.d.", ax=heat)
        self._level = heat.axhline(0, color=plots.MODEL.colour, linewidth=2)
        self._paint_sweep(sweep)

    def _paint_sweep(self, ax: Any) -> None:
        results = self._sweeps[_sweep_key(self._asked)]
        alphas = np.array(ALPHAS)
        counts = np.array([k for k, _ in results])
        good = np.array([s is Status.CONVERGED for _, s in results])
        ax.plot(alphas[good], counts[good], marker="D", markersize=5, **plots.ERROR.line())
        top = max(counts[good].max(initial=1), self.iterations) + 1
        ax.plot(alphas[~good], np.full((~good).sum(), top), "x", color=INK, markersize=7)
        ax.axvline(self._asked.alpha, color=plots.MODEL.colour, linewidth=2)
        ax.set_ylim(0, top + 1)
        ax.set_title("x: did not converge", loc="right", fontsize=9, color=INK)
        dress(ax, r"forcing $\alpha$ (0 to 1)", "iterations (count)")

    def _look(self) -> None:
        """Move iterate, mark and level to the iteration that the slider points at."""
        k, found, asked = self.iteration, self._found, self._asked
        self._line.set_ydata(found.states[k][:, 0])
        self._dot.set_data([k], [np.clip(found.residuals[k], 1e-8, 1e30)])
        self._level.set_ydata([k, k])
        self._say(self._ending())
        size = f"{found.residuals[k]:.1e}" if np.isfinite(found.residuals[k]) else "not finite"
        self._show(
            self._sheet,
            f"{self._task(asked.subject, asked.length).name}, alpha {asked.alpha:.2f}, T {asked.length}: "
            f"iteration {k} of {found.iterations}; "
            f"the first {found.solved(k)} steps are right to 0.1 %; residual {size}.",
        )

    def _ending(self) -> str:
        found = self._found
        if found.status is Status.CONVERGED:
            return f"converged in {plural(found.iterations, 'iteration')}"
        return f"did not converge in {plural(found.iterations, 'iteration')}: {found.status.advice}"


def _sweep_key(asked: _Asked) -> tuple[Any, ...]:
    return asked.subject, asked.length, asked.solver, asked.guess


def _first_guess(kind: str, teacher: np.ndarray) -> np.ndarray:
    """By numpy, for which nothing is compiled."""
    if kind == "teacher signal":
        return teacher
    if kind == "all zeros":
        return np.zeros_like(teacher)
    return np.random.default_rng(2).normal(size=teacher.shape).astype(teacher.dtype)
