"""Mamba: a selective state-space model, whose step sizes, inputs and readouts depend on what it is fed.

    (w, g) = W v;   d = softplus(W_d w + b_d);   B = W_B w;   C = W_C w
    h_t = exp(d A) h_{t-1} + d (w B^T),   A < 0 diagonal for every channel;     y_t = h_t C + D w
    out = W_o (y silu(g))

Still linear in h: one A_t a time step instead of one for all. E = 2 H channels of S states each.
Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", arXiv 2312.00752; initial values of its
public code: A = -(1..S) in every channel, d log-uniform(0.001, 0.1) through b_d, D = 1. The block's short
convolution over the last inputs is left out: it is no diagonal recurrence, and the states remember as much.

Parameters of a layer with its norm: 3 E H + 2 E R + 3 S E + 2 E + H, where d comes through R = ceil(H / 16) features;
encoder and readout as in `gtfdeer.models._linear`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from ._product import product
from ._ssm import Layer, StateSpaceModel, normal

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_EXPAND = 2  # channels per feature
_SMALLEST_STEP, _LARGEST_STEP = 1e-3, 1e-1


class _Selective(Layer):
    dtype: ClassVar[type] = float

    def __init__(self, states: int, width: int, rngs: nnx.Rngs) -> None:
        channels, rank = _EXPAND * width, math.ceil(width / 16)
        self.channels, self.states = channels, channels * states
        self.W = nnx.Param(normal(rngs, 2 * channels, width))
        self.W_B, self.W_C = nnx.Param(normal(rngs, states, channels)), nnx.Param(normal(rngs, states, channels))
        self.d_in, self.d_out = nnx.Param(normal(rngs, rank, channels)), nnx.Param(normal(rngs, channels, rank, 0.1))
        steps = jnp.exp(
            jax.random.uniform(
                rngs.params(), (channels,), minval=math.log(_SMALLEST_STEP), maxval=math.log(_LARGEST_STEP)
            )
        )
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


class Mamba(StateSpaceModel):
    """A stack of selective layers (arXiv 2312.00752); `latent_dim` states for each of `2 width` channels a layer.

    >>> model = Mamba(latent_dim=4, width=8, depth=1, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.latent_dim, model.step(jnp.zeros(model.latent_dim)).shape
    (67, (67,))
    """

    def _layer(self, latent_dim: int, width: int, rngs: nnx.Rngs) -> Layer:
        return _Selective(latent_dim, width, rngs)
