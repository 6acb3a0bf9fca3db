"""The training loop: windows, loss, optimiser, forcing schedule, callbacks.

    loss = mean over batch, time and columns of (x_pred_t - x_t)^2,    t = 2..T of every window

x_pred are the unforced outputs of the forced recurrence (`gtfdeer.models`). Many updates run inside one compiled
loop, which returns every quarter of a second, for the progress bar, the callbacks and Ctrl-C. An update whose
solve fails is done again with `Sequential`; one that still is not finite is not applied. Both are counted.

Defaults follow the public GTF code (arXiv 2306.04406): RAdam, exponentially falling learning rate, 16 random
windows a batch. Liu et al., "On the variance of the adaptive learning rate and beyond", arXiv 1908.03265 (RAdam).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm.auto import tqdm

from .data import Series, window_starts
from .forcing import Schedule
from .models import Model
from .solve import Status
from .solvers import Sequential, Solver

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, PyTree

__all__ = ["Moment", "Recipe", "Trained", "default_optimiser", "train"]

_CAPACITY = 256  # most updates in one compiled loop
_PULSE = 0.25  # seconds between two returns from it


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but model, data and key.

    Args:
        window: time steps of a training sequence, T.
        batch: sequences in an update, B.
        updates: how many.
        forcing: alpha over training, from `gtfdeer.forcing`.
        solver: from `gtfdeer.solvers`.
        optimiser: any optax transformation.
        noise: standard deviation of Gaussian noise added to the input (start and teacher, not the target), in
            units of the (standardised) data.
    """

    window: int
    batch: int
    updates: int
    forcing: Schedule
    solver: Solver
    optimiser: optax.GradientTransformation
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("window", "batch", "updates"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < (2 if name == "window" else 1):
                raise ValueError(f"{name} is {value!r}; pass a whole number of at least {2 if name == 'window' else 1}")
        if not isinstance(self.forcing, Schedule):
            raise TypeError(f"forcing is {self.forcing!r}; pass a schedule such as gtfdeer.forcing.Constant(0.15)")
        if not isinstance(self.solver, Solver):
            raise TypeError(f"solver is {self.solver!r}; pass an instance such as gtfdeer.solvers.Auto()")
        if not self.noise >= 0:
            raise ValueError(f"noise is {self.noise}; pass a standard deviation of at least 0")


def default_optimiser(updates: int, learning_rate: float = 5e-3, last_learning_rate: float = 1e-5):
    """RAdam whose rate falls exponentially from `learning_rate` to `last_learning_rate` over the run.

    `threshold=4` is where Flux, and so the public GTF code, switches the rectification on.
    """
    if not learning_rate > 0:
        raise ValueError(f"learning_rate is {learning_rate}; pass a positive number such as 5e-3")
    rate = optax.exponential_decay(learning_rate, updates, last_learning_rate / learning_rate)
    return optax.radam(rate, threshold=4)


class Moment:
    """What a callback is told, several times a second: where training stands; `stop()` ends it after this moment.

    Attributes:
        update, updates: how many are done, of how many.
        history: "loss", "alpha", "iterations", "seconds", "retried", "skipped" so far, one entry an update.
        model: a copy of the model as it is now, built on demand.
    """

    def __init__(
        self,
        update: int,
        updates: int,
        history: Callable[[], dict[str, np.ndarray]],
        model: Callable[[], Model],
    ) -> None:
        self.update, self.updates = update, updates
        self._history, self._model, self.stopped = history, model, False

    @property
    def history(self) -> dict[str, np.ndarray]:
        return self._history()

    @property
    def model(self) -> Model:
        return self._model()

    def stop(self) -> None:
        """End training now; what was learned is kept."""
        self.stopped = True


class Trained(NamedTuple):
    """What is left of a training run."""

    model: Model
    history: dict[str, np.ndarray]
    ending: str
    """"finished", "interrupted", "stopped by a callback", or what went wrong."""


class _State(NamedTuple):
    parameters: PyTree
    optimiser: PyTree
    forcing: PyTree
    update: Int[Array, ""]
    failures: Int[Array, ""]  # updates in a row that were not finite


_MOST_FAILURES = 10


def train(
    model: Model,
    recordings: Sequence[Series],
    recipe: Recipe,
    *,
    key: Array,
    inputs: Sequence[np.ndarray] | None = None,
    callbacks: Iterable[Callable[[Moment], Any]] = (),
    moments: Collection[int] = (),
    progress: bool = True,
) -> Trained:
    """Train a copy of `model` on windows of `recordings`; Ctrl-C ends early and keeps what was learned.

    Args:
        model: keeps the contract of `gtfdeer.models.Model`; left untouched.
        recordings: series whose columns are what the model observes; windows straddle neither ends nor gaps.
        recipe: how to train.
        key: for windows and noise; the same key gives the same result on the same machine.
        inputs: external inputs `(T, K)`, one array a recording.
        callbacks: called with a `Moment` a few times a second.
        moments: numbers of updates after which the callbacks are called for certain.
        progress: show a bar with loss, alpha, iterations and time left.
    """
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    starts = jnp.asarray(window_starts(recordings, recipe.window))
    # gaps are filled only so that the array is finite: window_starts keeps every window clear of them
    values = jnp.asarray(np.nan_to_num(np.concatenate([s.values for s in recordings])), jnp.float32)
    u = None if inputs is None else jnp.asarray(np.concatenate(inputs), jnp.float32)
    run = jax.jit(partial(_run, recipe, graph))
    state = _State(
        parameters, recipe.optimiser.init(parameters), recipe.forcing.start(), jnp.asarray(0), jnp.asarray(0)
    )
    log = _Log()
    callbacks = list(callbacks)
    ending, count = "finished", 1
    bar = tqdm(total=recipe.updates, disable=not progress, unit="update", desc="compiling")
    try:
        while (done := int(state.update)) < recipe.updates:
            began = time.perf_counter()
            count = min(count, min((m for m in moments if m > done), default=recipe.updates) - done)
            state, records = jax.block_until_ready(run(rest, values, u, starts, key, state, count))
            seconds = time.perf_counter() - began
            log.append(records, count, seconds)
            bar.set_description("training")
            bar.set_postfix(log.latest(), refresh=False)
            bar.update(count)
            moment = Moment(
                done + count,
                recipe.updates,
                log.history,
                lambda s=state: nnx.merge(graph, s.parameters, rest),
            )
            for callback in callbacks:
                callback(moment)
            if moment.stopped:
                ending = "stopped by a callback"
                break
            if int(state.failures) >= _MOST_FAILURES:
                ending = (
                    f"stopped: {_MOST_FAILURES} updates in a row were not finite; raise alpha, or begin its "
                    "schedule higher"
                )
                break
            count = max(1, min(_CAPACITY, 2 * count, int(_PULSE * count / seconds)))
    except KeyboardInterrupt:
        ending = "interrupted"
    finally:
        bar.close()
    return Trained(nnx.merge(graph, state.parameters, rest), log.history(), ending)


def _run(recipe: Recipe, graph, rest, values, u, starts, key, state: _State, count) -> tuple[_State, dict]:
    """`count` updates in one compiled loop, which compiles once for all counts up to the capacity."""
    records = {
        name: jnp.zeros(_CAPACITY, jnp.float32) for name in ("loss", "alpha", "iterations", "retried", "skipped")
    }

    def body(i: Array, carry: tuple[_State, dict]) -> tuple[_State, dict]:
        state, records = carry
        state, record = _update(recipe, graph, rest, values, u, starts, key, state)
        return state, {name: records[name].at[i].set(record[name]) for name in records}

    return jax.lax.fori_loop(0, count, body, (state, records))


def _update(recipe: Recipe, graph, rest, values, u, starts, key, state: _State) -> tuple[_State, dict]:
    key_starts, key_noise = jax.random.split(jax.random.fold_in(key, state.update))
    chosen = jax.random.choice(key_starts, starts, (recipe.batch,))
    x = _cut(values, chosen, recipe.window)
    x_u = None if u is None else _cut(u, chosen, recipe.window)
    x_in = x + recipe.noise * jax.random.normal(key_noise, x.shape) if recipe.noise else x

    def jacobians() -> Float[Array, "batch time latent latent"]:
        model = nnx.merge(graph, state.parameters, rest)
        return jax.vmap(model.teacher_jacobians)(x_in[:, 1:], None if x_u is None else x_u[:, 1:])

    forcing = recipe.forcing.advance(state.forcing, state.update, recipe.updates, jacobians)
    alpha = recipe.forcing.alpha(forcing)

    def attempt(solver: Solver) -> tuple:
        loss = partial(_loss, graph, rest, x, x_in, x_u, alpha, solver)
        (value, (code, iterations)), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        return value, code, iterations, gradient

    value, code, iterations, gradient = attempt(recipe.solver)
    retried = jnp.any(code != Status.CONVERGED)
    if not isinstance(recipe.solver, Sequential):
        value, code, iterations, gradient = jax.lax.cond(
            retried, lambda: attempt(Sequential()), lambda: (value, code, iterations, gradient)
        )
    finite = jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda x: jnp.all(jnp.isfinite(x)), (value, gradient)))
    moves, optimiser = recipe.optimiser.update(gradient, state.optimiser, state.parameters)
    parameters = optax.apply_updates(state.parameters, moves)
    parameters, optimiser = jax.tree.map(
        partial(jnp.where, finite), (parameters, optimiser), (state.parameters, state.optimiser)
    )
    record = {
        "loss": value,
        "alpha": jnp.mean(alpha),
        "iterations": jnp.max(iterations),
        "retried": retried,
        "skipped": ~finite,
    }
    failures = jnp.where(finite, 0, state.failures + 1)
    return _State(parameters, optimiser, forcing, state.update + 1, failures), record


def _loss(graph, rest, x, x_in, u, alpha, solver: Solver, parameters: PyTree) -> tuple[Array, tuple[Array, Array]]:
    model = nnx.merge(graph, parameters, rest)
    predicted, solution = jax.vmap(
        lambda x, u: model.teach(x, alpha, solver, u), in_axes=(0, None if u is None else 0)
    )(x_in, u)
    return jnp.mean((predicted - x[:, 1:]) ** 2), (solution.code, solution.iterations)


def _cut(series: Array, starts: Int[Array, " batch"], window: int) -> Array:
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(series, start, window))(starts)


class _Log:
    """One entry an update, gathered from the compiled loop."""

    def __init__(self) -> None:
        self.pieces: list[dict[str, np.ndarray]] = []

    def append(self, records: dict[str, Array], count: int, seconds: float) -> None:
        piece = {name: np.asarray(values)[:count] for name, values in records.items()}
        self.pieces.append({**piece, "seconds": np.full(count, seconds / count, np.float32)})

    def history(self) -> dict[str, np.ndarray]:
        names = ("loss", "alpha", "iterations", "retried", "skipped", "seconds")
        return {
            name: np.concatenate([p[name] for p in self.pieces]) if self.pieces else np.zeros(0, np.float32)
            for name in names
        }

    def latest(self) -> dict[str, str]:
        last = self.pieces[-1]
        shown = {"loss": f"{last['loss'].mean():.2e}", "alpha": f"{last['alpha'][-1]:.3f}"}
        shown["iterations"] = f"{last['iterations'].mean():.0f}"
        return shown | {
            name: f"{total:.0f}"
            for name in ("retried", "skipped")
            if (total := sum(p[name].sum() for p in self.pieces))
        }
