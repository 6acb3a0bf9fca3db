"""NewtonMicroscope: watch Newton's method bend a whole trajectory at once until it obeys its equation.

Lim, Zhu, Selfridge, Kasim, arXiv 2309.12252 (DEER); Hess, Götz, Durstewitz, arXiv 2605.12683 (with forcing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import Reconstruction, Status, data
from ._canvas import PREPARED, alpha_axis, alpha_slider, axis, describe_slider, hline, line, pack, plot, vline
from ._newton import MOST, SOLVERS, TOLERANCE, Iterates, newton_program
from ._panel import Panel, Setting, Turn, menu, plural
from ._task import SYSTEMS, Task, task_of

__all__ = ["NewtonMicroscope"]

GUESSES = ("all zeros", "teacher signal", "random numbers")
LENGTHS = (100, 300, 1000, 3000)
_FINE, _COARSE = 1500, 500  # time steps that are sent for the solve at hand, and for those prepared for dragging
_SHOWN = (1e-6, 10.0)  # errors, in standard deviations, from the darkest to the brightest colour


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

    Controls: `subject_menu`, `length_menu`, `solver_menu`, `guess_menu`, and below the picture alpha and the iteration
    k. Only a new subject, length or solver compiles. The browser has all iterates: k asks nobody. While alpha is
    dragged it draws solves that were prepared in the background; let go, this alpha itself is solved.

    Args:
        reconstruction: a trained model to look at, beside the known systems.
        series: the recording that teaches it.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.

    >>> panel = NewtonMicroscope(strict=True)                       # doctest: +SKIP
    >>> panel.alpha = 0.3                                           # doctest: +SKIP
    >>> panel.status, panel.iterate.shape                           # doctest: +SKIP
    ('converged in 3 iterations', (1000, 3))
    """

    alpha = Turn("alpha")
    length = Setting("length_menu")
    solver = Setting("solver_menu")
    guess = Setting("guess_menu")
    subject = Setting("subject_menu")
    iteration = Turn("k")

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
        self.length_menu = menu("length T", LENGTHS, 1000)
        self.solver_menu = menu("solver", [*SOLVERS], "DEER")
        self.guess_menu = menu("first guess", GUESSES, GUESSES[0])
        self._task, self._program = self._remembering(self._make_task), self._remembering(self._make_program)
        self._sweeps: dict[tuple[Any, ...], dict[float, tuple[int, Status]]] = {}
        self._framed: tuple[Any, ...] | None = None  # what the prepared frames are of
        self._solved: tuple[_Asked, Iterates] | None = None
        self._arrange((self.subject_menu, self.length_menu), (self.solver_menu, self.guess_menu))
        self._canvas.spec, self._canvas.values = {"sliders": _SLIDERS}, {"alpha": 0.06, "k": 0}
        for control in (self.subject_menu, self.length_menu, self.solver_menu, self.guess_menu):
            self._observe(control, self.run)
        self._observe_turns(alpha=self.run)
        self._attempt(self.run)

    @property
    def iterate(self) -> np.ndarray:
        """`(T, M)`, the iterate that the slider points at, in standard deviations."""
        return self._found.states[min(self.iteration, self.iterations)]

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
        """Iterations for each alpha that is prepared for dragging; None where the solve did not converge."""
        key = _sweep_key(self._asked)
        if key not in self._sweeps:
            self._finish_preparing()
        return {alpha: k if s is Status.CONVERGED else None for alpha, (k, s) in self._sweeps[key].items()}

    def run(self) -> None:
        """Solve anew with what the controls say."""
        with self._working():
            asked = _Asked(self.subject, self.length, self.solver, self.guess, self.alpha)
            self._say("running")
            task = self._task(asked.subject, asked.length)
            program = self._program(asked.subject, asked.length, asked.solver)
            guess = _first_guess(asked.guess, task.teacher[: asked.length])
            found = program(asked.alpha, guess)
            self._solved = asked, found
            self._paint()
            self._say(self._ending())
            if _sweep_key(asked) != self._framed:
                self._prepare(_sweep_key(asked), lambda stop: self._solve_ahead(asked, program, guess, stop))

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

    def _solve_ahead(self, asked: _Asked, program: Any, guess: Any, stop: Callable[[], bool]) -> None:
        """Solve for every alpha of `PREPARED`, the quick ones first, and send what is drawn of it."""
        found: dict[float, Any] = {}
        for count, alpha in enumerate(PREPARED[::-1], start=1):
            if stop():
                return
            solve = program(float(alpha), guess)
            named = _Asked(**{**vars(asked), "alpha": float(alpha)})
            arrays = {name: pack(part) for name, part in _to_arrays(solve, _COARSE).items()}
            found[float(alpha)] = (solve.iterations, solve.status), arrays, self._texts(named, solve)
            if count % 20 == 0 or count == len(PREPARED):
                self._canvas.frames = {
                    "by": "alpha",
                    "at": [*found],
                    "arrays": [arrays for _, arrays, _ in found.values()],
                    "texts": [texts for *_, texts in found.values()],
                }
        self._sweeps[_sweep_key(asked)] = {alpha: found[alpha][0] for alpha in sorted(found)}
        with self._lock:
            if self._solved is not None and _sweep_key(self._asked) == _sweep_key(asked):
                self._framed = _sweep_key(asked)
                self._paint()

    def _paint(self) -> None:
        asked, found = self._last()
        results, arrays = self._sweeps.get(_sweep_key(asked)), _to_arrays(found, _FINE)
        if self._framed not in (None, _sweep_key(asked)):
            self._framed, self._canvas.frames = None, {"by": "", "at": [], "arrays": []}
        if results is not None:
            swept = np.array([*results])
            good = np.array([s is Status.CONVERGED for _, s in results.values()])
            counts = np.array([k for k, _ in results.values()])
            top = counts[good].max(initial=1) + 1
            arrays |= {"swept": swept[good], "counts": counts[good]}
            arrays |= {"failed": swept[~good], "tops": np.full((~good).sum(), top)}
        spread, steps = np.abs(found.truth[:, 0]).max(), (1, asked.length)
        time = axis("time step t (samples)", steps)
        spec = {
            "label": f"Newton microscope: {self._task(asked.subject, asked.length).name}",
            "columns": [1.7, 1],
            "text": "k",
            "sliders": _SLIDERS,
            "plots": [
                plot(
                    *(0, 0, time, axis("first variable (s.d.)", (-1.6 * spread, 1.6 * spread))),
                    line("truth", "data", "t", "step by step"),
                    line("states", "model", "t", "iterate k", row="k"),
                    vline({"array": "front", "slider": "k"}, "forced", label="front of certainty"),
                    note="capped at the edge",
                ),
                plot(
                    *(
                        0,
                        1,
                        axis("iteration k", (-0.3, max(2, found.iterations) + 0.3)),
                    ),
                    axis("residual", _decades(found.residuals), "log"),
                    line("residuals", "error", None, "residual", marker="D", at="k"),
                    hline(TOLERANCE, label="tolerance"),
                ),
                plot(
                    *(1, 0, time, axis("iteration k", None)),
                    {"type": "heat", "z": "errors", "range": _SHOWN, "label": "s.d."},
                    hline({"slider": "k"}, "model", strong=True),
                    note="error of every iterate; hatched: overflow",
                ),
                plot(
                    *(1, 1, alpha_axis(), axis("iterations", (0, MOST + 2))),
                    line("counts", "error", "swept", "iterations", marker="D", size=2),
                    line("tops", "truth", "failed", "did not converge", marker="x", line=False),
                    vline({"slider": "alpha"}, "model", strong=True),
                ),
            ],
        }
        self._draw(spec, arrays, self._texts(asked, found), alpha=asked.alpha, k=min(self.iteration, found.iterations))

    def _texts(self, asked: _Asked, found: Iterates) -> list[str]:
        """One sentence or two for every iterate."""
        name = self._task(asked.subject, asked.length).name
        sizes = [f"{r:.1e}" if np.isfinite(r) else "overflow" for r in found.residuals]
        return [
            f"{name}, alpha {asked.alpha:.3g}, T {asked.length}: iteration {k} of {found.iterations}; "
            f"the first {found.solved(k)} steps are right to 0.1 % (the front of certainty: "
            f"each iteration moves it by one step or more); residual {size}."
            for k, size in enumerate(sizes)
        ]

    def _ending(self) -> str:
        found = self._found
        if found.status is Status.CONVERGED:
            return f"converged in {plural(found.iterations, 'iteration')}"
        return f"did not converge in {plural(found.iterations, 'iteration')}: {found.status.advice}"


_SLIDERS = [alpha_slider(), describe_slider("k", "iteration k", range(MOST + 1), rows="states")]


def _to_arrays(found: Iterates, most: int) -> dict[str, np.ndarray]:
    """What is drawn of a solve, at `most` time steps or fewer; values beyond the axes stay at their edge."""
    length = len(found.truth)
    shown = np.unique(np.linspace(0, length - 1, min(length, most)).astype(int))
    spread = 1.55 * np.abs(found.truth[:, 0]).max()
    with np.errstate(invalid="ignore"):
        states = np.clip(found.states[:, shown, 0], -spread, spread)
    return {
        "t": shown + 1,
        "truth": found.truth[shown, 0],
        "states": states,
        "errors": found.errors[:, shown],
        "residuals": np.clip(found.residuals, 1e-8, 1e30),
        "front": np.array([found.solved(k) for k in range(len(found.states))]),
    }


def _decades(residuals: np.ndarray) -> tuple[float, float]:
    largest = residuals[np.isfinite(residuals)].max(initial=1.0)
    return 1e-8, 10 * min(largest, 1e12)


def _sweep_key(asked: _Asked) -> tuple[Any, ...]:
    return asked.subject, asked.length, asked.solver, asked.guess


def _first_guess(kind: str, teacher: np.ndarray) -> np.ndarray:
    """By numpy, for which nothing is compiled."""
    if kind == "teacher signal":
        return teacher
    if kind == "all zeros":
        return np.zeros_like(teacher)
    return np.random.default_rng(2).normal(size=teacher.shape).astype(teacher.dtype)
