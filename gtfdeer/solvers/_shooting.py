"""Multiple shooting: cut time into windows, integrate all windows at once, and correct their starts until edges meet.

The unknowns are the C window starts s_c. With F_c the map of a whole window,

    s_{c+1} = F_c(s_c),    c = 1..C-1;        s_1 = z_0

1. guess the starts from the teacher signal and integrate all windows side by side (T / C steps deep);
2. each window's end is the next window's new start; integrate again, but only until the new states have merged with
   the old ones: under forcing an error of the start is forgotten at a rate rho < 1, and the rest stays as it is;
3. where starts are forgotten slowly (slow latent units that are not forced), correct them by Newton's method,
   d_{c+1} = P_c d_c + F_c(s_c) - s_{c+1} with P_c the window's Jacobian product: one small affine scan. On CPUs with
   many latent units these products cost more than going step by step: there it ends as soon as it is hopeless.

After k sweeps the first k windows are exact, so that it always ends. No Jacobian of every step, `T M` numbers of
memory. A batch of trajectories (`vmap`) is so many windows more: all of them are columns of one matrix.

The gradient is the same backwards. What enters a window from its right is run in over as many steps as the map was
seen to remember; then one walk through all windows adds each step's share to the parameters' gradient on the way, so
that hidden layers are never kept. What leaves a window must be what entered the next, else the walk is repeated.

Bock & Plitt, "A multiple shooting algorithm for direct solution of optimal control problems", IFAC 1984;
Lions, Maday, Turinici, "Résolution d'EDP par un schéma en temps pararéel", 2001 (its relative, parareal).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._checks import whole
from . import scan
from ._adjoint import windowed_gradient
from ._base import Iterative, Problem, SolverResult, check_cap, iterate, rounding, tolerance_for
from ._columns import any_in_batch, batched, vmap_last
from ._windows import Windows, merging_distance, window_length
from .scan import on_cpu

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = ["Shooting"]

_SLOW = 0.1  # a plain sweep that leaves more than this share of the mismatch calls for a Newton correction
_CORRECTED = 8  # latent units up to which a correction, a tangent for each of them, costs less than step by step
_TRIED = 2  # sweeps after which the pace tells whether plain ones lead anywhere


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["z0", "inputs", "starts", "rows", "iterations", "reach", "size", "mismatch", "pace"],
    meta_fields=["windows"],
)
@dataclass(frozen=True)
class _State:
    """Where the sweeps over B trajectories stand; C columns are the windows of the first, the second, .."""

    windows: Windows
    z0: Float[Array, "latent batch"]
    inputs: PyTree  # (L, .., C)
    starts: Float[Array, "latent columns"]
    rows: Float[Array, "step latent columns"]  # states, from the starts on
    iterations: Int[Array, ""]
    reach: Int[Array, ""]  # rows that the next sweep has to renew: behind the last of them two generations meet
    size: Float[Array, " batch"]  # 1 + max |z|, what tolerances are relative to
    mismatch: Float[Array, " batch"]  # max |end of a window - start of the next|
    pace: Float[Array, " batch"]  # mismatch / mismatch one sweep before

    @property
    def states(self) -> Float[Array, "time latent"]:
        """The iterate, of one trajectory."""
        return self.windows.join(self.rows)[0]


@dataclass(frozen=True)
class Shooting(Iterative):
    """Multiple shooting under forcing: windows side by side, `length` steps deep instead of T.

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

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> SolverResult:
        def of_all(constants: PyTree, trajectories: tuple) -> dict[str, Array]:
            step = vmap_last(partial(problem.pure_step, constants))
            return self._results(step, iterate(partial(self._sweep, step), self.done, self._begin(*trajectories)))

        return SolverResult(**batched(of_all)(problem.constants[0], (problem.z0, problem.inputs, guess)))

    def init(self, problem: Problem, guess: Float[Array, "time latent"]) -> _State:
        return self._begin(*jax.tree.map(lambda x: x[None], (problem.z0, problem.inputs, guess)))

    def step(self, problem: Problem, state: _State) -> _State:
        return self._sweep(vmap_last(problem.step), state)

    def done(self, state: _State) -> Bool[Array, ""]:
        return jnp.all(self._settled(state) | self._hopeless(state)) | (state.iterations >= self.max_sweeps)

    def finish(self, problem: Problem, state: _State) -> SolverResult:
        found = self._results(vmap_last(problem.step), state)
        return SolverResult(**{name: x[0] for name, x in found.items()})

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        return windowed_gradient(problem, result, cotangents, length=self.length, tol=self.tolerance(cotangents.dtype))

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)

    def _begin(self, z0: Array, inputs: PyTree, guess: Float[Array, "batch time latent"]) -> _State:
        batch, steps, _ = guess.shape
        length = min(steps, self.length or window_length(steps, batch))
        w = Windows(batch, steps, length)
        one, rows = jnp.ones(batch, guess.dtype), w.split(guess)
        starts, inputs = w.after(rows[-1], z0.T), jax.tree.map(w.split, inputs)
        return _State(w, z0.T, inputs, starts, rows, jnp.asarray(0), jnp.asarray(length), one, math.inf * one, one)

    def _sweep(self, step: Callable, s: _State) -> _State:
        """New starts from the ends; integrate again from them."""
        w, plain = s.windows, s.windows.after(s.rows[-1], s.z0)
        starts = plain
        if _corrects(s):
            slow = jnp.any(s.pace > _SLOW) & (s.iterations > 1)
            starts = jax.lax.cond(any_in_batch(slow), lambda: _correct(step, s, plain), lambda: plain)
        rows, reach, size = self._integrate(step, s, starts)
        mismatch = w.largest(w.after(rows[-1], s.z0) - starts)
        return replace(
            s,
            starts=starts,
            rows=rows,
            iterations=s.iterations + 1,
            reach=reach % w.length,
            size=size,
            mismatch=mismatch,
            pace=jnp.where(s.iterations == 0, 1, mismatch / s.mismatch),
        )

    def _integrate(self, step: Callable, s: _State, starts: Array) -> tuple[Array, Array, Array]:
        """The states of all windows from these starts, the number of rows that are new, and `1 + max |z|`.

        After the first sweep they are followed only until they have merged with the old ones.
        """
        w, first = s.windows, s.windows.largest(starts - s.starts)

        def walk(z: Array, inputs: PyTree) -> tuple[Array, Array]:
            return jax.lax.scan(lambda z, u: 2 * (step(z, u),), z, inputs)

        def all_rows() -> tuple[Array, Array, Array]:
            rows = walk(starts, s.inputs)[1]
            return rows, jnp.asarray(w.length), 1 + w.largest_of_rows(rows, 0)

        def apart(carry: tuple) -> Array:
            i, *_, moved = carry
            close = s.size * merging_distance(moved, first, i, self.tolerance(moved.dtype))
            return (i < w.length) & any_in_batch((i < s.reach) | jnp.any(~(moved <= close)))

        def go_on(carry: tuple) -> tuple:
            i, z, rows, size, _ = carry
            z, new = walk(z, jax.tree.map(lambda u: jax.lax.dynamic_slice_in_dim(u, i, w.stride), s.inputs))
            moved = w.largest(z - jax.lax.dynamic_index_in_dim(rows, i + w.stride - 1, keepdims=False))
            size = jnp.maximum(size, 1 + w.largest_of_rows(new, i))
            return i + w.stride, z, jax.lax.dynamic_update_slice_in_dim(rows, new, i, 0), size, moved

        def until_merged() -> tuple[Array, Array, Array]:
            i, _, rows, size, _ = jax.lax.while_loop(apart, go_on, (jnp.asarray(0), starts, s.rows, s.size, first))
            return rows, i, size

        return jax.lax.cond(s.iterations == 0, all_rows, until_merged)

    def _settled(self, s: _State) -> Bool[Array, " batch"]:
        """Whether what the edges can still change is within the tolerance."""
        remaining = s.mismatch / jnp.maximum(1 - s.pace, 1e-6)  # geometric series of what is still to come
        rest = self.tolerance(s.size.dtype) * s.size
        met = (s.mismatch <= rounding(s.size.dtype) * s.size) | ((remaining <= rest) & (s.pace < 1))
        return met & jnp.isfinite(s.mismatch) & jnp.isfinite(s.size)

    def _hopeless(self, s: _State) -> Bool[Array, " batch"]:
        """Whether, at the pace of the last sweep, more of them would be needed than are allowed."""
        if _corrects(s):
            return jnp.zeros_like(s.mismatch, bool)
        allowed = self.tolerance(s.size.dtype) * s.size * jnp.maximum(1 - s.pace, 1e-6)
        needed = jnp.log(allowed / s.mismatch) / jnp.log(jnp.clip(s.pace, 1e-6, 1 - 1e-6))
        needed = jnp.minimum(needed, s.windows.each - s.iterations)  # by then every window is exact
        return (s.iterations >= _TRIED) & (needed > self.max_sweeps - s.iterations)

    def _results(self, step: Callable, s: _State) -> dict[str, Array]:
        """What `SolverResult` says, of each trajectory.

        Inside a window every state is the step of the one before, but for the row where new states met old ones.
        """
        w = s.windows

        def violation(before: Array, row: Any) -> Float[Array, " batch"]:
            u, z = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, row, keepdims=False), (s.inputs, s.rows))
            return w.largest_of_rows((step(before, u) - z)[None], row)

        sweeps = jnp.maximum(s.iterations - 1 - (s.reach > 0), 0)
        memory = jnp.minimum(sweeps * w.length + s.reach, w.steps)
        met = jax.lax.dynamic_index_in_dim(s.rows, jnp.maximum(s.reach - 1, 0), keepdims=False)
        inside = jnp.where(s.reach > 0, violation(met, s.reach), 0)
        residual = jnp.maximum(violation(w.after(s.rows[-1], s.z0), 0), inside)
        counts = {"iterations": s.iterations, "memory": memory}
        counts = {name: jnp.broadcast_to(count, residual.shape) for name, count in counts.items()}
        return {"states": w.join(s.rows), "converged": self._settled(s), "residual": residual, **counts}


def _corrects(s: _State) -> bool:
    return not on_cpu() or len(s.z0) <= _CORRECTED


def _correct(step: Callable, s: _State, plain: Array) -> Float[Array, "latent columns"]:
    """Starts corrected by the windows' own Jacobians; plain ones where that overflows."""
    w, latent = s.windows, len(s.z0)
    basis = jnp.broadcast_to(jnp.eye(latent, dtype=plain.dtype)[..., None], (latent, *plain.shape))

    def one(tangents: Array, element: tuple) -> tuple[Array, None]:  # (K, M, C), row k: the image of e_k
        z, u = element
        push = jax.linearize(lambda z: step(z, u), z)[1]
        return jax.vmap(push)(tangents), None

    before = jnp.concatenate([s.starts[None], s.rows[:-1]])
    tangents, _ = jax.lax.scan(one, basis, (before, s.inputs))
    P = jnp.moveaxis(w.by_trajectory(tangents), (0, 1), (3, 2))  # (B, each, M, M)
    P = jnp.concatenate([jnp.zeros_like(P[:, :1]), P[:, :-1]], axis=1)
    gap = jnp.moveaxis(w.by_trajectory(plain - s.starts), 0, -1)
    moves = jax.vmap(partial(scan.affine, method=scan.sequential))(P, gap)
    corrected = s.starts + jnp.moveaxis(moves, -1, 0).reshape(plain.shape)
    finite = jnp.isfinite(w.largest(corrected))
    return jnp.where(jnp.repeat(finite, w.each), corrected, plain)
