"""Newton's iterates over a whole trajectory, for any alpha, from one compiled program.

    z^(k+1) = one iteration of the solver from z^(k),    until nothing moves, all is rounding, or something overflows

The stopping rule is that of `gtfdeer.solve`; here every iterate is kept. alpha and the guess are arguments of the
program, so that only a new length, solver or task compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import Status, forcing, solvers
from ..solvers import Problem, solve
from ._task import Task

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["MOST", "SOLVERS", "TOLERANCE", "Iterates", "newton_program"]

MOST = 40  # iterations that are kept
TOLERANCE = 1e-5
# one iteration each: the program below counts them
SOLVERS: dict[str, solvers.Solver] = {
    "DEER": solvers.DEER(tol=TOLERANCE, max_iterations=1),
    "QuasiDEER": solvers.QuasiDEER(tol=TOLERANCE, max_iterations=1),
    "ELK": solvers.ELK(tol=TOLERANCE, max_iterations=1),
    "Shooting": solvers.Shooting(tol=TOLERANCE, max_sweeps=1),
}


@dataclass(frozen=True)
class Iterates:
    """What one solve went through, K iterations.

    Attributes:
        states: `(K + 1, T, M)`, the guess first.
        residuals: `(K + 1,)`, largest violation of the step equation.
        truth: `(T, M)`, computed step by step.
        status: how it ended.
    """

    states: Float[np.ndarray, "iterate time latent"]
    residuals: Float[np.ndarray, " iterate"]
    truth: Float[np.ndarray, "time latent"]
    status: Status

    @property
    def iterations(self) -> int:
        return len(self.states) - 1

    @property
    def errors(self) -> Float[np.ndarray, "iterate time"]:
        """Distance of every iterate from the truth, largest unit."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.abs(self.states - self.truth).max(axis=2)

    def solved(self, k: int) -> int:
        """How many steps from the beginning the iterate k has right."""
        wrong = ~(self.errors[k] <= 1e-3 * (1 + np.abs(self.truth).max()))
        return int(wrong.argmax()) if wrong.any() else len(wrong)


class _Move(NamedTuple):
    """One iteration: where it leads, its residual, the solver's own memory, and what the count and the end rest on."""

    states: Array
    residual: Array
    damping: Array
    accepted: Any
    counted: Array


def newton_program(task: Task, length: int, solver: str) -> Callable[[float, Any], Iterates]:
    """A function of alpha and guess `(T, M)`; it compiles when it is first called."""
    forced = forcing.force(task.step)
    one = SOLVERS[solver]

    def residual(z: Any, inputs: Any) -> Any:
        return jnp.max(jnp.abs(_problem(forced, task.start, inputs).images(z) - z))

    def move(z: Any, damping: Any, inputs: Any) -> _Move:
        if isinstance(one, solvers.ELK):  # its damping goes on from one iteration to the next
            return _damped(one, _problem(forced, task.start, inputs), z, damping)
        answer = solve(forced, task.start, inputs, solver=one, guess=z)
        return _Move(answer.states, answer.residual, damping, True, answer.iterations)

    @jax.jit
    def run(alpha: Any, guess: Any) -> tuple:
        inputs = task.inputs(alpha, length)

        def unfinished(carry: tuple) -> Any:
            k, *_, done = carry
            return ~done & (k < MOST)

        def iteration(carry: tuple) -> tuple:
            k, z, damping, states, residuals, _ = carry
            new = move(z, damping, inputs)
            moved, size = jnp.max(jnp.abs(new.states - z)), 1 + jnp.max(jnp.abs(new.states))
            k = k + new.counted
            still = (new.counted == 0) | (new.accepted & (moved <= TOLERANCE * size))
            done = still | ~jnp.isfinite(jnp.sum(new.states)) | ~jnp.isfinite(new.residual)
            states, residuals = states.at[k].set(new.states), residuals.at[k].set(new.residual)
            return k, new.states, new.damping, states, residuals, done

        states = jnp.zeros((MOST + 1, *guess.shape), guess.dtype).at[0].set(guess)
        residuals = jnp.zeros(MOST + 1, guess.dtype).at[0].set(residual(guess, inputs))
        damping = jnp.asarray(one.damping if isinstance(one, solvers.ELK) else 0.0, guess.dtype)
        first = (jnp.asarray(0), guess, damping, states, residuals, jnp.asarray(False))
        k, _, _, states, residuals, _ = jax.lax.while_loop(unfinished, iteration, first)
        truth = solve(forced, task.start, inputs, solver=solvers.Sequential()).states
        return k, states, residuals, truth

    def program(alpha: float, guess: Any) -> Iterates:
        k, states, residuals, truth = (np.asarray(x) for x in run(np.float32(alpha), guess))
        states, residuals = states[: k + 1], residuals[: k + 1]
        return Iterates(states, residuals, truth, _verdict(states[-1], residuals[-1]))

    return program


def _problem(step: Callable[[Any, Any], Any], start: Any, inputs: Any) -> Problem:
    return Problem(lambda _, z, u: step(z, u), None, ((), ()), start, inputs)


def _damped(elk: solvers.ELK, problem: Problem, z: Array, damping: Array) -> _Move:
    """One iteration of ELK, as `ELK.run` does it: a move that lowers no residual is not taken, but counts."""
    r = problem.images(z) - z
    new = elk.move(problem, z, r, damping)
    after = problem.images(new) - new
    better = jnp.sum(after**2) < jnp.sum(r**2)  # false for NaN
    damping = jnp.maximum(jnp.where(better, damping / elk.change, damping * elk.change), 1e-30)
    rounding = 4 * jnp.finfo(z.dtype).eps * (1 + jnp.max(jnp.abs(z)))
    counted = jnp.where(jnp.max(jnp.abs(r)) > rounding, 1, 0)
    return _Move(jnp.where(better, new, z), jnp.max(jnp.abs(jnp.where(better, after, r))), damping, better, counted)


def _verdict(last: Float[np.ndarray, "time latent"], residual: float) -> Status:
    if not (np.isfinite(last).all() and np.isfinite(residual)):
        return Status.NONFINITE
    return Status.CONVERGED if residual <= TOLERANCE * (1 + np.abs(last).max()) else Status.OUT_OF_ITERATIONS
