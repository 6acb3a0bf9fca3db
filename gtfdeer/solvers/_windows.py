"""The walk of multiple shooting: windows of one or many trajectories side by side, swept until their edges meet.

A walk evaluates all windows from given starts, one step of all columns at a time. A sweep takes new starts from the
windows' ends (or corrects them by Newton's method) and walks on from them until the new states have merged with the old
ones. `gtfdeer.solvers._shooting` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from . import scan
from ._base import largest, rounding
from ._batching import shared, together
from ._columns import columns
from .scan import on_cpu

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, PyTree

__all__ = ["walk_windows", "window_length"]

_STRIDE = 8  # steps between two looks at whether new and old states have merged
_SLOW = 0.1  # a plain sweep that leaves more than this share of the mismatch calls for a Newton correction
_CORRECTED = 8  # latent units up to which a correction, a walk for each of them, costs less than going step by step
_TRIED = 2  # sweeps after which the pace tells whether plain ones lead anywhere


def window_length(steps: int, batch: int = 1) -> int:
    """Windows long enough that mending their edges is cheap, short enough that many run side by side.

    With N = T B steps in all and windows of L steps, a walk takes L times what a step costs however few columns it
    has, and mending costs N / L columns again and again: the best L grows like the square root of N.
    """
    best = max(64, min(512, math.isqrt(2 * steps * batch)))
    return min(steps, -(-best // _STRIDE) * _STRIDE)


def walk_windows(
    step: Callable[[PyTree, Array, Any], Array],
    constants: PyTree,
    z0: Float[Array, " latent"],
    inputs: PyTree,
    guess: Float[Array, "time latent"],
    *,
    length: int | None,
    tol: float,
    max_sweeps: int,
    offset: float = 1.0,
) -> tuple[Array, Array, Array]:
    """Solve `z_t = step(constants, z_{t-1}, u_t)` window by window: states, sweeps, and whether all edges meet.

    Tolerances are relative to `offset + max |z|`. It is met where every window's end meets the next start.
    """

    def of_all(common: tuple, trajectories: tuple) -> tuple[Array, Array, Array]:
        (constants, max_sweeps), (z0, inputs, guess) = common, trajectories
        batch, steps, _ = guess.shape
        windows = _Windows(
            columns(lambda z, u: step(constants, z, u)),
            z0,
            inputs,
            length=min(steps, length or window_length(steps, batch)),
            steps=steps,
            tol=tol,
            offset=offset,
        )
        return windows.solve(guess, max_sweeps)

    return together(of_all)((constants, jnp.asarray(max_sweeps)), (z0, inputs, guess))


class _Walk(NamedTuple):
    """Where the sweeps stand; the last three for each of B trajectories."""

    starts: Array  # (C, M)
    states: Array  # (L, C, M), walked from the starts
    sweeps: Array
    scale: Array  # what tolerances are relative to
    mismatch: Array  # largest |end of a window - start of the next|
    share: Array  # of the mismatch one sweep before


class _Windows:
    """B trajectories of T steps, cut into C columns of L steps: those of the first trajectory, the second, .."""

    def __init__(
        self,
        step: Callable[[Array, PyTree], Array],
        z0: Float[Array, "batch latent"],
        inputs: PyTree,
        *,
        length: int,
        steps: int,
        tol: float,
        offset: float,
    ) -> None:
        """`step` is one of all columns, `(M, C), (.., C) -> (M, C)`; every leaf of `inputs` is `(B, T, ..)`."""
        self.step, self.z0, self.length, self.steps = step, z0, length, steps
        self.tol, self.offset, self.rounding = tol, offset, rounding(z0.dtype)
        self.batch, self.each = len(z0), -(-steps // length)
        self.corrects = not on_cpu() or z0.shape[-1] <= _CORRECTED
        self.last = (steps - 1) % length  # row of the last windows' last step; the rows below only fill them up
        self.inputs = jax.tree.map(lambda u: _columns(u, self.each, length), inputs)  # (L, C, ..)

    def solve(self, guess: Float[Array, "batch time latent"], max_sweeps: Array) -> tuple[Array, Array, Array]:
        """The states `(B, T, M)`, and for each trajectory the number of sweeps and whether its edges meet."""
        begin = jnp.concatenate([self.z0[:, None], guess[:, self.length - 1 :: self.length]], axis=1)
        starts = begin[:, : self.each].reshape(-1, begin.shape[-1])
        largest, states = self.walk(starts, self.inputs)
        one = jnp.ones(self.batch, guess.dtype)
        scale = self.offset + self._largest(largest)
        first = _Walk(starts, states, jnp.asarray(1), scale, self._mismatch(starts, states), one)

        def unfinished(w: _Walk) -> Array:
            goes_on = ~self.settled(w) & ~self.hopeless(w, max_sweeps)
            return shared(jnp.any(goes_on)) & (w.sweeps < max_sweeps)

        walked = jax.lax.while_loop(unfinished, self.sweep, first)
        states = jnp.moveaxis(walked.states, 0, 1).reshape(self.batch, self.each * self.length, -1)
        sweeps = jnp.broadcast_to(walked.sweeps, self.batch)
        return states[:, : self.steps], sweeps, self.settled(walked)

    def walk(
        self, starts: Float[Array, "columns latent"], inputs: PyTree
    ) -> tuple[Float[Array, "columns latent"], Float[Array, "steps columns latent"]]:
        """All windows side by side: how large each unit became, and the states."""

        def one(before: tuple[Array, Array], u: PyTree) -> tuple[tuple[Array, Array], Array]:
            z, largest = before
            z = self.step(z, jax.tree.map(lambda u: jnp.moveaxis(u, 0, -1), u))
            return (z, jnp.maximum(largest, jnp.abs(z))), z.T

        (_, largest), states = jax.lax.scan(one, (starts.T, jnp.zeros_like(starts.T)), inputs)
        return largest.T, states

    def sweep(self, w: _Walk) -> _Walk:
        """New starts from the ends; walk on from them."""
        if self.corrects:
            slow = jnp.any(w.share > _SLOW) & (w.sweeps > 1)
            starts = jax.lax.cond(shared(slow), self.newton, lambda w: self.ends(w.states), w)
        else:
            starts = self.ends(w.states)
        largest, states = self.mend(starts, w)
        scale = jnp.maximum(w.scale, self.offset + self._largest(largest))
        mismatch = self._mismatch(starts, states)
        return _Walk(starts, states, w.sweeps + 1, scale, mismatch, mismatch / w.mismatch)

    def ends(self, states: Array) -> Float[Array, "columns latent"]:
        """The starts that the windows' ends call for."""
        last = self._by_trajectory(states[self.last])[:, -1]
        ends = self._by_trajectory(states[-1])[:, :-1]
        return jnp.concatenate([self.z0[:, None], ends], axis=1).reshape(-1, last.shape[-1])

    def mend(self, starts: Array, w: _Walk) -> tuple[Array, Array]:
        """Walk from new starts until the new states have merged with the old ones; as `walk`, of what is new."""
        tiny = float(jnp.finfo(starts.dtype).tiny)  # stands for a first move of zero: already converged
        stride = max(d for d in range(1, _STRIDE + 1) if self.length % d == 0)

        def apart(carry: tuple) -> Array:
            i, *_, first, moved = carry
            rate = jnp.where(i > 0, (moved / jnp.maximum(first, tiny)) ** (1 / jnp.maximum(i, 1)), 0)  # of forgetting
            merged = moved <= jnp.maximum(self.tol / 10 * (1 - rate), self.rounding) * w.scale
            return (i < self.length) & shared(jnp.any(~merged))

        def stretch(carry: tuple) -> tuple:
            i, z, largest, states, first, _ = carry
            inputs = jax.tree.map(lambda u: jax.lax.dynamic_slice_in_dim(u, i, stride), self.inputs)
            larger, new = self.walk(z, inputs)
            moved = self._largest(new[-1] - jax.lax.dynamic_index_in_dim(states, i + stride - 1, keepdims=False))
            states = jax.lax.dynamic_update_slice_in_dim(states, new, i, 0)
            return i + stride, new[-1], jnp.maximum(largest, larger), states, first, moved

        moved = self._largest(starts - w.starts)
        begin = (0, starts, jnp.zeros_like(starts), w.states, moved, moved)
        return jax.lax.while_loop(apart, stretch, begin)[2:4]

    def newton(self, w: _Walk) -> Float[Array, "columns latent"]:
        """Starts corrected by the windows' own Jacobians; plain ones where that overflows."""
        before = jnp.concatenate([w.starts[None], w.states[:-1]])
        latent = self.z0.shape[-1]
        basis = jnp.broadcast_to(jnp.eye(latent, dtype=before.dtype)[..., None], (latent, latent, before.shape[1]))

        def one(tangents: Array, element: tuple) -> tuple[Array, None]:  # (K, M, C), row k: the image of e_k
            z, u = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), element)
            push = jax.linearize(lambda z: self.step(z, u), z)[1]
            return jax.vmap(push)(tangents), None

        known = (before, self.inputs)
        at_last, _ = jax.lax.scan(one, basis, jax.tree.map(lambda x: x[: self.last + 1], known))
        tangents, _ = jax.lax.scan(one, at_last, jax.tree.map(lambda x: x[self.last + 1 :], known))
        at_last, P = (self._by_trajectory(x.T) for x in (at_last, tangents))  # (B, windows, M, M)
        P = jnp.concatenate([jnp.zeros_like(P[:, :1]), P[:, :-1]], axis=1)
        plain = self.ends(w.states)
        gap = self._by_trajectory(plain - w.starts)
        moves = jax.vmap(lambda P, r: scan.affine(P, r, method=scan.sequential))(P, gap)
        corrected = w.starts + moves.reshape(plain.shape)
        finite = jnp.isfinite(self._largest(corrected))
        return jnp.where(jnp.repeat(finite, self.each)[:, None], corrected, plain)

    def settled(self, w: _Walk) -> Bool[Array, " batch"]:
        """Whether what the edges can still change is within the tolerance."""
        remaining = w.mismatch / jnp.maximum(1 - w.share, 1e-6)  # geometric series of what is still to come
        met = (w.mismatch <= self.rounding * w.scale) | ((remaining <= self.tol * w.scale) & (w.share < 1))
        return met & jnp.isfinite(w.mismatch) & jnp.isfinite(w.scale)

    def hopeless(self, w: _Walk, max_sweeps: Array) -> Bool[Array, " batch"]:
        """Whether, at the pace of the last sweep, more of them would be needed than are allowed."""
        if self.corrects:
            return jnp.zeros(self.batch, bool)
        allowed = self.tol * w.scale * jnp.maximum(1 - w.share, 1e-6)
        needed = jnp.log(allowed / w.mismatch) / jnp.log(jnp.clip(w.share, 1e-6, 1 - 1e-6))
        needed = jnp.minimum(needed, self.each - w.sweeps)  # by then every window is exact
        return (w.sweeps >= _TRIED) & (needed > max_sweeps - w.sweeps)

    def _mismatch(self, starts: Array, states: Array) -> Float[Array, " batch"]:
        return self._largest(self.ends(states) - starts)

    def _largest(self, x: Float[Array, "columns latent"]) -> Float[Array, " batch"]:
        """`max |x|` of each trajectory, over all of time."""
        return jax.vmap(largest)(self._by_trajectory(x))

    def _by_trajectory(self, x: Array) -> Array:
        """The columns of each trajectory, `(B, C / B, ..)`."""
        return x.reshape(self.batch, self.each, *x.shape[1:])


def _columns(x: Array, windows: int, length: int) -> Array:
    """`(B, T, ...)` to `(L, C, ...)`: one column a window, the last of each filled up with its last entry."""
    missing = windows * length - x.shape[1]
    filled = jnp.concatenate([x, jnp.broadcast_to(x[:, -1:], (len(x), missing, *x.shape[2:]))], axis=1)
    return jnp.moveaxis(filled.reshape(len(x) * windows, length, *x.shape[2:]), 0, 1)
