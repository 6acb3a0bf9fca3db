"""Which part of time a device holds, and how it asks the others.

    share d holds the steps t = d T / D + 1 .. (d + 1) T / D;      before it: the last state of share d - 1

`Whole` is all of time on one device, and asks nobody. `Part` stands inside `jax.shard_map`: neighbours exchange the one
entry at their common edge (a permutation), and what is said about all of time is agreed on (a maximum over all).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from . import scan

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float

__all__ = ["Part", "Share", "Whole"]

Walk = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""From a start to the end and what was found on the way, as `jax.lax.scan` gives them."""


class Share(abc.ABC):
    """A run of consecutive time steps; "first" and "last" in the direction in which the recurrence runs."""

    @abc.abstractmethod
    def before(self, first: Array, last: Array) -> Array:
        """What stands before this share: `first` before the very first, else the `last` of the share before."""

    @abc.abstractmethod
    def after(self, last: Array, first: Array) -> Array:
        """What stands after this share: `last` after the very last, else the `first` of the share after."""

    @abc.abstractmethod
    def is_first(self) -> Bool[Array, ""]:
        """Whether nothing stands before this share."""

    @abc.abstractmethod
    def is_last(self) -> Bool[Array, ""]:
        """Whether nothing stands after this share."""

    @abc.abstractmethod
    def largest(self, x: Array) -> Float[Array, ""]:
        """`max |x|` over all of time, infinity where anything is not finite."""

    @abc.abstractmethod
    def affine(self, A: Array, b: Array, *, method: scan.Method, reverse: bool = False) -> Float[Array, "time latent"]:
        """`gtfdeer.scan.affine` over all of time."""

    @abc.abstractmethod
    def one_after_the_other(self, walk: Walk, first: Array) -> Float[Array, "time latent"]:
        """What `walk(start)` finds here, where the first share starts from `first` and each from the end before it."""

    @abc.abstractmethod
    def backwards(self) -> Share:
        """The same share of a recurrence that runs from the end to the beginning."""


@dataclass(frozen=True)
class Whole(Share):
    """All of time."""

    def before(self, first: Array, last: Array) -> Array:
        return first

    def after(self, last: Array, first: Array) -> Array:
        return last

    def is_first(self) -> Bool[Array, ""]:
        return jnp.asarray(True)

    def is_last(self) -> Bool[Array, ""]:
        return jnp.asarray(True)

    def largest(self, x: Array) -> Float[Array, ""]:
        # XLA's maximum on CPUs passes over NaN in long arrays
        return jnp.where(jnp.all(jnp.isfinite(x)), jnp.max(jnp.abs(x)), jnp.inf)

    def affine(self, A: Array, b: Array, *, method: scan.Method, reverse: bool = False) -> Float[Array, "time latent"]:
        return scan.affine(A, b, method=method, reverse=reverse)

    def one_after_the_other(self, walk: Walk, first: Array) -> Float[Array, "time latent"]:
        return walk(first)[1]

    def backwards(self) -> Share:
        return self


@dataclass(frozen=True)
class Part(Share):
    """What one device of several holds.

    Args:
        axis: of the mesh that time is cut along.
        count: how many devices.
        reverse: whether the recurrence runs from the last device to the first.
    """

    axis: str
    count: int
    reverse: bool = False

    def before(self, first: Array, last: Array) -> Array:
        return jnp.where(self.is_first(), first, self._shifted(last, 1))

    def after(self, last: Array, first: Array) -> Array:
        return jnp.where(self.is_last(), last, self._shifted(first, -1))

    def is_first(self) -> Bool[Array, ""]:
        return jax.lax.axis_index(self.axis) == (self.count - 1 if self.reverse else 0)

    def is_last(self) -> Bool[Array, ""]:
        return self.backwards().is_first()

    def largest(self, x: Array) -> Float[Array, ""]:
        return jax.lax.pmax(Whole().largest(x), self.axis)

    def affine(self, A: Array, b: Array, *, method: scan.Method, reverse: bool = False) -> Float[Array, "time latent"]:
        return scan.affine(A, b, method=scan.Sharded(self.axis, method, self.reverse ^ reverse), reverse=reverse)

    def one_after_the_other(self, walk: Walk, first: Array) -> Float[Array, "time latent"]:
        def again(_: Array, walked: tuple[Array, Array]) -> tuple[Array, Array]:
            return walk(self.before(first, walked[0]))

        return jax.lax.fori_loop(1, self.count, again, walk(first))[1]

    def backwards(self) -> Share:
        return replace(self, reverse=not self.reverse)

    def _shifted(self, x: Array, by: int) -> Array:
        """Every device's `x`, at the device `by` places further along the recurrence."""
        step = -by if self.reverse else by
        pairs = [(d, d + step) for d in range(self.count) if 0 <= d + step < self.count]
        return jax.lax.ppermute(x, self.axis, pairs)
