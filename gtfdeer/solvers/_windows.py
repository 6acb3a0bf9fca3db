"""Windows of one or many trajectories as the columns of a matrix, for multiple shooting and for its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ._base import largest, rounding
from .scan import on_cpu

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["Windows", "merging_distance", "window_length"]

_ON_ACCELERATORS = 64  # steps
_STRIDE = 8  # steps between two looks at whether new and old states have merged


def window_length(steps: int, batch: int = 1) -> int:
    """Windows long enough that correcting their starts is cheap, short enough that many run side by side.

    With N = T B steps in all and windows of L steps, a sweep takes L times what a step costs however few columns it
    has, and merging costs N / L columns again and again: the best L grows like the square root of N. On accelerators
    columns cost next to nothing (one H100, T 1,000,000: of 16, 32, 64 and 128 steps 64 were fastest).
    """
    if not on_cpu():
        return min(steps, _ON_ACCELERATORS)
    best = max(64, min(512, math.isqrt(2 * steps * batch)))
    return min(steps, -(-best // _STRIDE) * _STRIDE)


@dataclass(frozen=True)
class Windows:
    """How B trajectories of T steps lie in C columns of L rows: those of the first trajectory, of the second, .."""

    batch: int
    steps: int
    length: int

    @property
    def each(self) -> int:
        """Windows of one trajectory."""
        return -(-self.steps // self.length)

    @property
    def stride(self) -> int:
        return max(d for d in range(1, _STRIDE + 1) if self.length % d == 0)

    def split(self, x: Float[Array, "batch time ..."]) -> Float[Array, "step ... columns"]:
        """One column a window, the last of each trajectory filled up with its last entry."""
        missing = self.each * self.length - x.shape[1]
        filled = jnp.concatenate([x, jnp.broadcast_to(x[:, -1:], (len(x), missing, *x.shape[2:]))], axis=1)
        return jnp.moveaxis(filled.reshape(self.batch * self.each, self.length, *x.shape[2:]), 0, -1)

    def join(self, rows: Float[Array, "step ... columns"]) -> Float[Array, "batch time ..."]:
        joined = jnp.moveaxis(rows, -1, 0).reshape(self.batch, self.each * self.length, *rows.shape[1:-1])
        return joined[:, : self.steps]

    def by_trajectory(self, x: Float[Array, "... columns"]) -> Float[Array, "... batch each"]:
        return x.reshape(*x.shape[:-1], self.batch, self.each)

    def after(self, ends: Float[Array, "latent columns"], first: Float[Array, "latent batch"]) -> Array:
        """What the windows begin with: the end of the one before, the first of each trajectory with `first`."""
        ends = self.by_trajectory(ends)
        return jnp.concatenate([first[..., None], ends[..., :-1]], axis=-1).reshape(*ends.shape[:-2], -1)

    def before(self, starts: Float[Array, "latent columns"]) -> Array:
        """What comes into the windows from the right, the last of each trajectory nothing."""
        starts = self.by_trajectory(starts)
        nothing = jnp.zeros_like(starts[..., :1])
        return jnp.concatenate([starts[..., 1:], nothing], axis=-1).reshape(*starts.shape[:-2], -1)

    def largest(self, x: Float[Array, "... columns"]) -> Float[Array, " batch"]:
        """`max |x|` of each trajectory."""
        return jax.vmap(largest, in_axes=-2)(self.by_trajectory(x))

    def largest_of_rows(self, rows: Float[Array, "some latent columns"], at: Any) -> Float[Array, " batch"]:
        """The same for rows from `at` on, without those that only fill up."""
        if self.steps % self.length:
            row = at + jnp.arange(len(rows))[:, None, None]
            in_last = jnp.arange(rows.shape[-1]) % self.each == self.each - 1
            rows = jnp.where(in_last & (row >= self.steps % self.length), 0, rows)
        return self.largest(rows)


def merging_distance(moved: Array, first: Array, steps: Any, tol: float) -> Float[Array, " batch"]:
    """How close, relative to their size, two runs have to come to be one for all time, if `first` became `moved`."""
    tiny = float(jnp.finfo(moved.dtype).tiny)  # stands for a first distance of zero
    rate = jnp.where(steps > 0, (moved / jnp.maximum(first, tiny)) ** (1 / jnp.maximum(steps, 1)), 0)
    return jnp.maximum(tol / 10 * (1 - rate), rounding(moved.dtype))
