"""PE(n), the prediction error: how far off is a forecast n steps after it started from the data?

    PE(n) = mean over t = 1..T-n and over dimensions of (x_hat_{t+n} - x_{t+n})^2,    x_hat started at x_t

the error at step n ONLY, not averaged over steps 1 to n, in squared data units. On a chaotic attractor every
forecast fails beyond a few Lyapunov times, the true system's included: read PE as short-term skill.
Persistence (x_hat_{t+n} = x_t) is the floor to beat: 1.34 at n = 20, 0.0055 at n = 1, for standardised
Lorenz-63 at dt 0.01.

Source: Hess et al. 2023 (arXiv 2306.04406), n = 20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._checks import finite_trajectory, require_same_columns, trajectory

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def prediction_error(
    reference: Float[Array | np.ndarray, "time observed"],
    forecasts: Float[Array | np.ndarray, "starts observed"],
    *,
    steps: int = 20,
) -> float:
    """Return PE(n), the mean squared error of forecasts n = `steps` ahead, in squared data units.

    Args: reference (T, N); forecasts (T - n, N), whose row t is the forecast FOR reference[t + n] MADE from
    reference[t]. If a forecast is not finite, the error is infinite.
    Raises: ValueError for arrays that are not (time, N), non-finite values in the reference, or T - n rows
    not given.

    >>> x = np.arange(10.0)[:, None]
    >>> prediction_error(x, x[:-3], steps=3)                                        # persistence
    9.0
    """
    reference, forecasts = finite_trajectory(reference, "reference"), trajectory(forecasts, "forecasts")
    if not 1 <= steps < len(reference):
        raise ValueError(
            f"steps={steps} cannot be forecast within a reference of {len(reference)} time steps; "
            f"pass steps from 1 to {len(reference) - 1}"
        )
    require_same_columns(reference, forecasts, name="forecasts")
    if len(forecasts) != len(reference) - steps:
        raise ValueError(
            f"forecasts has {len(forecasts)} rows but {len(reference)} - {steps} = {len(reference) - steps} "
            f"were expected; pass one forecast for each of reference[:-{steps}]"
        )
    if not np.isfinite(forecasts).all():
        return float("inf")
    with np.errstate(over="ignore"):  # the square of a huge forecast is infinite: the right answer
        return float(np.mean((forecasts - reference[steps:]) ** 2))
