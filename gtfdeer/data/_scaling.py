"""What was done to the values of a series, so that it can be undone.

    values = (data - mean) / std,    data = values * std + mean,    column by column

A z-score (mean 0, standard deviation 1) is the customary choice; test data take the mean and std of the
TRAINING data, or they would look into the future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._checks import array

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Scaling:
    """A shift and a stretch for every column: values = (data - mean) / std.

    Args:
        mean: (N,), in the units of the data.
        std: (N,), in the units of the data, positive.
        dtype: of the data, to which `undo` goes back: float32 cannot hold counts of 1e9 that differ by some.

    Raises:
        ValueError: if the two are not vectors of one length, not finite, or a std is not positive.

    >>> scaling = Scaling(mean=[10.0, 0.0], std=[2.0, 1.0])
    >>> scaling.apply(np.array([[12.0, 1.0]]))
    array([[1., 1.]])
    """

    mean: Float[np.ndarray, " columns"]
    std: Float[np.ndarray, " columns"]
    dtype: np.dtype | type | str | None = None

    def __post_init__(self) -> None:
        mean = np.array(array(self.mean, "mean", ("N",)), dtype=np.float64)
        std = np.array(array(self.std, "std", mean.shape), dtype=np.float64)
        if not (std > 0).all():
            raise ValueError(f"std is {std.tolist()}; pass positive numbers")
        for name, part in (("mean", mean), ("std", std)):
            part.flags.writeable = False
            object.__setattr__(self, name, part)
        object.__setattr__(self, "dtype", None if self.dtype is None else np.dtype(self.dtype))

    @property
    def columns(self) -> int:
        """N, how many columns it scales."""
        return self.mean.size

    def __eq__(self, other: object) -> bool:
        """Two scalings are equal when all their numbers are."""
        if not isinstance(other, Scaling):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.std, other.std)

    def __hash__(self) -> int:
        return hash((self.mean.tobytes(), self.std.tobytes()))

    def apply(self, data: Float[np.ndarray, "*batch columns"]) -> Float[np.ndarray, "*batch columns"]:
        """Return (data - mean) / std, worked out in float64 and given back in the precision of `data`."""
        return ((data - self.mean) / self.std).astype(data.dtype)

    def undo(self, values: Float[np.ndarray, "*batch columns"]) -> Float[np.ndarray, "*batch columns"]:
        """Return values * std + mean, worked out in float64 and given back in the precision of the data."""
        return (values * self.std + self.mean).astype(self.dtype or values.dtype)

    def tiled(self, copies: int) -> Scaling:
        """The scaling of a table in which all columns stand `copies` times, one block after the other."""
        return Scaling(np.tile(self.mean, copies), np.tile(self.std, copies), self.dtype)

    def select(self, columns: list[int]) -> Scaling:
        """The scaling of a table that keeps only these columns, in this order."""
        return Scaling(self.mean[columns], self.std[columns], self.dtype)
