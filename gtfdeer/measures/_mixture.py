"""D_stsp from Gaussian mixtures: for series of many dimensions, where histograms have too many cells.

    p(x) = 1/T sum over t of Normal(x; x_t, sigma^2 I),    q(x) likewise from the generated points
    D_stsp = 1/n sum over draws x ~ p of  ln p(x) - ln q(x)

a Monte Carlo estimate of KL(reference || generated) in nats, which may come out slightly below 0. Values do not compare
across the blur sigma^2, nor with the binned D_stsp.

Source: GTF-shPLRNN, `src/measures/stsp_measure.jl` (Hess et al. 2023, arXiv 2306.04406): sigma^2 = 1, 1000 draws, first
10 000 points. Ours: logarithms summed without underflow, where the published programs drop such draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np

from .._checks import real, whole
from ._pair import read_generated, read_reference

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key

    from ._pair import Table

_REACH = 1e100  # centres beyond it have density 0 at every draw, and their squares would overflow
_CHUNK = 32  # draws at a time, so that 10 000 centres stay in the cache: 200 of them take ten times as long


def mixture_divergence(
    reference: Table,
    generated: Table,
    *,
    variance: float = 1.0,
    draws: int = 1000,
    points: int = 10_000,
    key: Key[Array, ""] | None = None,
) -> float:
    """Return KL(reference || generated) between the two mixtures, in nats: exactly 0 if the series are equal.

    Generated points that are not finite count as infinitely far away: they thin out q, and if none is finite the
    divergence is infinite. Order in time is ignored.

    Args: reference (T, N), generated (T', N), in the same units, usually standardised; variance sigma^2 in squared data
    units; draws n from the reference's mixture; points, the first ones, used of each series; key, `jax.random.key(0)`
    unless given.
    Raises: ValueError for arrays that are not (time, N), non-finite values in the reference, variance or counts not
    above 0.

    >>> x = np.array([[0.0], [1.0]])
    >>> mixture_divergence(x, x), round(mixture_divergence(x, x + 2.0), 1)
    (0.0, 1.7)
    """
    return build_mixture(reference, variance, draws, points, key)(generated)


def build_mixture(
    reference: Table,
    variance: float = 1.0,
    draws: int = 1000,
    points: int = 10_000,
    key: Key[Array, ""] | None = None,
) -> Callable[[Table], float]:
    """Return `mixture_divergence` of this reference as a function of the generated series."""
    reference = read_reference(reference)
    variance, draws = real(variance, "variance", above=0, example=1.0), whole(draws, "draws", example=1000)
    points = whole(points, "points", example="10_000")
    centre = reference.mean(axis=0)  # squares of small numbers lose fewer digits
    true = reference[:points] - centre
    choice_key, noise_key = jax.random.split(jax.random.key(0) if key is None else key)
    chosen = np.asarray(jax.random.randint(choice_key, (draws,), 0, len(true)))
    noise = np.asarray(jax.random.normal(noise_key, (draws, len(centre))))
    drawn = true[chosen] + np.sqrt(variance) * noise
    log_p = _log_density(drawn, true, variance)

    def divergence(generated: Table) -> float:
        model = read_generated(generated, len(centre))[:points] - centre
        return float(np.mean(log_p - _log_density(drawn, model, variance)))

    return divergence


def _log_density(
    x: Float[np.ndarray, "draws observed"], centres: Float[np.ndarray, "time observed"], variance: float
) -> Float[np.ndarray, " draws"]:
    """Return the mixture's log density at x, less ln (2 pi sigma^2)^(N/2), which p and q share."""
    near = centres[(np.abs(centres) < _REACH).all(axis=1)]
    if len(near) == 0:
        return np.full(len(x), -np.inf)
    sums = []
    for start in range(0, len(x), _CHUNK):
        few = x[start : start + _CHUNK]
        squared_distances = (few**2).sum(axis=1)[:, None] + (near**2).sum(axis=1) - 2 * few @ near.T
        exponents = -squared_distances / (2 * variance)
        largest = exponents.max(axis=1)  # taken out of the sum, which would underflow
        sums.append(largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1)))
    return np.concatenate(sums) - np.log(len(centres))
