"""What a batch does together under `jax.vmap`: share a condition, or go through a function in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

__all__ = ["shared", "together"]


@jax.custom_batching.custom_vmap
def shared(condition: Array) -> Array:
    """A condition that a whole batch shares: under `vmap` true while it is true for anyone.

    Without it `vmap` makes a loop choose, every time round and for its whole state, between old and new.
    """
    return condition


@shared.def_vmap
def _shared_by_batch(axis_size: int, in_batched: list, condition: Array) -> tuple[Array, bool]:
    return shared(jnp.any(condition)), False


def together(function: Callable[[PyTree, PyTree], PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
    """A function of one trajectory from `function(common, trajectories)` of many, B along the first axis.

    Under `vmap` the whole batch goes to `function` in one call, unless its members differ in what is common to them.

    >>> summed = together(lambda common, x: (x + common).sum(axis=1))
    >>> jax.vmap(summed, in_axes=(None, 0))(1.0, jnp.ones((2, 3)))
    Array([6., 6.], dtype=float32)
    """

    @jax.custom_batching.custom_vmap
    def many(common: PyTree, trajectories: PyTree) -> PyTree:
        return function(common, trajectories)

    @many.def_vmap
    def more(size: int, in_batched: list, common: PyTree, trajectories: PyTree) -> tuple[PyTree, PyTree]:
        if any(jax.tree.leaves(in_batched[0])):
            axes = jax.tree.map(lambda batched: 0 if batched else None, tuple(in_batched))
            found = jax.vmap(function, in_axes=axes)(common, trajectories)
            return found, jax.tree.map(lambda _: True, found)

        def whole(x: Array, batched: bool) -> Array:
            x = x if batched else jnp.broadcast_to(x, (size, *x.shape))
            return x.reshape(size * x.shape[1], *x.shape[2:])

        found = many(common, jax.tree.map(whole, trajectories, in_batched[1]))
        found = jax.tree.map(lambda x: x.reshape(size, len(x) // size, *x.shape[1:]), found)
        return found, jax.tree.map(lambda _: True, found)

    def one(common: PyTree, trajectory: PyTree) -> PyTree:
        found = many(common, jax.tree.map(lambda x: x[None], trajectory))
        return jax.tree.map(lambda x: x[0], found)

    return one
