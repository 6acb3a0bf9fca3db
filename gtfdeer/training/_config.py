"""How to train: everything but model, data and key, in plain settings that a checkpoint can hold.

16 random windows of 200 steps an update, as the public GTF code has them (arXiv 2306.04406). That code trains for some
hundred thousand updates with RAdam and an exponentially falling rate; for runs of minutes Adam with a rate that stays
high for longer learns far more: Kingma & Ba, arXiv 1412.6980; cosine decay: Loshchilov & Hutter, arXiv 1608.03983.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import optax

from ..forcing import Schedule
from ..solvers import Auto, Solver

__all__ = ["Recipe", "default_optimiser"]


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but model, data and key.

    Args:
        window: time steps of a training sequence, T.
        batch: sequences in an update, B.
        updates: how many.
        forcing: alpha over training, from `gtfdeer.forcing`.
        solver: from `gtfdeer.solvers`.
        learning_rate: first learning rate of the default optimiser.
        optimiser: any optax transformation, instead of the default one.
        allow_missing: whether a window may hold gaps, over which nothing is forced and no loss is taken.
        noise: standard deviation of Gaussian noise added to the input (start and teacher, not the target), in
            units of the (standardised) data.
    """

    window: int
    batch: int
    updates: int
    forcing: Schedule
    solver: Solver
    learning_rate: float = 1e-2
    optimiser: optax.GradientTransformation | None = None
    noise: float = 0.0
    allow_missing: bool = False

    def __post_init__(self) -> None:
        for name in ("window", "batch", "updates"):
            least = 2 if name == "window" else 1
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} is {value!r}; pass a whole number of at least {least}")
            object.__setattr__(self, name, int(value))
        if not isinstance(self.forcing, Schedule):
            raise TypeError(f"forcing is {self.forcing!r}; pass a schedule such as gtfdeer.forcing.Constant(0.15)")
        if not isinstance(self.solver, Solver):
            raise TypeError(f"solver is {self.solver!r}; pass an instance such as gtfdeer.solvers.Auto()")
        if isinstance(self.solver, Auto):  # it weighs the memory that all sequences take together
            object.__setattr__(self, "solver", replace(self.solver, batch=self.batch))
        if self.optimiser is not None and not isinstance(self.optimiser, optax.GradientTransformation):
            raise TypeError(f"optimiser is {self.optimiser!r}; pass an optax transformation such as optax.adam(1e-3)")
        if not isinstance(self.allow_missing, bool):
            raise TypeError(f"allow_missing is {self.allow_missing!r}; pass True or False")
        object.__setattr__(self, "noise", _number(self.noise, "noise", "0.05"))
        object.__setattr__(self, "learning_rate", _number(self.learning_rate, "learning_rate", "1e-2"))
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"noise is {self.noise}; pass a finite standard deviation of at least 0")
        if not 0 < self.learning_rate < np.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}; pass a positive number such as 1e-2")

    def optimisation(self) -> optax.GradientTransformation:
        """The optimiser that was passed, or the default one for this many updates."""
        if self.optimiser is not None:
            return self.optimiser
        return default_optimiser(self.updates, self.learning_rate)


def default_optimiser(
    updates: int, learning_rate: float = 1e-2, last_learning_rate: float = 1e-5
) -> optax.GradientTransformation:
    """Adam whose rate falls along half a cosine from `learning_rate` to `last_learning_rate` over the run.

    Gradients longer than 1 are shortened to 1 first (Pascanu, Mikolov, Bengio, ICML 2013, arXiv 1211.5063).
    """
    rate = optax.cosine_decay_schedule(learning_rate, updates, last_learning_rate / learning_rate)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def _number(value: object, name: str, example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r}; pass a number such as {example}")
    return float(value)
