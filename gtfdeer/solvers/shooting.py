"""Multiple shooting: cut time into windows, walk all windows at once, and mend their edges until they meet.

The unknowns are the C window starts s_c. With F_c the map of a whole window,

    s_{c+1} = F_c(s_c),    c = 1..C-1;        s_1 = z_0

1. guess the starts from the teacher signal and walk all windows side by side (T / C steps deep);
2. each window's end is the next window's new start; walk again, but only until the new states have merged with
   the old ones: under forcing an error of the start is forgotten at a rate rho < 1, and the rest stays as it is;
3. where starts are forgotten slowly (slow latent units that are not forced), correct them by Newton's method,
   d_{c+1} = P_c d_c + F_c(s_c) - s_{c+1} with P_c the window's Jacobian product: one small affine scan.

After k sweeps the first k windows are exact, so that it always ends. No Jacobian of every step, `T M` numbers of
memory. Bock & Plitt, "A multiple shooting algorithm for direct solution of optimal control problems", IFAC 1984;
Lions, Maday, Turinici, "Résolution d'EDP par un schéma en temps pararéel", 2001 (its relative, parareal).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import scan
from .base import Attempt, Problem, Solver, check_cap, default_tolerance, shared, tolerance_for
from .gradient import vjp_adjoint
from .share import Share

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["Shooting", "walk_windows", "windowed_adjoint"]

_STRIDE = 8  # steps between two looks at whether new and old states have merged
_ADJOINT_SWEEPS = 8  # after which one walk step by step costs less
_SLOW = 0.1  # a plain sweep that leaves more than this share of the mismatch calls for a Newton correction


@dataclass(frozen=True)
class Shooting(Solver):
    """Multiple shooting under forcing: two to three walks of `length` steps instead of one of T.

    Args:
        length: steps in a window; `None` chooses from T (`window_length`).
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
        check_cap(self.tol, self.max_sweeps)
        if self.length is not None and self.length < 1:
            raise ValueError(f"length is {self.length}; pass a number of steps of at least 1, or None")

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> Attempt:
        return walk_windows(
            problem.step,
            problem.z0,
            problem.inputs,
            guess,
            share=problem.share,
            length=self._length(problem.length),
            tol=self.tolerance(guess.dtype),
            max_sweeps=self.max_sweeps,
        )

    def improve(self, problem: Problem, states: Float[Array, "time latent"]) -> Float[Array, "time latent"]:
        return walk_windows(
            problem.step,
            problem.z0,
            problem.inputs,
            states,
            share=problem.share,
            length=self._length(problem.length),
            tol=math.inf,
            max_sweeps=1,
        ).states

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        tol = min(self.tolerance(states.dtype), default_tolerance(states.dtype))
        return windowed_adjoint(problem, states, cotangents, length=self.length, tol=tol)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)

    def numbers_per_step(self, length: int, latent_dim: int, *, gradient: bool) -> float:
        return (14.5 if gradient else 5) * latent_dim

    def _length(self, steps: int) -> int:
        return min(steps, self.length or window_length(steps))


def window_length(steps: int) -> int:
    """Windows long enough that mending their edges is cheap, short enough that many run side by side."""
    return max(64, min(256, math.isqrt(steps)))


def windowed_adjoint(
    problem: Problem, states: Array, cotangents: Array, *, length: int | None = None, tol: float
) -> Float[Array, "time latent"]:
    """`l_t = g_t + J_{t+1}^T l_{t+1}`: one more recurrence, linear, that forgets as fast; walked the same way.

    Where errors are not forgotten within a few sweeps it goes step by step instead: gradients know no cap.
    """
    steps = states.shape[0]

    def back(after: Array, element: tuple) -> Array:  # l_{t+1} to l_t
        z, u, g = element
        return g + jax.vjp(lambda z: problem.step(z, u), z)[1](after)[0]

    # l_t needs J_{t+1}, the Jacobian at z_t under u_{t+1}. l_T needs none: J_T, which is known to exist, times zero.
    at_last = jnp.where(problem.share.is_last(), problem.previous(states)[-1], states[-1])
    at = states.at[-1].set(at_last)
    under = jax.tree.map(lambda u: problem.following(u, u[-1]), problem.inputs)
    backwards = jax.tree.map(lambda x: x[::-1], (at, under, cotangents))
    adjoints, _, settled, *_ = walk_windows(
        back,
        jnp.zeros_like(problem.z0),
        backwards,
        backwards[2],
        share=problem.share.backwards(),
        length=min(steps, length or window_length(steps)),
        tol=tol,
        max_sweeps=_ADJOINT_SWEEPS,
        offset=0.0,
    )
    return jax.lax.cond(
        shared(~settled),
        lambda: vjp_adjoint(problem, states, cotangents),
        lambda: adjoints[::-1],
    )


class _Walk(NamedTuple):
    starts: Array  # (C, M)
    states: Array  # (L, C, M), walked from the starts
    mismatch: Array  # largest |end of a window - start of the next|
    share: Array  # of the mismatch one sweep before
    sweeps: Array


def walk_windows(
    step: Callable[[Array, Any], Array],
    z0: Float[Array, " latent"],
    inputs: PyTree,
    guess: Float[Array, "time latent"],
    *,
    share: Share,
    length: int,
    tol: float,
    max_sweeps: int,
    offset: float = 1.0,
) -> Attempt:
    """Solve `z_t = step(z_{t-1}, u_t)` window by window.

    Tolerances are relative to `offset + max |z|`. It is met where every window's end meets the next start.
    """
    steps = guess.shape[0]
    windows = -(-steps // length)
    last = (steps - 1) % length  # row of the last window's last step; the rows below only fill it up
    largest = share.largest
    rounding = 4 * float(jnp.finfo(guess.dtype).eps)
    tiny = float(jnp.finfo(guess.dtype).tiny)  # stands for a first move of zero: already converged
    stride = max(d for d in range(1, _STRIDE + 1) if length % d == 0)
    columns = jax.tree.map(lambda u: _columns(u, windows, length), inputs)  # (L, C, ...)
    step_all = jax.vmap(step)

    def walk(starts: Array, columns: PyTree) -> Array:
        def one(z: Array, u: Any) -> tuple[Array, Array]:
            z = step_all(z, u)
            return z, z

        return jax.lax.scan(one, starts, columns)[1]

    def ends(states: Array) -> Array:
        """The starts that the windows' ends call for."""
        return jnp.concatenate([share.before(z0, states[last, -1])[None], states[-1, :-1]])

    def mend(starts: Array, w: _Walk, scale: Array) -> Array:
        """Walk from new starts until the new states have merged with the old ones."""

        def apart(carry: tuple) -> Array:
            i, _, _, first, moved = carry
            rate = jnp.where(i > 0, (moved / jnp.maximum(first, tiny)) ** (1 / jnp.maximum(i, 1)), 0)  # of forgetting
            merged = moved <= jnp.maximum(tol / 10 * (1 - rate), rounding) * scale
            return (i < length) & shared(~merged)

        def stretch(carry: tuple) -> tuple:
            i, z, states, first, _ = carry
            inputs = jax.tree.map(lambda u: jax.lax.dynamic_slice_in_dim(u, i, stride), columns)
            new = walk(z, inputs)
            moved = largest(new[-1] - jax.lax.dynamic_index_in_dim(states, i + stride - 1, keepdims=False))
            return i + stride, new[-1], jax.lax.dynamic_update_slice_in_dim(states, new, i, 0), first, moved

        moved = largest(starts - w.starts)
        return jax.lax.while_loop(apart, stretch, (0, starts, w.states, moved, moved))[2]

    def newton(w: _Walk) -> Array:
        """Starts corrected by the windows' own Jacobians; plain ones where that overflows."""
        before = jnp.concatenate([w.starts[None], w.states[:-1]])
        basis = jnp.broadcast_to(jnp.eye(z0.shape[0], dtype=z0.dtype), (windows, *z0.shape, *z0.shape))

        def push(z: Array, u: Any, tangents: Array) -> Array:
            return jax.vmap(lambda v: jax.jvp(lambda z: step(z, u), (z,), (v,))[1])(tangents)

        def one(tangents: Array, element: tuple) -> tuple[Array, None]:
            z, u = element
            return jax.vmap(push)(z, u, tangents), None

        known = (before, columns)
        at_last, _ = jax.lax.scan(one, basis, jax.tree.map(lambda x: x[: last + 1], known))
        tangents, _ = jax.lax.scan(one, at_last, jax.tree.map(lambda x: x[last + 1 :], known))
        tangents = tangents.at[-1].set(at_last[-1])  # (C, M, M), row k: the image of e_k
        P = jnp.swapaxes(tangents, 1, 2)
        P = jnp.concatenate([share.before(jnp.zeros_like(P[0]), P[-1])[None], P[:-1]])
        corrected = w.starts + share.affine(P, ends(w.states) - w.starts, method=scan.sequential)
        return jnp.where(jnp.isfinite(largest(corrected)), corrected, ends(w.states))

    def settled(w: _Walk) -> Array:
        scale = offset + largest(w.states)
        remaining = w.mismatch / jnp.maximum(1 - w.share, 1e-6)  # geometric series of what is still to come
        met = (w.mismatch <= rounding * scale) | ((remaining <= tol * scale) & (w.share < 1))
        return met & jnp.isfinite(w.mismatch) & jnp.isfinite(scale)

    def unfinished(w: _Walk) -> Array:
        return shared(~settled(w)) & (w.sweeps < max_sweeps)

    def sweep(w: _Walk) -> _Walk:
        scale = offset + largest(w.states)
        slow = (w.share > _SLOW) & (w.sweeps > 1)
        starts = jax.lax.cond(shared(slow), newton, lambda w: ends(w.states), w)
        states = mend(starts, w, scale)
        mismatch = largest(ends(states) - starts)
        return _Walk(starts, states, mismatch, mismatch / w.mismatch, w.sweeps + 1)

    starts = jnp.concatenate([share.before(z0, guess[-1])[None], guess[length - 1 :: length][: windows - 1]])
    states = walk(starts, columns)
    mismatch = largest(ends(states) - starts)
    first = _Walk(starts, states, mismatch, jnp.ones_like(mismatch), jnp.asarray(1))
    walked = jax.lax.while_loop(unfinished, sweep, first)
    states = jnp.moveaxis(walked.states, 0, 1).reshape(windows * length, -1)[:steps]
    return Attempt(states, walked.sweeps, settled(walked))


def _columns(x: Array, windows: int, length: int) -> Array:
    """`(T, ...)` to `(L, C, ...)`: one column a window, the last one filled up with its last entry."""
    missing = windows * length - x.shape[0]
    filled = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))])
    return jnp.moveaxis(filled.reshape(windows, length, *x.shape[1:]), 0, 1)
