"""The training loop: stretches of updates, callbacks, checkpoints, Ctrl-C.

Many updates (`gtfdeer.training._step`) run inside one compiled loop, which returns every quarter of a second, for the
progress bar, the callbacks and Ctrl-C. How many share a loop depends on the machine's speed; what they do does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm.auto import tqdm

from .._checks import trouble
from ..data import Series, window_starts
from ..models import Model
from ._config import Recipe
from ._devices import compiled, everywhere, here
from ._step import CAPACITY, COUNTED, MOST_FAILURES, RECORDED, State, first_state, run_updates

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array

__all__ = ["History", "Progress", "Standing", "checked_callbacks", "train"]

_PULSE = 0.25  # seconds between two returns from the compiled loop


class Progress:
    """What a callback is told, several times a second: where training stands; `stop()` ends it after this moment.

    Attributes:
        update, updates: how many are done, of how many.
        history: "loss", "alpha", "iterations", "seconds", "retried", "damped", "sequential", "skipped" so far, one
            entry an update; to read, not to write.
        model: a copy of the model as it is now, built on demand.
        pace: seconds that an update takes lately, the median of the last 50; 0 before the first.
    """

    def __init__(
        self,
        update: int,
        updates: int,
        history: Callable[[], dict[str, np.ndarray]],
        model: Callable[[], Model],
        pace: float,
    ) -> None:
        self.update, self.updates, self.pace = update, updates, pace
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


class Standing(NamedTuple):
    """Where a training run stands."""

    state: State
    history: dict[str, np.ndarray]
    ending: str
    """"running", "finished", "interrupted", "stopped by a callback", or what went wrong."""


def train(
    model: Model,
    recordings: Sequence[Series],
    recipe: Recipe,
    *,
    key: Array,
    inputs: Sequence[np.ndarray] | None = None,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    moments: Collection[int] = (),
    begin: Standing | None = None,
    save: Callable[[Standing], Any] | None = None,
    every: int | None = None,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> tuple[Model, Standing]:
    """Train a copy of `model` on windows of `recordings`; Ctrl-C ends early and keeps what was learned.

    Args:
        model: keeps the contract of `gtfdeer.models.Model`; left untouched.
        recordings: series whose columns are what the model observes; windows straddle no ends.
        recipe: how to train.
        key: for windows and noise; the same key gives the same result on the same machine.
        inputs: external inputs `(T, K)`, one array a recording.
        callbacks: called with a `Progress` a few times a second.
        moments: numbers of updates after which the callbacks are called for certain.
        begin: where an earlier run stood, to go on from there.
        save: called with where the run stands, after every `every` updates and at the end.
        every: updates between two calls of `save`.
        progress: show a bar with loss, alpha, iterations and time left.
        mesh: devices that share the work (`gtfdeer.training._devices`); None leaves the choice to JAX.

    Returns:
        The model and where the run stood when it ended.
    """
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    starts = jnp.asarray(window_starts(recordings, recipe.window, allow_missing=recipe.allow_missing))
    rows = np.concatenate([s.values for s in recordings])
    # otherwise gaps are filled only so that the array is finite: window_starts keeps every window clear of them
    values = jnp.asarray(rows if recipe.allow_missing else np.nan_to_num(rows), jnp.float32)
    u = None if inputs is None else jnp.asarray(np.concatenate(inputs), jnp.float32)
    run = compiled(partial(run_updates, recipe, graph, mesh), mesh)
    state = first_state(recipe, parameters) if begin is None else begin.state
    given = everywhere((rest, values, u, starts, key), mesh)
    state = everywhere(state, mesh)
    history = History({} if begin is None else begin.history)

    def model_at(state: State) -> Model:
        return nnx.merge(graph, here(state.parameters, mesh), rest)

    def standing(ending: str) -> Standing:
        return Standing(state, history.until(int(state.update)), ending)

    def tell() -> bool:
        """Call the callbacks; whether they want to go on."""
        done, now = int(state.update), state
        pace = history.pace(done)
        moment = Progress(done, recipe.updates, lambda: history.until(done), lambda: model_at(now), pace)
        for callback in callbacks:
            callback(moment)
        return not moment.stopped

    callbacks = list(callbacks)
    begun = int(state.update)
    ending, count = "finished", 1
    bar = tqdm(total=recipe.updates, initial=int(state.update), disable=not progress, unit="update", desc="compiling")
    try:
        goes_on = begin is None or tell()
        while goes_on and (done := int(state.update)) < recipe.updates and int(state.failures) < MOST_FAILURES:
            began = time.perf_counter()
            count = min(count, _next_stop(done, recipe.updates, moments, every) - done)
            after, records = jax.block_until_ready(run(*given, state, count))
            seconds, count = time.perf_counter() - began, int(after.update) - done
            history.record(done, count, records, seconds)
            state = after  # one assignment: an interrupt finds state and history before or after, never between
            bar.set_description("training")
            bar.set_postfix(history.latest(done, count), refresh=False)
            bar.update(count)
            goes_on = tell()
            if save is not None and every is not None and (done + count) % every == 0:
                save(standing("running"))
            count = max(1, min(CAPACITY, 2 * count, _within_a_pulse(count, seconds)))
        if not goes_on:
            ending = "stopped by a callback"
        elif int(state.failures) >= MOST_FAILURES:
            ending = _why_it_failed(history.until(int(state.update)))
    except KeyboardInterrupt:
        ending = "interrupted"
    except Exception as error:  # a callback's, or no memory left: what was learned until then is kept for `resume`
        if save is not None and int(state.update) > begun:
            save(standing(f"stopped by {type(error).__name__}"))
        raise
    finally:
        bar.close()
    ended = standing(ending)
    if save is not None:
        save(ended)
    return model_at(state), ended._replace(history={name: part.copy() for name, part in ended.history.items()})


def checked_callbacks(callbacks: Any) -> list[Callable[[Progress], Any]]:
    """The callbacks as a list, or one sentence about what is not one."""
    if not isinstance(callbacks, Iterable):
        name = getattr(callbacks, "__name__", repr(callbacks))
        raise TypeError(f"callbacks is {name}; pass a list of functions of a Progress, [{name}]")
    listed = list(callbacks)
    for each in listed:
        if not callable(each):
            raise TypeError(f"callbacks holds {each!r}, which cannot be called; pass functions of a Progress")
    return listed


def _within_a_pulse(count: int, seconds: float) -> int:
    """How many updates to do before the next look; processes that share a run must agree on it."""
    return CAPACITY if jax.process_count() > 1 else int(_PULSE * count / seconds)


def _next_stop(done: int, updates: int, moments: Collection[int], every: int | None) -> int:
    """The next number of updates at which somebody wants to be told.

    >>> _next_stop(10, 100, {25, 50}, 20), _next_stop(95, 100, {25, 50}, None)
    (20, 100)
    """
    awaited = [moment for moment in moments if moment > done]
    multiple = [every * (done // every + 1)] if every else []
    return min([*awaited, *multiple, updates])


def _why_it_failed(history: dict[str, np.ndarray]) -> str:
    return (
        f"stopped: {MOST_FAILURES} updates in a row were not finite, the last one at alpha "
        f"{history['alpha'][-1]:.3g}; raise alpha, or begin its schedule higher ({trouble('not-finite')})"
    )


class History:
    """One entry an update, in arrays that double when full: an update costs the same late in a run as early."""

    def __init__(self, begun: dict[str, np.ndarray]) -> None:
        self._columns = {name: begun.get(name, np.zeros(0, np.float32)) for name in (*RECORDED, "seconds")}

    def record(self, done: int, count: int, records: dict[str, Array], seconds: float) -> None:
        """Enter `count` updates after the first `done`."""
        known = {**records, "seconds": np.full(count, seconds / count)}
        for name, column in self._columns.items():
            if len(column) < done + count:
                longer = np.zeros(2 * (done + count), np.float32)
                longer[:done] = column[:done]
                self._columns[name] = column = longer
            column[done : done + count] = np.asarray(known[name])[:count]

    def until(self, done: int) -> dict[str, np.ndarray]:
        """The first `done` entries, to read: they stand where they are kept, and no later update changes them."""
        entries = {name: column[:done] for name, column in self._columns.items()}
        for part in entries.values():
            part.flags.writeable = False
        return entries

    def pace(self, done: int) -> float:
        """Seconds that an update took, the median of 50."""
        return float(np.median(self._columns["seconds"][max(0, done - 50) : done])) if done else 0.0

    def latest(self, done: int, count: int) -> dict[str, str]:
        """For the progress bar: the last updates, and how many of all took more than one attempt."""
        last = {name: column[done : done + count] for name, column in self._columns.items()}
        shown = {"loss": f"{last['loss'].mean():.2e}", "alpha": f"{last['alpha'][-1]:.3f}"}
        shown["iterations"] = f"{last['iterations'].mean():.0f}"
        totals = {name: self._columns[name][: done + count].sum() for name in COUNTED}
        return shown | {name: f"{total:.0f}" for name, total in totals.items() if total}
