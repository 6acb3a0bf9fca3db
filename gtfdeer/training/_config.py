"""How to train: settings that do not depend on model or data, checked once, which a file can hold as JSON.

16 random windows of 200 steps an update, as in the public GTF code (arXiv 2306.04406), which takes some 100,000 updates
of RAdam; in runs of minutes Adam (arXiv 1412.6980) under a cosine decay (arXiv 1608.03983) learns far more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import optax

from .._checks import real, whole
from ..forcing import Annealed, LearnedGain, Schedule
from ..solvers import Auto, Solver

_LAST_RATE = 1e-5  # of learning, at the last update
ANNEALED = Annealed(least_updates=2000)  # for any model
_MAX_VALIDATIONS = 10_000  # each is up to sixteen free runs as long as the data


@dataclass(frozen=True)
class TrainConfig:
    """How to train: everything but model, data and key. The arguments are those of `gtfdeer.fit`."""

    window: int = 200
    batch: int = 16
    updates: int = 20_000
    forcing: Schedule = ANNEALED
    solver: Solver = field(default_factory=Auto)
    learning_rate: float = 1e-2
    optimiser: optax.GradientTransformation | None = None
    noise: float = 0.0
    validations: int = 20
    polish: int = 0

    def __post_init__(self) -> None:
        checked = {
            "window": whole(self.window, "window", least=2),
            "batch": whole(self.batch, "batch"),
            "updates": whole(self.updates, "updates"),
            "validations": whole(self.validations, "validations", least=0, most=_MAX_VALIDATIONS),
            "polish": whole(self.polish, "polish", least=0),
            "learning_rate": real(self.learning_rate, "learning_rate", above=0, example="1e-2"),
            "noise": real(self.noise, "noise", least=0, example=0.05),
        }
        if not isinstance(self.forcing, Schedule):
            raise TypeError(f"forcing is {self.forcing!r}; pass a schedule such as gtfdeer.forcing.Constant(0.15)")
        if not isinstance(self.solver, Solver):
            raise TypeError(f"solver is {self.solver!r}; pass an instance such as gtfdeer.solvers.Auto()")
        if self.polish and not isinstance(self.forcing, LearnedGain):
            came = f"polish is {self.polish} but forcing is {self.forcing!r}"
            raise ValueError(f"{came}; pass polish=0, or a LearnedGain()")
        if self.optimiser is not None and not isinstance(self.optimiser, optax.GradientTransformation):
            raise TypeError(f"optimiser is {self.optimiser!r}; pass an optax transformation such as optax.adam(1e-3)")
        if isinstance(self.solver, Auto):  # the batch is part of its rules
            checked["solver"] = replace(self.solver, batch=checked["batch"])
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def total(self) -> int:
        """Updates and Gauss-Newton steps together."""
        return self.updates + self.polish

    def build_optimiser(self) -> optax.GradientTransformation:
        """Return the optimiser that was passed, or Adam, whose rate falls along half a cosine over the updates.

        Gradients longer than 1 are shortened to 1 first (Pascanu, Mikolov, Bengio, ICML 2013, arXiv 1211.5063). All
        parameters are one vector, which compiles in a tenth less time.
        """
        rate = optax.cosine_decay_schedule(self.learning_rate, self.updates, _LAST_RATE / self.learning_rate)
        return self.optimiser or optax.flatten(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)))
