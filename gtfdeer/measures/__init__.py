"""Measures that judge a reconstruction: arrays in (a step for the exponents), numbers out.

An attractor is judged by what it looks like for ever, not by where the orbit is at one moment: where it
spends its time (`state_space_divergence`), at which frequencies it moves (`power_spectrum_error`), how fast
it forgets (`lyapunov_spectrum`). `prediction_error` alone looks at single moments. None of them shares code
with the models it judges. A score means little without its floor: what a second run of the TRUE system would
get.
"""

from ._attractor import state_space_divergence
from ._binned import binned_divergence, outside_fraction
from ._boxes import Box, julia_box, legacy_box, tutorial_box
from ._lyapunov import LyapunovSpectrum, largest_exponent, lyapunov_spectrum
from ._mixture import mixture_divergence
from ._prediction import prediction_error
from ._rhythm import interval_error, intervals, low_frequency_error, steepness
from ._spectrum import power_spectrum, power_spectrum_error

__all__ = [
    "Box",
    "LyapunovSpectrum",
    "binned_divergence",
    "interval_error",
    "intervals",
    "julia_box",
    "largest_exponent",
    "legacy_box",
    "low_frequency_error",
    "lyapunov_spectrum",
    "mixture_divergence",
    "outside_fraction",
    "power_spectrum",
    "power_spectrum_error",
    "prediction_error",
    "state_space_divergence",
    "steepness",
    "tutorial_box",
]
