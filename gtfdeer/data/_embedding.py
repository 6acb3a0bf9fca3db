"""Delay embedding: a state space from fewer observed columns than the system has variables.

    y_t = [x_t, x_{t - tau}, ..., x_{t - (m-1) tau}],    m the dimension, tau the delay in rows

For m > 2 d, almost every observation of a d-dimensional attractor gives such a y that unfolds it; the theorem
says nothing about tau. Rules for tau: the first minimum of the average mutual information

    I(tau) = sum over bins of p(x_t, x_{t-tau}) ln [ p(x_t, x_{t-tau}) / (p(x_t) p(x_{t-tau})) ]

and the lag at which the autocorrelation first falls below 1/e.

Sources: F. Takens, "Detecting strange attractors in turbulence", Lecture Notes in Mathematics 898, 1981; T.
Sauer, J. Yorke and M. Casdagli, "Embedology", J. Stat. Phys. 65, 1991; A. Fraser and H. Swinney, "Independent
coordinates for strange attractors from mutual information", Phys. Rev. A 33, 1134, 1986; bias of the
estimate: G. Miller, "Note on the bias of information estimates", Information Theory in Psychology, 1955.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .._checks import whole
from ._values import as_values

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import ArrayLike

BINS = 16  # per axis, equally filled; 256 cells stay well filled from a few thousand rows on (ours)
NORMAL = 0.6745 * 6**0.5  # median size of the second differences of normal noise of size 1
WIDTH = 8  # a minimum at lag l is l / 4 wide (ours)
PROMINENCE = 5  # standard deviations of the jitter (ours)
SCALES = 8  # decay times that a recording must hold (ours)
LONGEST_LAG = 2000  # rows; slower series are sampled too finely to embed by single rows (ours)


@dataclass(frozen=True)
class Embedding:
    """How many lags (`dimension`), how many rows apart (`delay`), and by which rule the delay was chosen.

    >>> Embedding(dimension=3, delay=17)
    Embedding(dimension=3, delay=17, chosen_by='caller')
    """

    dimension: int
    delay: int
    chosen_by: str = field(default="caller", compare=False)

    def __post_init__(self) -> None:
        for name in ("dimension", "delay"):
            object.__setattr__(self, name, whole(getattr(self, name), name, example=3))

    @property
    def rows_lost(self) -> int:
        """(m - 1) tau: the rows at the beginning that have no complete past."""
        return (self.dimension - 1) * self.delay


def delay_coordinates(values: Float[np.ndarray, "time columns"], embedding: Embedding) -> np.ndarray:
    """Return the rows [x_t, x_{t-tau}, ...], t = (m-1) tau, ..., T-1; a row that touches a NaN is all NaN.

    Raises: ValueError if no row of `values` has a complete past.
    """
    rows = len(values) - embedding.rows_lost
    if rows < 1:
        raise ValueError(
            f"{embedding.dimension} lags of {embedding.delay} rows reach back {embedding.rows_lost} rows but "
            f"the series has {len(values)}; pass a smaller dimension or delay, or a longer series"
        )
    lags = [lag * embedding.delay for lag in range(embedding.dimension)]
    table = np.concatenate([values[embedding.rows_lost - lag :][:rows] for lag in lags], axis=1)
    gaps = np.isnan(table).any(axis=1)
    if gaps.all():
        raise ValueError(
            f"every stretch of {embedding.rows_lost + 1} rows holds a gap; pass a smaller dimension or delay"
        )
    table[gaps] = np.nan
    return table


def choose_delay(values: ArrayLike, dimension: int) -> Embedding:
    """Mutual information first, autocorrelation where it has no minimum; the answer says which one it was."""
    delay, rule = mutual_information_delay(values), "mutual information"
    if delay is None:
        delay, rule = autocorrelation_delay(values), "autocorrelation"
    width = _sharpest_change(as_values(values), delay)
    if width is not None:
        warnings.warn(
            f"the sharpest change takes {width} rows, far fewer than the delay of {delay}, so delayed copies are a "
            "poor state; pass a shorter delay, or fit the channel itself with more latent units than channels",
            stacklevel=4,
        )
    return Embedding(dimension, delay, chosen_by=rule)


def mutual_information_delay(values: ArrayLike) -> int | None:
    """Return the lag in rows of the first minimum of the average mutual information, or None if it has none.

    Histograms with 16 equally filled bins an axis; several columns are averaged; pairs with a NaN are left out. The
    information at lag l is averaged over lags l (1 - 1/8) to l (1 + 1/8), a minimum being as wide as it is late. From
    a minimum the information rises again by more than five standard deviations of its jitter from lag to lag, and it
    stays above twice what independent values show in T rows, about (BINS - 1)^2 / (2 T) (Miller 1955). Lags to T/4
    and 2000 are tried. In fewer rows than eight times the lag at which the autocorrelation falls below 1/e, too few
    turns are seen to tell a minimum (factors: ours).

    Args: values (T,) or (T, N).
    Raises: ValueError for fewer than 20 rows.

    >>> noise = np.random.default_rng(0).normal(size=5000)
    >>> wave = np.sin(np.arange(5000) * 2 * np.pi / 61.8) + 0.2 * noise      # a quarter period is 15
    >>> 12 <= mutual_information_delay(wave) <= 19
    True
    """
    columns = _long_enough(values)
    decay = _first_below(columns)
    if decay is None or SCALES * decay > len(columns):
        return None
    codes = [_equally_filled_bins(column) for column in columns.T]
    lags = range(min(len(columns) // 4, LONGEST_LAG) + 1)
    information = np.array([np.mean([_mutual_information(code, lag) for code in codes]) for lag in lags])
    jitter = np.median(np.abs(np.diff(information, 2))) / NORMAL
    sums = np.concatenate([[0.0], np.cumsum(information)])
    lag = np.arange(len(information) * WIDTH // (WIDTH + 1))
    half = lag // WIDTH
    smooth = (sums[lag + half + 1] - sums[lag - half]) / (2 * half + 1)
    lowest = np.minimum.accumulate(smooth)
    risen = np.flatnonzero(smooth > lowest + PROMINENCE * jitter)
    if risen.size == 0 or lowest[risen[0]] < (BINS - 1) ** 2 / len(columns):
        return None
    return int(np.argmin(smooth[: risen[0]]))


def _sharpest_change(values: Float[np.ndarray, "time columns"], delay: int) -> int | None:
    """The fewest rows, 1, 2, 4, ... to delay / 8, in which half of the largest change within a delay happens, or None.

    The largest one in a thousand rows counts, if it is eight times the noise from row to row (ours).
    """

    def change(rows: int) -> np.ndarray:
        return np.nanquantile(np.abs(values[rows:] - values[:-rows]), 0.999, axis=0)

    noise = np.nanmedian(np.abs(np.diff(values, 2, axis=0)), axis=0) / NORMAL
    enough = np.maximum(change(delay) / 2, 8 * noise)
    tried = [2**k for k in range((delay // 8).bit_length())]
    return next((rows for rows in tried if (change(rows) > enough).any()), None)


def autocorrelation_delay(values: ArrayLike) -> int:
    """Return the first lag, in rows, at which the autocorrelation is below 1/e; several columns are averaged.

    Args: values (T,) or (T, N); pairs with a NaN are left out.
    Raises: ValueError for fewer than 20 rows, a constant series, or an autocorrelation that never falls so far.

    >>> autocorrelation_delay(np.cos(np.arange(2000) * 2 * np.pi / 60))      # arccos(1/e) is 11.4 rows
    12
    """
    columns = _long_enough(values)
    if (decay := _first_below(columns)) is None:
        raise ValueError(f"the autocorrelation of {len(columns)} rows stays above 1/e; pass delay=, or a longer series")
    return decay


def _first_below(columns: Float[np.ndarray, "time columns"]) -> int | None:
    below = np.mean([_autocorrelation(column) for column in columns.T], axis=0) < np.exp(-1)
    return int(np.argmax(below)) if below.any() else None


def _long_enough(values: ArrayLike) -> Float[np.ndarray, "time columns"]:
    """Return the values as a table; fewer than 20 rows cannot show a delay (ours)."""
    columns = as_values(values)
    if len(columns) < 20:
        raise ValueError(f"the series has {len(columns)} rows, too few to choose a delay from; pass delay=")
    return columns


def _equally_filled_bins(column: Float[np.ndarray, " time"]) -> Int[np.ndarray, " time"]:
    """The bin 0, ..., BINS - 1 of every value, equal values in one bin; -1 for NaN."""
    edges = np.nanquantile(column, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.where(np.isnan(column), -1, np.searchsorted(edges, column, side="right"))


def _mutual_information(code: Int[np.ndarray, " time"], lag: int) -> float:
    """I(lag) in nats, from the joint histogram of a series of bins with itself `lag` rows earlier."""
    now, before = code[lag:], code[: len(code) - lag]
    both = (now >= 0) & (before >= 0)
    counts = np.bincount(now[both] * BINS + before[both], minlength=BINS * BINS).reshape(BINS, BINS)
    joint = counts / max(counts.sum(), 1)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())


def _autocorrelation(column: Float[np.ndarray, " time"]) -> Float[np.ndarray, " lags"]:
    """Autocorrelation at lags 0, ..., T/2, by Fourier transform; a lag is divided by its number of pairs."""
    present = ~np.isnan(column)
    centred = np.where(present, column.astype(np.float64) - np.nanmean(column, dtype=np.float64), 0.0)
    lags, padded = len(column) // 2 + 1, 2 * len(column)
    power = np.abs(np.fft.rfft(np.stack([centred, present.astype(np.float64)]), padded)) ** 2
    products, pairs = np.fft.irfft(power, padded)[:, :lags]
    if np.nanmax(column) == np.nanmin(column):
        raise ValueError(f"a column is always {np.nanmax(column):.6g}, so it has no autocorrelation; drop that column")
    covariance = products / np.maximum(np.round(pairs), 1)
    return covariance / covariance[0]
