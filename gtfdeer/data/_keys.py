"""The door for randomness: one JAX key, never a global seed.

Both kinds of key are taken: `jax.random.key(0)` and the older `jax.random.PRNGKey(0)`, a (2,) uint32 array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Key


def require_key(key: Key[Array, ""]) -> Key[Array, ""]:
    """Return `key`, or say what to pass in its place.

    >>> require_key(0)
    Traceback (most recent call last):
    TypeError: key is 0; pass a JAX random key, for example key=jax.random.key(0)
    """
    new_style = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()
    old_style = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.shape == (2,)
    if not (new_style or old_style):
        came = repr(key) if isinstance(key, int | float | str | None) else f"a {type(key).__name__}"
        raise TypeError(f"key is {came}; pass a JAX random key, for example key=jax.random.key(0)")
    return key
