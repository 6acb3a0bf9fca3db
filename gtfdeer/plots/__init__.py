"""Pictures of orbits and of learning: arrays in, `Axes` or `Figure` out, one message a figure.

Only matplotlib's object-oriented interface is used (never pyplot, no global settings), so that every function may be
called from a background thread of a notebook. Everywhere `ax` is where to draw, by default on a new figure; `names` are
those of the N columns, by default x_1, x_2, ...; `unit` is that of the values, `time_unit` that of `dt`.

>>> import numpy as np
>>> from gtfdeer import plots
>>> angle = np.linspace(0, 6 * np.pi, 300)
>>> ax = plots.attractor(np.stack([np.cos(angle), np.sin(angle), angle], axis=1), role=plots.MODEL)
>>> plots.png(ax)[1:4]
b'PNG'
"""

from ._canvas import DATA, ERROR, FORCED, INK, MODEL, TRUTH, Role, dress, figure, png
from ._learning import exponents, newton_heatmap, thinned, training
from ._orbits import attractor, attractors
from ._series import forecast, spectra, time_series

__all__ = [
    "DATA",
    "ERROR",
    "FORCED",
    "INK",
    "MODEL",
    "TRUTH",
    "Role",
    "attractor",
    "attractors",
    "dress",
    "exponents",
    "figure",
    "forecast",
    "newton_heatmap",
    "png",
    "spectra",
    "thinned",
    "time_series",
    "training",
]
