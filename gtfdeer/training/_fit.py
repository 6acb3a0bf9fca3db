"""`fit` trains a model on recordings, `resume` goes on with a run, `load` reads a file: each gives a Reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax

from .._checks import file_path, whole
from .._checks import key as check_key
from ..data import Series
from ..forcing import LearnedGain, Schedule
from ..models import Model, RecurrentModel
from ..solvers import Auto, Solver
from . import _files
from ._config import ANNEALED, TrainConfig
from ._devices import build_mesh
from ._files import check_checkpoint, checkpoint_path, load_run, save_checkpoint
from ._filter import tune_gain
from ._loop import Progress, TrainRun, train
from ._prepare import (
    check_inputs,
    check_recordings,
    choose_batch,
    choose_window,
    longest_segment,
    scale_inputs,
    set_observed_dim,
    warn_of_unused,
)
from ._reconstruction import Reconstruction
from ._step import init_state

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array

_POLISH, _POLISHED_FROM = 60, 1000  # Gauss-Newton steps by default, and updates from which on (docs/findings.md)


def fit(
    model: Model,
    series: Series | Sequence[Series],
    *,
    window: int | None = None,
    batch: int | None = None,
    updates: int = 20_000,
    forcing: Schedule | None = None,
    solver: Solver | None = None,
    learning_rate: float = 1e-2,
    optimiser: optax.GradientTransformation | None = None,
    noise: float = 0.0,
    u: Any = None,
    standardise: bool = True,
    validations: int = 20,
    polish: int | None = None,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    checkpoint: str | Path | None = None,
    every: int = 1000,
    devices: int | Sequence[Any] | None = None,
    key: Array | None = None,
    progress: bool = True,
) -> Reconstruction:
    """Train a copy of `model` on a recording, or several, by Generalized Teacher Forcing; Ctrl-C keeps what it learned.

    Args:
        model: from `gtfdeer.models`. One built without `observed_dim` observes the columns of the series.
        series: a `Series` or a list of them, of any lengths; windows straddle neither ends nor gaps.
        window: time steps of a training sequence; None takes 200, more where a column swings slowly (two thirds of the
            period that halves its power, at most 1,000), at most half the shortest trial. A warning says what stays
            unused.
        batch: sequences in an update; None takes 16, fewer where the default window is longer than 200, at least 4.
        updates: how many.
        forcing: a schedule from `gtfdeer.forcing`; by default `LearnedGain()` for a nonlinear network, `Annealed()` for
            a linear state-space model or one of your own.
        solver: how a sequence is solved; by default `Auto()`.
        learning_rate: first learning rate of the default optimiser, see `gtfdeer.training.TrainConfig`.
        optimiser: any optax transformation, instead of the default one.
        noise: standard deviation of noise added to the network's input, in standardised units.
        u: `(T, K)` external inputs (a list of arrays for several series), standardised as the series are; the model
            needs `input_dim=K`.
        standardise: work on a copy z-scored over all recordings; one that was standardised before keeps its scaling.
        validations: how often, in the second half of training, or half as often through Gauss-Newton steps, free runs
            are judged against the training data, so that the best moment is kept (`gtfdeer.training._validation`).
            0 keeps the last. Not with external inputs.
        polish: Gauss-Newton steps after the updates (`gtfdeer.training._gauss_newton`), each as long as some hundred
            updates; None takes 60 after 1,000 updates or more under a learned gain, else none.
        callbacks: called a few times a second with a `gtfdeer.training.Progress`.
        checkpoint: a `.npz` that always holds a whole, recent state of the run, data included, for `gtfdeer.resume`;
            the one before it is kept as `run.previous.npz`. None writes nothing.
        every: updates between two checkpoints; one more is written at the end, however it comes.
        devices: how many of `jax.devices()`, or which, share each batch evenly; None takes JAX's default device. The
            result is that of one device up to the rounding of sums.
        key: `jax.random.key(seed)` for windows and noise; by default seed 0.
        progress: show a progress bar.

    Raises:
        ValueError, TypeError: if model, data and settings do not fit together.
        MemoryError: if an update needs more memory than is left.
    """
    recordings = check_recordings(series, standardise=standardise)
    if forcing is None:  # a linear state-space model has its gain in its own transition
        forcing = LearnedGain() if isinstance(model, RecurrentModel) else ANNEALED
    if polish is None:
        polish = _POLISH if isinstance(forcing, LearnedGain) and updates >= _POLISHED_FROM else 0
    if window is None:
        window = choose_window(recordings)
        batch = choose_batch(window) if batch is None else batch
    config = TrainConfig(
        window=window,
        batch=16 if batch is None else batch,
        updates=updates,
        forcing=forcing,
        solver=Auto() if solver is None else solver,
        learning_rate=learning_rate,
        optimiser=optimiser,
        noise=noise,
        validations=validations,
        polish=polish,
    )
    mesh = build_mesh(devices, config.batch)
    model = set_observed_dim(model, recordings[0].columns)
    inputs = check_inputs(model, u, [s.length for s in recordings])
    input_scaling = scale_inputs(inputs) if standardise and inputs else None
    if inputs and input_scaling:
        inputs = [input_scaling.apply(each) for each in inputs]
    key = check_key(jax.random.key(0) if key is None else key)
    state = init_state(config, model)
    every = whole(every, "every", example=1000)
    run = TrainRun(model, recordings, inputs, config, key, state, every=every, input_scaling=input_scaling)
    warn_of_unused(recordings, config.window)
    path = None if checkpoint is None else checkpoint_path(checkpoint)
    if checkpoint is not None and path != file_path(checkpoint):
        raise ValueError(f"checkpoint is {str(checkpoint)!r}, the name of a previous one; pass {str(path)!r}")
    return _train(run, path, callbacks, progress, mesh)


def resume(
    path: str | Path,
    *,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    devices: int | Sequence[Any] | None = None,
    progress: bool = True,
) -> Reconstruction:
    """Go on with a run that `fit(..., checkpoint=path)` began; return what it would have, at once if it was finished.

    All but the "seconds" are those of a run that was never stopped, bit for bit on the same machine and devices.
    Checkpoints go on being written to the same path; of two runs that write to one path, the last whole file wins.

    Args:
        path: of the checkpoint, or of the one before it, `run.previous.npz`.
        callbacks, devices, progress: as in `fit`; they are not part of a checkpoint.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is damaged; the sentence names the older one.
    """
    own = checkpoint_path(path)
    run = load_run(file_path(path, "run.npz"))
    return _train(run, own, callbacks, progress, build_mesh(devices, run.config.batch))


def load(path: str | Path) -> Reconstruction:
    """Read what `Reconstruction.save` wrote, or the best model of a checkpoint; runs no code from the file.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not a reconstruction of this version or older.
    """
    return Reconstruction(**_files.load(path))


def _train(run: TrainRun, path: Path | None, callbacks: Any, progress: bool, mesh: Mesh | None) -> Reconstruction:
    if path is not None:
        check_checkpoint(path, run)
    save = None if path is None else lambda run: save_checkpoint(path, _reconstruct(run), run)
    return _reconstruct(train(run, callbacks=callbacks, save=save, progress=progress, mesh=mesh))


def _reconstruct(run: TrainRun) -> Reconstruction:
    """Return the best model of a run, or, where none was validated, the last one."""
    best, series = run.state.best, run.recordings[0]
    update = int(best.update) or int(run.state.update)
    parameters = best.parameters if int(best.update) else run.state.parameters
    model, (rows, u) = run.build_model(parameters), longest_segment(run.recordings, run.inputs)
    gain, noise = tune_gain(model, rows, parameters.gain, u)
    names = series.column_names
    if series.embedding is not None:  # its first block is the recording itself
        names = tuple(name.removesuffix("_lag0") for name in names[: series.columns // series.embedding.dimension])
    first = series.values[np.argmax(~np.isnan(series.values), axis=0), np.arange(series.columns)]
    return Reconstruction(
        model=model,
        gain=gain,
        noise=noise,
        input_scaling=run.input_scaling,
        dtype=series.values.dtype.name,
        column_names=names,
        coarsened=series.coarsened,
        scaling=series.scaling,
        dt=series.dt,
        first=np.nan_to_num(first).astype(np.float32),
        name=series.name,
        embedding=series.embedding,
        history=run.history,
        ending=run.ending,
        update=update,
    )
