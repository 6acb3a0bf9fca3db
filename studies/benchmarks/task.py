"""The task that is timed: a model's training loss on standardised Lorenz-63, and the same step by step.

    mean over B sequences and T - 1 steps of (x_pred - x)^2,    x_pred by `model.teacher_forced`, as in `gtfdeer.fit`

The baseline is `lax.scan` over the forced step, written out here once more and differentiated by JAX: it shares no
code with the solvers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gtfdeer import data
from gtfdeer.models import Model, RecurrentModel
from gtfdeer.solvers import Solver
from gtfdeer.solvers._solve import Status

from .race import Outcome

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["apart", "judged", "sequences", "step_by_step", "taught"]

_APART = 100  # samples between the beginnings of two sequences


def sequences(length: int, batch: int, columns: int) -> Float[Array, "batch time observed"]:
    """`batch` overlapping sequences; further columns than Lorenz-63's three repeat them."""
    values = _recording(length + _APART * batch)
    wide = np.tile(values, (1, -(-columns // values.shape[1])))[:, :columns]
    return jnp.asarray(np.stack([wide[_APART * b : _APART * b + length] for b in range(batch)]))


@cache
def _recording(length: int) -> Float[np.ndarray, "time 3"]:
    return data.simulate(data.Lorenz63(), length=length, dt=0.01, key=jax.random.key(0)).standardise().values


def apart(model: Model) -> tuple[Callable[[Any], Model], Any]:
    """How to build the model from its parameters, and the parameters."""
    graph, parameters = nnx.split(model)
    return lambda parameters: nnx.merge(graph, parameters), parameters


def taught(build: Callable[[Any], Model], alpha: float, solver: Solver, parameters: Any, x: Array):
    """The loss by `model.teacher_forced`, and its outcome."""
    model = build(parameters)

    def one(x: Array) -> Outcome:
        predicted, solution = model.teacher_forced(x, alpha, solver)
        return Outcome(predicted, solution.iterations, solution.code, solution.fallback)

    return judged(jax.vmap(one)(x), x)


def step_by_step(build: Callable[[Any], Model], alpha: float, parameters: Any, x: Array):
    """The loss by `lax.scan`; a linear state-space model is fed the data: alpha is 1, on what it observes."""
    model = build(parameters)
    strength = _strength(model, alpha, x.shape[-1])

    def one(x: Array) -> Outcome:
        teacher = jax.lax.stop_gradient(jax.vmap(model.encode)(x))

        def step(z: Array, z_hat: Array) -> tuple[Array, Array]:
            z = model.step((1 - strength) * z + strength * z_hat)
            return z, z

        first = model.step(model.initial_state(x[0]))
        states = jnp.concatenate([first[None], jax.lax.scan(step, first, teacher[1:-1])[1]])
        exact = jnp.asarray(int(Status.CONVERGED))
        return Outcome(jax.vmap(model.decode)(states), jnp.asarray(1), exact, jnp.asarray(False))

    return judged(jax.vmap(one)(x), x)


def _strength(model: Model, alpha: float, columns: int) -> Any:
    """alpha on the units that are forced, 0 on the others; one number where all of them are."""
    if model.latent_dim == columns:
        return alpha
    forced = model.observation.forced_units() if isinstance(model, RecurrentModel) else None
    return alpha * (jnp.arange(model.latent_dim) < columns if forced is None else forced)


def judged(found: Outcome, x: Array) -> tuple[Array, Outcome]:
    """The loss of a batch of predictions, and the batch as one outcome."""
    loss = jnp.mean((found.predicted - x[:, 1:]) ** 2)
    return loss, Outcome(found.predicted, *(jnp.max(of_each) for of_each in found[1:]))
