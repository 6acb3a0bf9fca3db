"""D_stsp from histograms: the Kullback-Leibler divergence between where two series spend their time.

    D_stsp = sum over cells i of p_i ln(p_i / q_i),    p_i = (count_i + a) / (total + a k^N),    q_i likewise

p from the reference, q from the generated series, k bins a dimension of the box [min - 0.1 std, max + 0.1 std) of the
reference (programs with other boxes give other scores), a = 1e-5. Only occupied cells are stored; the others, equally
probable, enter as one product: memory grows with T and not with k^N. Source: as `gtfdeer.measures._attractor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .._checks import real, whole
from ._pair import read_generated, read_reference, require_motion

if TYPE_CHECKING:
    from jaxtyping import Float

    from ._pair import Table


def binned_divergence(reference: Table, generated: Table, *, bins: int = 30, pseudocount: float = 1e-5) -> float:
    """Return KL(reference || generated) between the two histograms, in nats: 0 if they are equal.

    Points of `generated` outside the box, non-finite ones included, are DISCARDED before normalising, as all published
    programs do: read `outside_fraction` beside it. If no point is left, q is uniform over the cells (the formula at
    total 0). Order in time is ignored. Short series score higher: compare equal lengths.

    Args: reference (T, N), generated (T', N), in the same units; bins k, whole number; pseudocount a.
    Raises: ValueError for arrays that are not (time, N), a reference with non-finite values or a constant
    column, or k^N beyond the integers; TypeError for what is no array of real numbers.

    >>> reference, generated = np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])
    >>> round(binned_divergence(reference, generated, bins=2), 2)      # 1/2 ln(1/2 / 1) + 1/2 ln(1/2 / 5e-6)
    5.41
    """
    return build_binned(reference, bins, pseudocount)(generated)


def build_binned(reference: Table, bins: int = 30, pseudocount: float = 1e-5) -> Callable[[Table], float]:
    """Return `binned_divergence` of this reference as a function of the generated series."""
    reference = read_reference(reference)
    dimension = reference.shape[1]
    if whole(bins, "bins", example=30) ** dimension >= 2**63:
        raise ValueError(f"bins={bins} in {dimension} dimensions is more than 2^63 cells; use mixture_divergence")
    a, cells = real(pseudocount, "pseudocount", above=0, example=1e-5), float(bins) ** dimension
    low, high = _find_box(reference)

    def count(points: Float[np.ndarray, "time observed"]) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells of all points inside, bins read as the digits of one number in base `bins`, and counts."""
        cell, inside = np.zeros(len(points), np.int64), np.ones(len(points), bool)
        with np.errstate(over="ignore", invalid="ignore"):  # to infinity or NaN, which are outside all the same
            for column, place in enumerate(np.floor(bins * ((points - low) / (high - low))).T):
                inside &= (place >= 0) & (place < bins)
                cell += np.where(inside, place, 0).astype(np.int64) * bins**column
        return np.unique(cell[inside], return_counts=True)

    known, known_counts = count(reference)

    def divergence(generated: Table) -> float:
        found, found_counts = count(read_generated(generated, dimension))
        occupied = np.union1d(known, found)
        p_counts, q_counts = np.zeros(len(occupied)), np.zeros(len(occupied))
        p_counts[np.searchsorted(occupied, known)] = known_counts
        q_counts[np.searchsorted(occupied, found)] = found_counts
        p_total, q_total = p_counts.sum() + a * cells, q_counts.sum() + a * cells
        p, q = (p_counts + a) / p_total, (q_counts + a) / q_total
        empty = (cells - len(occupied)) * (a / p_total) * np.log(q_total / p_total)
        return float(np.sum(p * np.log(p / q)) + empty)

    return divergence


def outside_fraction(reference: Table, generated: Table) -> float:
    """Return the share of generated points, 0 to 1, outside the reference's box, where D_stsp does not see them.

    Non-finite points are outside. In many dimensions some of the true system's are, too: compare with another true
    recording.

    Args: reference (T, N), generated (T', N). Raises: as `binned_divergence`.

    >>> outside_fraction(np.array([[0.0], [1.0]]), np.array([[0.5], [7.0], [np.nan], [0.9]]))
    0.5
    """
    low, high = _find_box(read_reference(reference))
    generated = read_generated(generated, len(low))
    return float(1.0 - ((generated >= low) & (generated < high)).all(axis=1).mean())


def _find_box(
    reference: Float[np.ndarray, "time observed"],
) -> tuple[Float[np.ndarray, " observed"], Float[np.ndarray, " observed"]]:
    """Return [low, high) of every column of a reference whose columns all move; no point of it is outside."""
    require_motion(reference, np.ptp(reference, axis=0) == 0)
    margin = 0.1 * reference.std(axis=0, ddof=1)
    return reference.min(axis=0) - margin, reference.max(axis=0) + margin
