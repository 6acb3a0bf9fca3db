"""Series of observations: where they come from (files, known systems, a real heart) and what is done to them.

>>> import jax
>>> from gtfdeer.data import Lorenz63, simulate
>>> train, test = simulate(Lorenz63(), length=1000, key=jax.random.key(0)).standardise().split(0.8)
>>> train
Series('Lorenz63', 800 x 3, dt=0.01, standardised)
"""

from ._ecg import electrocardiogram
from ._embedding import Embedding, autocorrelation_delay, mutual_information_delay
from ._read import read_series
from ._scaling import Scaling
from ._series import Series
from ._simulate import simulate
from ._systems import BurstingNeuron, Lorenz63, Lorenz96, Rossler, SlowFastLorenz, System, rk4_step
from ._windows import segments_between_gaps, window_starts

__all__ = [
    "BurstingNeuron",
    "Embedding",
    "Lorenz63",
    "Lorenz96",
    "Rossler",
    "Scaling",
    "Series",
    "SlowFastLorenz",
    "System",
    "autocorrelation_delay",
    "electrocardiogram",
    "mutual_information_delay",
    "read_series",
    "rk4_step",
    "segments_between_gaps",
    "simulate",
    "window_starts",
]
