"""D_stsp from histograms: the Kullback-Leibler divergence between where two series spend their time.

    D_stsp = sum over cells i of p_i ln(p_i / q_i),    p_i = (count_i + a) / (total + a k^N),    q_i likewise

p from the reference, q from the generated series, k bins a dimension, k^N cells, a = 1e-5, in nats. Almost
all cells are empty in both series and have the same two probabilities, so only occupied cells are stored and
the rest, k^N minus their number, enters as one product: memory grows with T and not with k^N.

Source: Koppe et al. 2019 (10.1371/journal.pcbi.1007263); constants of GTF-shPLRNN (Hess et al. 2023, arXiv
2306.04406).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ._boxes import Box, julia_box
from ._checks import finite_trajectory, require_motion, require_same_columns, trajectory

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


def binned_divergence(
    reference: Float[Array | np.ndarray, "time observed"],
    generated: Float[Array | np.ndarray, "steps observed"],
    *,
    bins: int = 30,
    pseudocount: float = 1e-5,
    box: Callable[[np.ndarray], Box] = julia_box,
) -> float:
    """Return KL(reference || generated) between the two histograms, in nats: 0 if they are equal.

    Points of `generated` outside the box, non-finite ones included, are DISCARDED before normalising, as all
    published programs do: a run that escapes now and then is hardly punished, so read `outside_fraction`
    beside it. If no point is left, q is uniform over the cells (the formula at total 0): a poor score, never
    NaN, and yet NOT the worst one, as a constant series scores higher. Order in time is ignored. Short series
    score higher: compare equal lengths.

    Args: reference (T, N), generated (T', N), in the same units; bins k, whole number; pseudocount a; box,
    the function of the reference that sets the region (`julia_box`, `legacy_box`, `tutorial_box`).
    Raises: ValueError for arrays that are not (time, N), a reference with non-finite values or a constant
    column, or k^N beyond the integers.

    >>> reference, generated = np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]])
    >>> round(binned_divergence(reference, generated, bins=2), 2)      # 1/2 ln(1/2 / 1) + 1/2 ln(1/2 / 5e-6)
    5.41
    """
    reference, generated = finite_trajectory(reference, "reference"), trajectory(generated, "generated")
    require_same_columns(reference, generated)
    _require_cells(bins, reference.shape[1], pseudocount)
    region = _region(reference, box)
    p_cells, q_cells = (_cell_numbers(region.bins_inside(x, bins), bins) for x in (reference, generated))

    occupied, owner = np.unique(np.concatenate([p_cells, q_cells]), return_inverse=True)
    p_counts = np.bincount(owner[: len(p_cells)], minlength=len(occupied))
    q_counts = np.bincount(owner[len(p_cells) :], minlength=len(occupied))

    cells = float(bins) ** reference.shape[1]
    p_total, q_total = len(p_cells) + pseudocount * cells, len(q_cells) + pseudocount * cells
    p, q = (p_counts + pseudocount) / p_total, (q_counts + pseudocount) / q_total
    empty = (cells - len(occupied)) * (pseudocount / p_total) * np.log(q_total / p_total)
    return float(np.sum(p * np.log(p / q)) + empty)


def outside_fraction(
    reference: Float[Array | np.ndarray, "time observed"],
    generated: Float[Array | np.ndarray, "steps observed"],
    *,
    box: Callable[[np.ndarray], Box] = julia_box,
) -> float:
    """Return the share of generated points, 0 to 1, that left the reference's box: D_stsp does not see them.

    Non-finite points are outside. Boxes that drop their lowest bin still contain it here.

    Args: reference (T, N), generated (T', N), box as in `binned_divergence`. Raises: ValueError as there.

    >>> outside_fraction(np.array([[0.0], [1.0]]), np.array([[0.5], [7.0], [np.nan], [0.9]]))
    0.5
    """
    reference, generated = finite_trajectory(reference, "reference"), trajectory(generated, "generated")
    require_same_columns(reference, generated)
    region = _region(reference, box)
    inside = ((generated >= region.low) & (generated < region.high)).all(axis=1)
    return float(1.0 - inside.mean())


def _region(reference: Float[np.ndarray, "time observed"], box: Callable[[np.ndarray], Box]) -> Box:
    """Return the box of a reference whose every column moves."""
    require_motion(reference, np.ptp(reference, axis=0) == 0)
    return box(reference)


def _cell_numbers(bins_of: Int[np.ndarray, "kept observed"], bins: int) -> Int[np.ndarray, " kept"]:
    """Number the cells of the grid: the bins of a point read as the digits of one number in base `bins`."""
    return bins_of @ (bins ** np.arange(bins_of.shape[1], dtype=np.int64))


def _require_cells(bins: int, dimension: int, pseudocount: float):
    """Raise ValueError unless the cells can be numbered and every probability is positive."""
    if not isinstance(bins, (int, np.integer)) or bins < 1 or not int(bins) ** dimension < 2**63:
        raise ValueError(
            f"bins={bins} in {dimension} dimensions does not give between 1 and 2^63 cells; "
            f"pass a smaller whole number of bins, or use mixture_divergence"
        )
    if not 0 < pseudocount < np.inf:
        raise ValueError(f"pseudocount={pseudocount} leaves cells without probability; pass one above 0, such as 1e-5")
