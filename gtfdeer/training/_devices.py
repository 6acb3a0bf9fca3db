"""Several devices: the sequences of a batch lie across them, or the time steps of a single one do.

    by batch   device k of n:  sequences k B/n .. (k + 1) B/n - 1
    by time    device k of n:  steps k T/n .. (k + 1) T/n - 1 of the one sequence (`gtfdeer.solvers.Sharded`)

Parameters, optimiser, data and keys are whole on each. One program runs on all devices at once, of one machine or of
several that `jax.distributed` has joined. By batch, XLA's partitioner cuts it (`jax.sharding`), and what crosses
between devices is the sum of the gradients, the loss, and whether everybody's solve has converged. By time, the states
at the edges between devices cross too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..solvers import Sharded, Solver

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

__all__ = ["across", "by_time", "compiled", "everywhere", "here", "mesh_over", "spread"]

_BATCH, _TIME = "batch", "time"


def mesh_over(devices: Any, batch: int) -> Mesh | None:
    """The devices that share a batch, or the time of a batch of one; None stays None and leaves the choice to JAX.

    Args:
        devices: None, how many of `jax.devices()`, or a sequence of them.
        batch: sequences of an update: as many for each device, or 1.

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
    if batch % count and batch > 1:
        raise ValueError(
            f"{count} devices cannot share a batch of {batch} evenly; pass batch={count * -(-batch // count)}, or "
            "batch=1, whose time they share"
        )
    return Mesh(np.array(devices), (_TIME if batch == 1 < count else _BATCH,))


def by_time(mesh: Mesh | None) -> bool:
    """Whether the devices share the time of one sequence."""
    return mesh is not None and mesh.axis_names == (_TIME,)


def across(solver: Solver, mesh: Mesh | None) -> Solver:
    """The solver that does the same on all devices."""
    return Sharded(solver, mesh) if by_time(mesh) else solver


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """A copy of all arrays, keys among them, on every device of every process; each process brings the same.

    By time they stay where they are: arrays on a mesh leave its name in the program of a step, which could then not be
    traced again inside `jax.shard_map`.
    """
    if mesh is None or by_time(mesh):
        return tree

    def copy(x: Array) -> Array:
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(np.asarray(x), _replicated(mesh))
        bits = jax.device_put(np.asarray(jax.random.key_data(x)), _replicated(mesh))
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(x))

    return jax.tree.map(copy, tree)


def spread(x: Array, mesh: Mesh | None) -> Array:
    """`(B, ...)` with its sequences across the devices; for use inside `jit`."""
    if mesh is None or by_time(mesh):
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(_BATCH)))


def here(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """What `everywhere` has laid on all devices, as arrays of this process's first one."""
    return tree if mesh is None else jax.tree.map(lambda x: x.addressable_data(0), tree)


def compiled(function: Callable, mesh: Mesh | None) -> Callable:
    """`jax.jit`; what comes out is whole on every device, or, where they share time, on none in particular."""
    if mesh is None:
        return jax.jit(function)
    run = jax.jit(function, out_shardings=_replicated(mesh))
    if not by_time(mesh):
        return run
    return lambda *arguments: jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), run(*arguments))


def _replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())
