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

from .. import Reconstruction, data, forcing, solvers
from ..solvers import solve
from ._canvas import PREPARED, alpha_axis, alpha_slider, axis, hline, line, pack, plot, vline
from ._panel import Panel, Setting, Turn, menu
from ._task import SYSTEMS, Task, task_of

__all__ = ["ForcingDial"]

LENGTHS = (300, 1000)
_DEER = solvers.DEER(tol=1e-5, max_iterations=30)
_FORGOTTEN = 0.01
_BLOCKS = 10  # of a trajectory, whose exponents scatter as the estimate errs


@dataclass(frozen=True)
class _Shown:
    """What was computed, and for which controls.

    Attributes:
        states: `(T, M)`, the forced solution.
        growth: `(T,)`, log10 |J_t .. J_1 v|.
    """

    task: Task
    length: int
    alpha: float
    states: np.ndarray
    growth: np.ndarray

    @property
    def exponent(self) -> tuple[float, float]:
        """Largest exponent per unit of time, and its standard error from ten stretches of the trajectory."""
        ends = np.linspace(0, self.length - 1, _BLOCKS + 1).astype(int)
        rates = np.diff(self.growth[ends]) / np.diff(ends) * np.log(10) / self.task.dt
        whole = self.growth[-1] * np.log(10) / (self.length * self.task.dt)
        return float(whole), float(rates.std(ddof=1) / np.sqrt(_BLOCKS))

    @property
    def memory(self) -> int:
        """After how many steps an error of the start has shrunk below 1 % for good; T if it never does."""
        grown = self.growth > np.log10(_FORGOTTEN)
        return int(len(grown) - grown[::-1].argmax()) if grown.any() else 0

    @property
    def verdict(self) -> str:
        """Chaotic or contracting, where the exponent differs from 0 by 1.5 standard errors."""
        slope, error = self.exponent
        if abs(slope) <= 1.5 * error:
            return "neither: the exponent is 0 within its error, errors neither grow nor fade"
        return "chaotic, errors grow" if slope > 0 else "contracting, errors are forgotten"


class ForcingDial(Panel):
    """Turn alpha and see the forced trajectory, the product of Jacobians, the exponent, and where DEER converges.

    Controls: `subject_menu`, `length_menu`, and below the picture alpha, which never compiles: 62 values are computed
    at once for each system and length, and drawn while alpha is dragged.

    Args:
        reconstruction, series: a trained model and the recording that teaches it, beside the known systems.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.
    """

    alpha = Turn("alpha")
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
        self._task, self._program = self._remembering(self._make_task), self._remembering(self._make_program)
        self._slopes: dict[tuple[str, int], np.ndarray] = {}
        self._counts: dict[tuple[str, int], np.ndarray] = {}
        self._frames: dict[tuple[str, int], dict[str, Any]] = {}
        self._computed: _Shown | None = None
        self._arrange((self.subject_menu, self.length_menu))
        self._canvas.spec, self._canvas.values = {"sliders": [alpha_slider()]}, {"alpha": 0.0}
        for control in (self.subject_menu, self.length_menu):
            self._observe(control, self.run)
        self._observe_turns(alpha=self.run)
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
        return self._shown.memory

    @property
    def exponent(self) -> float:
        """Largest Lyapunov exponent of the forced map along this trajectory, per unit of time."""
        return self._shown.exponent[0]

    @property
    def exponent_error(self) -> float:
        """Standard error of `exponent`, from ten stretches of the trajectory."""
        return self._shown.exponent[1]

    @property
    def alphas(self) -> np.ndarray:
        """`(62,)`, zero and 0.001 to 1 at equal ratios: where `exponents` and `iterations` are known."""
        return PREPARED

    @property
    def exponents(self) -> np.ndarray:
        """The exponents for `alphas`."""
        return self._slopes[self._key]

    @property
    def iterations(self) -> np.ndarray:
        """DEER's iterations for `alphas`, from an all-zero guess; -1 where it did not converge."""
        if self._key not in self._counts:
            self._finish_preparing()
        return self._counts[self._key]

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
        return float(PREPARED[i - 1] + (PREPARED[i] - PREPARED[i - 1]) * high / (high - low))

    def run(self) -> None:
        """Compute anew with what the controls say."""
        with self._working():
            subject, length, alpha = self.subject, self.length, self.alpha
            self._say("running")
            task, follow = self._task(subject, length), self._program(subject, length)
            # alpha = 1 forgets everything in one step: the logarithm of nothing is minus infinity
            states, growth = (np.asarray(x) for x in follow(np.array([min(alpha, 0.999)], np.float32)))
            self._computed = _Shown(task, length, alpha, states[0], growth[0])
            if self._key not in self._slopes:
                states, growth = (np.asarray(x) for x in follow(np.minimum(PREPARED, np.float32(0.999))))
                shown = [_Shown(task, length, float(a), s, g) for a, s, g in zip(PREPARED, states, growth, strict=True)]
                self._slopes[self._key] = np.array([each.exponent[0] for each in shown])
                self._frames[self._key] = {
                    "by": "alpha",
                    "at": [each.alpha for each in shown],
                    "arrays": [{name: pack(part) for name, part in _to_arrays(each).items()} for each in shown],
                    "texts": [[self._text(each)] for each in shown],
                }
            self._canvas.frames = self._frames[self._key]
            self._paint()
            self._say(f"idle: {self._shown.verdict}")
            if self._key not in self._counts:
                self._prepare(self._key, partial(self._count, self._key, task))

    def _count(self, key: tuple[str, int], task: Task, stop: Callable[[], bool]) -> None:
        """DEER's iterations for all alphas, the quick ones first."""
        count, found = _counter(task, key[1]), []
        for alpha in PREPARED[::-1]:
            if stop():
                return
            found.append(int(count(alpha)))
        self._counts[key] = np.array(found[::-1])
        with self._lock:
            if key == self._key:
                self._paint()

    @property
    def _key(self) -> tuple[str, int]:
        return self.subject, self.length

    @property
    def _shown(self) -> _Shown:
        if self._computed is None:
            raise RuntimeError(f"nothing is computed yet ({self.status}); choose what can be computed")
        return self._computed

    def _make_task(self, subject: str, length: int) -> Task:
        return task_of(self._reconstruction if subject == "trained model" else subject, self._series, length=length)

    def _make_program(self, subject: str, length: int) -> Callable[[Any], tuple[Any, Any]]:
        self._say("compiling: a new system or length takes some seconds")
        return jax.jit(jax.vmap(partial(_follow, self._task(subject, length), length)))

    def _paint(self) -> None:
        shown, slopes = self._shown, self._slopes[self._key]
        teacher = shown.task.teacher[: shown.length, 0]
        arrays = {**_to_arrays(shown), "t": np.arange(1, shown.length + 1), "alphas": PREPARED, "slopes": slopes}
        arrays["teacher"] = np.append(teacher[1:], np.nan)
        counts = self._counts.get(self._key)
        if counts is not None:
            good = counts >= 0
            arrays |= {"counted": PREPARED[good], "counts": counts[good], "failed": PREPARED[~good]}
            arrays["tops"] = np.full((~good).sum(), counts.max(initial=2) + 1)
        spread, time = np.abs(teacher).max(), axis("time step t (samples)", (1, shown.length))
        unit = shown.task.unit
        spec = {
            "label": f"Forcing dial: {shown.task.name}",
            "columns": [1.3, 1],
            "sliders": [alpha_slider()],
            "plots": [
                plot(
                    *(0, 0, time, axis("first variable (s.d.)", (-1.6 * spread, 1.6 * spread))),
                    line("teacher", "data", "t", "data (the teacher)"),
                    line("states", "forced", "t", "forced run"),
                ),
                plot(
                    *(0, 1, alpha_axis(), axis(f"exponent (1/{unit})", kind="symlog")),
                    line("slopes", "error", "alphas", "largest exponent", marker="D", size=2),
                    hline(0, label="zero"),
                    vline({"slider": "alpha"}, "model", strong=True),
                ),
                plot(
                    *(1, 0, time, axis("log10 |J_t .. J_1 v|", (-6, 6))),
                    line("growth", "error", "t", "error of the start"),
                    hline(0, label="as at the start"),
                    hline(np.log10(_FORGOTTEN), "forced", label="1 % of it"),
                ),
                plot(
                    *(1, 1, alpha_axis(), axis("DEER iterations", (0, _DEER.max_iterations + 2))),
                    line("counts", "error", "counted", "DEER", marker="D", size=2),
                    line("tops", "truth", "failed", "did not converge", marker="x", line=False),
                    vline({"slider": "alpha"}, "model", strong=True),
                ),
            ],
        }
        self._draw(spec, arrays, [self._text(shown)], alpha=shown.alpha)

    def _text(self, shown: _Shown) -> str:
        slope, error = shown.exponent
        critical = self.critical_alpha
        turn = "never turns negative" if critical is None else f"turns negative at alpha {critical:.3g}"
        return (
            f"{shown.task.name}, alpha {shown.alpha:.3g}, T {shown.length}: exponent of the forced map {slope:.2f} "
            f"± {error:.2f} per {shown.task.unit} (it {turn}); an error of the start is below 1 % after "
            f"{shown.memory} of {shown.length} steps."
        )


def _to_arrays(shown: _Shown) -> dict[str, np.ndarray]:
    """What is drawn of one alpha; what has grown or shrunk beyond the axes stays at their edge."""
    return {"states": shown.states[:, 0], "growth": np.clip(shown.growth, -5.9, 5.9)}


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


def _counter(task: Task, length: int) -> Callable[[Any], Any]:
    """DEER's iterations from an all-zero guess as a function of alpha; -1 where it does not converge."""
    forced = forcing.force(task.step)

    def count(alpha: Any) -> Any:
        inputs = task.inputs(alpha, length)
        answer = solve(forced, task.start, inputs, solver=_DEER, guess=jnp.zeros_like(task.teacher[:length]))
        return jnp.where(answer.code == 0, answer.iterations, -1)

    return jax.jit(count)
