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
from ._step import CAPACITY, COUNTED, MAX_FAILURES, TrainState, recorded, run_updates, update_parameters
from ._validation import BestCheckpoint

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array

__all__ = ["Progress", "TrainRun", "check_callbacks", "train"]

_PULSE = 0.15  # seconds between two returns from the compiled loop


@dataclass
class Progress:
    """What a callback is passed, several times a second; `stop()` ends training after this call.

    Attributes:
        update, updates: how many are done, of how many.
        history: "loss", "alpha", "iterations", "seconds", "retried", "skipped" so far, one entry an update; read-only.
        pace: seconds that an update takes lately, the median of the last 50; 0 before the first.
        model: a copy of the model as it is now, built on demand.
    """

    update: int
    updates: int
    history: dict[str, np.ndarray]
    pace: float
    build_model: Callable[[], Model] = field(repr=False)
    stopped: bool = False

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
    validation: BestCheckpoint,
    *,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    save: Callable[[TrainRun], Any] | None = None,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> TrainRun:
    """Train on random windows of the recordings; Ctrl-C ends early and keeps what was learned.

    Args:
        run: where to begin.
        validation: which model to keep.
        callbacks: called with a `Progress` a few times a second.
        save: called with the run after every `run.every` updates and at the end.
        progress: show a bar with loss, alpha or the gain's size, iterations and time left.
        mesh: devices that share a batch (`gtfdeer.training._devices`); None leaves the choice to JAX.

    Returns:
        The run as it stood when it ended.

    Raises:
        MemoryError: if an update needs more memory than is left.
    """
    config, callbacks = run.config, list(callbacks)
    graph, _, rest = nnx.split(run.model, nnx.Param, ...)
    given = replicate((rest, *_lay_out(run), run.key), mesh)
    state, history = replicate(run.state, mesh), _History(run.history, recorded(config), config.total)
    begun, count, ending = int(state.update), 1, "finished"
    gaps = any(np.isnan(s.values).any() for s in run.recordings)
    programs: dict[Callable, Any] = {}

    def compiled(update: Callable) -> Any:
        if update not in programs:
            require_countable(config, run.model.latent_dim, run.model.observed_dim)
            jitted = _jit_updates(update, config, gaps, graph, mesh)
            programs[update] = jitted.lower(*given, state, jnp.asarray(0, jnp.int32)).compile()
            require_memory(programs[update], config, run.model.latent_dim, 1 if mesh is None else mesh.size)
        return programs[update]

    def standing(ending: str) -> TrainRun:
        return replace(run, state=fetch(state, mesh), history=history.until(int(state.update)), ending=ending)

    def report() -> bool:
        """Call the callbacks, then validate where it is time; return whether to go on."""
        nonlocal state
        done, now = int(state.update), fetch(state.parameters, mesh)
        seen, pace = history.until(done), history.pace(done)
        moment = Progress(done, config.total, seen, pace, lambda: run.build_model(now))
        for callback in callbacks:
            callback(moment)
        if done in validation.validation_steps and done > int(state.best.validated):
            misfit = validation.validate(run.build_model(now), now.gain, float(state.best.misfit))
            state = state._replace(best=replicate(fetch(state.best, mesh).update_with(now, done, misfit), mesh))
        return not moment.stopped

    every = run.every if save is not None else None
    bar = _ProgressBar(config.total, begun, shown=progress)
    try:
        goes_on = begun == 0 or report()
        while goes_on and (done := int(state.update)) < config.total and int(state.failures) < MAX_FAILURES:
            polishing = done >= config.updates
            program = compiled(polish if polishing else update_parameters)
            began = time.perf_counter()
            last = config.total if polishing else config.updates
            count = min(
                1 if done == config.updates else count,
                _next_stop(done, last, validation.validation_steps, every) - done,
            )
            after, records = jax.block_until_ready(program(*given, state, jnp.asarray(count, jnp.int32)))
            seconds, count = time.perf_counter() - began, int(after.update) - done
            history.record(done, count, records, seconds)
            state = after  # one assignment: an interrupt finds state and history before or after, never between
            bar.update(done + count, history.latest(done, count))
            goes_on = report()
            if save is not None and (done + count) % run.every == 0:
                save(standing("running"))
            count = max(1, min(CAPACITY, 2 * count, _estimate_count(count, seconds)))
        if not goes_on:
            ending = "stopped by a callback"
        elif int(state.failures) >= MAX_FAILURES:
            ending = _explain_failure(history.until(int(state.update)))
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
    return replace(ended, history={name: part.copy() for name, part in ended.history.items()})


def check_callbacks(callbacks: Any) -> list[Callable[[Progress], Any]]:
    """Return a list of functions, of which one may come alone."""
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    if not all(callable(each) for each in listed):
        raise TypeError(f"callbacks is {callbacks!r}; pass functions of a Progress")
    return listed


def _lay_out(run: TrainRun) -> tuple[Array, Array | None, Array]:
    """Return values and inputs of all recordings end to end, and where windows may start in them."""
    starts = jnp.asarray(window_starts(run.recordings, run.config.window))
    values = jnp.asarray(np.concatenate([s.values for s in run.recordings]), jnp.float32)
    u = None if run.inputs is None else jnp.asarray(np.concatenate(run.inputs), jnp.float32)
    return values, u, starts


def _jit_updates(update: Callable, config: TrainConfig, gaps: bool, graph: Any, mesh: Mesh | None) -> Any:
    """Return the jitted updates; runs of equal settings share them, and what was traced and compiled for one."""
    try:
        return _jit_shared(update, config, gaps, graph, mesh)
    except TypeError:  # alpha as an array, or a setting of one's own: cannot be looked up
        return _jit_shared.__wrapped__(update, config, gaps, graph, mesh)


@lru_cache(maxsize=8)  # programs, of some megabytes each
def _jit_shared(update: Callable, config: TrainConfig, gaps: bool, graph: Any, mesh: Mesh | None) -> Any:
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


def _explain_failure(history: dict[str, np.ndarray]) -> str:
    return (
        f"stopped: {MAX_FAILURES} updates in a row were not finite, the last one at alpha "
        f"{history['alpha'][-1]:.3g}; raise alpha, or begin its schedule higher ({docs_url('not-finite')})"
    )


class _ProgressBar:
    """A tqdm bar in terminals and notebooks; elsewhere (log files) a line every tenth of the way."""

    def __init__(self, updates: int, done: int, *, shown: bool) -> None:
        interactive = sys.stderr.isatty() or hasattr(builtins, "__IPYTHON__")
        self._lines, self._updates, self._done = shown and not interactive, updates, done
        shown = shown and interactive
        self._bar = tqdm(total=updates, initial=done, disable=not shown, unit="update", desc="compiling")

    def update(self, done: int, latest: dict[str, str]) -> None:
        tenths, before = 10 * done // self._updates, 10 * self._done // self._updates
        if self._lines and tenths > before:
            words = ", ".join(f"{name} {value}" for name, value in latest.items())
            sys.stderr.write(f"update {done:,} of {self._updates:,}: {words}\n")
        self._bar.set_description("training")
        self._bar.set_postfix(latest, refresh=False)
        self._bar.update(done - self._done)
        self._done = done

    def close(self) -> None:
        self._bar.close()


class _History:
    """One entry an update, in arrays for all of them; memory is taken as they fill."""

    def __init__(self, begun: dict[str, np.ndarray], names: Sequence[str], updates: int) -> None:
        self._columns = {name: np.zeros(updates, np.float32) for name in (*names, "seconds")}
        for name, column in self._columns.items():
            column[: len(begun.get(name, ()))] = begun.get(name, ())

    def record(self, done: int, count: int, records: dict[str, Array], seconds: float) -> None:
        """Enter `count` updates after the first `done`."""
        self._columns["seconds"][done : done + count] = seconds / count
        for name, values in records.items():
            self._columns[name][done : done + count] = np.asarray(values)[:count]

    def until(self, done: int) -> dict[str, np.ndarray]:
        """Return views of the first `done` entries, read-only; no later update changes them."""
        entries = {name: column[:done] for name, column in self._columns.items()}
        for part in entries.values():
            part.flags.writeable = False
        return entries

    def pace(self, done: int) -> float:
        """Return the seconds that an update took, the median of 50."""
        return float(np.median(self._columns["seconds"][max(0, done - 50) : done])) if done else 0.0

    def latest(self, done: int, count: int) -> dict[str, str]:
        """Describe the last updates for the progress bar, and how many of all took more than one attempt."""
        last = {name: column[done : done + count] for name, column in self._columns.items()}
        forcing = "gain" if "gain" in last else "alpha"
        shown = {"loss": f"{last['loss'].mean():.2e}", forcing: f"{last[forcing][-1]:.3f}"}
        shown["iterations"] = f"{last['iterations'].mean():.0f}"
        totals = {name: self._columns[name][: done + count].sum() for name in COUNTED}
        return shown | {name: f"{total:.0f}" for name, total in totals.items() if total}
