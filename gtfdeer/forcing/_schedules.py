"""How strongly: alpha, or the scale s of a learned gain, over training."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._checks import array, real, whole
from ._contraction import arithmetic_mean, optimal_alpha

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree


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
    def advance(self, state: PyTree, update: Array, updates: int, jacobians: Callable[[], Array]) -> PyTree:
        """The state for this update, number `update` (from 0) of `updates`.

        `jacobians()` gives the model's Jacobians at the batch's teacher states, `(B, T, M, M)`; costly, on demand.
        """


class _Strength(Schedule):
    """A schedule whose state is alpha itself."""

    def alpha(self, state: Array) -> Array:
        return state


@dataclass(frozen=True)
class Constant(_Strength):
    """The same alpha throughout: a number, or an array `(T,)` per time, `(T, M)` or `(1, M)` per unit.

    >>> Constant(0.15).alpha(Constant(0.15).start())
    Array(0.15, dtype=float32, weak_type=True)
    """

    strength: Any = 0.15

    def __post_init__(self) -> None:
        array(self.strength, "alpha", least=0, most=1)

    def start(self) -> Array:
        return jnp.asarray(self.strength)

    def advance(self, state: Array, update: Array, updates: int, jacobians: Any) -> Array:
        return state


@dataclass(frozen=True)
class Annealed(_Strength):
    """From `first` to `last` by the same factor every update: `alpha_k = first (last / first)^(k / (updates - 1))`.

    It begins with one-step prediction and ends with a forced map that remembers about `1 / last` steps: long enough to
    unlearn what noise in the teacher does to a single step. 0.03 is ours, found on Lorenz-63 with 5 % noise: at 0.02
    most families end up farther from the attractor, at 0.05 one of ten shallow PLRNNs comes to rest. Where one step
    expands much (spikes), `last` may be too small for the gradients: see `Adaptive`.

    Args:
        first, last: alpha at the first and at the last update, in (0, 1].
        least_updates: the factor is that of a run of at least so many updates; a shorter one stops on the way.

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

    def advance(self, state: Array, update: Array, updates: int, jacobians: Any) -> Array:
        progress = update / jnp.maximum(jnp.maximum(updates, self.least_updates) - 1, 1)
        return jnp.asarray(self.first * (self.last / self.first) ** progress, jnp.float32)


@dataclass(frozen=True)
class Adaptive(_Strength):
    """As little forcing as the model's own Jacobians allow (GTF, arXiv 2306.04406, algorithm 1).

    Every `every` updates estimate a = alpha* from the Jacobians at the teacher states; if a exceeds alpha, alpha
    jumps to a, otherwise `alpha = decay alpha + (1 - decay) a`.

    Args:
        first: alpha at the beginning.
        every: updates between two estimates.
        decay: memory from one estimate to the next; published 0.999 for 250,000 updates, a time constant of 5,000
            updates. `None` keeps the same share of the run: a time constant of a fiftieth of all updates, or of 500.
        estimator: the size of a batch of Jacobians. GTF's authors took `arithmetic_mean` for Lorenz-63 and the EEG; in
            general `product_upper_bound`, which forces a little harder.

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

    def advance(self, state: Array, update: Array, updates: int, jacobians: Callable[[], Array]) -> Array:
        def estimate() -> Array:
            size = self.estimator(jacobians())
            best = optimal_alpha(size).astype(state.dtype)
            decay = jnp.exp(-self.every / jnp.maximum(updates / 50, 500.0)) if self.decay is None else self.decay
            return jnp.maximum(best, decay * state + (1 - decay) * best)

        return jax.lax.cond(update % self.every == 0, estimate, lambda: state)


@dataclass(frozen=True)
class LearnedGain(_Strength):
    """The gain K (M, N) of the correction `z + s K (x - C z)` is learned with the model, by the same loss.

        |K| <= a_k and s = 1 while K is learned,  then K is frozen and s = min(1, a_k / |K|)

    with |K| the largest singular value and a_k = first (last / first)^(k / (updates - 1)), the strength of `Annealed`
    as an upper bound. At s = 1 the K that predicts best is the stationary Kalman gain of the noisy system (the
    innovations form of prediction-error identification: Ljung, System Identification, 2nd ed., ch. 7; Anderson and
    Moore, Optimal Filtering, ch. 9): it weighs every column by its noise, corrects units that are not observed, and
    forgets, so DEER and Shooting converge in few iterations. On clean data the bound makes this annealed forcing. For
    nonlinear networks only: in a linear state-space model the gain is part of its transition. Close by: KAFFEE (Herz et
    al., arXiv 2605.31547) trains by an extended Kalman filter, whose gain moves with the state.

    The defaults were chosen among 16 schedules on the training data of three systems, five seeds each
    (docs/findings.md). A lower bound lost a neuron whose spikes expand; a higher one was worse on clean data.

    Args:
        first, last: the bound a at the first and at the last update, in (0, 1].
        learn: share of all updates during which K is learned, in [0, 1].
        gain: `(M, N)` K before the first update; None begins with half the pseudo-inverse of C, and a small random
            correction of the units that are not observed.

    >>> schedule = LearnedGain(first=1.0, last=0.01, learn=0.5)
    >>> schedule.alpha(schedule.advance(schedule.start(), 75, 101, None, gain=0.4 * jnp.eye(3))).round(3)
    Array(0.079, dtype=float32)
    """

    first: float = 1.0
    last: float = 0.15
    learn: float = 1.0
    gain: Any = None

    def __post_init__(self) -> None:
        for name in ("first", "last"):
            real(getattr(self, name), name, above=0, most=1, example=0.05)
        real(self.learn, "learn", least=0, most=1, example=0.5)
        if self.gain is not None:
            array(self.gain, "gain", ("M", "N"))

    def start(self) -> Array:
        return jnp.asarray(1.0, jnp.float32)

    def advance(self, state: Array, update: Array, updates: int, jacobians: Any, *, gain: Any = None) -> Array:
        falling = self._shrink(gain, update, updates)
        return jnp.where(self.learns(update, updates), 1, falling).astype(jnp.float32)

    def learns(self, update: Array, updates: int) -> Array:
        """Whether K is still learned."""
        return update < self.learn * updates

    def shorten(self, gain: Array, update: Array, updates: int) -> Array:
        """K, shortened to the bound where it is longer."""
        return gain * self._shrink(gain, update, updates)

    def _shrink(self, gain: Array, update: Array, updates: int) -> Array:
        """The factor in (0, 1] that brings |K| to the bound of this update."""
        bound = self.first * (self.last / self.first) ** (update / jnp.maximum(updates - 1, 1))
        return jnp.minimum(1, bound / jnp.linalg.norm(jnp.asarray(gain, jnp.float32), 2))
