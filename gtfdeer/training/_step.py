"""One update of the parameters, many of them in one compiled loop, and the fallback after a failed solve.

    loss = mean over batch, time and columns of (x_pred_t - x_t)^2,    t = 2..T of every window

x_pred are the unforced outputs of the forced recurrence (`gtfdeer.models`). A missing cell forces nothing and counts no
error. A learned gain K (`gtfdeer.forcing.LearnedGain`) is trained by the same loss, until it is frozen. Where a solve
fails, or loss or gradient are not finite, the same update is computed again by `Sequential`; one that is not finite
even then is not applied. After k failures in a row what `Auto` chose is tried at every 2^k-th update only (at most
every 64th), and the others go to `Sequential` at once. An update depends on the state before it and on its number,
never on how many share a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ..forcing import LearnedGain, fill_gaps
from ..models import Model, RecurrentModel, predict
from ..solvers import SUMMED, Auto, Sequential, Solution, Solver, Status
from ._config import TrainConfig
from ._devices import shard_batch

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array, Bool, Float, Int, PyTree

CAPACITY = 256  # most updates in one compiled loop
_LONGEST_REST = 6  # failed solves in a row after which `Auto`'s choice is tried at every 64th update
MAX_FAILURES = 10  # updates in a row that were not finite, after which training ends
COUNTED = ("retried", "skipped")
_DAMPING = 1e-2  # of the first Gauss-Newton step
_FIRST_GAIN, _FREE_GAIN = 0.5, 0.02  # ours: observed units half corrected, the others hardly


class Parameters(NamedTuple):
    """What the loss is minimised over: the model's parameters, and the gain K where it is learned, else None."""

    model: PyTree
    gain: Float[Array, "latent observed"] | None


class Best(NamedTuple):
    """The best model that validation has seen, which stood after `update` updates; before any, the first one.

    `misfit` is D_stsp + D_H of its worst free run; the last validation was after `validated` updates.
    """

    parameters: PyTree
    update: Int[Array, ""]
    misfit: Float[Array, ""]
    validated: Int[Array, ""]

    def update_with(self, parameters: Parameters, update: int, misfit: float) -> Best:
        """Return the better one of this and the parameters that stand after `update` updates."""
        count = jnp.asarray(update, self.update.dtype)
        if misfit < float(self.misfit):
            return Best(parameters, count, jnp.asarray(misfit, self.misfit.dtype), count)
        return self._replace(validated=count)


class TrainState(NamedTuple):
    """Everything that changes during training, all of it arrays.

    `update` counts the updates that are done, `failures` those in a row that were not finite, `unsolved` the solves in
    a row that failed; `damping` is mu of the Gauss-Newton steps (`gtfdeer.training._gauss_newton`).
    """

    parameters: PyTree
    optimiser: PyTree
    forcing: PyTree
    update: Int[Array, ""]
    failures: Int[Array, ""]
    unsolved: Int[Array, ""]
    best: Best
    damping: Float[Array, ""]


def init_state(config: TrainConfig, model: Model) -> TrainState:
    """Return the state before the first update. No type is weak: what comes back from a file has the same types."""
    gain = None
    if isinstance(config.forcing, LearnedGain):
        given = config.forcing.gain
        if not isinstance(model, RecurrentModel):
            came = f"forcing is a LearnedGain but {type(model).__name__} has its gain in its own transition"
            raise TypeError(
                f"{came}; leave forcing out, or pass a nonlinear network such as gtfdeer.models.ShallowPLRNN"
            )
        gain = _first_gain(*nnx.split(model)) if given is None else jnp.asarray(given, jnp.float32)
    parameters = Parameters(nnx.split(model, nnx.Param, ...)[1], gain)
    best = Best(parameters, jnp.asarray(0), jnp.asarray(jnp.inf), jnp.asarray(0))
    transformation: Any = config.build_optimiser()
    optimiser = transformation.init(parameters)
    none = jnp.asarray(0)
    damping = jnp.asarray(_DAMPING)
    state = TrainState(parameters, optimiser, config.forcing.start(), none, none, none, best, damping)
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state)


@partial(jax.jit, static_argnums=0)  # one program in place of forty
def _first_gain(graph: Any, state: Any) -> Float[Array, "latent observed"]:
    """Return half of C^+, and a small random correction of the units that are not observed."""
    model = nnx.merge(graph, state)
    M, N = model.latent_dim, model.observed_dim
    pseudo_inverse, readout = jax.jacfwd(model.encode)(jnp.zeros(N)), jax.jacfwd(model.decode)(jnp.zeros(M))
    noise = _FREE_GAIN * jax.random.normal(jax.random.key(0), (M, N))
    seen = jnp.dot(pseudo_inverse, jnp.dot(readout, noise, precision="highest"), precision="highest")
    return _FIRST_GAIN * pseudo_inverse + noise - seen


def recorded(config: TrainConfig) -> tuple[str, ...]:
    """Return the names of what is recorded of every update: with a learned gain also "gain", s |K|."""
    return ("loss", "alpha", "iterations", *COUNTED, *["gain"] * isinstance(config.forcing, LearnedGain))


def run_updates(
    update: Callable, names: Sequence[str], state: TrainState, count: Array
) -> tuple[TrainState, dict[str, Array]]:
    """Do up to `count` updates, fewer where too many fail; one program for all counts up to `CAPACITY`.

    `update` takes a state to the next and to a record under these `names`.
    """
    records = {name: jnp.zeros(CAPACITY, jnp.float32) for name in names}
    first = state.update

    def unfinished(carry: tuple[TrainState, dict]) -> Bool[Array, ""]:
        state, _ = carry
        return (state.update < first + count) & (state.failures < MAX_FAILURES)

    def body(carry: tuple[TrainState, dict]) -> tuple[TrainState, dict]:
        state, records = carry
        after, record = update(state)
        now = {name: jnp.asarray(record[name], jnp.float32) for name in records}
        return after, {name: records[name].at[state.update - first].set(now[name]) for name in records}

    return jax.lax.while_loop(unfinished, body, (state, records))


def update_parameters(
    config: TrainConfig, gaps: bool, graph, mesh: Mesh | None, rest, values, u, starts, key, state: TrainState
) -> tuple[TrainState, dict]:
    """Do one update; `gaps` says whether any of the values is missing."""
    key_starts, key_noise = jax.random.split(jax.random.fold_in(key, state.update))
    chosen = jax.random.choice(key_starts, starts, (config.batch,))
    x = shard_batch(cut_windows(values, chosen, config.window), mesh)
    x_u = None if u is None else shard_batch(cut_windows(u, chosen, config.window), mesh)
    x_in = x + config.noise * jax.random.normal(key_noise, x.shape) if config.noise else x

    x_in, seen = jax.vmap(fill_gaps)(x_in) if gaps else (x_in, None)
    model = nnx.merge(graph, state.parameters.model, rest)

    def jacobians() -> Float[Array, "batch time latent latent"]:
        return jax.vmap(model.teacher_jacobians)(x_in[:, :-1], None if x_u is None else x_u[:, 1:])

    schedule, moment = config.forcing, (state.forcing, state.update, config.updates, jacobians)
    if isinstance(schedule, LearnedGain):
        forcing = schedule.advance(*moment, gain=state.parameters.gain)
        learns: Any = schedule.learns(state.update, config.updates)
    else:
        forcing, learns = schedule.advance(*moment), True
    alpha = schedule.alpha(forcing)

    def attempt(solver: Solver) -> tuple:
        loss = partial(_loss, graph, rest, x, x_in, seen, x_u, alpha, solver)
        (value, (code, iterations)), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        return value, jnp.all(code == Status.CONVERGED), jnp.max(iterations), gradient

    solver, tried = config.solver, jnp.asarray(True)
    if isinstance(solver, Auto):
        solver = solver.choice(config.window - 1, model.latent_dim)
        tried = state.update % 2 ** jnp.minimum(state.unsolved, _LONGEST_REST) == 0
    (value, _, iterations, gradient), retried = solve_with_fallback(solver, attempt, tried)
    unsolved = jnp.where(tried, jnp.where(retried, state.unsolved + 1, 0), state.unsolved)
    finite = _is_finite(value, gradient)
    gradient = _freeze_gain(gradient, learns)
    transformation: Any = config.build_optimiser()
    changes, optimiser = transformation.update(gradient, state.optimiser, state.parameters)
    changes = _freeze_gain(changes, learns)
    parameters: Any = optax.apply_updates(state.parameters, changes)  # pyright: ignore[reportArgumentType]
    if isinstance(schedule, LearnedGain):
        shortened = schedule.shorten(parameters.gain, state.update, config.updates)
        parameters = parameters._replace(gain=jnp.where(learns, shortened, parameters.gain))
    parameters, optimiser = jax.tree.map(
        partial(jnp.where, finite), (parameters, optimiser), (state.parameters, state.optimiser)
    )
    record = {"loss": value, "alpha": jnp.mean(alpha), "iterations": iterations}
    if parameters.gain is not None:
        record["gain"] = alpha * jnp.linalg.norm(parameters.gain, 2)
    record |= {"retried": retried, "skipped": ~finite}
    failures = jnp.where(finite, 0, state.failures + 1)
    after = TrainState(parameters, optimiser, forcing, state.update + 1, failures, unsolved, state.best, state.damping)
    return after, record


def solve_with_fallback(
    solver: Solver, attempt: Callable[[Solver], tuple], tried: Any = True
) -> tuple[tuple, Bool[Array, ""]]:
    """Return the outcome `(loss, converged, iterations, gradient)` of `solver` or, if it fails, of `Sequential`.

    Beside it, whether it failed. Where it is not even `tried`, `Sequential` does it at once.
    """
    if isinstance(solver, Sequential):
        return attempt(solver), jnp.asarray(False)
    untried = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(partial(attempt, solver)))
    outcome = jax.lax.cond(tried, partial(attempt, solver), lambda: untried)
    value, converged, _, gradient = outcome
    failed = ~converged | ~_is_finite(value, gradient)
    return jax.lax.cond(failed, partial(attempt, Sequential()), lambda: outcome), tried & failed


def _is_finite(*trees: PyTree) -> Bool[Array, ""]:
    return jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda x: jnp.all(jnp.isfinite(x)), trees))


def _freeze_gain(parameters: Parameters, learns: Any) -> Parameters:
    """Return gradients or changes with those of K set to zero once it is learned no more; the others as they are."""
    return parameters._replace(gain=jax.tree.map(lambda K: jnp.where(learns, K, 0), parameters.gain))


def _loss(
    graph, rest, x, x_in, seen, u, alpha, solver: Solver, parameters: Parameters
) -> tuple[Array, tuple[Array, Array]]:
    model = nnx.merge(graph, parameters.model, rest)

    def predict_window(x: Array, seen: Array | None, u: Any) -> tuple[Array, Solution]:
        return predict(model, x, alpha, solver, u, gain=parameters.gain, seen=seen)

    predicted, solution = jax.vmap(predict_window, axis_name=SUMMED)(x_in, seen, u)
    error = predicted - x[:, 1:]
    if seen is not None:
        loss = jnp.sum(jnp.where(jnp.isnan(x[:, 1:]), 0, error) ** 2) / jnp.maximum(jnp.sum(seen[:, 1:]), 1)
    else:
        loss = jnp.mean(error**2)
    return loss, (solution.code, solution.iterations)


def cut_windows(series: Array, starts: Int[Array, " batch"], window: int) -> Array:
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(series, start, window))(starts)
