"""What a measure compares: a finite reference (T, N), and a generated series of its columns, perhaps diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._checks import array

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


def read_reference(reference: Float[Array | np.ndarray, "time observed"]) -> Float[np.ndarray, "time observed"]:
    """Return it as float64; one that is not finite is refused."""
    return array(reference, "reference", ("T", "N")).astype(np.float64)


def read_generated(
    generated: Float[Array | np.ndarray, "steps observed"],
    columns: int,
    name: str = "generated",
    rows: int | str = "T'",
) -> Float[np.ndarray, "steps observed"]:
    """Return it as float64; it has the columns of the reference, and may have diverged."""
    return array(generated, name, (rows, columns), finite=False).astype(np.float64)


def read_pair(
    reference: Float[Array | np.ndarray, "time observed"],
    generated: Float[Array | np.ndarray, "steps observed"],
    name: str = "generated",
    rows: int | str = "T'",
) -> tuple[Float[np.ndarray, "time observed"], Float[np.ndarray, "steps observed"]]:
    """Return both as float64 arrays with the same columns."""
    true = read_reference(reference)
    return true, read_generated(generated, true.shape[1], name, rows)


def require_motion(
    values: Float[np.ndarray, "time observed"], still: Bool[np.ndarray, " observed"], name: str = "reference"
) -> None:
    """Raise ValueError, calling `values` by `name`, if a column of it is marked as standing still."""
    if still.any():
        columns = ", ".join(str(column) for column in np.flatnonzero(still))
        raise ValueError(
            f"{name} (shape {values.shape}) is constant in column {columns}, which leaves no range and no spectrum to "
            "compare; drop that column from what you compare"
        )
