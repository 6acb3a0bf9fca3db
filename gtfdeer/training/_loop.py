"""The training loop: groups of updates, validation, callbacks, checkpoints, Ctrl-C.

Many updates (`gtfdeer.training._step`) run inside one compiled loop, which returns several times a second. How many
share it depends on the speed of the machine; the result does not.
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

    `model` is left untouched. It observes the columns of the `recordings`, in its units; `inputs` are `(T, K)` for each
    of these, or None. `history` holds an entry an update; `ending` is "running", "finished", "interrupted", "stopped by
    a callback", or what went wrong; `every` is how many updates are between two checkpoints.
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

    `callbacks` (or a single one) are called with a `Progress` a few times a second, `save` with the run after every
    `run.every` updates and at the end. The devices of `mesh` share a batch; None leaves the choice to JAX.
    """
    config, callbacks = run.config, list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    if not all(callable(each) for each in callbacks):
        raise TypeError(f"callbacks is {callbacks!r}; pass functions of a Progress")
    # a free run with external inputs would need inputs that were never recorded
    validations = config.validations if run.inputs is None else 0
    validation = BestCheckpoint(longest_segment(run.recordings)[0], config.updates, validations, config.polish)
    graph, _, rest = nnx.split(run.model, nnx.Param, ...)
    values = jnp.asarray(np.concatenate([s.values for s in run.recordings]), jnp.float32)  # all recordings end to end
    u = None if run.inputs is None else jnp.asarray(np.concatenate(run.inputs), jnp.float32)
    starts = jnp.asarray(window_starts(run.recordings, config.window))
    given = replicate((rest, values, u, starts, run.key), mesh)
    begun, count, ending = int(run.state.update), 1, "finished"
    history = {n: run.history.get(n, np.zeros(begun, np.float32)) for n in (*recorded(config), "seconds")}
    run = replace(run, state=replicate(run.state, mesh), history=history)
    programs: dict[Callable, Any] = {}

    def describe(ending: str) -> TrainRun:
        return replace(run, state=fetch(run.state, mesh), ending=ending)

    def report() -> bool:
        """Call the callbacks, then validate where it is time; return whether to go on."""
        nonlocal run
        now, done = describe("running"), int(run.state.update)
        for column in now.history.values():
            column.flags.writeable = False
        moment = Progress(done, config.total, now.history, now.build_model)
        for callback in callbacks:
            callback(moment)
        if done in validation.validation_steps and done > int(run.state.best.validated):
            parameters, best = now.state.parameters, now.state.best
            misfit = validation.validate(now.build_model(), parameters.gain, float(best.misfit))
            best = replicate(best.update_with(parameters, done, misfit), mesh)
            run = replace(run, state=run.state._replace(best=best))
        return not moment.stopped

    interactive = sys.stderr.isatty() or hasattr(builtins, "__IPYTHON__")  # elsewhere a log file gets ten lines
    shown = {"disable": not (progress and interactive), "unit": "update", "desc": "compiling"}
    try:
        with tqdm(total=config.total, initial=begun, **shown) as bar:
            goes_on = begun == 0 or report()
            while goes_on and (done := int(run.state.update)) < config.total and int(run.state.failures) < MAX_FAILURES:
                polishing = done >= config.updates
                update, last = (polish, config.total) if polishing else (update_parameters, config.updates)
                if update not in programs:
                    programs[update], count = _compile(update, run, graph, given, mesh), 1
                count = min(count, _next_stop(done, last, validation.validation_steps, save and run.every) - done)
                began = time.perf_counter()
                program, limit = programs[update], jnp.asarray(count, jnp.int32)
                state, records = jax.block_until_ready(program(*given, run.state, limit))
                seconds, count = time.perf_counter() - began, int(state.update) - done
                records["seconds"] = np.full(count, seconds / count, np.float32)
                history = {n: np.concatenate([x, np.asarray(records[n])[:count]]) for n, x in run.history.items()}
                run = replace(run, state=state, history=history)  # an interrupt finds both before or after
                latest = _describe_latest(history, count)
                bar.set_description("training", refresh=False)
                bar.set_postfix(latest, refresh=False)
                bar.update(count)
                if progress and not interactive and 10 * (done + count) // config.total > 10 * done // config.total:
                    words = ", ".join(f"{name} {value}" for name, value in latest.items())
                    sys.stderr.write(f"update {done + count:,} of {config.total:,}: {words}\n")
                goes_on = report()
                if save is not None and (done + count) % run.every == 0:
                    save(describe("running"))
                # processes that share a run must agree on the next number, whatever their speed
                wanted = CAPACITY if jax.process_count() > 1 else int(_PULSE * count / seconds)
                count = max(1, min(CAPACITY, 2 * count, wanted))
        if not goes_on:
            ending = "stopped by a callback"
        elif int(run.state.failures) >= MAX_FAILURES:
            last = f"the last one at alpha {run.history['alpha'][-1]:.3g}"
            advice = f"raise alpha, or begin its schedule higher ({docs_url('not-finite')})"
            ending = f"stopped: {MAX_FAILURES} updates in a row were not finite, {last}; {advice}"
    except KeyboardInterrupt:
        ending = "interrupted"
    except Exception as error:  # a callback's, or no memory left: what was learned until then is kept for `resume`
        if save is not None and int(run.state.update) > begun:
            save(describe(f"stopped by {type(error).__name__}"))
        raise
    ended = describe(ending)
    if save is not None:
        save(ended)
    return replace(ended, history={name: column.copy() for name, column in ended.history.items()})


def _compile(update: Callable, run: TrainRun, graph: Any, given: Any, mesh: Mesh | None) -> Any:
    """Return a run's compiled updates, or Gauss-Newton steps, if they fit into memory."""
    config, model = run.config, run.model
    require_countable(config, model)
    gaps = any(np.isnan(s.values).any() for s in run.recordings)
    try:
        jitted = _jit_updates(update, config, gaps, graph, mesh)
    except TypeError:  # alpha as an array, or a setting of one's own: cannot be looked up
        jitted = _jit_updates.__wrapped__(update, config, gaps, graph, mesh)
    program = jitted.lower(*given, run.state, jnp.asarray(0, jnp.int32)).compile()
    require_memory(program, config, model, 1 if mesh is None else mesh.size)
    return program


@lru_cache(maxsize=8)  # runs of equal settings share a program, of some megabytes, traced and compiled once
def _jit_updates(update: Callable, config: TrainConfig, gaps: bool, graph: Any, mesh: Mesh | None) -> Any:
    def run_updates_on(rest: Any, values: Any, u: Any, starts: Any, key: Any, state: TrainState, count: Array) -> tuple:
        step = partial(update, config, gaps, graph, mesh, rest, values, u, starts, key)
        return run_updates(step, recorded(config), state, count)

    return jit_replicated(run_updates_on, mesh)


def _next_stop(done: int, updates: int, steps: Collection[int], every: int | None) -> int:
    """Return the next number of updates at which to validate, to save or to end.

    >>> _next_stop(10, 100, {25, 50}, 20), _next_stop(95, 100, {25, 50}, None)
    (20, 100)
    """
    multiple = [every * (done // every + 1)] if every else []
    return min([*(step for step in steps if step > done), *multiple, updates])


def _describe_latest(history: dict[str, np.ndarray], count: int) -> dict[str, str]:
    """Describe the last `count` updates, and how many of all took more than one attempt."""
    forcing = "gain" if "gain" in history else "alpha"
    shown = {"loss": f"{history['loss'][-count:].mean():.2e}", forcing: f"{history[forcing][-1]:.3f}"}
    shown["iterations"] = f"{history['iterations'][-count:].mean():.0f}"
    totals = {name: history[name].sum() for name in COUNTED}
    return shown | {name: f"{total:.0f}" for name, total in totals.items() if total}
