"""Newton's iterates over a whole trajectory, for any alpha, from one compiled program.

    z^(k+1) = one iteration of the solver from z^(k),    until nothing moves, all is rounding, or something overflows

The iterations are the solver's own; here every iterate is kept. alpha and the guess are arguments of the program, so
that only a new length, solver or task compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Status, forcing, solvers
from ..solvers import Problem, solve
from ._task import Task

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MOST", "SOLVERS", "TOLERANCE", "Iterates", "newton_program"]

MOST = 40  # iterations that are kept
TOLERANCE = 1e-5
SOLVERS: dict[str, solvers.Iterative] = {
    "DEER": solvers.DEER(tol=TOLERANCE, max_iterations=MOST),
    "QuasiDEER": solvers.QuasiDEER(tol=TOLERANCE, max_iterations=MOST),
    "ELK": solvers.ELK(tol=TOLERANCE, max_iterations=MOST),
    "Shooting": solvers.Shooting(tol=TOLERANCE, max_sweeps=MOST),
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


def newton_program(task: Task, length: int, solver: str) -> Callable[[float, Any], Iterates]:
    """A function of alpha and guess `(T, M)`; it compiles when it is first called."""
    forced = forcing.force(task.step)
    one = SOLVERS[solver]

    @jax.jit
    def run(alpha: Any, guess: Any) -> tuple:
        inputs = task.inputs(alpha, length)
        problem = Problem(lambda _, z, u: forced(z, u), None, ((), ()), jnp.asarray(task.start), inputs)

        def residual(z: Any) -> Any:
            return jnp.max(jnp.abs(problem.map_steps(z) - z))

        def iteration(carry: tuple) -> tuple:
            state, states, residuals = carry
            state = one.step(problem, state)
            k = state.iterations
            return state, states.at[k].set(state.states), residuals.at[k].set(residual(state.states))

        states = jnp.zeros((MOST + 1, *guess.shape), guess.dtype).at[0].set(guess)
        residuals = jnp.zeros(MOST + 1, guess.dtype).at[0].set(residual(guess))
        begin = (one.init(problem, guess), states, residuals)
        state, states, residuals = jax.lax.while_loop(lambda carry: ~one.done(carry[0]), iteration, begin)
        truth = solve(forced, task.start, inputs, solver=solvers.Sequential()).states
        return state.iterations, states, residuals, truth

    def program(alpha: float, guess: Any) -> Iterates:
        k, states, residuals, truth = (np.asarray(x) for x in run(np.float32(alpha), guess))
        states, residuals = states[: k + 1], residuals[: k + 1]
        return Iterates(states, residuals, truth, _verdict(states[-1], residuals[-1]))

    return program


def _verdict(last: Float[np.ndarray, "time latent"], residual: float) -> Status:
    if not (np.isfinite(last).all() and np.isfinite(residual)):
        return Status.NONFINITE
    return Status.CONVERGED if residual <= TOLERANCE * (1 + np.abs(last).max()) else Status.OUT_OF_ITERATIONS
