"""A reconstruction: a trained model together with everything needed to use it in the units of the data.

`fit` and `resume` make one, `simulate` runs it freely, `score` compares it with a test series, `save` and `load` keep
it in a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import optax
from flax import nnx

from .._checks import docs_url, whole
from .._checks import key as check_key
from ..data import Embedding, Scaling, Series
from ..forcing import DEFAULT, Schedule
from ..models import Model
from ..solvers import Auto, Solver
from . import _files
from ._config import TrainConfig
from ._devices import build_mesh
from ._files import check_checkpoint, checkpoint_path, load_run, save_checkpoint
from ._loop import Progress, TrainRun, check_callbacks, train
from ._prepare import check_inputs, check_recordings, set_observed_dim
from ._rollout import concatenate_until_interrupt, iterate_rollout, rollout, show_progress
from ._scores import Scores, score_model
from ._step import init_state
from ._validation import BestCheckpoint

if TYPE_CHECKING:
    from jax.sharding import Mesh
    from jaxtyping import Array, Float

__all__ = ["Reconstruction", "fit", "load", "resume"]

_DEFAULT_WINDOW = 200


@dataclass(frozen=True)
class Reconstruction:
    """A trained model that speaks in data units. Made by `gtfdeer.fit` or `gtfdeer.load`.

    Attributes:
        model: the trained network; it lives in standardised units.
        scaling: what was done to the data, or None.
        dt: sampling step in units of time.
        first: `(N,)` the first training sample, standardised; free runs begin there unless told otherwise.
        name: of the series.
        embedding: delay embedding of the series, or None; applied to one-column test series.
        history: arrays, one entry an update: "loss", "alpha", "iterations", "seconds", and how the update was got:
            "retried" and "sequential" (computed again, by `Sequential`), "skipped" (not applied).
        ending: how training ended, "finished" or the reason.
        update: after how many updates the model stood as it is kept here.
    """

    model: Model
    scaling: Scaling | None
    dt: float
    first: Float[np.ndarray, " observed"]
    name: str = "series"
    embedding: Embedding | None = None
    history: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    ending: str = "finished"
    update: int = 0

    def simulate(self, steps: int, start: Series | Any = None, u: Any = None) -> Float[np.ndarray, "time observed"]:
        """Run freely for `steps` steps and return the observations in data units; Ctrl-C keeps those that there are.

        Args:
            steps: how many.
            start: a `Series`, whose first complete row is where the run begins, or one observation `(N,)` in data
                units; None begins at the first training sample.
            u: `(steps, K)` external inputs for models that have them; `u[t]` enters the step that ends at row t.

        Returns:
            `(steps, N)`; row 0 is one step after the start. Fewer rows, and a warning, after Ctrl-C.

        Raises:
            ValueError: if shapes do not fit, or if the run leaves all bounds (the sentence says after how many steps).
        """
        steps = whole(steps, "steps")
        if isinstance(start, Series):
            values = self.standardised(start).values
            start = values[np.isfinite(values).all(axis=1).argmax()]
        elif start is None:
            start = self.first
        else:
            start = self._in_model_units(np.asarray(start))
        pieces = iterate_rollout(self.model, steps, start, self._inputs(u, steps))
        values = concatenate_until_interrupt(show_progress(pieces, steps))
        if len(values) < steps:
            warnings.warn(f"interrupted after {len(values):,} of {steps:,} steps, which are returned", stacklevel=2)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the free run left all bounds after {int(finite.argmin())} of {steps} steps; start on the attractor, "
                "train longer, or use ClippedShallowPLRNN, whose orbits stay bounded "
                f"({docs_url('the-free-run-runs-away')})"
            )
        return values if self.scaling is None else self.scaling.undo(values)

    def score(self, test: Series, *, steps: int = 20, floor: Series | None = None, u: Any = None) -> Scores:
        """Judge the free run and the short forecasts against a test series; prints as a table.

        Args:
            test: a `Series` in data units or standardised (its scaling is known); its longest gap-free stretch counts.
            steps: n of the prediction error PE(n).
            floor: another recording of the same system: its scores against `test` are what a perfect model would
                get. By default the two halves of `test` are compared, which only approximates it.
            u: `(T, K)` external inputs along `test`, a row for each of its rows, gaps included.

        Returns:
            `Scores` with D_stsp, D_H, PE, lambda_max and the floors.

        Raises:
            ValueError, TypeError: if columns or sampling step differ from the training data's, or `u` does not fit.
        """
        steps = whole(steps, "steps")
        series = self.standardised(test)
        inputs = self._inputs(u, len(test))
        start, stop = max(series.segments(), key=lambda segment: segment[1] - segment[0])
        if inputs is not None:
            inputs = inputs[len(test) - len(series) :][start:stop]  # an embedding loses the first rows
        other = None if floor is None else self.standardised(floor).longest_segment().values
        return score_model(self.model, series.values[start:stop], self.dt, steps=steps, floor=other, u=inputs)

    def save(self, path: str | Path) -> None:
        """Write one `.npz`: arrays, a JSON header, no pickle; whole or not at all. TypeError: a class of your own."""
        _files.save(path, self)

    def standardised(self, series: Series) -> Series:
        """A series in the units that the model lives in, delay-embedded as the training data were."""
        if not isinstance(series, Series):
            raise TypeError(
                f"series is a {type(series).__name__}; pass a Series, made by "
                f"gtfdeer.data.read_series(values, dt={self.dt})"
            )
        if self.embedding is not None and series.embedding is None and series.columns < self.model.observed_dim:
            series = series.delay_embed(self.embedding.dimension, self.embedding.delay)
        if series.columns != self.model.observed_dim:
            raise ValueError(
                f"series has {series.columns} columns but the model observes {self.model.observed_dim}; "
                "pass the columns that it was trained on, in the same order"
            )
        if not np.isclose(series.dt, self.dt, rtol=1e-4):
            raise ValueError(
                f"series has dt={series.dt:g} but the model was trained at dt={self.dt:g}; coarsen or "
                "resample it, or pass its true dt"
            )
        return series.unscaled() if self.scaling is None else series.scaled_by(self.scaling)

    def rollout(self, steps: int, start: Any, u: Any = None) -> Float[np.ndarray, "time observed"]:
        """As `simulate`, but in standardised units, from a standardised start, and without judging the outcome."""
        return rollout(self.model, steps, start, self._inputs(u, steps))

    def _inputs(self, u: Any, rows: int) -> np.ndarray | None:
        checked = check_inputs(self.model, u, [rows])
        return None if checked is None else checked[0]

    def _in_model_units(self, start: np.ndarray) -> np.ndarray:
        if start.dtype.kind not in "fiub":
            kind = "complex numbers" if start.dtype.kind == "c" else f"{start.dtype}"
            raise TypeError(f"start holds {kind}; pass a Series or one observation ({self.model.observed_dim},)")
        start = start.astype(np.float32)
        if start.shape != (self.model.observed_dim,) or not np.isfinite(start).all():
            raise ValueError(
                f"start has shape {start.shape}; pass a Series or one finite observation ({self.model.observed_dim},)"
            )
        return start if self.scaling is None else self.scaling.apply(start)


def fit(
    model: Model,
    series: Series | Sequence[Series],
    *,
    window: int | None = None,
    batch: int = 16,
    updates: int = 20_000,
    forcing: Schedule | None = None,
    solver: Solver | None = None,
    learning_rate: float = 1e-2,
    optimiser: optax.GradientTransformation | None = None,
    noise: float = 0.0,
    allow_missing: bool = False,
    u: Any = None,
    standardise: bool = True,
    validations: int = 20,
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
        window: time steps of a training sequence; None takes 200, or half the longest stretch where that is shorter.
        batch: sequences in an update.
        updates: how many.
        forcing: alpha over training; by default `gtfdeer.forcing.DEFAULT`, annealed from 1 to 0.03.
        solver: how a sequence is solved; by default `Auto()`.
        learning_rate: first learning rate of the default optimiser, see `gtfdeer.training.TrainConfig`.
        optimiser: any optax transformation, instead of the default one.
        noise: standard deviation of noise added to the network's input, in standardised units.
        allow_missing: also take windows of which up to half the rows are missing (NaN): there alpha and loss are zero.
        u: `(T, K)` external inputs (a list of arrays for several series); the model needs `input_dim=K`.
        standardise: work on a copy z-scored over all recordings; one that was standardised before keeps its scaling.
        validations: how often, in the second half of training, free runs are judged against the training data, so that
            the best moment is kept (`gtfdeer.training._validation`); 0 keeps the last. Not with external inputs.
        callbacks: called a few times a second with a `gtfdeer.training.Progress`.
        checkpoint: a `.npz` that always holds a whole, recent state of the run, data included, for
            `gtfdeer.resume`; the one before it is kept as `run.previous.npz`. None writes nothing.
        every: updates between two checkpoints; one more is written at the end, however it comes.
        devices: how many of `jax.devices()`, or which, share each batch evenly; None takes JAX's
            default device. The result is that of one device up to the rounding of sums.
        key: `jax.random.key(seed)` for windows and noise; by default seed 0.
        progress: show a progress bar.

    Returns:
        A `Reconstruction`.

    Raises:
        ValueError, TypeError: if model, data and settings do not fit together, in one sentence.
        MemoryError: if an update needs more memory than is left.
    """
    recordings = check_recordings(series, standardise=standardise)
    longest = max(s.length if allow_missing else stop - start for s in recordings for start, stop in s.segments())
    config = TrainConfig(
        window=min(_DEFAULT_WINDOW, max(2, longest // 2)) if window is None else window,
        batch=batch,
        updates=updates,
        forcing=DEFAULT if forcing is None else forcing,
        solver=Auto() if solver is None else solver,
        learning_rate=learning_rate,
        optimiser=optimiser,
        noise=noise,
        allow_missing=allow_missing,
        validations=validations,
    )
    mesh = build_mesh(devices, config.batch)
    model = set_observed_dim(model, recordings[0].columns)
    inputs = check_inputs(model, u, [s.length for s in recordings])
    key = check_key(jax.random.key(0) if key is None else key)
    state = init_state(config, nnx.split(model, nnx.Param, ...)[1])
    run = TrainRun(model, recordings, inputs, config, key, state, every=whole(every, "every", example=1000))
    path = None if checkpoint is None else checkpoint_path(checkpoint)
    if checkpoint is not None and path != Path(checkpoint):
        raise ValueError(f"checkpoint is {str(checkpoint)!r}, the name of a previous one; pass {str(path)!r}")
    return _train(run, path, callbacks, progress, mesh)


def resume(
    path: str | Path,
    *,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    devices: int | Sequence[Any] | None = None,
    progress: bool = True,
) -> Reconstruction:
    """Go on with a run that `fit(..., checkpoint=path)` began, to the very result that it would have had.

    Parameters, optimiser, schedule, keys, history ("seconds" apart) and the choice of the best model are those of a
    run that was never stopped, bit for bit on the same machine. The file holds the data, too. Checkpoints go on being
    written to the same path; of two runs that write to one path, the last whole file wins.

    Args:
        path: of the checkpoint, or of the one before it, `run.previous.npz`.
        callbacks, devices: as in `fit`; they are not part of a checkpoint. Bit for bit holds on the same devices.
        progress: show a progress bar.

    Returns:
        The same as `fit`; at once, if that run was finished.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is damaged; the sentence names the older one.
    """
    own = checkpoint_path(path)
    run = load_run(Path(path))
    return _train(run, own, callbacks, progress, build_mesh(devices, run.config.batch))


def load(path: str | Path) -> Reconstruction:
    """Read what `Reconstruction.save` wrote, or the best model of a checkpoint; runs no code from the file.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not a reconstruction of this version or older.
    """
    return Reconstruction(**_files.load(path))


def _train(run: TrainRun, path: Path | None, callbacks: Any, progress: bool, mesh: Mesh | None) -> Reconstruction:
    callbacks = check_callbacks(callbacks)
    if path is not None:
        check_checkpoint(path, run)
    # a free run with external inputs would need inputs that were never recorded
    validations = run.config.validations if run.inputs is None else 0
    longest = max((s.longest_segment() for s in run.recordings if s.segments()), key=len)
    validation = BestCheckpoint(longest.values, run.config.updates, validations)
    save = None if path is None else lambda run: save_checkpoint(path, _reconstruct(run), run)
    return _reconstruct(train(run, validation, callbacks=callbacks, save=save, progress=progress, mesh=mesh))


def _reconstruct(run: TrainRun) -> Reconstruction:
    """Return the best model of a run, or, where none was validated, the last one."""
    best, series = run.state.best, run.recordings[0]
    update = int(best.update) or int(run.state.update)
    first = next(s.values[start] for s in run.recordings for start, _ in s.segments())
    return Reconstruction(
        model=run.build_model(best.parameters if int(best.update) else None),
        scaling=series.scaling,
        dt=series.dt,
        first=np.asarray(first, np.float32),
        name=series.name,
        embedding=series.embedding,
        history=run.history,
        ending=run.ending,
        update=update,
    )
