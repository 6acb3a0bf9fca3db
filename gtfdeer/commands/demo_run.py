"""One repetition of the demo: simulate, train, run freely, judge; and the numbers it is held against.

Everything in a repetition follows from its seed: the three runs of Lorenz-63, the noise, the first
parameters, the training windows. `gtfdeer demo --seed 2` is the third repetition of `gtfdeer demo --seeds 3`.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from .. import Reconstruction
    from ..data import Series
    from ..measures import LyapunovSpectrum
    from ..training._scores import Scores

__all__ = ["Run", "as_record", "middle", "repeat", "summary"]

DT = 0.01
NOISE = 0.05  # of the training run, in standard deviations
LATENT, HIDDEN = 3, 50  # the published model

TRUE_EXPONENTS = (0.9056, 0.0, -14.572)
TRUTH_SOURCE = (
    "Lyapunov exponents of Lorenz-63: D. Viswanath, thesis, Cornell University, 1998; J. C. Sprott, Chaos "
    "and Time-Series Analysis, 2003"
)
PUBLISHED = {"D_stsp": (0.23, 0.26), "D_H": (0.08, 0.09)}
PUBLISHED_FLOOR = {"D_stsp": 0.12, "D_H": 0.06}  # exact runs against the authors' test file, measured by us
PUBLISHED_SOURCE = (
    "shallow PLRNN with generalized teacher forcing on Lorenz-63: F. Hess, Z. Monfared, M. Brenner, D. "
    "Durstewitz, ICML 2023, arXiv 2306.04406, and the authors' tutorial CNS-2023"
)

_EXPONENT_STEPS = 50_000  # as in the scores, so that table and figure show one number


@dataclass(frozen=True)
class Run:
    """What one seed gave.

    Attributes:
        seed: of everything.
        train, test, second: the noisy training run; two clean ones, the test and what its floor comes from.
        reconstruction, scores: the trained model and its judgement.
        free: `(T, N)` the free run that was judged, standardised; not finite where it left all bounds.
        exponents: of the model, or None where the free run left all bounds.
        seconds: by stage.
    """

    seed: int
    train: Series
    test: Series
    second: Series
    reconstruction: Reconstruction
    scores: Scores
    free: Float[np.ndarray, "time columns"]
    exponents: LyapunovSpectrum | None
    seconds: dict[str, float]


def repeat(seed: int, length: int, updates: int | None, say: Callable[[str], None]) -> Run:
    """Simulate, train with the defaults of `gtfdeer.fit` but for the solver, run freely, judge."""
    import jax
    from flax import nnx

    import gtfdeer as gd

    clock = _Clock()
    say(f"seed {seed}: simulating Lorenz-63, three independent runs of {length:,} steps of {DT:g}")
    keys = jax.random.split(jax.random.key(seed), 5)
    clean, test, second = (gd.data.simulate(gd.data.Lorenz63(), length=length, dt=DT, key=key) for key in keys[:3])
    train = clean.with_noise(NOISE, key=keys[3])
    clock.lap("simulate")

    say(
        f"seed {seed}: training a ShallowPLRNN(latent_dim={LATENT}, hidden_dim={HIDDEN}) on one run with "
        f"{NOISE:.0%} noise, every sequence solved in parallel over time by DEER"
    )
    model = gd.models.ShallowPLRNN(latent_dim=LATENT, hidden_dim=HIDDEN, rngs=nnx.Rngs(seed))
    chosen: dict[str, Any] = {} if updates is None else {"updates": updates}
    # DEER, because the demo is to show it; the default, Auto, finds the same states at this length on a CPU sooner
    reconstruction = gd.fit(model, train, solver=gd.solvers.DEER(), key=keys[4], **chosen)
    if not reconstruction.history["loss"].size:
        raise KeyboardInterrupt
    clock.lap("train")

    say(f"seed {seed}: running freely and scoring against the test run, with the third run as the floor")
    scores = reconstruction.score(test, floor=second)
    start = reconstruction.standardised(test).values[0]
    dropped = length // 4
    free = reconstruction.rollout(length + dropped, start)[dropped:]
    clock.lap("score")
    return Run(
        seed,
        train,
        test,
        second,
        reconstruction,
        scores,
        free,
        _exponents(reconstruction, free),
        clock.seconds,
    )


def _exponents(reconstruction: Reconstruction, free: Float[np.ndarray, "time columns"]) -> LyapunovSpectrum | None:
    import jax.numpy as jnp

    from ..measures import lyapunov_spectrum

    if not bool(jnp.isfinite(free).all()):
        return None
    model = reconstruction.model
    return lyapunov_spectrum(
        model.step, model.initial_state(jnp.asarray(free[-1])), steps=_EXPONENT_STEPS, dt=reconstruction.dt
    )


def as_record(run: Run) -> dict[str, Any]:
    """The scores of a seed as plain numbers, with what they cost."""
    history = run.reconstruction.history
    return {
        "seed": run.seed,
        **run.scores.as_dict(),
        "updates": int(history["loss"].size),
        "ending": run.reconstruction.ending,
        "alpha": float(history["alpha"][-1]),
        "seconds": {stage: round(seconds, 2) for stage, seconds in run.seconds.items()},
    }


def middle(runs: Sequence[Run]) -> Run:
    """The run with the median D_stsp (of two in the middle the better): the one saved and drawn."""
    return sorted(runs, key=lambda run: run.scores.D_stsp)[(len(runs) - 1) // 2]


def summary(runs: Sequence[Run]) -> dict[str, dict[str, float | None]]:
    """Median, best and worst of every measure over the seeds; an exponent is best nearest to the truth."""
    ideal = {"D_stsp": 0.0, "D_H": 0.0, "PE": 0.0, "lambda_max": TRUE_EXPONENTS[0]}
    table: dict[str, dict[str, float | None]] = {"median": {}, "best": {}, "worst": {}}
    for name, perfect in ideal.items():
        known = [run.scores.as_dict()[name] for run in runs]
        values = sorted(
            (math.inf if value is None else value for value in known),
            key=lambda value: abs(value - perfect),
        )
        row = {"median": statistics.median(values), "best": values[0], "worst": values[-1]}
        for kind, value in row.items():
            table[kind][name] = value if math.isfinite(value) else None
    return table


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._began
        self._began = now
