"""One update of the parameters, many of them in one compiled loop, and the ladder that a failed solve climbs.

    loss = mean over batch, time and columns of (x_pred_t - x_t)^2,    t = 2..T of every window

x_pred are the unforced outputs of the forced recurrence (`gtfdeer.models`). In a gap, where windows may hold any,
nothing is forced (`gtfdeer.forcing.bridge_gaps`) and no error counted. Where a solve fails, or loss or gradient are not
finite, the same update is tried again on the next rung: the solver that was asked for, damped Newton
(`gtfdeer.solvers.ELK`; on accelerators only), step by step (`Sequential`). `Auto` has a net of its own below it: where
it had to go step by step, that counts as another attempt. One that is not finite even then is not applied. Everything
is counted.

An update depends on the state before it and on its number, never on how many share a loop: what is learned does not
depend on how fast the machine is.
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
from ..solvers import ELK, Auto, Sequential, Solver
from ..solvers._solve import Solution, Status
from ..solvers.scan import this_device
from ._config import Recipe
from ._devices import across, by_time, spread

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = ["CAPACITY", "COUNTED", "MOST_FAILURES", "RECORDED", "State", "climb", "first_state", "ladder", "run_updates"]

CAPACITY = 256  # most updates in one compiled loop
MOST_FAILURES = 10  # updates in a row that were not finite, after which training ends
COUNTED = ("retried", "damped", "sequential", "skipped")
_MOST_DAMPED = 16  # latent units
RECORDED = ("loss", "alpha", "iterations", *COUNTED)


class State(NamedTuple):
    """Where training stands, all of it arrays."""

    parameters: PyTree
    optimiser: PyTree
    forcing: PyTree
    update: Int[Array, ""]
    failures: Int[Array, ""]  # updates in a row that were not finite


def first_state(recipe: Recipe, parameters: PyTree) -> State:
    """Before the first update. No type is weak, so that what comes back from a file compiles to the same program."""
    optimiser = recipe.optimisation().init(parameters)
    state = State(parameters, optimiser, recipe.forcing.start(), jnp.asarray(0), jnp.asarray(0))
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state)


def ladder(solver: Solver, latent_dim: int, backend: str, *, damped: bool = True) -> tuple[Solver, ...]:
    """What an update is tried with, one after the other: `solver`, then what may work where it fails.

    The damped rung saves an accelerator from going step by step. A CPU goes step by step faster than it damps: there
    a damped attempt took 5 to 45 times as long, and the program 1.2 to 1.7 times as long to compile (T = 200, B = 16).
    Nor is there one for solvers that have a net of their own, nor where dense Jacobians are too many, nor (`damped`)
    where devices share time.

    >>> from gtfdeer.solvers import DEER
    >>> [type(rung).__name__ for rung in ladder(DEER(), 3, "gpu")], len(ladder(DEER(), 3, "cpu"))
    (['DEER', 'ELK', 'Sequential'], 2)
    """
    if isinstance(solver, Sequential):
        return (solver,)
    damping_pays = damped and backend != "cpu" and latent_dim <= _MOST_DAMPED and not isinstance(solver, Auto | ELK)
    return (solver, ELK(), Sequential()) if damping_pays else (solver, Sequential())


def run_updates(
    recipe: Recipe, graph, mesh: Mesh | None, rest, values, u, starts, key, state: State, count
) -> tuple[State, dict[str, Array]]:
    """Up to `count` updates in one loop, fewer where too many fail; it compiles once for all counts to the capacity."""
    records = {name: jnp.zeros(CAPACITY, jnp.float32) for name in RECORDED}
    begun = state.update

    def goes_on(carry: tuple[State, dict]) -> Bool[Array, ""]:
        state, _ = carry
        return (state.update < begun + count) & (state.failures < MOST_FAILURES)

    def body(carry: tuple[State, dict]) -> tuple[State, dict]:
        state, records = carry
        after, record = _update(recipe, graph, mesh, rest, values, u, starts, key, state)
        return after, {name: records[name].at[state.update - begun].set(record[name]) for name in records}

    return jax.lax.while_loop(goes_on, body, (state, records))


def _update(recipe: Recipe, graph, mesh, rest, values, u, starts, key, state: State) -> tuple[State, dict]:
    key_starts, key_noise = jax.random.split(jax.random.fold_in(key, state.update))
    chosen = jax.random.choice(key_starts, starts, (recipe.batch,))
    x = spread(_cut(values, chosen, recipe.window), mesh)
    x_u = None if u is None else spread(_cut(u, chosen, recipe.window), mesh)
    x_in = x + recipe.noise * jax.random.normal(key_noise, x.shape) if recipe.noise else x

    model = nnx.merge(graph, state.parameters, rest)

    def jacobians() -> Float[Array, "batch time latent latent"]:
        fed = jax.vmap(lambda x: bridge_gaps(x, 1.0)[0])(x_in) if recipe.allow_missing else x_in
        return jax.vmap(model.teacher_jacobians)(fed[:, :-1], None if x_u is None else x_u[:, 1:])

    forcing = recipe.forcing.advance(state.forcing, state.update, recipe.updates, jacobians, model)
    alpha = recipe.forcing.alpha(forcing)

    def attempt(solver: Solver) -> tuple:
        loss = partial(_loss, recipe.allow_missing, graph, rest, x, x_in, x_u, alpha, across(solver, mesh))
        (value, (code, iterations, fallback)), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        return value, jnp.all(code == Status.CONVERGED), jnp.max(iterations), jnp.any(fallback), gradient

    device = this_device() if mesh is None else mesh.devices.flat[0]
    rungs = ladder(recipe.solver, model.latent_dim, device.platform, damped=not by_time(mesh))
    outcome, counts = climb(rungs, attempt)
    value, _, iterations, _, gradient = outcome
    finite = _finite(value, gradient)
    moves, optimiser = recipe.optimisation().update(gradient, state.optimiser, state.parameters)
    parameters = optax.apply_updates(state.parameters, moves)
    parameters, optimiser = jax.tree.map(
        partial(jnp.where, finite), (parameters, optimiser), (state.parameters, state.optimiser)
    )
    record = {"loss": value, "alpha": jnp.mean(alpha), "iterations": iterations, "skipped": ~finite, **counts}
    failures = jnp.where(finite, 0, state.failures + 1)
    return State(parameters, optimiser, forcing, state.update + 1, failures), record


def climb(rungs: tuple[Solver, ...], attempt: Callable[[Solver], tuple]) -> tuple[tuple, dict[str, Bool[Array, ""]]]:
    """The outcome `(loss, converged, iterations, fallback, gradient)` on the first rung that holds, or on the last.

    Beside it, what was tried: "damped", "sequential" (the last rung, or `Auto`'s own fallback), and "retried" for
    anything after the first attempt.
    """
    outcome = attempt(rungs[0])
    fallback, no = outcome[3], jnp.asarray(False)
    counts = {"retried": fallback, "damped": no, "sequential": fallback}
    for rung in rungs[1:]:
        value, converged, _, _, gradient = outcome
        failed = ~converged | ~_finite(value, gradient)
        outcome = jax.lax.cond(failed, partial(attempt, rung), lambda outcome=outcome: outcome)
        name = "sequential" if isinstance(rung, Sequential) else "damped"
        counts |= {"retried": counts["retried"] | failed, name: counts[name] | failed}
    return outcome, counts


def _finite(*trees: PyTree) -> Bool[Array, ""]:
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda x: jnp.all(jnp.isfinite(x)), trees))


def _loss(
    allow_missing: bool, graph, rest, x, x_in, u, alpha, solver: Solver, parameters: PyTree
) -> tuple[Array, tuple[Array, Array, Array]]:
    model = nnx.merge(graph, parameters, rest)

    def taught(x: Array, u: Any) -> tuple[Array, Solution]:
        fed, strength = bridge_gaps(x, alpha) if allow_missing else (x, alpha)
        return model.teacher_forced(fed, strength, solver, u)

    predicted, solution = jax.vmap(taught, in_axes=(0, None if u is None else 0))(x_in, u)
    error = predicted - x[:, 1:]
    if allow_missing:
        seen = ~jnp.isnan(x[:, 1:])
        loss = jnp.sum(jnp.where(seen, error, 0) ** 2) / jnp.sum(seen)
    else:
        loss = jnp.mean(error**2)
    return loss, (solution.code, solution.iterations, solution.fallback)


def _cut(series: Array, starts: Int[Array, " batch"], window: int) -> Array:
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(series, start, window))(starts)
