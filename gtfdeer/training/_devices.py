"""Several devices share a batch: device k of n holds sequences k B/n .. (k + 1) B/n - 1.

Parameters, optimiser, data and keys are replicated. XLA's partitioner cuts one program for all devices, of one machine
or of several that `jax.distributed` has joined; gradients, the loss and the solvers' verdicts cross between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._checks import whole

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree


def build_mesh(devices: Any, batch: int) -> Mesh | None:
    """Return the mesh of so many devices, or of these, which share a batch; None leaves the choice of one to JAX.

    >>> build_mesh(1, batch=16).size
    1
    """
    if devices is None:
        return None
    if isinstance(devices, int):
        there = jax.devices()
        devices = there[: whole(devices, "devices", most=len(there))]
    if not isinstance(devices, Sequence) or not devices or not all(isinstance(d, jax.Device) for d in devices):
        raise TypeError(f"devices is {devices!r}; pass how many, or some of jax.devices()")
    count = len(devices)
    if batch % count:
        even = count * -(-batch // count)
        raise ValueError(f"{count} devices cannot share a batch of {batch} evenly; pass batch={even}")
    return Mesh(np.array(devices), ("batch",))


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Copy all arrays, keys among them, to every device of every process; each process passes the same."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec())

    def copy(x: Array) -> Array:
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(np.asarray(x), sharding)
        bits = jax.device_put(np.asarray(jax.random.key_data(x)), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(x))

    return jax.tree.map(copy, tree)


def shard_batch(x: Array, mesh: Mesh | None) -> Array:
    """Shard `(B, ...)` along its first axis; for use inside `jit`."""
    if mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec("batch")))


def fetch(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Return replicated arrays as arrays of this process's first device."""
    return tree if mesh is None else jax.tree.map(lambda x: x.addressable_data(0), tree)


def jit_replicated(function: Callable, mesh: Mesh | None) -> Any:
    """`jax.jit`, whose results are replicated over the mesh."""
    return jax.jit(function) if mesh is None else jax.jit(function, out_shardings=NamedSharding(mesh, PartitionSpec()))
