"""What a measure compares: a finite reference (T, N), and a generated series of its columns, perhaps diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._checks import array

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float

    Table = Float[Array | np.ndarray, "time observed"]  # of JAX or NumPy


def read_reference(values: Table, name: str = "reference") -> Float[np.ndarray, "time observed"]:
    """Return it as float64, column by column in memory; one that is not finite is refused."""
    return array(values, name, ("T", "N")).astype(np.float64, order="F")


def read_generated(generated: Table, columns: int) -> Float[np.ndarray, "steps observed"]:
    """Return it as float64; it has the columns of the reference, and may have diverged."""
    return array(generated, "generated", ("T'", columns), finite=False).astype(np.float64, order="F")


def require_motion(
    values: Float[np.ndarray, "time observed"], still: Bool[np.ndarray, " observed"], name: str = "reference"
) -> None:
    """Refuse `values` of which a column is marked as standing still."""
    if still.any():
        columns = ", ".join(map(str, np.flatnonzero(still)))
        came = f"{name} (shape {values.shape}) is constant in column {columns}"
        raise ValueError(f"{came}, which has no range and no spectrum; drop that column from what you compare")
