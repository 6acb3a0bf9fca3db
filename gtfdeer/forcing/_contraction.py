"""How much forcing a map needs to contract: the size of its Jacobians, and what is left of their expansion.

With s an estimate of the size of F's Jacobians at the teacher states, `alpha* = max(0, 1 - 1/s)` brings the size of the
forced Jacobians to one, and a good alpha is no larger (Hess et al., ICML 2023, arXiv 2306.04406).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._checks import array

if TYPE_CHECKING:
    from jaxtyping import Array, Float


# --- How large are the Jacobians? `(..., T, M, M)`, leading axes a batch, whose maximum counts. ---


def spectral_norm(J: Float[Array, "*batch latent latent"]) -> Float[Array, "*batch"]:
    """The largest singular value, from above: `||(J^T J)^64||_F^(1/128)` exceeds it by a factor of at most M^(1/256).

    Repeated squaring instead of a singular value decomposition: batched products run on any device.
    """
    size = jnp.max(jnp.abs(J), axis=(-2, -1), keepdims=True)
    size = jnp.where(size > 0, size, 1)
    J = J / size
    G = jnp.einsum("...ki,...kj->...ij", J, J, precision="highest")
    log_norm = jnp.zeros(J.shape[:-2], J.dtype)
    for k in range(6):
        norm = jnp.sqrt(jnp.sum(G**2, axis=(-2, -1)))
        norm = jnp.where(norm > 0, norm, 1)
        log_norm = log_norm + jnp.log(norm) / 2 ** (k + 1)
        G = G / norm[..., None, None]
        G = jnp.einsum("...ij,...jk->...ik", G, G, precision="highest")
    log_norm = log_norm + jnp.log(jnp.sqrt(jnp.maximum(jnp.sum(G**2, axis=(-2, -1)), 0))) / 2**7
    return jnp.squeeze(size, (-2, -1)) * jnp.exp(log_norm)


def product_upper_bound(jacobians: Float[Array, "*batch time latent latent"]) -> Float[Array, ""]:
    """Geometric mean over time of the Jacobians' norms: bounds the norm of their product. GTF's default."""
    return jnp.max(jnp.exp(jnp.mean(jnp.log(spectral_norm(jacobians)), axis=-1)))


def arithmetic_mean(jacobians: Float[Array, "*batch time latent latent"]) -> Float[Array, ""]:
    """The norm of the mean Jacobian."""
    return jnp.max(spectral_norm(jnp.mean(jacobians, axis=-3)))


def optimal_alpha(size: Float[Array, ""]) -> Float[Array, ""]:
    """`alpha* = max(0, 1 - 1/s)` (arXiv 2306.04406), for Jacobians of size s; 1 where s is not finite.

    >>> float(optimal_alpha(jnp.array(2.0)))
    0.5
    """
    return jnp.where(jnp.isfinite(size), jnp.clip(1 - 1 / size, 0, 1), 1)


# --- Does the forced map contract? ---


class Contraction(NamedTuple):
    """What forcing leaves of a map's expansion, per unit of time; below zero the forced map forgets its start."""

    exponent: Any
    """Largest Lyapunov exponent of the forced map along the states."""
    bound: Any
    """Mean logarithm of its Jacobians' norms: never below the exponent."""


def contraction(
    step: Callable[[Any], Any], states: Float[Array, "time latent"], alpha: Any, dt: float = 1.0
) -> Contraction:
    """The largest Lyapunov exponent of a forced map along given states, and the bound from norms.

        exponent = ln ||J_T .. J_1|| / (T dt),    bound = sum_t ln ||J_t|| / (T dt),    J_t = J_F(s_t) (I - alpha_t)

    A diagnostic: with every unit forced, some alpha below 1 makes both negative; with units that are never forced
    perhaps none does, and a solve in parallel over time may then fail.

    Args:
        step: the unforced map F, `(M,) -> (M,)`.
        states: `(T, M)` the states s_t that F was applied to, such as the teacher's.
        alpha: a number, `(T,)` per step, `(T, M)` or `(1, M)` per unit, in [0, 1].
        dt: time of a step; the results are rates per unit of time.

    Raises:
        ValueError: if shapes do not fit or alpha is outside [0, 1].

    >>> found = contraction(lambda z: 2 * z, jnp.zeros((50, 3)), alpha=0.75)  # every step halves: -ln 2
    >>> round(float(found.exponent), 3), round(float(found.bound), 2)
    (-0.693, -0.69)
    """
    array(alpha, "alpha", least=0, most=1)
    if jnp.ndim(states) != 2 or not jnp.size(states):
        raise ValueError(f"states has shape {jnp.shape(states)}; pass (T, M), one state a step")
    came, alpha = jnp.shape(alpha), jnp.asarray(alpha, states.dtype)
    alpha = alpha[:, None] if alpha.ndim == 1 else alpha
    if alpha.ndim > 2 or any(a not in (1, s) for a, s in zip(alpha.shape, states.shape, strict=False)):
        T, M = states.shape
        raise ValueError(f"alpha has shape {came}; pass a number, ({T},), ({T}, {M}) or (1, {M})")
    J = jax.vmap(jax.jacfwd(step))(states) * (1 - jnp.broadcast_to(alpha, states.shape))[:, None, :]
    tiny = jnp.finfo(states.dtype).tiny

    def multiply(carry: tuple[Array, Array], J: Array) -> tuple[tuple[Array, Array], None]:
        product, log_size = carry
        product = jnp.dot(J, product, precision="highest")
        size = jnp.max(jnp.abs(product))
        return (product / jnp.maximum(size, tiny), log_size + jnp.log(size)), None

    first = jnp.eye(states.shape[1], dtype=states.dtype), jnp.zeros((), states.dtype)
    (product, log_size), _ = jax.lax.scan(multiply, first, J)
    duration = states.shape[0] * dt
    exponent = (log_size + jnp.log(spectral_norm(product))) / duration
    return Contraction(exponent, jnp.sum(jnp.log(spectral_norm(J))) / duration)
