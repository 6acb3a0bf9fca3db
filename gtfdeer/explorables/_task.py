"""One forced recurrence to look at: a known system taught by a noisy recording of itself, or a trained model.

    z_t = F((1 - alpha) z_{t-1} + alpha z_hat_{t-1}, u_t),    z_1 = F(z_0)

Everything in standard deviations of the recording. For a known system the teacher is its own orbit with 5 % noise,
so that teacher and solution differ; the start is the first noisy sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Reconstruction, data, forcing, solvers
from ..models import RecurrentModel
from ..solvers import Problem, scan

if TYPE_CHECKING:
    from jaxtyping import Float

SYSTEMS: dict[str, data.System] = {
    "Lorenz-63": data.Lorenz63(),
    "Rossler": data.Rossler(),
    "Bursting neuron": data.BurstingNeuron(),
}
COMPILE_FAST = {"xla_backend_optimization_level": 0}  # half the time to compile; ten times that of a run, 10 ms
_RECORDED = 4000


@dataclass(frozen=True, eq=False)
class Task:
    """A step, its start and its teacher, in standardised units.

    Attributes:
        step: `(z, u) -> z`, not forced.
        start: `(M,)`.
        teacher: `(T, M)`, what the state before each step is pulled towards.
        forced: `(M,)`, 1 for units that may be forced.
        dt: time between two steps, in `unit`.
    """

    name: str
    step: Callable[[Any, Any], Any]
    start: Float[Any, " latent"]
    teacher: Float[Any, "time latent"]
    forced: Float[Any, " latent"]
    dt: float
    unit: str = "unit of time"

    def inputs(self, alpha: Any) -> forcing.Forced:
        """The inputs of the forced step; the first one leaves from the start itself."""
        strength = jnp.broadcast_to(alpha * self.forced, (len(self.teacher), len(self.forced))).at[0].set(0)
        return forcing.Forced(self.teacher, strength)

    def walk(self, alpha: Any) -> tuple[Any, Any]:
        """The forced trajectory `(T, M)`, and log10 |J_t .. J_1 v| of a tangent vector `(T,)`."""
        forced = forcing.force(self.step)

        def step(carry: tuple, inputs: Any) -> tuple[tuple, tuple]:
            z, v, grown = carry
            z, v = jax.jvp(lambda z: forced(z, inputs), (z,), (v,))
            size = jnp.maximum(jnp.linalg.norm(v), 1e-30)
            grown = grown + jnp.log10(size)
            return (z, v / size, grown), (z, grown)

        start = jnp.asarray(self.start)
        direction = jnp.ones_like(start) / jnp.sqrt(len(start))
        return jax.lax.scan(step, (start, direction, 0.0), self.inputs(alpha))[1]

    def trace(self, solver: solvers.Iterative, most: int, alpha: Any, guess: Any) -> tuple[Any, Any, Any]:
        """K, all iterates `(most + 1, T, M)` and their residuals, the guess first; zeros after iterate K.

        A loop that ends with the solver: a scan of fixed length, most of it idle, takes five times as long.
        """
        forced = forcing.force(self.step)
        problem = Problem(lambda _, z, u: forced(z, u), None, ((), ()), jnp.asarray(self.start), self.inputs(alpha))

        def keep(carry: tuple) -> tuple:
            """Keep an iterate and go on, after the last one, too: cheaper than to compile the keeping twice."""
            state, _, _, states, residuals = carry
            k, z = state.iterations, state.states
            residual = jnp.max(jnp.abs(problem.map_steps(z) - z))
            after = solver.step(problem, state)
            return after, k, solver.done(state), states.at[k].set(z), residuals.at[k].set(residual)

        kept = jnp.zeros((most + 1, *guess.shape), guess.dtype), jnp.zeros(most + 1, guess.dtype)
        begin = solver.init(problem, guess), jnp.asarray(0), jnp.asarray(False), *kept
        _, count, _, states, residuals = jax.lax.while_loop(lambda carry: ~carry[2], keep, begin)
        return count, states, residuals


def compile_fast(solver: solvers.Iterative) -> solvers.Iterative:
    """The same solver; on a CPU with the scan that compiles ten times as fast, for trajectories short enough for it."""
    if isinstance(solver, solvers.DEER | solvers.QuasiDEER) and scan.on_cpu():
        return replace(solver, method=scan.sequential)
    return solver


def task_of(subject: data.System | Reconstruction, series: Any = None, *, length: int) -> Task:
    """So many time steps of a system, or of the reconstruction of a recurrent model, which `series` teaches."""
    if isinstance(subject, Reconstruction):
        return _of_reconstruction(subject, series, length)
    noisy = record(subject, max(_RECORDED, length))  # one for all lengths, whose scaling must not depend on them
    mean, scale = (np.asarray(part, np.float32) for part in (noisy.scaling.mean, noisy.scaling.std))  # pyright: ignore
    flow, name = subject.step(noisy.dt), type(subject).__name__
    ones, unit = np.ones(subject.dimension, np.float32), "ms" if name == "BurstingNeuron" else "unit of time"
    step = lambda z, u=None: (flow(z * scale + mean) - mean) / scale  # noqa: E731
    return Task(name, step, noisy.values[0], noisy.values[:length], ones, noisy.dt, unit)


@lru_cache(maxsize=8)
def record(system: data.System, length: int) -> data.Series:
    """A standardised recording of a system, with 5 % noise."""
    series = data.simulate(system, length=length, key=jax.random.key(0)).standardise()
    return series.with_noise(0.05, key=jax.random.key(1))


def _of_reconstruction(rec: Reconstruction, series: Any, length: int) -> Task:
    model = rec.model
    if not isinstance(model, RecurrentModel):
        raise TypeError(f"the model is a {type(model).__name__}; pass a nonlinear recurrent one: only it is iterated")
    if not isinstance(series, data.Series):
        raise TypeError(f"series is {series!r}; pass the Series that teaches the reconstruction")
    x = np.asarray(rec.standardised(series).values[:length], np.float32)
    if len(x) < length or not np.isfinite(x).all():
        raise ValueError(f"the series has {len(x)} rows from its start; pass one of at least {length} without gaps")
    start, teacher, forced = (np.asarray(part) for part in jax.jit(lambda x: parts_of(model, x))(x))
    return Task(f"{type(model).__name__} on {rec.name}", model.step, start, teacher, forced, rec.dt)


def parts_of(model: Any, x: Any) -> tuple[Any, Any, Any]:
    """Start, teacher and forced units of a model along observations `(T, N)`."""
    return model.initial_state(x[0]), jax.vmap(model.encode)(x), model.observation.forced_units()
