"""The affine recurrence, damped: what `ELK` solves where an exact solution would overflow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .scan import affine, for_this_device, on_cpu

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["damped_affine"]

_einsum = partial(jnp.einsum, precision="highest")


def damped_affine(
    A: Float[Array, "time latent latent"], b: Float[Array, "time latent"], damping: Float[Array, ""]
) -> Float[Array, "time latent"]:
    """The affine recurrence in the sense of damped least squares, where an exact solution would overflow:

        minimise  sum_t |z_t - A_t z_{t-1} - b_t|^2 + damping |z_t|^2,    z_0 = 0

    This is what a Kalman smoother computes for unit process noise and observations `0 ~ N(z_t, I / damping)`: a filter
    (in a tree on accelerators, in a loop on CPUs) and a reversed affine recurrence. `A_1` meets the zero start.

    Särkkä & García-Fernández, "Temporal parallelization of Bayesian smoothers", IEEE TAC 2021, arXiv 1905.13002;
    Gonzalez et al., arXiv 2407.19115 (its use for Newton's method).

    >>> A, b = jnp.full((50, 1, 1), 2.0), jnp.ones((50, 1))
    >>> bool(jnp.max(jax.jit(damped_affine)(A, b, 1.0)) < 2), bool(jnp.max(affine(A, b)) > 1e14)
    (True, True)
    """
    A = A.at[0].set(0)
    filtered = _filter_in_a_loop if on_cpu() else _filter_in_a_tree
    mean, covariance = filtered(A, b, damping)
    after = _einsum("tij,tjk->tik", A[1:], covariance[:-1])
    spread = _einsum("tij,tkj->tik", after, A[1:]) + jnp.eye(b.shape[1], dtype=b.dtype)
    gain = jnp.swapaxes(_solve_positive(spread, after), 1, 2)
    predicted = _einsum("tij,tj->ti", A[1:], mean[:-1]) + b[1:]
    offset = mean.at[:-1].add(-_einsum("tij,tj->ti", gain, predicted))
    return affine(jnp.concatenate([gain, jnp.zeros_like(A[:1])]), offset, reverse=True, method=for_this_device())


def _filter_in_a_loop(A: Array, b: Array, damping: Array) -> tuple[Array, Array]:
    """Means and covariances of the Kalman filter, step by step: predict, then observe zero."""
    eye = jnp.eye(b.shape[1], dtype=b.dtype)

    def step(before: tuple[Array, Array], element: tuple[Array, Array]) -> tuple[tuple, tuple]:
        (mean, covariance), (A, b) = before, element
        predicted = _einsum("ij,jk,lk->il", A, covariance, A) + eye
        drawn = jnp.concatenate([predicted, (_einsum("ij,j->i", A, mean) + b)[:, None]], axis=1)
        drawn = _solve_positive(eye + damping * predicted, drawn)
        return (drawn[:, -1], drawn[:, :-1]), (drawn[:, -1], drawn[:, :-1])

    return jax.lax.scan(step, (jnp.zeros_like(b[0]), jnp.zeros_like(eye)), (A, b))[1]


def _filter_in_a_tree(A: Array, b: Array, damping: Array) -> tuple[Array, Array]:
    """The same, log T deep; arXiv 1905.13002, lemmas 7 and 8."""
    eye = jnp.eye(b.shape[1], dtype=b.dtype)
    kept = damping / (1 + damping)  # the weight of the observation "zero", 1 / (1 + damping^-1)
    transposed = jnp.swapaxes(A, 1, 2)
    first = (
        (1 - kept) * A,
        (1 - kept) * b,
        jnp.broadcast_to((1 - kept) * eye, A.shape),
        -kept * _einsum("tij,tj->ti", transposed, b),
        kept * _einsum("tij,tjk->tik", transposed, A),
    )

    def combine(i: tuple[Array, ...], j: tuple[Array, ...]) -> tuple[Array, ...]:
        (Ai, bi, Ci, hi, Ji), (Aj, bj, Cj, hj, Jj) = i, j
        past = jnp.linalg.solve(eye + _einsum("tij,tjk->tik", Ci, Jj), jnp.concatenate([Ai, Ci], axis=2))
        MA, MC = past[..., : eye.shape[0]], past[..., eye.shape[0] :]
        innovation = hj - _einsum("tij,tj->ti", Jj, bi)
        A = _einsum("tij,tjk->tik", Aj, MA)
        b = _einsum("tij,tj->ti", Aj, bi + _einsum("tij,tj->ti", MC, innovation)) + bj
        C = _einsum("tij,tjk,tlk->til", Aj, MC, Aj) + Cj
        h = _einsum("tji,tj->ti", MA, innovation) + hi
        J = _einsum("tji,tjk,tkl->til", MA, Jj, Ai) + Ji
        return A, b, C, h, J

    _, mean, covariance, _, _ = jax.lax.associative_scan(combine, first)
    return mean, covariance


def _solve_positive(A: Array, b: Array) -> Array:
    """`A^-1 b` for symmetric positive definite `A`, `(..., M, M)` and `(..., M, K)`."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(A), True), b)
