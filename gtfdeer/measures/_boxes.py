"""The region of state space that a binned D_stsp looks at, and the three regions in use.

    julia      [min - 0.1 std, max + 0.1 std), all k bins                   GTF-shPLRNN, AL-RNN, DynaMix-julia
    legacy     [-2 std, 2 std) about ZERO, lowest bin dropped               dendPLRNN, MTF
    tutorial   [min, max), lowest bin dropped: the extreme points are lost  CNS-2023, DynaMix-python

std is that of the reference, with T - 1 in its denominator. The published programs differ here without saying
so, and scores made with different boxes do not compare. Not to be confused with the number of bins, which
splits the box.
Source: `src/measures/stsp_measure.jl` of GTF-shPLRNN (arXiv 2306.04406); `evaluation/klx.py` of
DurstewitzLab/dendPLRNN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Box:
    """A box [low, high) in state space; `first_bin` is the lowest bin of each dimension whose points count.

    >>> Box(low=np.array([0.0]), high=np.array([1.0])).bin_of(np.array([[0.5], [2.0]]), bins=4).ravel()
    array([2, 4])
    """

    low: Float[np.ndarray, " observed"]
    high: Float[np.ndarray, " observed"]
    first_bin: int = 0

    def bin_of(self, points: Float[np.ndarray, "time observed"], bins: int) -> Int[np.ndarray, "time observed"]:
        """Return the bin number of every coordinate: -1 or `bins` means outside. `points` are finite."""
        with np.errstate(over="ignore"):  # to infinity, which is outside all the same
            place = np.floor(bins * ((points - self.low) / (self.high - self.low)))
        return np.clip(place, -1, bins).astype(np.int64)  # unclipped, a huge number would wrap round

    def bins_inside(self, points: Float[np.ndarray, "time observed"], bins: int) -> Int[np.ndarray, "kept observed"]:
        """Return the bin numbers of the points that count; those outside and non-finite are discarded."""
        found = self.bin_of(points[np.isfinite(points).all(axis=1)], bins)
        counts = ((found >= self.first_bin) & (found < bins)).all(axis=1)
        return found[counts]


def julia_box(reference: Float[np.ndarray, "time observed"]) -> Box:
    """Return the box from min - 0.1 std to max + 0.1 std: the default, which loses no reference point.

    >>> julia_box(np.array([[0.0], [1.0], [2.0]]))
    Box(low=array([-0.1]), high=array([2.1]), first_bin=0)
    """
    margin = 0.1 * reference.std(axis=0, ddof=1)
    return Box(reference.min(axis=0) - margin, reference.max(axis=0) + margin)


def legacy_box(reference: Float[np.ndarray, "time observed"]) -> Box:
    """Return the box of two standard deviations about zero (not about the mean): for centred data only.

    >>> legacy_box(np.array([[-1.0], [0.0], [1.0]]))
    Box(low=array([-2.]), high=array([2.]), first_bin=1)
    """
    reach = 2 * reference.std(axis=0, ddof=1)
    return Box(-reach, reach, first_bin=1)


def tutorial_box(reference: Float[np.ndarray, "time observed"]) -> Box:
    """Return the box from the minimum to the maximum of the reference.

    >>> tutorial_box(np.array([[-1.0], [0.0], [1.0]]))
    Box(low=array([-1.]), high=array([1.]), first_bin=1)
    """
    return Box(reference.min(axis=0), reference.max(axis=0), first_bin=1)
