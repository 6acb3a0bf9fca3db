"""Measures that judge a reconstruction: arrays in (a step for the exponents), numbers out.

An attractor is judged in the long run: where the orbit spends its time (`state_space_divergence`), at which frequencies
it moves (`power_spectrum_error`), how fast it forgets (`lyapunov_spectrum`). Only `prediction_error` and
`valid_prediction_time` follow single forecasts. A score means little without its floor: what a second run of the TRUE
system would get.
"""

from ._attractor import build_divergence, state_space_divergence
from ._binned import binned_divergence, outside_fraction
from ._lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ._mixture import mixture_divergence
from ._prediction import ValidTime, prediction_error, valid_prediction_time
from ._rhythm import interval_error, intervals
from ._spectrum import Spectrum, power_spectrum, power_spectrum_error

__all__ = [
    "LyapunovSpectrum",
    "Spectrum",
    "ValidTime",
    "binned_divergence",
    "build_divergence",
    "interval_error",
    "intervals",
    "lyapunov_spectrum",
    "mixture_divergence",
    "outside_fraction",
    "power_spectrum",
    "power_spectrum_error",
    "prediction_error",
    "state_space_divergence",
    "valid_prediction_time",
]
