"""D_stsp from Gaussian mixtures: for series of many dimensions, where histograms have too many cells.

    p(x) = 1/T sum over t of Normal(x; x_t, sigma^2 I),    q(x) likewise from the generated points
    D_stsp = 1/n sum over draws x ~ p of  ln p(x) - ln q(x)

a Monte Carlo estimate of KL(reference || generated) in nats, which may come out slightly below 0. sigma^2
sets the blur: its values do not compare across sigma^2, nor with the binned D_stsp.

Source: GTF-shPLRNN, `src/measures/stsp_measure.jl` (Hess et al. 2023, arXiv 2306.04406): sigma^2 = 1, 1000
draws, first 10 000 points. Ours: logarithms summed without underflow, where the published programs drop such
draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from .._checks import real, whole
from ._pair import read_generated, read_reference

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key

_REACH = 1e100  # centres beyond it have density 0 at every draw, and their squares would overflow
_CHUNK = 32  # draws at a time, so that 10 000 centres stay in the cache: 200 of them take ten times as long


def mixture_divergence(
    reference: Float[Array | np.ndarray, "time observed"],
    generated: Float[Array | np.ndarray, "steps observed"],
    *,
    variance: float = 1.0,
    draws: int = 1000,
    points: int = 10_000,
    key: Key[Array, ""] | None = None,
) -> float:
    """Return KL(reference || generated) between the two mixtures, in nats: exactly 0 if the series are equal.

    Generated points that are not finite count as points infinitely far away: they thin out q, and if none is
    finite the divergence is infinite. Order in time is ignored, except that only the first `points` points
    are used.

    Args: reference (T, N), generated (T', N), in the same units, usually standardised; variance sigma^2 in
    squared data units; draws n from the reference's mixture; points used of each series; key,
    `jax.random.key(0)` unless given, so that the same series always get the same score.
    Raises: ValueError for arrays that are not (time, N), non-finite values in the reference, variance or
    counts not above 0.

    >>> x = np.array([[0.0], [1.0]])
    >>> mixture_divergence(x, x), round(mixture_divergence(x, x + 2.0), 1)
    (0.0, 1.7)
    """
    return Mixture(reference, variance, draws, points, key).divergence(generated)


class Mixture:
    """The mixture of a reference and its draws, made once, for many generated series; see `mixture_divergence`."""

    def __init__(
        self,
        reference: Float[Array | np.ndarray, "time observed"],
        variance: float = 1.0,
        draws: int = 1000,
        points: int = 10_000,
        key: Key[Array, ""] | None = None,
    ) -> None:
        reference = read_reference(reference)
        self._variance = real(variance, "variance", above=0, example=1.0)
        self._points = whole(points, "points", example="10_000")
        self._centre = reference.mean(axis=0)  # squares of small numbers lose fewer digits
        true, draws = reference[:points] - self._centre, whole(draws, "draws", example=1000)
        self._draws = _draw(true, variance, draws, jax.random.key(0) if key is None else key)
        self._log_p = _log_density(self._draws, true, variance)

    def divergence(self, generated: Float[Array | np.ndarray, "steps observed"]) -> float:
        """Return KL(reference || generated), as `mixture_divergence` does."""
        model = read_generated(generated, len(self._centre))[: self._points] - self._centre
        return float(np.mean(self._log_p - _log_density(self._draws, model, self._variance)))


def _draw(
    centres: Float[np.ndarray, "time observed"], variance: float, draws: int, key: Key[Array, ""]
) -> Float[np.ndarray, "draws observed"]:
    """Draw from the mixture: a centre at random, then Gaussian noise."""
    choice_key, noise_key = jax.random.split(key)
    chosen = np.asarray(jax.random.randint(choice_key, (draws,), 0, len(centres)))
    noise = np.asarray(jax.random.normal(noise_key, (draws, centres.shape[1])))
    return centres[chosen] + np.sqrt(variance) * noise


def _log_density(
    x: Float[np.ndarray, "draws observed"], centres: Float[np.ndarray, "time observed"], variance: float
) -> Float[np.ndarray, " draws"]:
    """Return the mixture's log density at x, less ln (2 pi sigma^2)^(N/2), which p and q share."""
    near = centres[(np.abs(centres) < _REACH).all(axis=1)]
    if len(near) == 0:
        return np.full(len(x), -np.inf)
    chunks = (x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK))
    sums = [_log_sum_exp(-_squared_distances(chunk, near) / (2 * variance)) for chunk in chunks]
    return np.concatenate(sums) - np.log(len(centres))


def _squared_distances(
    x: Float[np.ndarray, "draws observed"], y: Float[np.ndarray, "time observed"]
) -> Float[np.ndarray, "draws time"]:
    """Return |x - y|^2 as |x|^2 + |y|^2 - 2 x.y, for all pairs."""
    return (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T


def _log_sum_exp(a: Float[np.ndarray, "draws time"]) -> Float[np.ndarray, " draws"]:
    """Return ln sum exp(a) over the last axis, for finite a, without underflow."""
    largest = a.max(axis=1)
    return largest + np.log(np.exp(a - largest[:, None]).sum(axis=1))
