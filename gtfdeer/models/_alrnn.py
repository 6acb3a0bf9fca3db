"""The almost-linear recurrent network (AL-RNN): only a few units pass through a ReLU.

    F(z) = A z + W phi(z) + h (+ C u),    phi = identity on the first M - P units, ReLU on the last P

A diagonal. The P ReLUs cut the state space into at most 2^P regions, on each of which the map is linear: a
reconstruction that can be read like a symbolic dynamics. M + M^2 + M parameters beside C and the observation's.
Brenner, Hemmer, Monfared, Durstewitz, "Almost-linear RNNs yield highly interpretable symbolic codes in dynamical
systems reconstruction", NeurIPS 2024, arXiv 2410.14240; M = 20 and P = 2 are its sizes for Lorenz-63. With half of the
units rectified, the default here, it learns Lorenz-63 in a minute; with two we saw it come to rest. Initial values from
its public code: A as in `gtfdeer.models._plrnn`, W ~ 0.01 Normal, h = 0; C ~ Glorot uniform. With `periods=` linear
units that are not read out begin as slow damped rotations in pairs, as in `gtfdeer.models._plrnn` (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import whole
from ._base import RADIUS, RecurrentModel, check_state, glorot, scaled_diagonal, spaced_angles
from ._observation import IdentityObservation, Observation
from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float


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
        A = scaled_diagonal(rngs, latent_dim)
        W = 0.01 * jax.random.normal(rngs.params(), (latent_dim, latent_dim))
        if periods is not None:
            pairs = max(0, min(self._free_units(), latent_dim - self.observed_dim - self.relu_units)) // 2
            first = self.observed_dim + jnp.arange(pairs)
            r, w = jax.nn.sigmoid(RADIUS), jnp.exp(spaced_angles(pairs, periods))
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
