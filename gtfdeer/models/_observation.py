"""Observation models: from the latent state to the data and back.

    identity    x = first N units of z        z_hat = (x, 0)                  needs M >= N
    scaled      x = g times these             z_hat = (x / g, 0)              needs M >= N; g learned, N numbers
    affine      x = B z                       z_hat = pinv(B) x               any M, N; all units forced

With an identity or scaled readout and M > N only the first N units may be forced (forcing the others with zeros would
drag them to zero); their start is a learned linear map of the first observation, `z_1 = (x_1, L x_1)`. Initial values
and both rules: public GTF code (arXiv 2306.04406); L ~ U(+-sqrt(6 / M)), B ~ Normal(std sqrt(2 / M)). The scaled one
is ours, for units that live in (-1, 1).

pinv(B) x is the smallest state that fits x: forcing towards it wears away, step by step, what M - N further dimensions
remember, and a free run does not. With M well above N prefer a readout that leaves them alone.
"""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx

from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_GAIN = 4.0  # standard deviations; data seldom leave them


class Observation(nnx.Module):
    """The contract: constructed with `(latent_dim, observed_dim, rngs=)`."""

    def __init__(self, latent_dim: int, observed_dim: int, *, rngs: nnx.Rngs) -> None:
        self.latent_dim, self.observed_dim = latent_dim, observed_dim

    @abc.abstractmethod
    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        """The observation that belongs to a state."""

    @abc.abstractmethod
    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The teacher signal: a state whose observation is `x` (as nearly as possible)."""

    @abc.abstractmethod
    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The state that a trajectory begins with when its first observation is `x`."""

    @abc.abstractmethod
    def forced_units(self) -> Float[Array, " latent"]:
        """1 for every unit that the teacher may force, otherwise 0."""


class IdentityObservation(Observation):
    """The first N of M units are the observation.

    >>> identity = IdentityObservation(3, 2, rngs=nnx.Rngs(0))
    >>> identity.decode(jnp.arange(3.0)), identity.forced_units()
    (Array([0., 1.], dtype=float32), Array([1., 1., 0.], dtype=float32))
    """

    def __init__(self, latent_dim: int, observed_dim: int, *, rngs: nnx.Rngs) -> None:
        if observed_dim > latent_dim:
            came = f"observed_dim={observed_dim} exceeds latent_dim={latent_dim}"
            advice = f"pass latent_dim={observed_dim} or more, or observation=gtfdeer.models.AffineObservation"
            raise ValueError(f"{came}, which an identity readout cannot serve; {advice}")
        super().__init__(latent_dim, observed_dim, rngs=rngs)
        bound = math.sqrt(6 / latent_dim)
        shape = (latent_dim - observed_dim, observed_dim)
        self.L = nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound))

    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return z[: self.observed_dim]

    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return jnp.concatenate([x, jnp.zeros(self.latent_dim - self.observed_dim, x.dtype)])

    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return jnp.concatenate([x, product(self.L[...].astype(x.dtype), x)])

    def forced_units(self) -> Float[Array, " latent"]:
        return (jnp.arange(self.latent_dim) < self.observed_dim).astype(jnp.float32)


class ScaledObservation(IdentityObservation):
    """The first N of M units are the observation, each times a learned gain: `x = g z`.

    For units in (-1, 1), which standardised data leave: g starts at `_GAIN` standard deviations. Gains of either sign
    are fine; one that is exactly zero is not.

    >>> scaled = ScaledObservation(3, 2, rngs=nnx.Rngs(0))
    >>> scaled.encode(jnp.array([1.0, -2.0])), scaled.decode(jnp.array([0.25, -0.5, 0.9]))
    (Array([ 0.25, -0.5 ,  0.  ], dtype=float32), Array([ 1., -2.], dtype=float32))
    """

    def __init__(self, latent_dim: int, observed_dim: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(latent_dim, observed_dim, rngs=rngs)
        self.g = nnx.Param(jnp.full(observed_dim, _GAIN))

    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return self.g[...] * super().decode(z)

    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return super().encode(x / self.g[...])

    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return super().initial_state(x / self.g[...])


class AffineObservation(Observation):
    """`x = B z`, taught by the pseudo-inverse: minimum norm where N <= M, least squares where N > M.

    >>> affine = AffineObservation(4, 2, rngs=nnx.Rngs(0))
    >>> x = jnp.array([1.0, -1.0])
    >>> bool(jnp.allclose(affine.decode(affine.encode(x)), x, atol=1e-5))
    True
    """

    def __init__(self, latent_dim: int, observed_dim: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(latent_dim, observed_dim, rngs=rngs)
        scale = math.sqrt(2 / latent_dim)
        self.B = nnx.Param(scale * jax.random.normal(rngs.params(), (observed_dim, latent_dim)))

    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return product(self.B[...].astype(z.dtype), z)

    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return product(jnp.linalg.pinv(self.B[...]).astype(x.dtype), x)

    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.encode(x)

    def forced_units(self) -> Float[Array, " latent"]:
        return jnp.ones(self.latent_dim)


class NonlinearReadout(nnx.Module):
    """`x = W2 gelu(W1 v + b1) + b2`, from features (H,) to observations (N,).

    It has no inverse and so no teacher signal: the last step of a state-space model (`gtfdeer.models._ssm`), not an
    `Observation`. H^2 + H + N H + N parameters; W1 ~ Normal(1/sqrt(H)), W2 a tenth of that, biases 0.

    >>> NonlinearReadout(8, 2, rngs=nnx.Rngs(0))(jnp.ones(8)).shape
    (2,)
    """

    def __init__(self, width: int, observed_dim: int, *, rngs: nnx.Rngs) -> None:
        scale = 1 / math.sqrt(width)
        self.W1 = nnx.Param(scale * jax.random.normal(rngs.params(), (width, width)))
        self.b1 = nnx.Param(jnp.zeros(width))
        self.W2 = nnx.Param(0.1 * scale * jax.random.normal(rngs.params(), (observed_dim, width)))
        self.b2 = nnx.Param(jnp.zeros(observed_dim))

    def __call__(self, v: Float[Array, " width"]) -> Float[Array, " observed"]:
        W1, b1, W2, b2 = (p[...].astype(v.dtype) for p in (self.W1, self.b1, self.W2, self.b2))
        hidden = jax.nn.gelu(product(W1, v) + b1)
        return product(W2, hidden) + b2
