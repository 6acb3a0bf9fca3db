"""The slow rhythm of a series, which D_stsp (blind to time) and D_H (smoothed over 20 bins) hardly see.

    interval error = mean over quantiles of |interval - true interval| / mean true interval

An interval lies between two upward passages of the slow part (frequencies below 4 / period, or in a band that is given)
through its mean. Ours: the reference sources define no such measure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_BAND = 4  # of 1 / period: the slow rhythm with three overtones
_FEWEST = 3  # intervals that a distribution takes


def intervals(
    values: Float[np.ndarray, " time"], period: float, band: tuple[float, float] = (0, _BAND)
) -> Float[np.ndarray, " intervals"]:
    """Return the samples between upward passages of the slow part through its mean.

    Args: values (T,); period of the slow rhythm, in samples; band, lowest and highest frequency of the slow part, in
    units of 1 / period.

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
    """Return how far the distributions of the intervals are apart; infinite where the run has hardly any.

    Args: reference and generated (T,); period and band as in `intervals`.

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
