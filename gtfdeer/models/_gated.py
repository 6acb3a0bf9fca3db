"""Recurrent networks with bounded units: vanilla (tanh), GRU, LSTM.

    vanilla   F(h) = tanh(W h + b)
    GRU       g, r = sig(W_g h + b_g), sig(W_r h + b_r);   q = W_q h + c_q;   p = tanh(r q + b_p)
              F(h) = (1 - g) p + g h
    LSTM      f, i, o = sig(W h + b);   p = tanh(W_p h + b_p);   c' = f c + i p
              F(c, h) = (c', o tanh(c'))

Autonomous: what drives them is their own state; external inputs u, where there are any, add C u inside every gate
and inside p. h stays in (-1, 1), which standardised data do not, hence the scaled observation by default: the first N
units are read out and forced, of an LSTM's state (c, h) cells in c; the others remember what they will.

Elman, Cognitive Science 1990; Cho et al., EMNLP 2014, arXiv 1406.1078 (GRU, in the form with the reset gate after
the product, as flax and cuDNN have it); Hochreiter & Schmidhuber, Neural Computation 1997, with the forget gate of
Gers et al. 2000. Parameters beside the observation's: vanilla M^2 + M + M K; GRU 3 M^2 + 4 M + 3 M K; LSTM
4 m^2 + 4 m + 4 m K for M = 2 m.

Initial values put the first map near the identity, as data sampled well above their fastest rate ask for: vanilla
W = I (Le, Jaitly, Hinton, arXiv 1504.00941); GRU's g and LSTM's f open with bias `_REMEMBER` (Jozefowicz et al.,
ICML 2015, for the forget gate). Others: orthogonal, C Glorot uniform, biases 0.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import whole
from ._base import RecurrentModel, check_state, glorot
from ._observation import Observation, ScaledObservation
from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_REMEMBER = 1.0


class _Gated(RecurrentModel):
    """What the three have in common: products `W h` for all gates at once, and what enters beside them, `C u + b`."""

    least_units: ClassVar[int] = 32
    """M, where no `latent_dim` is passed, unless three for each column are more."""
    W: nnx.Param
    b: nnx.Param

    def __init__(
        self,
        *,
        latent_dim: int | None = None,
        observed_dim: int | None = None,
        input_dim: int = 0,
        observation: type[Observation] = ScaledObservation,
        rngs: nnx.Rngs,
    ) -> None:
        """Build a model; `observed_dim`, `input_dim` and `rngs` as for every `gtfdeer.models.Model`.

        Args:
            latent_dim: M, numbers in the latent state; for an LSTM those of (c, h) together, at least 2. By default 32
                (GRU: 16), or three for each of the columns passed if those are more.
            observation: `ScaledObservation`; `AffineObservation` where there are more columns than units.
        """
        if latent_dim is None:
            columns = 0 if observed_dim is None else whole(observed_dim, "observed_dim", example=3)
            latent_dim = max(self.least_units, 3 * columns)
        self._set_sizes(latent_dim, observed_dim, input_dim, observation)
        self._make_gates(rngs)
        self.C = nnx.Param(glorot(rngs, self.b.shape[0], input_dim))
        self.observation = observation(latent_dim, self.observed_dim, rngs=rngs)

    def config(self) -> dict[str, Any]:
        return self._sizes()

    @abc.abstractmethod
    def _make_gates(self, rngs: nnx.Rngs) -> None:
        """Set the parameters `W` and `b`, one row for every unit of every gate."""

    def _weights(self, z: Array) -> Float[Array, "rows units"]:
        return self.W[...].astype(z.dtype)

    def _products(self, h: Float[Array, " units"]) -> Float[Array, " rows"]:
        return product(self._weights(h), h)

    def _drive(self, z: Float[Array, " latent"], u: Any) -> Float[Array, " rows"]:
        b = self.b[...].astype(z.dtype)
        return b if u is None else b + product(self.C[...].astype(z.dtype), u)


class VanillaRNN(_Gated):
    """`F(h) = tanh(W h + b)`.

    >>> model = VanillaRNN(latent_dim=16, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.step(jnp.ones(16)).shape, model.decode(jnp.ones(16)).shape
    ((16,), (3,))
    """

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim)
        return jnp.tanh(self._products(z) + self._drive(z, u))

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        return (1 - self.step(z, u) ** 2)[:, None] * self._weights(z)

    def _make_gates(self, rngs: nnx.Rngs) -> None:
        self.W, self.b = nnx.Param(jnp.eye(self.latent_dim)), nnx.Param(jnp.zeros(self.latent_dim))


class GRU(_Gated):
    """The gated recurrent unit: `F(h) = (1 - g) tanh(r (W_q h + c) + b_p) + g h`.

    >>> model = GRU(latent_dim=16, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.jacobian(jnp.ones(16)).shape
    (16, 16)
    """

    least_units: ClassVar[int] = 16

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim)
        g, _, _, p = self._gates(z, u)
        return (1 - g) * p + g * z

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        g, r, q, p = self._gates(z, u)
        Wg, Wr, Wq = jnp.split(self._weights(z), 3)
        through_p = r[:, None] * Wq + (q * r * (1 - r))[:, None] * Wr
        through_g = ((z - p) * g * (1 - g))[:, None] * Wg
        return jnp.diag(g) + through_g + ((1 - g) * (1 - p**2))[:, None] * through_p

    def _gates(self, z: Array, u: Any) -> tuple[Array, Array, Array, Array]:
        Wg, Wr, Wq = jnp.split(self._products(z), 3)
        Dg, Dr, Dp = jnp.split(self._drive(z, u), 3)
        g, r, q = jax.nn.sigmoid(Wg + Dg), jax.nn.sigmoid(Wr + Dr), Wq + self.c[...].astype(z.dtype)
        return g, r, q, jnp.tanh(r * q + Dp)

    def _make_gates(self, rngs: nnx.Rngs) -> None:
        M = self.latent_dim
        self.W = nnx.Param(jnp.concatenate([_orthogonal(rngs, M, M) for _ in range(3)]))
        self.b = nnx.Param(jnp.zeros(3 * M).at[:M].set(_REMEMBER))
        self.c = nnx.Param(jnp.zeros(M))


class LSTM(_Gated):
    """The long short-term memory; its state is ONE vector (c, h), the cells first.

    h has `M // 2` units, c the others: equally many for even M; for odd M the last cell is seen by the readout only.

    >>> model = LSTM(latent_dim=16, observed_dim=3, rngs=nnx.Rngs(0))
    >>> c, h = jnp.zeros(8), jnp.ones(8)
    >>> model.step(jnp.concatenate([c, h])).shape
    (16,)
    """

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim, "cells c and units h")
        f, i, p, o = self._gates(z, u)
        c = f * z[: f.size] + i * p
        return jnp.concatenate([c, o * jnp.tanh(c[: o.size])])

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        f, i, p, o = self._gates(z, u)
        c = z[: f.size]
        Wf, Wi, Wp, Wo = self._split(self._weights(z))
        y = jnp.tanh((f * c + i * p)[: o.size])
        d = o * (1 - y**2)
        from_h = (c * f * (1 - f))[:, None] * Wf + (p * i * (1 - i))[:, None] * Wi + (i * (1 - p**2))[:, None] * Wp
        cells = jnp.concatenate([jnp.diag(f), from_h], axis=1)
        gate = jnp.concatenate([jnp.zeros((o.size, f.size), z.dtype), (y * o * (1 - o))[:, None] * Wo], axis=1)
        return jnp.concatenate([cells, gate + d[:, None] * cells[: o.size]])

    def _gates(self, z: Array, u: Any) -> tuple[Array, Array, Array, Array]:
        f, i, p, o = self._split(self._products(z[self.latent_dim - self._units :]) + self._drive(z, u))
        return jax.nn.sigmoid(f), jax.nn.sigmoid(i), jnp.tanh(p), jax.nn.sigmoid(o)

    def _split(self, rows: Array) -> list[Array]:
        cells = self.latent_dim - self._units
        return jnp.split(rows, [cells, 2 * cells, 3 * cells])

    def _make_gates(self, rngs: nnx.Rngs) -> None:
        if self.latent_dim < 2:
            raise ValueError(f"latent_dim is {self.latent_dim}; an LSTM's state is (c, h): pass latent_dim=2 or more")
        self._units = self.latent_dim // 2
        cells = self.latent_dim - self._units
        self.W = nnx.Param(
            jnp.concatenate([_orthogonal(rngs, rows, self._units) for rows in (cells, cells, cells, self._units)])
        )
        self.b = nnx.Param(jnp.zeros(3 * cells + self._units).at[:cells].set(_REMEMBER))


def _orthogonal(rngs: nnx.Rngs, rows: int, columns: int) -> Float[Array, "rows columns"]:
    return jax.nn.initializers.orthogonal()(rngs.params(), (rows, columns), jnp.result_type(float))
