"""Shallow piecewise-linear recurrent networks (shPLRNN), the standard models of the field.

    shallow     F(z) = A z + W1 relu(W2 z + h2) + h1 (+ C u)
    clipped     F(z) = A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1 (+ C u)

A diagonal. With `periods=` units that are not read out (identity or scaled observation, M > N) rotate in pairs,

    A (a, b) = r (cos w a - sin w b, sin w a + cos w b),    r = sigmoid(radius), w = exp(angle), both learned

so that they can hold a rhythm from the first update on: what LRU and S5 begin with (Orvieto et al. 2023, arXiv
2303.06349). r begins at 0.999, the periods 2 pi / w are spaced geometrically, W1's rows of these units begin at a
tenth, W2's columns at 0.3 (ours). Latent M, hidden H, M + 2 M H + M + H parameters beside C and the observation's.
Clipped orbits are bounded when max |A| < 1. Hess, Monfared, Brenner, Durstewitz, ICML 2023, arXiv 2306.04406, equations
2 and 3; initial values from its public code: A the diagonal of K / lambda_max(K) with K = R^T R / M + I, R standard
normal; W1 ~ U(+-1/sqrt(H)), W2 ~ U(+-1/sqrt(M)), h1 = 0; h2 = 0 (clipped: U(+-1/sqrt(H)), because with h2 = 0 it is
linear).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import whole
from ..forcing import Bounded, spectral_norm
from ._base import PERIODS, RADIUS, RecurrentModel, check_state, glorot, scaled_diagonal, spaced_angles
from ._observation import IdentityObservation, Observation
from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class _Shallow(RecurrentModel, Bounded):
    """What the two have in common: parameters, linear part, and how a hidden layer enters step and Jacobian."""

    grows_by: ClassVar[str] = "hidden_dim"

    def __init__(
        self,
        *,
        latent_dim: int,
        hidden_dim: int,
        observed_dim: int | None = None,
        input_dim: int = 0,
        observation: type[Observation] = IdentityObservation,
        periods: Sequence[float] | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Build a model; `latent_dim`, `observed_dim`, `input_dim` and `rngs` as for every `gtfdeer.models.Model`.

        Args:
            hidden_dim: H, units of the hidden layer.
            observation: `IdentityObservation` or `AffineObservation`.
            periods: shortest and longest first period of units that are not read out, in time steps, such as
                (100, 6000): they rotate in pairs; None: they decay one by one.
        """
        self._set_sizes(latent_dim, observed_dim, input_dim, observation)
        self.hidden_dim = hidden_dim = whole(hidden_dim, "hidden_dim", example=3)
        self._periods = None if periods is None else tuple(periods)

        uniform = jax.random.uniform
        narrow, wide = 1 / math.sqrt(hidden_dim), 1 / math.sqrt(latent_dim)
        self._pairs = 0 if periods is None else self._free_units() // 2
        alone = latent_dim - 2 * self._pairs
        self.A = nnx.Param(scaled_diagonal(rngs, latent_dim)[:alone])
        self.radius = nnx.Param(jnp.full(self._pairs, RADIUS))
        self.angle = nnx.Param(spaced_angles(self._pairs, periods or PERIODS))
        self.W1 = nnx.Param(uniform(rngs.params(), (latent_dim, hidden_dim), minval=-narrow, maxval=narrow))
        self.W2 = nnx.Param(uniform(rngs.params(), (hidden_dim, latent_dim), minval=-wide, maxval=wide))
        if self._pairs:
            self.W1[...] = self.W1[...].at[alone:].mul(0.1)
            self.W2[...] = self.W2[...].at[:, alone:].mul(0.3)
        self.h1 = nnx.Param(jnp.zeros(latent_dim))
        self.h2 = nnx.Param(self._first_h2(rngs.params(), narrow))
        self.C = nnx.Param(glorot(rngs, latent_dim, input_dim))
        self.observation = observation(latent_dim, self.observed_dim, rngs=rngs)

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim)
        W1, h1 = (p[...].astype(z.dtype) for p in (self.W1, self.h1))
        z = self._linear(z) + product(W1, self._hidden(z)) + h1
        return z if u is None else z + product(self.C[...].astype(z.dtype), u)

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        W1, W2 = (p[...].astype(z.dtype) for p in (self.W1, self.W2))
        # sum_h W1[m, h] slope[h] W2[h, k], as one product with a matrix that is the same at all times
        pairs = (W1.T[:, :, None] * W2[:, None, :]).reshape(self.hidden_dim, -1)
        through = jnp.dot(self._slopes(z), pairs, precision="highest")
        return self._linear_matrix(z.dtype) + through.reshape(self.latent_dim, self.latent_dim)

    def jacobian_bound(self) -> Float[Array, ""]:
        W1, W2 = (p[...] for p in (self.W1, self.W2))
        linear = jnp.concatenate([jnp.abs(self.A[...]), jax.nn.sigmoid(self.radius[...])])
        return jnp.max(linear) + spectral_norm(W1.T) * spectral_norm(W2)

    def config(self) -> dict[str, Any]:
        return {**self._sizes(), "hidden_dim": self.hidden_dim, "periods": self._periods}

    def _rotation(self, dtype: Any) -> tuple[Array, Array]:
        """`r cos w` and `r sin w` of every pair."""
        r, w = jax.nn.sigmoid(self.radius[...]), jnp.exp(self.angle[...])
        return (r * jnp.cos(w)).astype(dtype), (r * jnp.sin(w)).astype(dtype)

    def _linear(self, z: Float[Array, " latent"]) -> Float[Array, " latent"]:
        """`A z`: single units first, then the first halves of all pairs, then the second ones."""
        A = self.A[...].astype(z.dtype)
        if not self._pairs:
            return A * z
        cos, sin = self._rotation(z.dtype)
        x, a, b = jnp.split(z, [len(A), len(A) + self._pairs])
        return jnp.concatenate([A * x, cos * a - sin * b, sin * a + cos * b])

    def _linear_matrix(self, dtype: Any) -> Float[Array, "latent latent"]:
        A = self.A[...].astype(dtype)
        cos, sin = self._rotation(dtype)
        first = len(A) + jnp.arange(self._pairs)
        matrix = jnp.diag(jnp.concatenate([A, cos, cos]))
        return matrix.at[first, first + self._pairs].set(-sin).at[first + self._pairs, first].set(sin)

    def _project(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        return product(self.W2[...].astype(z.dtype), z)

    @abc.abstractmethod
    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        """Initial thresholds."""

    @abc.abstractmethod
    def _hidden(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        """The hidden layer."""

    @abc.abstractmethod
    def _slopes(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        """Its derivative with respect to `W2 z`."""


class ShallowPLRNN(_Shallow):
    """`F(z) = A z + W1 relu(W2 z + h2) + h1`.

    >>> model = ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0))
    >>> model.step(jnp.ones(3)).shape, model.jacobian(jnp.ones(3)).shape
    ((3,), (3, 3))
    """

    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        return jnp.zeros(self.hidden_dim)

    def _hidden(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        return jax.nn.relu(self._project(z) + self.h2[...].astype(z.dtype))

    def _slopes(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        return (self._project(z) + self.h2[...].astype(z.dtype) > 0).astype(z.dtype)


class ClippedShallowPLRNN(_Shallow):
    """`F(z) = A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1`: the hidden layer is bounded.

    >>> model = ClippedShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0))
    >>> model.step(jnp.ones(3)).shape
    (3,)
    """

    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        return jax.random.uniform(key, (self.hidden_dim,), minval=-bound, maxval=bound)

    def _hidden(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        v = self._project(z)
        return jax.nn.relu(v + self.h2[...].astype(z.dtype)) - jax.nn.relu(v)

    def _slopes(self, z: Float[Array, " latent"]) -> Float[Array, " hidden"]:
        v = self._project(z)
        return (v + self.h2[...].astype(z.dtype) > 0).astype(z.dtype) - (v > 0).astype(z.dtype)
