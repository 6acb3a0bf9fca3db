"""Piecewise-linear recurrent networks (PLRNN), the standard models of the field: shallow, clipped, almost linear.

    shallow         F(z) = A z + W1 relu(W2 z + h2) + h1 (+ C u)
    clipped         F(z) = A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1 (+ C u)
    almost linear   F(z) = A z + W phi(z) + h (+ C u),    phi a ReLU on the last P of M units, else the identity

A diagonal. With `periods=` units that are not read out (identity or scaled observation, M > N) rotate in pairs,

    A (a, b) = r (cos w a - sin w b, sin w a + cos w b),    r = sigmoid(radius), w = exp(angle), both learned

so that they can hold a rhythm from the first update on, as in LRU (Orvieto et al. 2023, arXiv 2303.06349). r begins at
0.999, the periods 2 pi / w are spaced geometrically, W1's rows of these units begin at a tenth, W2's columns at 0.3
(ours). In an almost-linear network linear units begin as such rotations, which are learned as A and W.

Shallow: M + 2 M H + M + H parameters beside C and the observation's. Clipped orbits are bounded when max |A| < 1. Hess,
Monfared, Brenner, Durstewitz, ICML 2023, arXiv 2306.04406, equations 2 and 3; initial values from its public code: A
the diagonal of K / lambda_max(K) with K = R^T R / M + I, R standard normal; W1 ~ U(+-1/sqrt(H)), W2 ~ U(+-1/sqrt(M)),
h1 = 0; h2 = 0 (clipped: U(+-1/sqrt(H)), because with h2 = 0 it is linear).

Almost linear: the P ReLUs cut the state space into at most 2^P regions, on each of which the map is linear: a
reconstruction that can be read like a symbolic dynamics. M + M^2 + M parameters. Brenner, Hemmer, Monfared, Durstewitz,
NeurIPS 2024, arXiv 2410.14240; M = 20 and P = 2 for Lorenz-63. With half of the units rectified, the default here, it
learns Lorenz-63 in a minute; with two we saw it come to rest. Initial values from its public code: W ~ 0.01 Normal.
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
from ._base import RecurrentModel, check_state, glorot
from ._observation import IdentityObservation, Observation
from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_PERIODS = (100.0, 6_000.0)  # time steps: first periods of units that are not read out
_RADIUS = math.log(0.999 / 0.001)  # their first damping, 0.999 a step, as a sigmoid has it


class _Shallow(RecurrentModel):
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
        self.A = nnx.Param(_scaled_diagonal(rngs, latent_dim)[:alone])
        self.radius = nnx.Param(jnp.full(self._pairs, _RADIUS))
        self.angle = nnx.Param(_spaced_angles(self._pairs, periods or _PERIODS))
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
        W1, W2, h1, h2 = (p[...].astype(z.dtype) for p in (self.W1, self.W2, self.h1, self.h2))
        z = self._linear(z) + product(W1, self._hidden(product(W2, z), h2)) + h1
        return z if u is None else z + product(self.C[...].astype(z.dtype), u)

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        W1, W2, h2 = (p[...].astype(z.dtype) for p in (self.W1, self.W2, self.h2))
        v = product(W2, z)
        _, slopes = jax.jvp(lambda v: self._hidden(v, h2), (v,), (jnp.ones_like(v),))
        # sum_h W1[m, h] slope[h] W2[h, k], as one product with a matrix that is the same at all times
        pairs = (W1.T[:, :, None] * W2[:, None, :]).reshape(self.hidden_dim, -1)
        through = jnp.dot(slopes, pairs, precision="highest")
        return self._linear_matrix(z.dtype) + through.reshape(self.latent_dim, self.latent_dim)

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

    @abc.abstractmethod
    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        """Initial thresholds."""

    @abc.abstractmethod
    def _hidden(self, v: Float[Array, " hidden"], h2: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        """The hidden layer at `v = W2 z`."""


class ShallowPLRNN(_Shallow):
    """`F(z) = A z + W1 relu(W2 z + h2) + h1`.

    >>> model = ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0))
    >>> model.step(jnp.ones(3)).shape, model.jacobian(jnp.ones(3)).shape
    ((3,), (3, 3))
    """

    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        return jnp.zeros(self.hidden_dim)

    def _hidden(self, v: Float[Array, " hidden"], h2: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return jax.nn.relu(v + h2)


class ClippedShallowPLRNN(_Shallow):
    """`F(z) = A z + W1 [relu(W2 z + h2) - relu(W2 z)] + h1`: the hidden layer is bounded.

    >>> model = ClippedShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0))
    >>> model.step(jnp.ones(3)).shape
    (3,)
    """

    def _first_h2(self, key: Array, bound: float) -> Float[Array, " hidden"]:
        return jax.random.uniform(key, (self.hidden_dim,), minval=-bound, maxval=bound)

    def _hidden(self, v: Float[Array, " hidden"], h2: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
        return jax.nn.relu(v + h2) - jax.nn.relu(v)


class AlmostLinearRNN(RecurrentModel):
    """`F(z) = A z + W phi(z) + h`, phi a ReLU on the last `relu_units` units only.

    >>> model = AlmostLinearRNN(latent_dim=20, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.relu_units, model.step(jnp.ones(20)).shape
    (10, (20,))
    """

    def __init__(
        self,
        *,
        latent_dim: int = 20,
        relu_units: int | None = None,
        observed_dim: int | None = None,
        input_dim: int = 0,
        observation: type[Observation] = IdentityObservation,
        periods: Sequence[float] | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """Build a model; `latent_dim`, `observed_dim`, `input_dim` and `rngs` as for every `gtfdeer.models.Model`.

        Args:
            relu_units: P, units with a ReLU, at most M; by default half of them (1 if M is 1).
            observation: `IdentityObservation` or `AffineObservation`. Under the identity the published networks keep
                the ReLUs off the units that are read out, N + P <= M; this is not enforced.
            periods: shortest and longest first period of linear units that are not read out, in time steps, such as
                (100, 6000): they begin as slow damped rotations in pairs; None: at random.
        """
        self._periods = None if periods is None else tuple(periods)
        self._set_sizes(latent_dim, observed_dim, input_dim, observation)
        self._relu_units_given = relu_units
        self.relu_units = max(1, latent_dim // 2) if relu_units is None else relu_units
        whole(self.relu_units, "relu_units", example=3)
        if self.relu_units > latent_dim:
            raise ValueError(f"relu_units={relu_units} exceeds latent_dim={latent_dim}; pass at most {latent_dim}")
        A = _scaled_diagonal(rngs, latent_dim)
        W = 0.01 * jax.random.normal(rngs.params(), (latent_dim, latent_dim))
        if periods is not None:
            pairs = max(0, min(self._free_units(), latent_dim - self.observed_dim - self.relu_units)) // 2
            first = self.observed_dim + jnp.arange(pairs)
            r, w = jax.nn.sigmoid(_RADIUS), jnp.exp(_spaced_angles(pairs, periods))
            A = A.at[first].set(r * jnp.cos(w)).at[first + pairs].set(r * jnp.cos(w))
            W = W.at[first].set(0).at[first + pairs].set(0)
            W = W.at[first, first + pairs].set(-r * jnp.sin(w)).at[first + pairs, first].set(r * jnp.sin(w))
        self.A, self.W = nnx.Param(A), nnx.Param(W)
        self.h = nnx.Param(jnp.zeros(latent_dim))
        self.C = nnx.Param(glorot(rngs, latent_dim, input_dim))
        self.observation = observation(latent_dim, self.observed_dim, rngs=rngs)

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim)
        A, W, h = (p[...].astype(z.dtype) for p in (self.A, self.W, self.h))
        phi = jnp.where(self._rectified(), jax.nn.relu(z), z)
        z = A * z + product(W, phi) + h
        return z if u is None else z + product(self.C[...].astype(z.dtype), u)

    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        A, W = (p[...].astype(z.dtype) for p in (self.A, self.W))
        slopes = jnp.where(self._rectified(), (z > 0).astype(z.dtype), 1)
        return jnp.diag(A) + W * slopes

    def config(self) -> dict[str, Any]:
        return {**self._sizes(), "relu_units": self._relu_units_given, "periods": self._periods}

    def _rectified(self) -> Array:
        return jnp.arange(self.latent_dim) >= self.latent_dim - self.relu_units


def _scaled_diagonal(rngs: nnx.Rngs, size: int) -> Float[Array, " size"]:
    """`diag(K) / lambda_max(K)` with `K = R^T R / M + I`, R standard normal: all in (0, 1] (GTF's public code)."""
    R = jax.random.normal(rngs.params(), (size, size))
    K = jnp.dot(R.T, R, precision="highest") / size + jnp.eye(size)
    return jnp.diag(K) / jnp.linalg.eigvalsh(K)[-1]


def _spaced_angles(pairs: int, periods: Sequence[float]) -> Float[Array, " pairs"]:
    """log(2 pi / period) for periods in the middle of as many parts of the range, on a logarithmic scale."""
    low, high = periods
    if not 2 <= low <= high < math.inf:
        raise ValueError(f"periods is {tuple(periods)}; pass the shortest and the longest, such as {_PERIODS}")
    middles = (jnp.arange(pairs) + 0.5) / max(pairs, 1)
    return math.log(2 * math.pi / low) - middles * math.log(high / low)
