"""Generalized Teacher Forcing (GTF): what is fed to the next step, and how strongly.

    z_t = F((1 - alpha_t) z_{t-1} + alpha_t z_hat_{t-1}),        J_forced = J_F (1 - alpha_t)
    z_t = F(z_{t-1} + alpha_t K (x_{t-1} - C z_{t-1})),          J_forced = J_F (I - alpha_t K C)

alpha = 0 is a free run, alpha = 1 one-step prediction; in between, the forced map forgets at the rate at which
`(1 - alpha) J` contracts, although F itself may be chaotic. alpha may differ between times `(T,)` and between units
`(T, M)`; sparse forcing is a 0/1 alpha. The second line is the innovations form: C reads the observation out, the gain
K (M, N) says which unit is corrected by the error of which column. The first line is K = C^+ with C^+ C = I. K may be
learned with the model (`LearnedGain`). Hess, Monfared, Brenner, Durstewitz, "Generalized Teacher Forcing for Learning
Chaotic Dynamics", ICML 2023, arXiv 2306.04406.
"""

from ._contraction import (
    Contraction,
    arithmetic_mean,
    contraction,
    optimal_alpha,
    product_upper_bound,
    spectral_norm,
)
from ._schedules import Adaptive, Annealed, Constant, LearnedGain, Schedule
from ._steps import Corrected, Forced, correct, correct_jacobian, fill_gaps, force, force_jacobian, sparse

__all__ = [
    "Adaptive",
    "Annealed",
    "Constant",
    "Contraction",
    "Corrected",
    "Forced",
    "LearnedGain",
    "Schedule",
    "arithmetic_mean",
    "contraction",
    "correct",
    "correct_jacobian",
    "fill_gaps",
    "force",
    "force_jacobian",
    "optimal_alpha",
    "product_upper_bound",
    "sparse",
    "spectral_norm",
]
