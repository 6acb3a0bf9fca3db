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

from .. import forcing, solvers
from ._canvas import ALPHA, ALPHAS, PREPARED, axis, hline, line, plot, vline
from ._panel import Turn, menu
from ._sweep import SweepPanel, choose_steps
from ._task import COMPILE_FAST, SYSTEMS, Task, compile_fast

LENGTHS = (300, 1000)
_FORGOTTEN = -2  # log10: 1 %
_BLOCKS = 10  # of a trajectory, whose exponents scatter as the estimate errs


@dataclass(frozen=True)
class Run:
    """A forced run for one alpha.

    Attributes:
        states: `(T, M)`, the forced solution, in standard deviations.
        growth: `(T,)`, log10 |J_t .. J_1 v|: how far an error of the start has grown after t steps.
        exponent: largest Lyapunov exponent of the forced map along this run, per unit of time.
        error: standard error of the exponent, from ten stretches of the run.
        memory: after how many steps an error of the start has shrunk below 1 % for good; T if it never does.
        count: of DEER's iterations from an all-zero guess, for an alpha; -1 where it did not converge.
    """

    task: Task
    alpha: float
    states: np.ndarray
    growth: np.ndarray
    exponent: float
    error: float
    memory: int
    count: Callable[[Any], Any]

    @property
    def numbers(self) -> tuple[float, ...]:
        return int(self.count(np.float32(self.alpha))), self.exponent

    @property
    def verdict(self) -> str:
        """Chaotic or contracting, where the exponent differs from 0 by 1.5 standard errors."""
        if abs(self.exponent) <= 1.5 * self.error:
            return "idle: neither: the exponent is 0 within its error, errors neither grow nor fade"
        return "idle: chaotic, errors grow" if self.exponent > 0 else "idle: contracting, errors are forgotten"

    @property
    def texts(self) -> list[str]:
        return [
            f"{self.task.name}, alpha {self.alpha:.3g}, T {len(self.growth)}: exponent of the forced map "
            f"{self.exponent:.2f} ± {self.error:.2f} per {self.task.unit}; an error of the start "
            f"is below 1 % after {self.memory} of {len(self.growth)} steps."
        ]

    @property
    def plots(self) -> list[dict[str, Any]]:
        """Forced run and error of the start; what has grown or shrunk beyond the axes stays at their edge."""
        shown, teacher = choose_steps(len(self.growth)), self.task.teacher[:, 0]
        size, time = np.abs(teacher).max(), axis("time step t (samples)", (1, len(self.growth)))
        return [
            plot(
                *(0, 0, time, axis("first variable (s.d.)", (-1.6 * size, 1.6 * size))),
                line(teacher[shown], "data", shown, "data (the teacher)"),
                line(self.states[shown, 0], "forced", shown + 1, "forced run"),
            ),
            plot(
                *(1, 0, time, axis("log10 |J_t .. J_1 v|", (-6, 6))),
                line(np.clip(self.growth[shown], -5.9, 5.9), "error", shown + 1, "error of the start"),
                hline(0, label="as at the start"),
                hline(_FORGOTTEN, "forced", label="1 % of it"),
            ),
        ]


class ForcingDial(SweepPanel):
    """Turn alpha and see the forced trajectory, the product of Jacobians, the exponent, and where DEER converges.

    Controls: `subject`, `length`, and below the picture `alpha`. Arguments and attributes as of every `SweepPanel`:
    `reconstruction` and `series` (a trained model and what teaches it), `strict`, `found`, a `Run`.
    """

    subject, length = menu("system", SYSTEMS), menu("length T", LENGTHS, 1000)
    alpha = Turn("forcing alpha", ALPHAS)
    most = 30

    @property
    def exponents(self) -> np.ndarray:
        """The exponents for 62 alphas: zero, and 0.001 to 1 at equal ratios."""
        return self.prepare()[:, 1]

    @property
    def iterations(self) -> np.ndarray:
        """DEER's iterations for the same alphas, from an all-zero guess; -1 where it did not converge."""
        return self.prepare()[:, 0].astype(int)

    @property
    def critical_alpha(self) -> float | None:
        """Where the exponent first turns negative, by linear interpolation; None if it does not."""
        exponents = self.exponents
        if not (exponents < 0).any():
            return None
        i = max(1, int((exponents < 0).argmax()))
        return float(np.interp(0, -exponents[i - 1 : i + 1], PREPARED[i - 1 : i + 1]))

    def _make_program(self, subject: str, length: int) -> Callable[[float], Run]:
        self._say("compiling: a new system or length takes some seconds")
        task = self._task(subject, length)
        step, zeros = forcing.force(task.step), jnp.zeros_like(task.teacher)
        deer = compile_fast(solvers.DEER(tol=1e-5, max_iterations=self.most))

        # alpha = 1 forgets everything in one step: the logarithm of nothing is minus infinity
        walk = jax.jit(lambda alpha: task.walk(jnp.minimum(alpha, 0.999)), compiler_options=COMPILE_FAST)

        def count(alpha: Any) -> Any:
            answer = solvers.solve(step, task.start, task.inputs(alpha), solver=deer, guess=zeros)
            return jnp.where(answer.code == 0, answer.iterations, -1)

        counter = jax.jit(count, compiler_options=COMPILE_FAST)  # compiled by the sweep, in the background

        ends = np.linspace(0, length - 1, _BLOCKS + 1).astype(int)

        def solve(alpha: float) -> Run:
            states, growth = (np.asarray(part) for part in walk(np.float32(alpha)))
            unit = np.log(10) / task.dt
            rates, above = np.diff(growth[ends]) / np.diff(ends) * unit, np.flatnonzero(growth > _FORGOTTEN)
            exponent, error = float(growth[-1] * unit / length), float(rates.std(ddof=1) / np.sqrt(_BLOCKS))
            return Run(task, alpha, states, growth, exponent, error, int(above.max(initial=-1)) + 1, counter)

        return solve

    def _redraw(self) -> None:
        exponents, note = np.zeros(0), ""
        if self._asked in self._numbers:
            exponents, critical = self.exponents, self.critical_alpha
            note = "never below 0" if critical is None else f"below 0 from alpha {critical:.3g}"
        slopes = plot(
            *(0, 1, ALPHA, axis(f"exponent (1/{self.found.task.unit})", kind="symlog")),
            line(exponents, "error", PREPARED[: len(exponents)], "largest exponent", marker="D", size=2),
            hline(0, label="zero"),
            vline("alpha", "model", strong=True),
            note=note,
        )
        self._draw_answer(f"Forcing dial: {self.found.task.name}", [1.3, 1], slopes)
