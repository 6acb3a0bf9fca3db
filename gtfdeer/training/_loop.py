"""The training loop: groups of updates, validation, callbacks, checkpoints, Ctrl-C.

Many updates (`gtfdeer.training._step`) run inside one compiled loop, which returns several times a second, for the
progress bar, the callbacks and Ctrl-C. How many share a loop depends on the speed of the machine; the result does not.
"""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm.auto import tqdm

from .._checks import docs_url
from ..data import Scaling, Series, window_starts
from ..models import Model
from ._config import TrainConfig
from ._devices import fetch, jit_replicated, replicate
from ._gauss_newton import polish
from ._memory import require_countable, require_memory
from ._prepare import longest_segment
from ._step import CAPACITY, COUNTED, MAX_FAILURES, TrainState, recorded, run_updates, update_parameters
from ._validation import BestCheckpoint

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array

_PULSE = 0.15  # seconds between two returns from the compiled loop


@dataclass
class Progress:
    """What a callback is passed, several times a second; `stop()` ends training after this call.

    Attributes:
        update, updates: how many are done, of how many.
        history: "loss", "alpha", "iterations", "seconds", "retried", "skipped" so far, one entry an update; read-only.
        pace: seconds that an update takes lately, the median of the last 50.
        model: a copy of the model as it is now, built on demand.
    """

    update: int
    updates: int
    history: dict[str, np.ndarray]
    build_model: Callable[[], Model] = field(repr=False)
    stopped: bool = False

    @property
    def pace(self) -> float:
        return float(np.median(self.history["seconds"][-50:]))

    @property
    def model(self) -> Model:
        return self.build_model()

    def stop(self) -> None:
        """End training now; what was learned is kept."""
        self.stopped = True


@dataclass(frozen=True)
class TrainRun:
    """A training run: what is trained, on what and how, and how far it is. A checkpoint holds one.

    Attributes:
        model: observes the columns of the recordings; left untouched.
        recordings: in the units of the model.
        inputs: external inputs `(T, K)`, one array a recording, or None.
        config: how to train.
        key: for windows and noise; the same key gives the same result on the same machine.
        state: parameters and everything else that changes.
        history: arrays, one entry an update.
        ending: "running", "finished", "interrupted", "stopped by a callback", or what went wrong.
        every: updates between two checkpoints.
        input_scaling: what was done to the inputs, or None.
    """

    model: Model
    recordings: Sequence[Series]
    inputs: Sequence[np.ndarray] | None
    config: TrainConfig
    key: Array
    state: TrainState
    history: dict[str, np.ndarray] = field(default_factory=dict)
    ending: str = "running"
    every: int = 1000
    input_scaling: Scaling | None = None

    def build_model(self, parameters: Any = None) -> Model:
        """Return a copy of the model with other `Parameters`, by default those of the state."""
        graph, _, rest = nnx.split(self.model, nnx.Param, ...)
        return nnx.merge(graph, (self.state.parameters if parameters is None else parameters).model, rest)


def train(
    run: TrainRun,
    *,
    callbacks: Any = (),
    save: Callable[[TrainRun], Any] | None = None,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> TrainRun:
    """Take a run to its end, or to where it is stopped, and return it as it stands there.

    Args:
        run: where to begin.
        callbacks: called with a `Progress` a few times a second; a single one may come alone.
        save: called with the run after every `run.every` updates and at the end.
        progress: show a bar with loss, alpha or the gain's size, iterations and time left.
        mesh: devices that share a batch (`gtfdeer.training._devices`); None leaves the choice to JAX.
    """
    config, callbacks = run.config, list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    if not all(callable(each) for each in callbacks):
        raise TypeError(f"callbacks is {callbacks!r}; pass functions of a Progress")
    # a free run with external inputs would need inputs that were never recorded
    validations = config.validations if run.inputs is None else 0
    validation = BestCheckpoint(longest_segment(run.recordings)[0], config.updates, validations, config.polish)
    graph, _, rest = nnx.split(run.model, nnx.Param, ...)
    given, state = replicate((rest, *_lay_out(run), run.key), mesh), replicate(run.state, mesh)
    history = {name: np.zeros(config.total, np.float32) for name in (*recorded(config), "seconds")}
    for name in history.keys() & run.history.keys():
        history[name][: len(run.history[name])] = run.history[name]
    begun, count, ending, every = int(state.update), 1, "finished", save and run.every
    programs: dict[Callable, Any] = {}

    def describe(ending: str) -> TrainRun:
        """The run as it stands now; its history are read-only views, which no later update changes."""
        past = {name: column[: int(state.update)] for name, column in history.items()}
        for column in past.values():
            column.flags.writeable = False
        return replace(run, state=fetch(state, mesh), history=past, ending=ending)

    def report() -> bool:
        """Call the callbacks, then validate where it is time; return whether to go on."""
        nonlocal state
        now, done = describe("running"), int(state.update)
        moment = Progress(done, config.total, now.history, now.build_model)
        for callback in callbacks:
            callback(moment)
        if done in validation.validation_steps and done > int(state.best.validated):
            parameters, best = now.state.parameters, now.state.best
            misfit = validation.validate(now.build_model(), parameters.gain, float(best.misfit))
            state = state._replace(best=replicate(best.update_with(parameters, done, misfit), mesh))
        return not moment.stopped

    interactive = sys.stderr.isatty() or hasattr(builtins, "__IPYTHON__")  # elsewhere a log file gets ten lines
    shown = {"disable": not (progress and interactive), "unit": "update", "desc": "compiling"}
    try:
        with tqdm(total=config.total, initial=begun, **shown) as bar:
            goes_on = begun == 0 or report()
            while goes_on and (done := int(state.update)) < config.total and int(state.failures) < MAX_FAILURES:
                polishing = done >= config.updates
                update, last = (polish, config.total) if polishing else (update_parameters, config.updates)
                if update not in programs:
                    programs[update], count = _compile(update, run, graph, given, state, mesh), 1
                count = min(count, _next_stop(done, last, validation.validation_steps, every) - done)
                began = time.perf_counter()
                after, records = jax.block_until_ready(programs[update](*given, state, jnp.asarray(count, jnp.int32)))
                seconds, count = time.perf_counter() - began, int(after.update) - done
                for name, values in (records | {"seconds": np.full(count, seconds / count)}).items():
                    history[name][done : done + count] = np.asarray(values)[:count]
                state = after  # one assignment: an interrupt finds state and history before or after, never between
                latest = _describe_latest(history, done, done + count)
                bar.set_description("training", refresh=False)
                bar.set_postfix(latest, refresh=False)
                bar.update(count)
                if progress and not interactive and 10 * (done + count) // config.total > 10 * done // config.total:
                    words = ", ".join(f"{name} {value}" for name, value in latest.items())
                    sys.stderr.write(f"update {done + count:,} of {config.total:,}: {words}\n")
                goes_on = report()
                if save is not None and (done + count) % run.every == 0:
                    save(describe("running"))
                count = max(1, min(CAPACITY, 2 * count, _estimate_count(count, seconds)))
        if not goes_on:
            ending = "stopped by a callback"
        elif int(state.failures) >= MAX_FAILURES:
            last = f"the last one at alpha {history['alpha'][int(state.update) - 1]:.3g}"
            advice = f"raise alpha, or begin its schedule higher ({docs_url('not-finite')})"
            ending = f"stopped: {MAX_FAILURES} updates in a row were not finite, {last}; {advice}"
    except KeyboardInterrupt:
        ending = "interrupted"
    except Exception as error:  # a callback's, or no memory left: what was learned until then is kept for `resume`
        if save is not None and int(state.update) > begun:
            save(describe(f"stopped by {type(error).__name__}"))
        raise
    ended = describe(ending)
    if save is not None:
        save(ended)
    return replace(ended, history={name: column.copy() for name, column in ended.history.items()})


def _lay_out(run: TrainRun) -> tuple[Array, Array | None, Array]:
    """Return values and inputs of all recordings end to end, and where windows may start in them."""
    starts = jnp.asarray(window_starts(run.recordings, run.config.window))
    values = jnp.asarray(np.concatenate([s.values for s in run.recordings]), jnp.float32)
    u = None if run.inputs is None else jnp.asarray(np.concatenate(run.inputs), jnp.float32)
    return values, u, starts


def _compile(update: Callable, run: TrainRun, graph: Any, given: Any, state: TrainState, mesh: Mesh | None) -> Any:
    """Return a run's compiled updates, or Gauss-Newton steps, if they fit into memory."""
    config, model = run.config, run.model
    require_countable(config, model)
    gaps = any(np.isnan(s.values).any() for s in run.recordings)
    try:
        jitted = _jit_updates(update, config, gaps, graph, mesh)
    except TypeError:  # alpha as an array, or a setting of one's own: cannot be looked up
        jitted = _jit_updates.__wrapped__(update, config, gaps, graph, mesh)
    program = jitted.lower(*given, state, jnp.asarray(0, jnp.int32)).compile()
    require_memory(program, config, model, 1 if mesh is None else mesh.size)
    return program


@lru_cache(maxsize=8)  # runs of equal settings share a program, of some megabytes, traced and compiled once
def _jit_updates(update: Callable, config: TrainConfig, gaps: bool, graph: Any, mesh: Mesh | None) -> Any:
    return jit_replicated(partial(run_updates, update, config, gaps, graph, mesh), mesh)


def _estimate_count(count: int, seconds: float) -> int:
    """Return how many updates take `_PULSE` seconds; processes that share a run must agree on it."""
    return CAPACITY if jax.process_count() > 1 else int(_PULSE * count / seconds)


def _next_stop(done: int, updates: int, steps: Collection[int], every: int | None) -> int:
    """Return the next number of updates at which to validate, to save or to end.

    >>> _next_stop(10, 100, {25, 50}, 20), _next_stop(95, 100, {25, 50}, None)
    (20, 100)
    """
    multiple = [every * (done // every + 1)] if every else []
    return min([*(step for step in steps if step > done), *multiple, updates])


def _describe_latest(history: dict[str, np.ndarray], before: int, after: int) -> dict[str, str]:
    """Describe the last updates, and how many of all took more than one attempt."""
    forcing = "gain" if "gain" in history else "alpha"
    shown = {"loss": f"{history['loss'][before:after].mean():.2e}", forcing: f"{history[forcing][after - 1]:.3f}"}
    shown["iterations"] = f"{history['iterations'][before:after].mean():.0f}"
    totals = {name: history[name][:after].sum() for name in COUNTED}
    return shown | {name: f"{total:.0f}" for name, total in totals.items() if total}
