"""ForcingDial: what alpha does to a chaotic recurrence, from a free run (0) to one-step prediction (1).

    J_t = (1 - alpha) dF/dz,    P_t = J_t .. J_2 J_1,    lambda(alpha) = ln |P_T v| / (T dt)

The forced map is still chaotic while lambda(alpha) > 0; where it turns negative, an error of the start is forgotten,
gradients stop exploding, and Newton's method over the whole trajectory begins to converge.
Hess, Monfared, Brenner, Durstewitz, arXiv 2306.04406; Gonzalez et al., arXiv 2508.16817 (predictability and parallel
convergence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Reconstruction, data, forcing, solvers
from ._canvas import ALPHA, ALPHAS, PREPARED, axis, counts_plot, hline, line, plot, vline
from ._controls import Setting, menu
from ._panel import Panel
from ._task import COMPILE_FAST, SYSTEMS, Task, compile_fast, task_of

LENGTHS = (300, 1000)
_DEER = solvers.DEER(tol=1e-5, max_iterations=30)
_FORGOTTEN = -2  # log10: 1 %
_BLOCKS = 10  # of a trajectory, whose exponents scatter as the estimate errs


@dataclass(frozen=True)
class Run:
    """A forced run for one alpha.

    Attributes:
        states: `(T, M)`, the forced solution, in standard deviations.
        growth: `(T,)`, log10 |J_t .. J_1 v|: how far an error of the start has grown after t steps.
    """

    task: Task
    alpha: float
    states: np.ndarray
    growth: np.ndarray

    @property
    def exponent(self) -> float:
        """Largest Lyapunov exponent of the forced map along this run, per unit of time."""
        return float(self.growth[-1] * np.log(10) / (len(self.growth) * self.task.dt))

    @property
    def error(self) -> float:
        """Standard error of the exponent, from ten stretches of the run."""
        ends = np.linspace(0, len(self.growth) - 1, _BLOCKS + 1).astype(int)
        rates = np.diff(self.growth[ends]) / np.diff(ends) * np.log(10) / self.task.dt
        return float(rates.std(ddof=1) / np.sqrt(_BLOCKS))

    @property
    def memory(self) -> int:
        """After how many steps an error of the start has shrunk below 1 % for good; T if it never does."""
        grown = self.growth > _FORGOTTEN
        return int(len(grown) - grown[::-1].argmax()) if grown.any() else 0

    @property
    def verdict(self) -> str:
        """Chaotic or contracting, where the exponent differs from 0 by 1.5 standard errors."""
        if abs(self.exponent) <= 1.5 * self.error:
            return "neither: the exponent is 0 within its error, errors neither grow nor fade"
        return "chaotic, errors grow" if self.exponent > 0 else "contracting, errors are forgotten"


class ForcingDial(Panel):
    """Turn alpha and see the forced trajectory, the product of Jacobians, the exponent, and where DEER converges.

    Controls: `subject`, `length`, and below the picture `alpha`, which never compiles: 62 values are computed at once
    for each system and length, and drawn while alpha is dragged.

    Args:
        reconstruction, series: a trained model and the recording that teaches it, beside the known systems.
        strict: as for every panel.

    Attributes:
        found: the `Run` that is shown.
    """

    subject, length, alpha = Setting(), Setting(), Setting()

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
        self._program = self._remembering(self._make_program)
        self._swept: dict[tuple[str, int], list[Run]] = {}
        self._counts: dict[tuple[str, int], np.ndarray] = {}
        self._framed: tuple[str, int] | None = None
        self._add(self.run, subject=menu("system", [*self._subjects, *SYSTEMS]), length=menu("length T", LENGTHS, 1000))
        turn = {"name": "alpha", "label": "forcing alpha", "stops": ALPHAS}
        self._add_turns(self.run, turn, alpha=0.0)
        self._attempt(self.run)

    @property
    def exponents(self) -> np.ndarray:
        """The exponents for 62 alphas: zero, and 0.001 to 1 at equal ratios."""
        return np.array([run.exponent for run in self._swept[self._key]])

    @property
    def iterations(self) -> np.ndarray:
        """DEER's iterations for the same alphas, from an all-zero guess; -1 where it did not converge."""
        if self._key not in self._counts:
            self._finish_preparing()
        return self._counts[self._key]

    @property
    def critical_alpha(self) -> float | None:
        """Where the exponent first turns negative, by linear interpolation; None if it does not."""
        exponents = self.exponents
        if not (exponents < 0).any():
            return None
        i = int((exponents < 0).argmax())
        if i == 0:
            return 0.0
        high, low = exponents[i - 1], exponents[i]
        return float(PREPARED[i - 1] + (PREPARED[i] - PREPARED[i - 1]) * high / (high - low))

    def run(self) -> None:
        """Compute anew with what the controls say."""
        with self._settled():
            key, alpha = (self.subject, self.length), self.alpha
            self._say("running")
            follow, count = self._program(*key)
            (shown,) = follow([alpha])
            if key not in self._swept:
                self._swept[key] = follow(PREPARED)
            self._key, self.found = key, shown
            if key != self._framed:
                self._framed = key
                self._set_frames({r.alpha: (_draw_run(r), [self._describe(r)]) for r in self._swept[key]})
            self._redraw()
            self._say(f"idle: {shown.verdict}")
            if key not in self._counts:
                self._prepare(lambda stop: self._count(key, count, stop))

    def _make_program(self, subject: str, length: int) -> tuple[Callable[..., list[Run]], Callable[[Any], Any]]:
        self._say("compiling: a new system or length takes some seconds")
        task = task_of(self._subjects.get(subject, subject), self._series, length=length)
        walk = jax.jit(jax.vmap(task.walk))

        def follow(alphas: Any) -> list[Run]:
            # alpha = 1 forgets everything in one step: the logarithm of nothing is minus infinity
            found = map(np.asarray, walk(np.minimum(np.asarray(alphas, np.float32), np.float32(0.999))))
            return [Run(task, float(a), s, g) for a, s, g in zip(alphas, *found, strict=True)]

        def count(alpha: Any) -> Any:
            zeros = jnp.zeros_like(task.teacher)
            answer = solvers.solve(
                forcing.force(task.step), task.start, task.inputs(alpha), solver=compile_fast(_DEER), guess=zeros
            )
            return jnp.where(answer.code == 0, answer.iterations, -1)

        return follow, jax.jit(count, compiler_options=COMPILE_FAST)

    def _count(self, key: tuple[str, int], count: Callable[[Any], Any], stop: Callable[[], bool]) -> None:
        """DEER's iterations for all alphas, the quick ones first."""
        found: list[int] = []
        for alpha in PREPARED[::-1]:
            if stop():
                return
            found.append(int(count(alpha)))
        with self._lock:
            self._counts[key] = np.array(found[::-1])
            if key == self._key:
                self._redraw()

    def _redraw(self) -> None:
        task = self.found.task
        slopes = plot(
            *(0, 1, ALPHA, axis(f"exponent (1/{task.unit})", kind="symlog")),
            line(self.exponents, "error", PREPARED, "largest exponent", marker="D", size=2),
            hline(0, label="zero"),
            vline("alpha", "model", strong=True),
        )
        moves = counts_plot("DEER iterations", self._counts.get(self._key, []), _DEER.max_iterations)
        plots, texts = [*_draw_run(self.found), slopes, moves], [self._describe(self.found)]
        self._draw(f"Forcing dial: {task.name}", [1.3, 1], plots, texts)

    def _describe(self, run: Run) -> str:
        critical = self.critical_alpha
        turn = "never turns negative" if critical is None else f"turns negative at alpha {critical:.3g}"
        return (
            f"{run.task.name}, alpha {run.alpha:.3g}, T {len(run.growth)}: exponent of the forced map "
            f"{run.exponent:.2f} ± {run.error:.2f} per {run.task.unit} (it {turn}); an error of the start "
            f"is below 1 % after {run.memory} of {len(run.growth)} steps."
        )


def _draw_run(run: Run) -> list[dict[str, Any]]:
    """Forced run and error of the start; what has grown or shrunk beyond the axes stays at their edge."""
    teacher, t = run.task.teacher[:, 0], np.arange(1, len(run.growth) + 1)
    size, time = np.abs(teacher).max(), axis("time step t (samples)", (1, len(t)))
    return [
        plot(
            *(0, 0, time, axis("first variable (s.d.)", (-1.6 * size, 1.6 * size))),
            line(teacher[1:], "data", t[:-1], "data (the teacher)"),
            line(run.states[:, 0], "forced", t, "forced run"),
        ),
        plot(
            *(1, 0, time, axis("log10 |J_t .. J_1 v|", (-6, 6))),
            line(np.clip(run.growth, -5.9, 5.9), "error", t, "error of the start"),
            hline(0, label="as at the start"),
            hline(_FORGOTTEN, "forced", label="1 % of it"),
        ),
    ]
