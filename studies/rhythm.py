"""The slow part of a spectrum, and of a heart's signal.

    low-frequency error   Hellinger distance of the spectra below 4 / period, smoothed over a fifth of 1 / period,
                          each divided by the whole power of its series: energy that should be slow and is not, counts

0 for equal series, at most 1.

    band amplitude        root of the power between half and three halves of 1 / period, divided by the true one's

1 for equal series, 0 where the rhythm is missing. Ours: the reference sources define no such measures.
"""

from __future__ import annotations

import numpy as np

_BAND = 4  # of 1 / period: the slow rhythm with three overtones


def low_frequency_error(reference: np.ndarray, generated: np.ndarray, period: float) -> float:
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


def band_amplitude(reference: np.ndarray, generated: np.ndarray, period: float) -> float:
    """How large the slow rhythm is in a free run, as a share of the true one, averaged over columns; NaN if not finite.

    Args:
        reference: `(T, N)`.
        generated: `(T, N)`, of the same length.
        period: of the slow rhythm, in samples.

    Examples:
        >>> t = np.arange(4000.0)[:, None]
        >>> round(band_amplitude(np.sin(t / 60), 0.5 * np.sin(t / 60), period=377.0), 3)
        0.5
    """
    if not np.isfinite(generated).all():
        return np.nan
    frequency = np.fft.rfftfreq(len(reference)) * period
    inside = (frequency > 0.5) & (frequency < 1.5)
    true, found = (np.sqrt(np.sum(_power(np.asarray(x, np.float64))[inside], axis=0)) for x in (reference, generated))
    return float(np.mean(found / true))


def steepness(values: np.ndarray) -> np.ndarray:
    """How fast a signal moves: of a heart, high once a beat, and blind to the slow wandering of its level.

    Examples:
        >>> steepness(np.array([0.0, 2.0, -1.0])).tolist()
        [2.0, 3.0]
    """
    return np.abs(np.diff(values))


def _band(x: np.ndarray, period: float) -> np.ndarray:
    """Shares of the power at the low frequencies, smoothed, and in the last row the share of all others."""
    power = _power(x)
    shares = power / power.sum(axis=0)
    bins = min(len(shares), max(2, round(_BAND * len(x) / period)))
    width = max(1.0, len(x) / period / 5)
    distance = np.arange(bins)[:, None] - np.arange(bins)
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    low = (kernel / kernel.sum(axis=1, keepdims=True)).T @ shares[:bins]  # rows sum to 1: no power is lost or won
    return np.concatenate([low, np.maximum(0, 1 - low.sum(axis=0, keepdims=True))])


def _power(x: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(x - x.mean(axis=0), axis=0)) ** 2
