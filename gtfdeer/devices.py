"""Several devices: the sequences of a batch lie across them, everything else is whole on each.

    device k of n:   sequences k B/n .. (k + 1) B/n - 1;   parameters, optimiser, data and keys: all of them

One program runs on all devices at once, of one machine or of several that `jax.distributed` has joined; XLA's
partitioner cuts it (`jax.sharding`). What crosses between devices is the sum of the gradients, the loss, and whether
everybody's solve has converged. Time is not cut: a batch has at least as many sequences as there are devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

__all__ = ["everywhere", "here", "mesh_over", "replicated", "spread"]

_AXIS = "batch"


def mesh_over(devices: Any, batch: int) -> Mesh | None:
    """The devices that share a batch, in a row; None stays None and leaves the choice to JAX.

    Args:
        devices: None, how many of `jax.devices()`, or a sequence of them.
        batch: sequences of an update, as many for each device.

    Raises:
        ValueError, TypeError: if there are not as many, or they cannot share the batch evenly.

    >>> mesh_over(1, batch=16).size
    1
    """
    if devices is None:
        return None
    there = jax.devices()
    if isinstance(devices, int | np.integer) and not isinstance(devices, bool):
        if not 1 <= devices <= len(there):
            raise ValueError(
                f"devices={devices}, but there are {len(there)} ({there[0].device_kind}); pass a number from 1 to "
                f"{len(there)} (to try it on a CPU, set XLA_FLAGS=--xla_force_host_platform_device_count={devices} "
                "before Python starts)"
            )
        devices = there[:devices]
    if not isinstance(devices, Sequence) or not devices or not all(isinstance(d, jax.Device) for d in devices):
        raise TypeError(f"devices is {devices!r}; pass how many, or some of jax.devices()")
    count = len(devices)
    if len(set(devices)) < count:
        raise ValueError(f"devices names one of its {count} devices twice; pass each once")
    if batch % count:
        raise ValueError(
            f"{count} devices cannot share a batch of {batch} evenly; pass batch={count * -(-batch // count)}"
        )
    return Mesh(np.array(devices), (_AXIS,))


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """A copy of all arrays, keys among them, on every device of every process; each process brings the same."""
    if mesh is None:
        return tree

    def copy(x: Array) -> Array:
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(np.asarray(x), replicated(mesh))
        bits = jax.device_put(np.asarray(jax.random.key_data(x)), replicated(mesh))
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(x))

    return jax.tree.map(copy, tree)


def spread(x: Array, mesh: Mesh | None) -> Array:
    """`(B, ...)` with its sequences across the devices; for use inside `jit`."""
    return x if mesh is None else jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(_AXIS)))


def here(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """What `everywhere` has laid on all devices, as arrays of this process's first one."""
    return tree if mesh is None else jax.tree.map(lambda x: x.addressable_data(0), tree)


def replicated(mesh: Mesh | None) -> NamedSharding | None:
    """Where results belong: whole, on every device."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())
