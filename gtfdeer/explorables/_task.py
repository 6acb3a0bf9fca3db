"""One forced recurrence to look at: a known system taught by a noisy recording of itself, or a trained model.

    z_t = F((1 - alpha) z_{t-1} + alpha z_hat_{t-1}, u_t),    z_1 = F(z_0)

Everything in standard deviations of the recording. For a known system the teacher is its own orbit with 5 % noise,
so that teacher and solution differ; the start is the first noisy sample. The arrays are numpy's: what a panel computes
outside of its programs would compile, at a megabyte or more for every operation and shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Reconstruction, data, forcing
from ..models import RecurrentModel

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SYSTEMS", "Task", "task_of"]

SYSTEMS: dict[str, data.System] = {
    "Lorenz-63": data.Lorenz63(),
    "Rossler": data.Rossler(),
    "Bursting neuron": data.BurstingNeuron(),
}
_NOISE = 0.05
_RECORDED = 4000


@dataclass(frozen=True, eq=False)
class Task:
    """A step, its start and its teacher, in standardised units.

    Attributes:
        step: `(z, u) -> z`, not forced.
        start: `(M,)`.
        teacher: `(T, M)`, what the state before each step is pulled towards.
        forced: `(M,)`, 1 for units that may be forced.
        dt: time between two steps.
        unit: of time.
    """

    name: str
    step: Callable[[Any, Any], Any]
    start: Float[np.ndarray, " latent"]
    teacher: Float[np.ndarray, "time latent"]
    forced: Float[np.ndarray, " latent"]
    dt: float
    unit: str = "unit of time"

    def inputs(self, alpha: Any, length: int) -> forcing.Forced:
        """The inputs of the forced step over `length` steps; the first one leaves from the start itself."""
        strength = jnp.broadcast_to(alpha * self.forced, (length, len(self.forced))).at[0].set(0)
        return forcing.Forced(self.teacher[:length], strength)


def task_of(subject: Any, series: Any = None, *, length: int) -> Task:
    """The task of a system, or of a reconstruction on a series.

    Args:
        subject: a name of `SYSTEMS`, a `gtfdeer.data.System`, or a `Reconstruction` of a recurrent model.
        series: the recording that teaches a reconstruction; not for systems.
        length: time steps.
    """
    if isinstance(subject, Reconstruction):
        return _of_reconstruction(subject, series, length)
    system = SYSTEMS.get(subject, subject) if isinstance(subject, str) else subject
    if not isinstance(system, data.System):
        raise TypeError(f"subject is {subject!r}; pass a gtfdeer.data.System, a Reconstruction, or one of {[*SYSTEMS]}")
    return _of_system(system, length)


def _of_system(system: data.System, length: int) -> Task:
    # one recording for all lengths: its scaling, too, must not depend on the length that is looked at
    series = data.simulate(system, length=max(_RECORDED, length), key=jax.random.key(0)).standardise()
    noisy = series.with_noise(_NOISE, key=jax.random.key(1)).values[:length]
    assert series.scaling is not None
    mean, scale = (np.asarray(part, np.float32) for part in (series.scaling.mean, series.scaling.std))
    flow = system.step(series.dt)
    return Task(
        name=type(system).__name__,
        step=lambda z, u=None: (flow(z * scale + mean) - mean) / scale,
        start=noisy[0],
        teacher=noisy,
        forced=np.ones(system.dimension, np.float32),
        dt=series.dt,
        unit="ms" if isinstance(system, data.BurstingNeuron) else "unit of time",
    )


def _of_reconstruction(rec: Reconstruction, series: Any, length: int) -> Task:
    model = rec.model
    if not isinstance(model, RecurrentModel):
        raise TypeError(f"the model is a {type(model).__name__}; pass a nonlinear recurrent one: only it is iterated")
    if not isinstance(series, data.Series):
        raise TypeError(f"series is {series!r}; pass the Series that teaches the reconstruction")
    x = np.asarray(rec.standardised(series).values[:length], np.float32)
    if len(x) < length or not np.isfinite(x).all():
        raise ValueError(f"the series has {len(x)} rows from its start; pass one of at least {length} without gaps")
    start, teacher, forced = jax.jit(
        lambda x: (model.initial_state(x[0]), jax.vmap(model.encode)(x), model.observation.forced_units())
    )(x)
    return Task(
        name=f"{type(model).__name__} on {rec.name}",
        step=model.step,
        start=np.asarray(start),
        teacher=np.asarray(teacher),
        forced=np.asarray(forced),
        dt=rec.dt,
    )
