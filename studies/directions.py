"""In how many directions the Jacobian of a map moves along its attractor.

    share_k = rms over t of sigma_k(J_t - mean J),    divided by the root of the sum of their squares

with the singular values sigma_k of one difference, largest first; squared, the shares of one orbit add up to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .study import Row

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["CARRIED", "SHARES", "directions", "moved", "movement", "spelled"]

SHARES = tuple(f"share_{k + 1}" for k in range(24))
"""Columns of a table that hold the largest shares."""
CARRIED = 0.99  # of the movement, in the directions that are counted
_STATES = 300  # on the attractor, at which the Jacobian is taken
_AT_REST = 1e-2  # standard deviation of all states below which an orbit rests, and singular values mean nothing


def moved(step: Callable[[Array], Array], start: Float[Array, " latent"]) -> Row:
    """ "movement" and the `SHARES` along a free run; None where it leaves all bounds or comes to rest."""
    spread, size, shares = jax.jit(partial(_along_orbit, step))(start)
    known = bool(jnp.isfinite(shares).all()) and float(spread) > _AT_REST
    padded = [*map(float, shares[: len(SHARES)]), *[0.0] * len(SHARES)][: len(SHARES)]
    return {
        "movement": float(size) if known else None,
        **{column: share if known else None for column, share in zip(SHARES, padded, strict=True)},
    }


def _along_orbit(step: Callable[[Array], Array], start: Array) -> tuple[Array, Array, Float[Array, " values"]]:
    """How much the states of a free run move (largest standard deviation), and the movement of J at them."""

    def advance(z: Array, _: Any) -> tuple[Array, Array]:
        z = jax.lax.fori_loop(0, 10, lambda _, z: step(z), z)
        return z, z

    states = jax.lax.scan(advance, start, length=2 * _STATES)[1][_STATES:]
    return jnp.max(jnp.std(states, axis=0)), *movement(step, states)


def movement(
    step: Callable[[Array], Array], states: Float[Array, "time latent"]
) -> tuple[Float[Array, ""], Float[Array, " values"]]:
    """How much the Jacobian moves over these states (rms Frobenius norm), and the shares.

    >>> size, shares = movement(lambda z: jnp.array([z[0] ** 2, z[1]]), jnp.array([[1.0, 0.0], [-1.0, 0.0]]))
    >>> float(size), shares.tolist()  # J = diag(2 z_1, 1) moves in one direction
    (2.0, [1.0, 0.0])
    """
    J = jax.lax.map(jax.jacfwd(step), states, batch_size=20)
    values = jnp.linalg.svd(J - jnp.mean(J, axis=0), compute_uv=False)
    rms = jnp.sqrt(jnp.mean(values**2, axis=0))
    size = jnp.sqrt(jnp.sum(rms**2))
    return size, rms / size


def directions(row: Row) -> int:
    """How many directions carry `CARRIED` of the movement of one orbit; one more than are known where those do not.

    >>> directions(dict.fromkeys(SHARES, 0.0) | {"share_1": 0.8, "share_2": 0.6})
    2
    """
    carried = np.cumsum([row[column] ** 2 for column in SHARES]) >= CARRIED
    return int(carried.argmax()) + 1 if carried.any() else len(SHARES) + 1


def spelled(count: float) -> str:
    """A number of directions, or a median of such numbers, in words.

    >>> spelled(4.5), spelled(25)
    ('4.5', 'over 24')
    """
    return f"{count:g}" if count <= len(SHARES) else f"over {len(SHARES)}"
