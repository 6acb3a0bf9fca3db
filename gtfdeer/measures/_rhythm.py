"""The slow rhythm of a series, which D_stsp (blind to time) and D_H (smoothed over 20 bins) hardly see.

    low-frequency error   Hellinger distance of the spectra below 4 / period, smoothed over a fifth of 1 / period,
                          each divided by the whole power of its series: energy that should be slow and is not, counts
    interval error        mean over quantiles of |interval - true interval| / mean true interval; an interval lies
                          between two upward passages of the slow part (frequencies below 4 / period, or in a band
                          that is given) through its mean

Both are 0 for equal series; the first is at most 1. Ours: the reference sources define no such measure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["interval_error", "intervals", "low_frequency_error", "steepness"]

_BAND = 4  # of 1 / period: the slow rhythm with three overtones
_FEWEST = 3  # intervals that a distribution takes


def low_frequency_error(
    reference: Float[np.ndarray, "time observed"], generated: Float[np.ndarray, "time observed"], period: float
) -> float:
    """How much the spectra differ below `_BAND / period`, averaged over columns; 1 where a run is not finite.

    Args:
        reference: `(T, N)`.
        generated: `(T, N)`, of the same length.
        period: of the slow rhythm, in samples.

    Examples:
        >>> t = np.arange(4000.0)[:, None]
        >>> low_frequency_error(np.sin(t / 60), np.sin(t / 60), period=377.0)
        0.0
        >>> low_frequency_error(np.sin(t / 60), np.sin(t / 6), period=377.0) > 0.7
        True
    """
    if not np.isfinite(generated).all() or np.any(np.ptp(generated, axis=0) == 0):
        return 1.0
    f, g = (_band(np.asarray(x, np.float64), period) for x in (reference, generated))
    return float(np.mean(np.sqrt(0.5 * np.sum((np.sqrt(f) - np.sqrt(g)) ** 2, axis=0))))


def intervals(
    values: Float[np.ndarray, " time"], period: float, band: tuple[float, float] = (0, _BAND)
) -> Float[np.ndarray, " intervals"]:
    """Samples between upward passages of the slow part through its mean.

    Args:
        values: `(T,)`.
        period: of the slow rhythm, in samples.
        band: lowest and highest frequency of the slow part, in units of 1 / period.

    Examples:
        >>> intervals(np.sin(np.arange(2000.0) * 2 * np.pi / 100 + 1.0), period=100.0).round().tolist()[:2]
        [100.0, 100.0]
    """
    spectrum = np.fft.rfft(values - values.mean())
    frequency = np.fft.rfftfreq(len(values)) * period
    spectrum[(frequency < band[0]) | (frequency > band[1])] = 0
    slow = np.fft.irfft(spectrum, len(values))
    passages = np.flatnonzero((slow[:-1] < 0) & (slow[1:] >= 0))
    exact = passages + slow[passages] / (slow[passages] - slow[passages + 1])
    return np.diff(exact)


def interval_error(
    reference: Float[np.ndarray, " time"],
    generated: Float[np.ndarray, " time"],
    period: float,
    band: tuple[float, float] = (0, _BAND),
) -> float:
    """How far the distributions of the intervals are apart; infinite where the run has hardly any.

    Args:
        reference, generated: `(T,)`.
        period, band: as in `intervals`.

    Examples:
        >>> t = np.arange(4000.0)
        >>> round(interval_error(np.sin(t / 20), np.sin(t / 30), period=126.0), 2)
        0.5
    """
    if not np.isfinite(generated).all() or np.ptp(generated) == 0:
        return math.inf
    true, found = (intervals(np.asarray(x, np.float64), period, band) for x in (reference, generated))
    if len(found) < _FEWEST:
        return math.inf
    quantiles = np.linspace(0.05, 0.95, 19)
    return float(np.mean(np.abs(np.quantile(found, quantiles) - np.quantile(true, quantiles))) / true.mean())


def steepness(values: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time-1"]:
    """How fast a signal moves: of a heart, high once a beat, and blind to the slow wandering of its level.

    Examples:
        >>> steepness(np.array([0.0, 2.0, -1.0])).tolist()
        [2.0, 3.0]
    """
    return np.abs(np.diff(values))


def _band(x: Float[np.ndarray, "time observed"], period: float) -> Float[np.ndarray, "frequency observed"]:
    """Shares of the power at the low frequencies, smoothed, and in the last row the share of all others."""
    power = np.abs(np.fft.rfft(x - x.mean(axis=0), axis=0)) ** 2
    shares = power / power.sum(axis=0)
    bins = min(len(shares), max(2, round(_BAND * len(x) / period)))
    width = max(1.0, len(x) / period / 5)
    distance = np.arange(bins)[:, None] - np.arange(bins)
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    low = (kernel / kernel.sum(axis=1, keepdims=True)).T @ shares[:bins]  # rows sum to 1: no power is lost or won
    return np.concatenate([low, np.maximum(0, 1 - low.sum(axis=0, keepdims=True))])
