"""Linear state-space models (SSMs) with a nonlinear readout: stacks of LRU, S5 or Mamba layers.

    v = E x_{t-1} (+ C u_t) + e
    each layer:  h_t = A_t h_{t-1} + b_t,   v <- v + mix(output(h_t, v)),   A_t diagonal, A_t and b_t from norm(v)
    x_pred_t = x_{t-1} + G(v),   G one hidden layer

Training feeds the observed past: every A_t and b_t is then known at once, and each layer is ONE affine scan
(`gtfdeer.scan`). A free run closes the loop: the prediction is fed back. Both are the same map of the state

    z = (x, h of all layers),   step(z) = (x_pred, new h),   decode(z) = x,   encode(x) = initial_state(x) = (x, 0)

so that teacher forcing is alpha = 1 on x and nothing on h; no other alpha would leave the recurrence linear: alpha is
not used. h begins at rest in every training window and in every free run. x_pred = x + G, not G alone, is ours: data
sampled well above their fastest rate hardly change in a step.

The gradient is one scan too: with `l_t = g_t + A_{t+1} l_{t+1}`, `dL/db_t = l_t` and `dL/dA_t = l_t h_{t-1}`.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import whole
from ..solvers import Solver, scan
from ..solvers._solve import Solution, Status
from ._base import Model, check_state, check_window, set_columns
from ._observation import NonlinearReadout
from ._product import product

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Num


class Layer(nnx.Module):
    """A diagonal linear recurrence between two maps without memory.

    Attributes:
        states: entries of h.
        dtype: of h: complex ones count as two real ones in the model's state.
    """

    states: int
    dtype: ClassVar[type]

    @abc.abstractmethod
    def transition(self, v: Float[Array, " width"]) -> tuple[Num[Array, " states"], Num[Array, " states"]]:
        """`A_t` and `b_t` of `h_t = A_t h_{t-1} + b_t`, from this time's input."""

    @abc.abstractmethod
    def output(self, h: Num[Array, " states"], v: Float[Array, " width"]) -> Float[Array, " width"]:
        """What the layer adds to v, from its new state and this time's input."""


class StateSpaceModel(Model):
    """A stack of layers under the contract. Leaves say which layer."""

    grows_by: ClassVar[str] = "width"

    def __init__(
        self,
        *,
        latent_dim: int = 16,
        width: int = 32,
        depth: int = 2,
        observed_dim: int | None = None,
        input_dim: int = 0,
        rngs: nnx.Rngs,
    ) -> None:
        """Build a model; `observed_dim`, `input_dim` and `rngs` as for every `gtfdeer.models.Model`.

        Args:
            latent_dim: states of a layer: complex ones (LRU, S5), or real ones for each channel (Mamba). The model's
                attribute `latent_dim` is the length of its whole state, observation and all layers together.
            width: features that pass from layer to layer.
            depth: layers.
        """
        self._layer_dim = whole(latent_dim, "latent_dim", example=3)
        set_columns(self, latent_dim, observed_dim, input_dim)
        self.width, self.depth = whole(width, "width", example=3), whole(depth, "depth", example=3)
        self.E = nnx.Param(normal(rngs, width, self.observed_dim))
        self.C = nnx.Param(normal(rngs, width, input_dim))
        self.e = nnx.Param(jnp.zeros(width))
        for k in range(depth):
            setattr(self, f"layer_{k}", self._layer(latent_dim, width, rngs))
            setattr(self, f"scale_{k}", nnx.Param(jnp.ones(width)))
        self.readout = NonlinearReadout(width, self.observed_dim, rngs=rngs)
        self._lengths = tuple(layer.states * (2 if layer.dtype is complex else 1) for layer, _ in self._layers())
        self.latent_dim = self.observed_dim + sum(self._lengths)

    @abc.abstractmethod
    def _layer(self, latent_dim: int, width: int, rngs: nnx.Rngs) -> Layer:
        """A layer of this family."""

    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        check_state(z, self.latent_dim, "observation and layers' states")
        x, *states = self._parts(z)
        v, new = self._encode(x, u), []
        for (layer, scale), h in zip(self._layers(), states, strict=True):
            normed = _normalised(v, scale)
            A, b = layer.transition(normed)
            new.append(A * h + b)
            v = v + layer.output(new[-1], normed)
        return jnp.concatenate([x + self.readout(v), *(_real(h) for h in new)])

    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return z[: self.observed_dim]

    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return jnp.concatenate([x, jnp.zeros(self.latent_dim - self.observed_dim, x.dtype)])

    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.encode(x)

    def teacher_forced(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        """Predictions of `x[1:]` from the observed past; alpha and solver are not used (see the module's page)."""
        check_window(self, x, alpha, u)
        states = self._taught(x[:-1], None if u is None else u[1:])
        finite = jnp.all(jnp.isfinite(states))
        code = jnp.where(finite, Status.CONVERGED, Status.NONFINITE)
        solution = Solution(states, code, jnp.asarray(1), jnp.zeros((), states.dtype))
        return states[:, : self.observed_dim], solution

    def teacher_jacobians(
        self, x: Float[Array, "time observed"], u: Any = None
    ) -> Float[Array, "time observed observed"]:
        """How the prediction answers to the observation that is fed, the forced block of the Jacobian: `(T, N, N)`."""
        states = jnp.concatenate([self.initial_state(x[0])[None], self._taught(x[:-1], None if u is None else u[:-1])])

        def prediction(x: Array, z: Array, u: Any) -> Array:
            return self.decode(self.step(z.at[: self.observed_dim].set(x), u))

        return jax.vmap(jax.jacfwd(prediction))(x, states, u)

    def config(self) -> dict[str, Any]:
        return {
            "latent_dim": self._layer_dim,
            "width": self.width,
            "depth": self.depth,
            "observed_dim": self._observed_dim,
            "input_dim": self.input_dim,
        }

    def _layers(self) -> list[tuple[Layer, Any]]:
        """Every layer with the scale of the norm before it."""
        return [(getattr(self, f"layer_{k}"), getattr(self, f"scale_{k}")) for k in range(self.depth)]

    def _taught(self, x: Float[Array, "time observed"], u: Any) -> Float[Array, "time latent"]:
        """The states after each of the observations `x` was fed, h at rest before the first."""
        v, new = jax.vmap(self._encode)(x, u), []
        for layer, scale in self._layers():
            normed = jax.vmap(lambda v, scale=scale: _normalised(v, scale))(v)
            h = _recurrence(*jax.vmap(layer.transition)(normed))
            new.append(jax.vmap(_real)(h))
            v = v + jax.vmap(layer.output)(h, normed)
        return jnp.concatenate([x + jax.vmap(self.readout)(v), *new], axis=1)

    def _encode(self, x: Float[Array, " observed"], u: Any) -> Float[Array, " width"]:
        E, C, e = (p[...].astype(x.dtype) for p in (self.E, self.C, self.e))
        v = product(E, x) + e
        return v if u is None else v + product(C, u)

    def _parts(self, z: Float[Array, " latent"]) -> list[Array]:
        """The observation, and the state of every layer in its own dtype."""
        x, rest = z[: self.observed_dim], z[self.observed_dim :]
        parts = [x]
        for (layer, _), length in zip(self._layers(), self._lengths, strict=True):
            own, rest = rest[:length], rest[length:]
            parts.append(jax.lax.complex(own[: layer.states], own[layer.states :]) if layer.dtype is complex else own)
        return parts


@jax.custom_vjp
def _recurrence(A: Num[Array, "time states"], b: Num[Array, "time states"]) -> Num[Array, "time states"]:
    return scan.affine(A, b, method=scan.for_this_device())


def _forward(A: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    h = _recurrence(A, b)
    return h, (A, h)


def _backward(saved: tuple[Array, Array], cotangents: Array) -> tuple[Array, Array]:
    A, h = saved
    after = jnp.concatenate([A[1:], jnp.zeros_like(A[:1])])
    adjoints = scan.affine(after, cotangents, reverse=True, method=scan.for_this_device())
    return adjoints * jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]]), adjoints


_recurrence.defvjp(_forward, _backward)


def normal(rngs: nnx.Rngs, rows: int, columns: int, size: float = 1.0) -> Float[Array, "rows columns"]:
    """Normal weights whose products keep the size of what they multiply, times `size`."""
    return size * jax.random.normal(rngs.params(), (rows, columns)) / max(columns, 1) ** 0.5


def _normalised(v: Float[Array, " width"], scale: Any) -> Float[Array, " width"]:
    """Root-mean-square normalisation (arXiv 1910.07467)."""
    return v * jax.lax.rsqrt(jnp.mean(v**2) + 1e-6) * scale[...].astype(v.dtype)


def _real(h: Num[Array, " states"]) -> Float[Array, " numbers"]:
    return jnp.concatenate([h.real, h.imag]) if jnp.iscomplexobj(h) else h
