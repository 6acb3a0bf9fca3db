"""D_stsp from histograms: the Kullback-Leibler divergence between where two series spend their time.

    D_stsp = sum over cells i of p_i ln(p_i / q_i),    p_i = (count_i + a) / (total + a k^N),    q_i likewise

p from the reference, q from the generated series, k bins a dimension of the box [min - 0.1 std, max + 0.1 std) of
the reference (programs with other boxes give other scores), k^N cells, a = 1e-5, in nats. Almost all cells are
empty in both series and have the same two probabilities, so only occupied cells are stored and the rest, k^N minus
their number, enters as one product: memory grows with T and not with k^N.

Source: Koppe et al. 2019 (10.1371/journal.pcbi.1007263); constants of GTF-shPLRNN (Hess et al. 2023, arXiv
2306.04406).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._checks import real, whole
from ._pair import read_generated, read_pair, read_reference, require_motion

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


def binned_divergence(
    reference: Float[Array | np.ndarray, "time observed"],
    generated: Float[Array | np.ndarray, "steps observed"],
    *,
    bins: int = 30,
    pseudocount: float = 1e-5,
) -> float:
    """Return KL(reference || generated) between the two histograms, in nats: 0 if they are equal.

    Points of `generated` outside the box, non-finite ones included, are DISCARDED before normalising, as all
    published programs do: a run that escapes now and then is hardly punished, so read `outside_fraction`
    beside it. If no point is left, q is uniform over the cells (the formula at total 0): a poor score, never
    NaN, and yet NOT the worst one, as a constant series scores higher. Order in time is ignored. Short series
    score higher: compare equal lengths.

    Args: reference (T, N), generated (T', N), in the same units; bins k, whole number; pseudocount a.
    Raises: ValueError for arrays that are not (time, N), a reference with non-finite values or a constant
    column, or k^N beyond the integers; TypeError for what is no array of real numbers.

    >>> reference, generated = np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])
    >>> round(binned_divergence(reference, generated, bins=2), 2)      # 1/2 ln(1/2 / 1) + 1/2 ln(1/2 / 5e-6)
    5.41
    """
    return Histogram(reference, bins, pseudocount).divergence(generated)


class Histogram:
    """The histogram of a reference, made once, for many generated series; arguments as in `binned_divergence`."""

    def __init__(
        self, reference: Float[Array | np.ndarray, "time observed"], bins: int = 30, pseudocount: float = 1e-5
    ) -> None:
        reference = read_reference(reference)
        dimension = reference.shape[1]
        if whole(bins, "bins", example=30) ** dimension >= 2**63:
            raise ValueError(f"bins={bins} in {dimension} dimensions is more than 2^63 cells; use mixture_divergence")
        self._pseudocount = real(pseudocount, "pseudocount", above=0, example=1e-5)
        self._bins, self._cells, self._box = bins, float(bins) ** dimension, _find_box(reference)
        self._occupied, self._counts = self._count(reference)

    def divergence(self, generated: Float[Array | np.ndarray, "steps observed"]) -> float:
        """Return KL(reference || generated), as `binned_divergence` does."""
        found, counts = self._count(read_generated(generated, len(self._box[0])))
        occupied = np.union1d(self._occupied, found)
        p_counts, q_counts = np.zeros(len(occupied)), np.zeros(len(occupied))
        p_counts[np.searchsorted(occupied, self._occupied)] = self._counts
        q_counts[np.searchsorted(occupied, found)] = counts

        a = self._pseudocount
        p_total, q_total = p_counts.sum() + a * self._cells, q_counts.sum() + a * self._cells
        p, q = (p_counts + a) / p_total, (q_counts + a) / q_total
        empty = (self._cells - len(occupied)) * (a / p_total) * np.log(q_total / p_total)
        return float(np.sum(p * np.log(p / q)) + empty)

    def _count(self, points: Float[np.ndarray, "time observed"]) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(_number_cells(points, self._box, self._bins), return_counts=True)


def outside_fraction(
    reference: Float[Array | np.ndarray, "time observed"], generated: Float[Array | np.ndarray, "steps observed"]
) -> float:
    """Return the share of generated points, 0 to 1, that left the reference's box: D_stsp does not see them.

    Non-finite points are outside. In many dimensions points of the true system are outside, too: its floor is that of
    another true recording.

    Args: reference (T, N), generated (T', N). Raises: as `binned_divergence`.

    >>> outside_fraction(np.array([[0.0], [1.0]]), np.array([[0.5], [7.0], [np.nan], [0.9]]))
    0.5
    """
    reference, generated = read_pair(reference, generated)
    low, high = _find_box(reference)
    return float(1.0 - ((generated >= low) & (generated < high)).all(axis=1).mean())


def _find_box(
    reference: Float[np.ndarray, "time observed"],
) -> tuple[Float[np.ndarray, " observed"], Float[np.ndarray, " observed"]]:
    """Return [low, high) of every column of a reference whose columns all move; no point of it is outside."""
    require_motion(reference, np.ptp(reference, axis=0) == 0)
    margin = 0.1 * reference.std(axis=0, ddof=1)
    return reference.min(axis=0) - margin, reference.max(axis=0) + margin


def _number_cells(
    points: Float[np.ndarray, "time observed"], box: tuple[np.ndarray, np.ndarray], bins: int
) -> Int[np.ndarray, " kept"]:
    """Return the cell of every point inside: its bins read as the digits of one number in base `bins`."""
    low, high = box
    points = points[np.isfinite(points).all(axis=1)]
    with np.errstate(over="ignore"):  # to infinity, which is outside all the same
        place = np.floor(bins * ((points - low) / (high - low)))
    place = np.clip(place, -1, bins).astype(np.int64)  # unclipped, a huge number would wrap round
    inside = ((place >= 0) & (place < bins)).all(axis=1)
    return place[inside] @ (bins ** np.arange(place.shape[1], dtype=np.int64))
