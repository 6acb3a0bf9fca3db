"""Multiple shooting: cut time into windows, walk all windows at once, and mend their edges until they meet.

The unknowns are the C window starts s_c. With F_c the map of a whole window,

    s_{c+1} = F_c(s_c),    c = 1..C-1;        s_1 = z_0

1. guess the starts from the teacher signal and walk all windows side by side (T / C steps deep);
2. each window's end is the next window's new start; walk again, but only until the new states have merged with
   the old ones: under forcing an error of the start is forgotten at a rate rho < 1, and the rest stays as it is;
3. where starts are forgotten slowly (slow latent units that are not forced), correct them by Newton's method,
   d_{c+1} = P_c d_c + F_c(s_c) - s_{c+1} with P_c the window's Jacobian product: one small affine scan. On CPUs with
   many latent units these products cost more than going step by step: there it ends as soon as it is hopeless.

After k sweeps the first k windows are exact, so that it always ends. No Jacobian of every step, `T M` numbers of
memory. A batch of trajectories (`vmap`) is so many windows more: all of them are columns of one matrix.

Bock & Plitt, "A multiple shooting algorithm for direct solution of optimal control problems", IFAC 1984;
Lions, Maday, Turinici, "Résolution d'EDP par un schéma en temps pararéel", 2001 (its relative, parareal).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._checks import whole
from ._adjoint import vjp_adjoint
from ._base import Attempt, Problem, Solver, check_cap, default_tolerance, tolerance_for
from ._batching import shared
from ._windows import walk_windows

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["Shooting", "windowed_adjoint"]

_ADJOINT_SWEEPS = 8  # after which one walk step by step costs less


@dataclass(frozen=True)
class Shooting(Solver):
    """Multiple shooting under forcing: two to three walks of `length` steps instead of one of T.

    Args:
        length: steps in a window; `None` chooses from T and the batch (`window_length`).
        tol: the iteration ends when what an edge's mismatch can still change is below `tol * (1 + max |z|)`;
            `None`: 1e-5 in float32, 1e-10 in float64.
        max_sweeps: the cap. Gradients know no cap: where sweeps do not settle, they go step by step.

    >>> import gtfdeer as gd
    >>> solution = gd.solve(lambda z, u: 0.8 * z + u, jnp.zeros(1), jnp.ones((1000, 1)), solver=Shooting())
    >>> solution.status.name, int(solution.iterations)
    ('CONVERGED', 2)
    """

    length: int | None = None
    tol: float | None = None
    max_sweeps: int = 30

    def __post_init__(self) -> None:
        check_cap(self.tol, self.max_sweeps, "max_sweeps")
        if self.length is not None:
            whole(self.length, "length", example="None, for the default")

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> Attempt:
        states, sweeps, settled = walk_windows(
            problem.pure_step,
            problem.constants[0],
            problem.z0,
            problem.inputs,
            guess,
            length=self.length,
            tol=self.tolerance(guess.dtype),
            max_sweeps=self.max_sweeps,
        )
        return Attempt(states, sweeps, settled)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        tol = min(self.tolerance(states.dtype), default_tolerance(states.dtype))
        return windowed_adjoint(problem, states, cotangents, length=self.length, tol=tol)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)


def windowed_adjoint(
    problem: Problem, states: Array, cotangents: Array, *, length: int | None = None, tol: float
) -> Float[Array, "time latent"]:
    """`l_t = g_t + J_{t+1}^T l_{t+1}`: one more recurrence, linear, that forgets as fast; walked the same way.

    Where errors are not forgotten within a few sweeps it goes step by step instead: gradients know no cap.
    """

    def back(constants: PyTree, after: Array, element: tuple) -> Array:  # l_{t+1} to l_t
        z, u, g = element
        return g + jax.vjp(lambda z: problem.pure_step(constants, z, u), z)[1](after)[0]

    # l_t needs J_{t+1}, the Jacobian at z_t under u_{t+1}. l_T needs none: J_T, which is known to exist, times zero.
    at = states.at[-1].set(problem.previous(states)[-1])
    under = jax.tree.map(lambda u: problem.following(u, u[-1]), problem.inputs)
    backwards = jax.tree.map(lambda x: x[::-1], (at, under, cotangents))
    adjoints, _, settled = walk_windows(
        back,
        problem.constants[0],
        jnp.zeros_like(problem.z0),
        backwards,
        backwards[2],
        length=length,
        tol=tol,
        max_sweeps=_ADJOINT_SWEEPS,
        offset=0.0,
    )
    return jax.lax.cond(
        shared(~settled),
        lambda: vjp_adjoint(problem, states, cotangents),
        lambda: adjoints[::-1],
    )
