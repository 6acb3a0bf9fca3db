"""One update of the parameters, many of them in one compiled loop, and the fallback after a failed solve.

    loss = mean over batch, time and columns of (x_pred_t - x_t)^2,    t = 2..T of every window

x_pred are the unforced outputs of the forced recurrence (`gtfdeer.models`). In a gap, where windows may hold any,
nothing is forced (`gtfdeer.forcing.bridge_gaps`) and no error counted. Where a solve fails, or loss or gradient are not
finite, the same update is computed again by `Sequential`. One that is not finite even then is not applied. Both are
counted.

An update depends on the state before it and on its number, never on how many share a loop: the result does not depend
on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ..forcing import bridge_gaps
from ..solvers import Sequential, Solution, Solver, Status
from ._config import TrainConfig
from ._devices import shard_batch

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = [
    "CAPACITY",
    "COUNTED",
    "MAX_FAILURES",
    "RECORDED",
    "Best",
    "TrainState",
    "fallbacks",
    "init_state",
    "run_updates",
    "solve_with_fallback",
]

CAPACITY = 256  # most updates in one compiled loop
MAX_FAILURES = 10  # updates in a row that were not finite, after which training ends
COUNTED = ("retried", "sequential", "skipped")
RECORDED = ("loss", "alpha", "iterations", *COUNTED)


class Best(NamedTuple):
    """The best model that validation has seen so far.

    Attributes:
        parameters: its parameters; the first ones before any validation.
        update: after how many updates it stood; 0 before any validation.
        misfit: D_stsp + D_H of its worst free run; inf before any validation.
        validated: after how many updates the last validation was.
    """

    parameters: PyTree
    update: Int[Array, ""]
    misfit: Float[Array, ""]
    validated: Int[Array, ""]


class TrainState(NamedTuple):
    """Everything that changes during training, all of it arrays.

    Attributes:
        parameters, optimiser, forcing: the states of model, optimiser and forcing schedule.
        update: how many updates are done.
        failures: updates in a row that were not finite.
        best: the best model so far.
    """

    parameters: PyTree
    optimiser: PyTree
    forcing: PyTree
    update: Int[Array, ""]
    failures: Int[Array, ""]
    best: Best


def init_state(config: TrainConfig, parameters: PyTree) -> TrainState:
    """Return the state before the first update. No type is weak: what comes back from a file has the same types."""
    best = Best(parameters, jnp.asarray(0), jnp.asarray(jnp.inf), jnp.asarray(0))
    optimiser = config.build_optimiser().init(parameters)
    state = TrainState(parameters, optimiser, config.forcing.start(), jnp.asarray(0), jnp.asarray(0), best)
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state)


def fallbacks(solver: Solver) -> tuple[Solver, ...]:
    """Return the solvers that an update is tried with, in this order.

    >>> from gtfdeer.solvers import DEER
    >>> [type(each).__name__ for each in fallbacks(DEER())], len(fallbacks(Sequential()))
    (['DEER', 'Sequential'], 1)
    """
    return (solver,) if isinstance(solver, Sequential) else (solver, Sequential())


def run_updates(
    config: TrainConfig, graph, mesh: Mesh | None, rest, values, u, starts, key, state: TrainState, count
) -> tuple[TrainState, dict[str, Array]]:
    """Do up to `count` updates, fewer where too many fail; one program for all counts up to `CAPACITY`."""
    records = {name: jnp.zeros(CAPACITY, jnp.float32) for name in RECORDED}
    first = state.update

    def unfinished(carry: tuple[TrainState, dict]) -> Bool[Array, ""]:
        state, _ = carry
        return (state.update < first + count) & (state.failures < MAX_FAILURES)

    def body(carry: tuple[TrainState, dict]) -> tuple[TrainState, dict]:
        state, records = carry
        after, record = _update(config, graph, mesh, rest, values, u, starts, key, state)
        return after, {name: records[name].at[state.update - first].set(record[name]) for name in records}

    return jax.lax.while_loop(unfinished, body, (state, records))


def _update(config: TrainConfig, graph, mesh, rest, values, u, starts, key, state: TrainState) -> tuple:
    key_starts, key_noise = jax.random.split(jax.random.fold_in(key, state.update))
    chosen = jax.random.choice(key_starts, starts, (config.batch,))
    x = shard_batch(_cut(values, chosen, config.window), mesh)
    x_u = None if u is None else shard_batch(_cut(u, chosen, config.window), mesh)
    x_in = x + config.noise * jax.random.normal(key_noise, x.shape) if config.noise else x

    model = nnx.merge(graph, state.parameters, rest)

    def jacobians() -> Float[Array, "batch time latent latent"]:
        complete = jax.vmap(lambda x: bridge_gaps(x, 1.0)[0])(x_in) if config.allow_missing else x_in
        return jax.vmap(model.teacher_jacobians)(complete[:, :-1], None if x_u is None else x_u[:, 1:])

    forcing = config.forcing.advance(state.forcing, state.update, config.updates, jacobians, model)
    alpha = config.forcing.alpha(forcing)

    def attempt(solver: Solver) -> tuple:
        loss = partial(_loss, config.allow_missing, graph, rest, x, x_in, x_u, alpha, solver)
        (value, (code, iterations, fallback)), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        return value, jnp.all(code == Status.CONVERGED), jnp.max(iterations), jnp.any(fallback), gradient

    (value, _, iterations, _, gradient), retried = solve_with_fallback(config.solver, attempt)
    finite = _is_finite(value, gradient)
    changes, optimiser = config.build_optimiser().update(gradient, state.optimiser, state.parameters)
    parameters = optax.apply_updates(state.parameters, changes)
    parameters, optimiser = jax.tree.map(
        partial(jnp.where, finite), (parameters, optimiser), (state.parameters, state.optimiser)
    )
    record = {"loss": value, "alpha": jnp.mean(alpha), "iterations": iterations}
    record |= {"retried": retried, "sequential": retried, "skipped": ~finite}
    failures = jnp.where(finite, 0, state.failures + 1)
    return TrainState(parameters, optimiser, forcing, state.update + 1, failures, state.best), record


def solve_with_fallback(solver: Solver, attempt: Callable[[Solver], tuple]) -> tuple[tuple, Bool[Array, ""]]:
    """Return the outcome `(loss, converged, iterations, fallback, gradient)` of the first solver that succeeds.

    Beside it, whether a second attempt was needed, be it by `fallbacks` or inside `Auto`.
    """
    first, *others = fallbacks(solver)
    outcome = attempt(first)
    retried = outcome[3]
    for other in others:
        value, converged, _, _, gradient = outcome
        failed = ~converged | ~_is_finite(value, gradient)
        outcome = jax.lax.cond(failed, partial(attempt, other), lambda outcome=outcome: outcome)
        retried = retried | failed
    return outcome, retried


def _is_finite(*trees: PyTree) -> Bool[Array, ""]:
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda x: jnp.all(jnp.isfinite(x)), trees))


def _loss(
    allow_missing: bool, graph, rest, x, x_in, u, alpha, solver: Solver, parameters: PyTree
) -> tuple[Array, tuple[Array, Array, Array]]:
    model = nnx.merge(graph, parameters, rest)

    def predict(x: Array, u: Any) -> tuple[Array, Solution]:
        complete, strength = bridge_gaps(x, alpha) if allow_missing else (x, alpha)
        return model.teacher_forced(complete, strength, solver, u)

    predicted, solution = jax.vmap(predict, in_axes=(0, None if u is None else 0))(x_in, u)
    error = predicted - x[:, 1:]
    if allow_missing:
        seen = ~jnp.isnan(x[:, 1:])
        loss = jnp.sum(jnp.where(seen, error, 0) ** 2) / jnp.sum(seen)
    else:
        loss = jnp.mean(error**2)
    return loss, (solution.code, solution.iterations, solution.fallback)


def _cut(series: Array, starts: Int[Array, " batch"], window: int) -> Array:
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(series, start, window))(starts)
