"""Generalized Teacher Forcing (GTF): what is fed to the next step, and how strongly.

    z_t = F((1 - alpha_t) z_{t-1} + alpha_t z_hat_{t-1}),        J_forced = J_F (1 - alpha_t)

alpha = 0 is a free run, alpha = 1 one-step prediction; in between, the forced map forgets at the rate at which
`(1 - alpha) J` contracts, although F itself may be chaotic. alpha may differ between times `(T,)` and between
units `(T, M)`; sparse forcing is a 0/1 alpha.
Hess, Monfared, Brenner, Durstewitz, "Generalized Teacher Forcing for Learning Chaotic Dynamics", ICML 2023, arXiv
2306.04406. How small alpha may become is the matter of `gtfdeer._contraction`, whose names are at home here, too.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from ._checks import array, real, whole
from ._contraction import (
    Bounded,
    Contraction,
    arithmetic_mean,
    batch_maximum,
    contraction,
    explog_approx,
    jacobian_upper_bound,
    optimal_alpha,
    product_upper_bound,
    spectral_norm,
)

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = [
    "Adaptive",
    "Annealed",
    "Bounded",
    "Constant",
    "Contraction",
    "Forced",
    "Schedule",
    "arithmetic_mean",
    "batch_maximum",
    "bridge_gaps",
    "contraction",
    "explog_approx",
    "force",
    "force_jacobian",
    "jacobian_upper_bound",
    "optimal_alpha",
    "product_upper_bound",
    "sparse",
    "spectral_norm",
]


class Forced(NamedTuple):
    """The inputs of a forced step; with a leading time axis, the inputs of a forced `gtfdeer.solve`."""

    z_hat: Any
    """`(M,)` the teacher's state before the step."""
    alpha: Any
    """`()`, `(1,)` or `(M,)` forcing strength in [0, 1]."""
    u: Any = None
    """External input of the step, or None."""


def force(step: Callable[[Any, Any], Any]) -> Callable[[Any, Forced], Any]:
    """Wrap `step(z, u)` into a forced step `(z, Forced(z_hat, alpha, u)) -> F((1 - alpha) z + alpha z_hat, u)`.

    >>> forced = force(lambda z, u: 2 * z)
    >>> forced(jnp.array([4.0]), Forced(z_hat=jnp.array([1.0]), alpha=0.5))
    Array([5.], dtype=float32)
    """
    return lambda z, inputs: step(_blend(z, inputs), inputs.u)


def force_jacobian(jacobian: Callable[[Any, Any], Any]) -> Callable[[Any, Forced], Any]:
    """The Jacobian of the forced step from the Jacobian of the step: it carries the factor `1 - alpha`."""

    def forced(z: Array, inputs: Forced) -> Float[Array, "latent latent"]:
        return jacobian(_blend(z, inputs), inputs.u) * (1 - jnp.broadcast_to(inputs.alpha, z.shape))

    return forced


def _blend(z: Array, inputs: Forced) -> Array:
    return (1 - inputs.alpha) * z + inputs.alpha * inputs.z_hat


def bridge_gaps(x: Float[Array, "time observed"], alpha: Any) -> tuple[Array, Array]:
    """Observations and forcing with nothing missing: in a gap alpha is 0, so that what stands there does not matter.

    Args:
        x: `(T, N)`; a row with a NaN is a gap. The first row is complete, or nothing can start.
        alpha: a number, `(T - 1,)` per step, `(T - 1, M)` or `(1, M)` per unit.

    Returns:
        x with the last complete row in place of a gap, and alpha per step, zero where the teacher's row is a gap. A
        model that is fed x whatever alpha is (a linear state-space model) is fed what was seen last.

    >>> x, alpha = bridge_gaps(jnp.array([[1.0], [jnp.nan], [3.0]]), 0.5)
    >>> x[:, 0], alpha
    (Array([1., 1., 3.], dtype=float32), Array([0.5, 0. ], dtype=float32))
    """
    x = jnp.asarray(x)
    seen = ~jnp.any(jnp.isnan(x), axis=1)
    last = jax.lax.cummax(jnp.where(seen, jnp.arange(len(x)), 0))
    alpha = jnp.asarray(alpha, x.dtype)
    steps = seen[:-1].astype(x.dtype)
    fits = alpha.ndim == 0 or (alpha.ndim <= 2 and alpha.shape[0] in (1, len(steps)))
    if not fits:
        return x[last], alpha  # the model that it is meant for says which shapes do
    return x[last], alpha * (steps[:, None] if alpha.ndim == 2 else steps)


def sparse(length: int, interval: int) -> Float[Array, " time"]:
    """Sparse forcing: alpha is 1 at every `interval`-th of `length` time steps, the first one included, else 0.

    Mikhaeil, Monfared, Durstewitz, "On the difficulty of learning chaotic dynamics with RNNs", NeurIPS 2022
    (arXiv 2110.07238): an interval of about ln 2 / lambda_max steps.

    >>> sparse(7, 3)
    Array([1., 0., 0., 1., 0., 0., 1.], dtype=float32)
    """
    if interval < 1 or length < 1:
        raise ValueError(f"length is {length} and interval {interval}; pass positive numbers of time steps")
    return (jnp.arange(length) % interval == 0).astype(jnp.float32)


# --- Schedules: alpha over training ---


class Schedule(abc.ABC):
    """How alpha changes over training: `start` it, read its `alpha`, `advance` it before every update.

    The state is a pytree, so that a whole stretch of training runs inside one compiled loop.
    """

    @abc.abstractmethod
    def start(self) -> PyTree:
        """The state before the first update."""

    @abc.abstractmethod
    def alpha(self, state: PyTree) -> Array:
        """The forcing strength now: `()`, `(T,)` or `(T, M)`."""

    @abc.abstractmethod
    def advance(
        self, state: PyTree, update: Array, updates: int, jacobians: Callable[[], Array], model: Any = None
    ) -> PyTree:
        """The state for this update, number `update` (from 0) of `updates`.

        `jacobians()` gives the model's Jacobians at the batch's teacher states, `(B, T, M, M)`; costly, on demand.
        `model` is the model as it is before this update.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """The same alpha throughout: a number, or an array `(T,)` per time, `(T, M)` or `(1, M)` per unit.

    >>> Constant(0.15).alpha(Constant(0.15).start())
    Array(0.15, dtype=float32, weak_type=True)
    """

    strength: Any = 0.15

    def __post_init__(self) -> None:
        array(self.strength, "alpha", least=0, most=1)

    def start(self) -> Array:
        return jnp.asarray(self.strength)

    def alpha(self, state: Array) -> Array:
        return state

    def advance(self, state: Array, update: Array, updates: int, jacobians: Any, model: Any = None) -> Array:
        return state


@dataclass(frozen=True)
class Annealed(Schedule):
    """From `first` to `last` by the same factor every update: `alpha_k = first (last / first)^(k / (updates - 1))`.

    It begins with one-step prediction and ends with a forced map that remembers about `1 / last` steps, more where it
    expands: long enough to unlearn what noise in the teacher does to a single step. 0.03 is ours, found on Lorenz-63
    with 5 % noise: at 0.02 most families end up farther from the attractor, at 0.05 the free run of a shallow PLRNN
    comes to rest after one of ten trainings. Where one step expands much (spikes), `last` may be too small for the
    gradients: see `Adaptive`.

    Args:
        first, last: alpha at the first and at the last update, in (0, 1].
        least_updates: the factor is that of a run of at least so many updates; a shorter one stops on the way, where
            it has learned to predict one step but not yet to go on alone.

    >>> schedule = Annealed(first=1.0, last=0.01)
    >>> schedule.alpha(schedule.advance(schedule.start(), 50, 101, None))
    Array(0.1, dtype=float32)
    """

    first: float = 1.0
    last: float = 0.03
    least_updates: int = 0

    def __post_init__(self) -> None:
        for name in ("first", "last"):  # an exponential schedule never reaches 0
            real(getattr(self, name), name, above=0, most=1, example=0.01)
        whole(self.least_updates, "least_updates", least=0)

    def start(self) -> Array:
        return jnp.asarray(self.first, jnp.float32)

    def alpha(self, state: Array) -> Array:
        return state

    def advance(self, state: Array, update: Array, updates: int, jacobians: Any, model: Any = None) -> Array:
        progress = update / jnp.maximum(jnp.maximum(updates, self.least_updates) - 1, 1)
        return jnp.asarray(self.first * (self.last / self.first) ** progress, jnp.float32)


@dataclass(frozen=True)
class Adaptive(Schedule):
    """As little forcing as the model's own Jacobians allow (GTF, arXiv 2306.04406, algorithm 1).

    Every `every` updates estimate a = alpha* from the Jacobians at the teacher states; if a exceeds alpha, alpha
    jumps to a, otherwise `alpha = decay alpha + (1 - decay) a`.

    Args:
        first: alpha at the beginning.
        every: updates between two estimates.
        decay: memory from one estimate to the next; published 0.999 for 250,000 updates, a time constant of 5,000
            updates. `None` keeps the same share of the run: a time constant of a fiftieth of all updates, or of 500.
        estimator: the size of a batch of Jacobians. `arithmetic_mean` is what GTF's authors took for Lorenz-63 and the
            EEG; their general default, `product_upper_bound`, forces a little harder and is safer;
            `jacobian_upper_bound`, of a shallow PLRNN's parameters, forces hardest.

    >>> Adaptive().alpha(Adaptive().start())
    Array(1., dtype=float32)
    """

    first: float = 1.0
    every: int = 5
    decay: float | None = None
    estimator: Callable[[Any], Array] = arithmetic_mean

    def __post_init__(self) -> None:
        real(self.first, "first", least=0, most=1)
        whole(self.every, "every", example=5)
        if self.decay is not None:
            real(self.decay, "decay", least=0, below=1, example="None, to fit it to the run")

    def start(self) -> Array:
        return jnp.asarray(self.first, jnp.float32)

    def alpha(self, state: Array) -> Array:
        return state

    def advance(
        self, state: Array, update: Array, updates: int, jacobians: Callable[[], Array], model: Any = None
    ) -> Array:
        of_parameters = self.estimator is jacobian_upper_bound

        def estimate() -> Array:
            size = self.estimator(model if of_parameters else jacobians())
            best = optimal_alpha(size).astype(state.dtype)
            decay = self._decay(updates)
            return jnp.maximum(best, decay * state + (1 - decay) * best)

        return jax.lax.cond(update % self.every == 0, estimate, lambda: state)

    def _decay(self, updates: int) -> Any:
        return self.decay if self.decay is not None else jnp.exp(-self.every / jnp.maximum(updates / 50, 500.0))


DEFAULT = Annealed(least_updates=2000)
"""The forcing of `gtfdeer.fit` where none is given."""
