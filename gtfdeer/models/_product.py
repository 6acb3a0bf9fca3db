"""The one way in which every model multiplies a matrix by a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def product(W: Float[Array, "rows columns"], v: Float[Array, " columns"]) -> Float[Array, " rows"]:
    """`W v` at the highest precision.

    The detour by a shape (1, rows) costs nothing and puts the batch first under `vmap`, where the product alone would
    leave it last. XLA's next product on CPUs is up to 4 times faster for it (measured with 512 shPLRNNs side by side,
    2 cores: M 3 and H 50, a step 3.6 times, its gradient 2.3 times; M 30 and H 200: 1.3 and 1.5 times).

    >>> product(jnp.array([[1.0, 2.0], [0.0, 1.0]]), jnp.ones(2))
    Array([3., 1.], dtype=float32)
    """
    return jnp.dot(W, v, precision="highest").reshape(1, -1)[0]
