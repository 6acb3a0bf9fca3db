"""LRU and S5, state-space models whose transitions are the same at all times, and Mamba, a selective one.

    LRU   lambda = exp(-exp(nu) + i exp(theta)),     h_t = lambda h_{t-1} + gamma (B v_t),   y_t = Re(C h_t) + D v_t
    S5    A = exp(Lambda d), B' = (A - 1) / Lambda B,   h_t = A h_{t-1} + B' v_t,   y_t = Re(C h_t) + D v_t

S complex states a layer, in S5 one of each conjugate pair (the 2 for its partner is in the initial C). gamma and the
step sizes d are learned. Both put y through a gated unit, `gelu(y) sig(W gelu(y) + w)`, as the S5 code does. With
|lambda| < 1 and Re Lambda < 0 no state explodes, whatever it is fed.

Orvieto et al., "Resurrecting recurrent neural networks for long sequences", ICML 2023, arXiv 2303.06349: |lambda|^2
uniform in a ring, phases uniform, gamma = sqrt(1 - |lambda|^2), B ~ Normal / sqrt(2H), C ~ Normal / sqrt(S), D ~
Normal. Smith, Warrington, Linderman, "Simplified state space layers for sequence modeling", ICLR 2023, arXiv
2208.04933: Lambda the eigenvalues of the normal part of HiPPO-LegS (arXiv 2008.07669), B and C in its eigenbasis,
D ~ Normal, d ~ log-uniform(0.001, 0.1), zero-order hold, Re Lambda at most -1e-4.

    Mamba (w, g) = W v;   d = softplus(W_d w + b_d);   B = W_B w;   C = W_C w,   A < 0 diagonal for every channel
          h_t = exp(d A) h_{t-1} + d (w B^T),     y_t = h_t C + D w,     out = W_o (y silu(g))

Step sizes, inputs and readouts depend on what is fed: still linear in h, one A_t a time step instead of one for all. E
= 2 H channels of S states each. Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", arXiv
2312.00752; initial values of its public code: A = -(1..S) in every channel, d as in S5 through b_d, D = 1. The block's
short convolution over the last inputs is left out: it is no diagonal recurrence, and the states remember as much.

Parameters for width H, N columns, K inputs: encoder H (N + K) + H; readout H^2 + H + N H + N; each layer, with its
norm, 3 S + 4 S H + H^2 + 3 H; Mamba's 3 E H + 2 E R + 3 S E + 2 E + H, d coming through R = ceil(H / 16) features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ._product import product
from ._ssm import Layer, StateSpaceModel, normal

if TYPE_CHECKING:
    from jaxtyping import Array, Complex, Float

_RING = (0.5, 0.99)  # of |lambda|
_LARGEST_PHASE = math.pi / 5
_LEAST_DECAY = 1e-4
_EXPAND = 2  # Mamba's channels per feature


class _Complex(Layer):
    """What LRU and S5 layers have in common: complex B and C as pairs of real matrices, feedthrough, gated unit."""

    dtype: ClassVar[type] = complex

    def __init__(self, states: int, width: int, B: Array, C: Array, rngs: nnx.Rngs) -> None:
        self.states = states
        self.B_real, self.B_imag = nnx.Param(B.real), nnx.Param(B.imag)
        self.C_real, self.C_imag = nnx.Param(C.real), nnx.Param(C.imag)
        self.D = nnx.Param(jax.random.normal(rngs.params(), (width,)))
        self.W, self.w = nnx.Param(normal(rngs, width, width)), nnx.Param(jnp.zeros(width))

    def _driven(self, v: Float[Array, " width"]) -> Complex[Array, " states"]:
        real, imag = (product(p[...].astype(v.dtype), v) for p in (self.B_real, self.B_imag))
        return jax.lax.complex(real, imag)

    def output(self, h: Complex[Array, " states"], v: Float[Array, " width"]) -> Float[Array, " width"]:
        real, imag, D, W, w = (p[...].astype(v.dtype) for p in (self.C_real, self.C_imag, self.D, self.W, self.w))
        y = product(real, h.real) - product(imag, h.imag) + D * v
        y = jax.nn.gelu(y)
        return y * jax.nn.sigmoid(product(W, y) + w)


class _LRULayer(_Complex):
    def __init__(self, states: int, width: int, rngs: nnx.Rngs) -> None:
        low, high = _RING
        drawn = jax.random.uniform(rngs.params(), (2, states))
        squared = low**2 + (high**2 - low**2) * drawn[0]
        self.nu = nnx.Param(jnp.log(-0.5 * jnp.log(squared)))
        self.theta = nnx.Param(jnp.log(_LARGEST_PHASE * drawn[1]))
        self.log_gamma = nnx.Param(0.5 * jnp.log(1 - squared))
        B = _complex_normal(rngs, states, width) / math.sqrt(2 * width)
        C = _complex_normal(rngs, width, states) / math.sqrt(states)
        super().__init__(states, width, B, C, rngs)

    def transition(self, v: Float[Array, " width"]) -> tuple[Array, Array]:
        nu, theta, log_gamma = (p[...].astype(v.dtype) for p in (self.nu, self.theta, self.log_gamma))
        decay = jax.lax.complex(-jnp.exp(nu), jnp.exp(theta))
        return jnp.exp(decay), jnp.exp(log_gamma) * self._driven(v)


class _S5Layer(_Complex):
    def __init__(self, states: int, width: int, rngs: nnx.Rngs) -> None:
        decay, frequency, V = _hippo_normal(2 * states)
        kept = slice(states, None)  # the half with positive frequencies
        self.decay, self.frequency = nnx.Param(decay[kept]), nnx.Param(frequency[kept])
        self.log_step = nnx.Param(_log_uniform_steps(rngs, states))
        B = jnp.dot(V[:, kept].conj().T, normal(rngs, 2 * states, width), precision="highest")
        C = _complex_normal(rngs, width, 2 * states) / math.sqrt(4 * states)
        C = jnp.dot(C, V[:, kept], precision="highest")
        super().__init__(states, width, B, 2 * C, rngs)

    def transition(self, v: Float[Array, " width"]) -> tuple[Array, Array]:
        decay, frequency, log_step = (p[...].astype(v.dtype) for p in (self.decay, self.frequency, self.log_step))
        eigenvalues = jax.lax.complex(jnp.minimum(decay, -_LEAST_DECAY), frequency)
        A = jnp.exp(eigenvalues * jnp.exp(log_step))
        return A, (A - 1) / eigenvalues * self._driven(v)


class _Selective(Layer):
    dtype: ClassVar[type] = float

    def __init__(self, states: int, width: int, rngs: nnx.Rngs) -> None:
        channels, rank = _EXPAND * width, math.ceil(width / 16)
        self.channels, self.states = channels, channels * states
        self.W = nnx.Param(normal(rngs, 2 * channels, width))
        self.W_B, self.W_C = nnx.Param(normal(rngs, states, channels)), nnx.Param(normal(rngs, states, channels))
        self.d_in, self.d_out = nnx.Param(normal(rngs, rank, channels)), nnx.Param(normal(rngs, channels, rank, 0.1))
        steps = jnp.exp(_log_uniform_steps(rngs, channels))
        self.b_d = nnx.Param(jnp.log(jnp.expm1(steps)))  # the inverse of softplus
        self.log_A = nnx.Param(jnp.broadcast_to(jnp.log(jnp.arange(1.0, states + 1)), (channels, states)))
        self.D = nnx.Param(jnp.ones(channels))
        self.W_o = nnx.Param(normal(rngs, width, channels))

    def transition(self, v: Float[Array, " width"]) -> tuple[Array, Array]:
        w, _ = self._split(v)
        d_in, d_out, b_d, W_B, log_A = (
            p[...].astype(v.dtype) for p in (self.d_in, self.d_out, self.b_d, self.W_B, self.log_A)
        )
        d = jax.nn.softplus(product(d_out, product(d_in, w)) + b_d)[:, None]
        return jnp.exp(-d * jnp.exp(log_A)).ravel(), (d * w[:, None] * product(W_B, w)).ravel()

    def output(self, h: Float[Array, " states"], v: Float[Array, " width"]) -> Float[Array, " width"]:
        w, gate = self._split(v)
        W_C, D, W_o = (p[...].astype(v.dtype) for p in (self.W_C, self.D, self.W_o))
        y = product(h.reshape(self.channels, -1), product(W_C, w)) + D * w
        return product(W_o, y * jax.nn.silu(gate))

    def _split(self, v: Float[Array, " width"]) -> tuple[Array, Array]:
        w, gate = jnp.split(product(self.W[...].astype(v.dtype), v), 2)
        return jax.nn.silu(w), gate


class LRU(StateSpaceModel):
    """A stack of linear recurrent units (arXiv 2303.06349); `latent_dim` complex states a layer.

    >>> model = LRU(latent_dim=8, width=16, depth=2, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.latent_dim, model.step(jnp.zeros(model.latent_dim)).shape
    (35, (35,))
    """

    def _layer(self, latent_dim: int, width: int, rngs: nnx.Rngs) -> Layer:
        return _LRULayer(latent_dim, width, rngs)


class S5(StateSpaceModel):
    """A stack of S5 layers (arXiv 2208.04933); `latent_dim` conjugate pairs a layer.

    >>> model = S5(latent_dim=8, width=16, depth=1, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.latent_dim, model.step(jnp.zeros(model.latent_dim)).shape
    (19, (19,))
    """

    def _layer(self, latent_dim: int, width: int, rngs: nnx.Rngs) -> Layer:
        return _S5Layer(latent_dim, width, rngs)


class Mamba(StateSpaceModel):
    """A stack of selective layers (arXiv 2312.00752); `latent_dim` states for each of `2 width` channels a layer.

    >>> model = Mamba(latent_dim=4, width=8, depth=1, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.latent_dim, model.step(jnp.zeros(model.latent_dim)).shape
    (67, (67,))
    """

    def _layer(self, latent_dim: int, width: int, rngs: nnx.Rngs) -> Layer:
        return _Selective(latent_dim, width, rngs)


def _log_uniform_steps(rngs: nnx.Rngs, count: int) -> Float[Array, " count"]:
    """ln of step sizes, log-uniform from 0.001 to 0.1: S5's and Mamba's first ones."""
    return jax.random.uniform(rngs.params(), (count,), minval=math.log(1e-3), maxval=math.log(1e-1))


def _complex_normal(rngs: nnx.Rngs, rows: int, columns: int) -> Complex[Array, "rows columns"]:
    return jax.lax.complex(*jax.random.normal(rngs.params(), (2, rows, columns)))


def _hippo_normal(size: int) -> tuple[Float[Array, " size"], Float[Array, " size"], Complex[Array, "size size"]]:
    """Real and imaginary parts of the eigenvalues of HiPPO-LegS's normal part, rising, and its unitary eigenvectors.

    `A_nk = -1/2 sqrt((2n+1)(2k+1))` below the diagonal, the negative of it above, -1/2 on the diagonal.
    """
    root = np.sqrt(2 * np.arange(size) + 1)
    lower = np.tril(np.outer(root, root), -1) / 2
    frequencies, V = np.linalg.eigh(-1j * (lower.T - lower))
    real, complex_ = jnp.result_type(float), jnp.result_type(complex)
    return jnp.full(size, -0.5, real), jnp.asarray(frequencies, real), jnp.asarray(V, complex_)
