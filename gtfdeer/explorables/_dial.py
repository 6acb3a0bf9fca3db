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
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Reconstruction, data, forcing, plots, solvers
from ..plots import INK, dress
from ..solvers import solve
from ._panel import Panel, Setting, canvas, menu, slider
from ._task import SYSTEMS, Task, task_of

__all__ = ["ForcingDial"]

LENGTHS = (300, 1000)
GRID = np.array((0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95), np.float32)
_DEER = solvers.DEER(tol=1e-5, max_iterations=30)
_FORGOTTEN = 0.01


@dataclass(frozen=True)
class _Shown:
    """What was computed, and for which controls.

    Attributes:
        states: `(T, M)`, the forced solution.
        growth: `(T,)`, log10 |J_t .. J_1 v|.
        exponents, iterations: for the alphas of `GRID`.
    """

    task: Task
    length: int
    alpha: float
    states: np.ndarray
    growth: np.ndarray
    exponents: np.ndarray
    iterations: np.ndarray


class ForcingDial(Panel):
    """Turn alpha and see the forced trajectory, the product of Jacobians, the exponent, and where DEER converges.

    Controls: `subject_menu`, `length_menu`, `alpha_slider`; alpha never compiles.

    Args:
        reconstruction, series: a trained model and the recording that teaches it, beside the known systems.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.
    """

    alpha = Setting("alpha_slider")
    length = Setting("length_menu")
    subject = Setting("subject_menu")

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
        self.alpha_slider = slider("forcing alpha", 0.0, 0.0, 1.0, 0.01)
        self._task, self._program = self._remembering(self._make_task), self._remembering(self._make_program)
        self._sweeps: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._computed: _Shown | None = None
        self._arrange((self.subject_menu, self.length_menu), (self.alpha_slider,))
        for control in (self.subject_menu, self.length_menu, self.alpha_slider):
            self._observe(control, self.run)
        self._attempt(self.run)

    @property
    def trajectory(self) -> np.ndarray:
        """`(T, M)`, the forced solution, in standard deviations."""
        return self._shown.states

    @property
    def products(self) -> np.ndarray:
        """`(T,)`, log10 |J_t .. J_1 v|: how far an error of the start has grown after t steps."""
        return self._shown.growth

    @property
    def memory(self) -> int:
        """After how many steps an error of the start has shrunk below 1 % for good; T if it never does."""
        growth = self.products
        grown = growth > np.log10(_FORGOTTEN)
        return int(len(grown) - grown[::-1].argmax()) if grown.any() else 0

    @property
    def exponent(self) -> float:
        """Largest Lyapunov exponent of the forced map along this trajectory, per unit of time."""
        shown = self._shown
        return float(shown.growth[-1] * np.log(10) / (shown.length * shown.task.dt))

    @property
    def exponents(self) -> np.ndarray:
        """The same for the alphas of `GRID`."""
        return self._shown.exponents

    @property
    def iterations(self) -> np.ndarray:
        """DEER's iterations for the alphas of `GRID`, from an all-zero guess; -1 where it did not converge."""
        return self._shown.iterations

    @property
    def critical_alpha(self) -> float | None:
        """Where the exponent first turns negative, by linear interpolation; None if it does not."""
        exponents = self.exponents
        below = np.flatnonzero(exponents < 0)
        if not below.size:
            return None
        i = below[0]
        if i == 0:
            return 0.0
        high, low = exponents[i - 1], exponents[i]
        return float(GRID[i - 1] + (GRID[i] - GRID[i - 1]) * high / (high - low))

    def run(self) -> None:
        """Compute anew with what the controls say."""
        with self._working():
            subject, length, alpha = self.subject, self.length, self.alpha
            self._say("running")
            follow = self._program(subject, length)
            if (subject, length) not in self._sweeps:
                slopes, counts = _sweep(self._task(subject, length), length)(GRID)  # once, so not kept
                self._sweeps[subject, length] = (np.asarray(slopes), np.asarray(counts))
            # alpha = 1 forgets everything in one step: the logarithm of nothing is minus infinity
            states, growth = (np.asarray(x) for x in follow(np.float32(min(alpha, 0.999))))
            task = self._task(subject, length)
            self._computed = _Shown(task, length, alpha, states, growth, *self._sweeps[subject, length])
            self._paint()
            self._say("idle: chaotic, errors grow" if self.exponent > 0 else "idle: contracting, errors are forgotten")

    @property
    def _shown(self) -> _Shown:
        if self._computed is None:
            raise RuntimeError(f"nothing is computed yet ({self.status}); choose what can be computed")
        return self._computed

    def _make_task(self, subject: str, length: int) -> Task:
        return task_of(self._reconstruction if subject == "trained model" else subject, self._series, length=length)

    def _make_program(self, subject: str, length: int) -> Callable[[Any], tuple[Any, Any]]:
        task = self._task(subject, length)
        self._say("compiling: a new system or length takes some seconds")
        return jax.jit(partial(_follow, task, length))

    def _paint(self) -> None:
        sheet, shown = canvas(10.6, 6.0), self._shown
        (orbit, product), (slope, count) = sheet.subplots(2, 2, width_ratios=(1.3, 1))
        time = np.arange(1, shown.length + 1)
        teacher = shown.task.teacher[: shown.length]
        orbit.plot(time, np.append(teacher[1:, 0], np.nan), **{**plots.DATA.line(), "label": "data (the teacher)"})
        orbit.plot(time, shown.states[:, 0], **{**plots.FORCED.line(), "label": "forced run", "linewidth": 1.8})
        spread = np.abs(teacher[:, 0]).max()
        orbit.set_ylim(-1.6 * spread, 1.6 * spread)
        orbit.legend(loc="upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
        orbit.margins(x=0.01)
        dress(orbit, "time step $t$ (samples)", "first variable (s.d.)")

        product.plot(time, shown.growth, **plots.ERROR.line())
        product.axhline(0, **plots.TRUTH.line())
        product.axhline(np.log10(_FORGOTTEN), color=plots.FORCED.colour, linestyle=":", linewidth=1.2)
        if self.memory < shown.length:
            product.axvline(self.memory, color=plots.FORCED.colour, linestyle=":", linewidth=1.2)
        product.set_ylim(np.clip(shown.growth.min(), -40, -3), max(3, min(shown.growth.max() + 1, 40)))
        product.set_title("dashed: as large as at the start; dotted: 1 % of it", loc="right", fontsize=9, color=INK)
        dress(product, "time step $t$ (samples)", r"$\log_{10}\,|J_t \cdots J_1 v|$")

        slope.plot(GRID, self.exponents, marker="D", markersize=4, **plots.ERROR.line())
        slope.axhline(0, **plots.TRUTH.line())
        slope.axvline(shown.alpha, color=plots.FORCED.colour, linewidth=2)
        slope.set_yscale("symlog", linthresh=1)
        dress(slope, r"forcing $\alpha$ (0 to 1)", "exponent (1/time)")
        good = self.iterations >= 0
        count.plot(GRID[good], self.iterations[good], marker="D", markersize=5, **plots.ERROR.line())
        top = self.iterations.max(initial=2) + 1
        count.plot(GRID[~good], np.full((~good).sum(), top), "x", color=INK, markersize=7)
        count.axvline(shown.alpha, color=plots.FORCED.colour, linewidth=2)
        count.set_ylim(0, top + 1)
        count.set_title("x: DEER did not converge", loc="right", fontsize=9, color=INK)
        dress(count, r"forcing $\alpha$ (0 to 1)", "DEER iterations (count)")
        critical = self.critical_alpha
        turn = "never turns negative" if critical is None else f"turns negative at alpha {critical:.3f}"
        self._show(
            sheet,
            f"{shown.task.name}, alpha {shown.alpha:.2f}, T {shown.length}: exponent of the forced map "
            f"{self.exponent:.2f} per unit of time (it {turn}); an error of the start is below 1 % after "
            f"{self.memory} of {shown.length} steps.",
        )


def _follow(task: Task, length: int, alpha: Any) -> tuple[Any, Any]:
    """The forced trajectory, and the logarithm of a tangent vector's length after every step."""
    forced = forcing.force(task.step)
    direction = jnp.ones_like(task.start) / jnp.sqrt(len(task.start))

    def step(carry: tuple, inputs: Any) -> tuple[tuple, tuple]:
        z, v, grown = carry
        z, v = jax.jvp(lambda z: forced(z, inputs), (z,), (v,))
        size = jnp.maximum(jnp.linalg.norm(v), 1e-30)
        grown = grown + jnp.log10(size)
        return (z, v / size, grown), (z, grown)

    return jax.lax.scan(step, (task.start, direction, 0.0), task.inputs(alpha, length))[1]


def _sweep(task: Task, length: int) -> Callable[[Any], tuple[Any, Any]]:
    """For many alphas: the exponent, and DEER's iterations from an all-zero guess."""
    forced = forcing.force(task.step)

    def measure(alpha: Any) -> tuple[Any, Any]:
        inputs = task.inputs(alpha, length)
        answer = solve(forced, task.start, inputs, solver=_DEER, guess=jnp.zeros_like(task.teacher[:length]))
        slope = _follow(task, length, alpha)[1][-1] * jnp.log(10.0) / (length * task.dt)
        return slope, jnp.where(answer.code == 0, answer.iterations, -1)

    return jax.jit(lambda alphas: jax.lax.map(measure, alphas))
