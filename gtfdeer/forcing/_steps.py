"""What is fed to the next step: the equations of the room's page, as wrappers of any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Forced(NamedTuple):
    """The inputs of a forced step; with a leading time axis, the inputs of a forced `gtfdeer.solve`."""

    z_hat: Any
    """`(M,)` the teacher's state before the step."""
    alpha: Any
    """`()`, `(1,)` or `(M,)` forcing strength in [0, 1]."""
    u: Any = None
    """External input of the step, or None."""


def force(step: Callable[[Any, Any], Any]) -> Callable[[Any, Forced], Any]:
    """Wrap `step(z, u)` into a forced step `(z, Forced(z_hat, alpha, u)) -> F((1 - alpha) z + alpha z_hat, u)`.

    >>> forced = force(lambda z, u: 2 * z)
    >>> forced(jnp.array([4.0]), Forced(z_hat=jnp.array([1.0]), alpha=0.5))
    Array([5.], dtype=float32)
    """
    return lambda z, inputs: step(_blend(z, inputs), inputs.u)


def force_jacobian(jacobian: Callable[[Any, Any], Any]) -> Callable[[Any, Forced], Any]:
    """The Jacobian of the forced step from the Jacobian of the step: it carries the factor `1 - alpha`."""

    def forced(z: Array, inputs: Forced) -> Float[Array, "latent latent"]:
        return jacobian(_blend(z, inputs), inputs.u) * (1 - jnp.broadcast_to(inputs.alpha, z.shape))

    return forced


def _blend(z: Array, inputs: Forced) -> Array:
    return (1 - inputs.alpha) * z + inputs.alpha * inputs.z_hat


class Corrected(NamedTuple):
    """The inputs of a corrected step; with a leading time axis, those of a corrected `gtfdeer.solve`."""

    x: Any
    """`(N,)` the observation before the step, finite; what stands in a missing cell does not matter."""
    alpha: Any
    """`()`, `(1,)` or `(M,)` strength of the correction in [0, 1]."""
    seen: Any = None
    """`(N,)` 1 where the observation was made, 0 where it is missing; None: all were made."""
    u: Any = None
    """External input of the step, or None."""


def correct(
    step: Callable[[Any, Any], Any], gain: Float[Array, "latent observed"], decode: Callable[[Any], Any]
) -> Callable[[Any, Corrected], Any]:
    """Wrap `step(z, u)` into a corrected step, `z -> F(z + alpha K (x - C z), u)`; a missing cell corrects nothing.

    Args:
        step: the map F, `(M,), u -> (M,)`.
        gain: K, `(M, N)`.
        decode: the readout C, linear, `(M,) -> (N,)`.

    >>> corrected = correct(lambda z, u: 2 * z, jnp.array([[0.5], [0.1]]), lambda z: z[:1])
    >>> corrected(jnp.array([1.0, 0.0]), Corrected(x=jnp.array([3.0]), alpha=1.0))
    Array([4. , 0.4], dtype=float32)
    """
    return lambda z, inputs: step(_add_innovation(z, inputs, gain, decode), inputs.u)


def correct_jacobian(
    jacobian: Callable[[Any, Any], Any], gain: Float[Array, "latent observed"], decode: Callable[[Any], Any]
) -> Callable[[Any, Corrected], Any]:
    """The Jacobian of the corrected step from the Jacobian of the step: `J_F (I - alpha K C)`."""
    readout = jax.jacfwd(decode)(jnp.zeros(gain.shape[0], gain.dtype))

    def corrected(z: Array, inputs: Corrected) -> Float[Array, "latent latent"]:
        J = jacobian(_add_innovation(z, inputs, gain, decode), inputs.u)
        seen = gain if inputs.seen is None else gain * inputs.seen
        strength = jnp.broadcast_to(inputs.alpha, z.shape)
        through = jnp.dot(J, strength[:, None] * seen, precision="highest")
        return J - jnp.dot(through, readout, precision="highest")

    return corrected


def _add_innovation(z: Array, inputs: Corrected, gain: Array, decode: Callable[[Any], Any]) -> Array:
    innovation = inputs.x - decode(z)
    innovation = innovation if inputs.seen is None else inputs.seen * innovation
    return z + inputs.alpha * jnp.dot(gain, innovation, precision="highest")


def fill_gaps(x: Float[Array, "time observed"]) -> tuple[Array, Array]:
    """Observations `(T, N)` with nothing missing, and 1 where there was a value, else 0.

    In place of a missing value stands the one seen last in its column, before the first the first, without any 0.

    >>> x, seen = fill_gaps(jnp.array([[jnp.nan], [1.0], [jnp.nan]]))
    >>> x[:, 0], seen[:, 0]
    (Array([1., 1., 1.], dtype=float32), Array([0., 1., 0.], dtype=float32))
    """
    seen = ~jnp.isnan(x)
    last = jax.lax.cummax(jnp.where(seen, jnp.arange(len(x))[:, None], -1))
    rows = jnp.where(last < 0, jnp.argmax(seen, axis=0), last)
    filled = jnp.take_along_axis(x, rows, axis=0)
    return jnp.where(jnp.isnan(filled), 0, filled), seen.astype(x.dtype)


def sparse(length: int, interval: int) -> Float[Array, " time"]:
    """Sparse forcing: alpha is 1 at every `interval`-th of `length` time steps, the first one included, else 0.

    Mikhaeil, Monfared, Durstewitz, "On the difficulty of learning chaotic dynamics with RNNs", NeurIPS 2022
    (arXiv 2110.07238): an interval of about ln 2 / lambda_max steps.

    >>> sparse(7, 3)
    Array([1., 0., 0., 1., 0., 0., 1.], dtype=float32)
    """
    if interval < 1 or length < 1:
        raise ValueError(f"length is {length} and interval {interval}; pass positive numbers of time steps")
    return (jnp.arange(length) % interval == 0).astype(jnp.float32)
