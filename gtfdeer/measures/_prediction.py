"""PE(n), the prediction error: how far off is a forecast n steps after it started from the data?

    PE(n) = mean over t = 1..T-n and over dimensions of (x_hat_{t+n} - x_{t+n})^2,    x_hat started at x_t

the error at step n ONLY, not averaged over steps 1 to n, in squared data units: short-term skill, as in chaos every
forecast fails beyond a few Lyapunov times. Persistence (x_hat_{t+n} = x_t) is the floor to beat: 1.34 at n = 20, 0.0055
at n = 1, for standardised Lorenz-63 at dt 0.01. Source: Hess et al. 2023 (arXiv 2306.04406), n = 20.

The valid prediction time asks the other way round: how long does a forecast stay good?

    e(t) = sqrt( mean over dimensions of ((x_hat_t - x_t) / std)^2 ),    t_valid = the time before e first passes 0.4

std is that of the truth. Worth most in Lyapunov times, 1 / lambda_max. Vlachas et al. 2020 (arXiv 1910.05266).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._checks import array, real, whole
from ._pair import read_reference, require_motion

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from ._pair import Table


def prediction_error(
    reference: Table, forecasts: Float[Array | np.ndarray, "starts observed"], *, steps: int = 20
) -> float:
    """Return PE(n), the mean squared error of forecasts n = `steps` ahead, in squared data units.

    Args: reference (T, N); forecasts (T - n, N), whose row t is the forecast FOR reference[t + n] MADE from
    reference[t]. If a forecast is not finite, the error is infinite.
    Raises: ValueError for arrays of other shapes, or non-finite values in the reference.

    >>> x = np.arange(10.0)[:, None]
    >>> prediction_error(x, x[:-3], steps=3)                                        # persistence
    9.0
    """
    reference = read_reference(reference)
    steps = whole(steps, "steps", most=max(1, len(reference) - 1))
    forecasts = array(forecasts, "forecasts", (len(reference) - steps, reference.shape[1]), finite=False)
    if not np.isfinite(forecasts).all():
        return float("inf")
    with np.errstate(over="ignore"):  # the square of a huge forecast is infinite: the right answer
        return float(np.mean((forecasts.astype(np.float64) - reference[steps:]) ** 2))


@dataclass(frozen=True)
class ValidTime:
    """How long forecasts stayed good, one number a start; `print` shows median and quartiles.

    `times` (S,) in units of time; `horizon`, the length of the forecasts, which a time cannot exceed; `lambda_max`, per
    unit of time, or None.
    """

    times: Float[np.ndarray, " starts"]
    horizon: float
    lambda_max: float | None = None

    @property
    def median(self) -> float:
        """The median over starts, in units of time."""
        return float(np.median(self.times))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile over starts, in units of time."""
        low, high = np.quantile(self.times, (0.25, 0.75))
        return float(low), float(high)

    @property
    def lyapunov_times(self) -> Float[np.ndarray, " starts"] | None:
        """`times` in Lyapunov times, 1 / lambda_max; None where the exponent is not known."""
        return None if self.lambda_max is None else self.times * self.lambda_max

    def __str__(self) -> str:
        low, high = self.quartiles
        lyapunov = "" if self.lambda_max is None else f"{self.median * self.lambda_max:.2g} Lyapunov times, "
        whole_run = int(np.sum(self.times >= self.horizon))
        good = f", {whole_run} of them to the end of the forecast" if whole_run else ""
        return (
            f"valid for {self.median:.3g} ({lyapunov}quartiles {low:.3g} and {high:.3g}, {len(self.times)} "
            f"start{'s' * (len(self.times) > 1)}{good})"
        )


def valid_prediction_time(
    truth: Float[Array | np.ndarray, "*starts time observed"],
    forecasts: Float[Array | np.ndarray, "*starts time observed"],
    *,
    dt: float,
    threshold: float = 0.4,
    lambda_max: float | None = None,
) -> ValidTime:
    """Return for how long the error of each forecast stays within `threshold` standard deviations.

    Args: truth (S, T, N), or (T, N) for one start; forecasts of the same shape, whose row t is for truth[t], the first
    one step after the start; dt, time between rows; threshold, on the root mean square error over columns, each
    divided by the truth's standard deviation over all starts; lambda_max, of the true system, per unit of time.
    A forecast that is not finite has failed; one that never fails counts with its whole length.
    Raises: ValueError for other shapes, a truth with non-finite values or a constant column, or numbers not above 0.

    >>> truth = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])[:, None]                        # std 1/2
    >>> found = valid_prediction_time(truth, truth + [[0.0], [0.1], [0.1], [0.3], [0.1], [0.0]], dt=0.5, lambda_max=2.0)
    >>> found.times, found.lyapunov_times
    (array([1.5]), array([3.]))
    >>> print(found)
    valid for 1.5 (3 Lyapunov times, quartiles 1.5 and 1.5, 1 start)
    """
    true = array(truth, "truth", ("T", "N") if np.ndim(truth) == 2 else ("S", "T", "N")).astype(np.float64)
    model = array(forecasts, "forecasts", true.shape, finite=False).astype(np.float64)
    dt, threshold = real(dt, "dt", above=0, example=0.01), real(threshold, "threshold", above=0, example=0.4)
    if lambda_max is not None:
        lambda_max = real(lambda_max, "lambda_max", above=0, example=0.906)
    if true.ndim == 2:
        true, model = true[None], model[None]
    rows = true.reshape(-1, true.shape[-1])
    require_motion(rows, np.ptp(rows, axis=0) == 0, name="truth")
    with np.errstate(over="ignore", invalid="ignore"):
        errors = np.sqrt(np.mean(((model - true) / rows.std(axis=0)) ** 2, axis=-1))
    failed = ~(errors <= threshold)  # NaN fails
    steps = np.where(failed.any(axis=1), failed.argmax(axis=1), true.shape[1])
    return ValidTime(times=steps * dt, horizon=true.shape[1] * dt, lambda_max=lambda_max)
