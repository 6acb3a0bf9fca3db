"""A reconstruction: a trained model together with everything needed to use it in the units of the data.

`fit` and `resume` make one, `simulate` runs it free, `score` judges it, `save` and `load` keep it.

Scoring protocol (public GTF code, arXiv 2306.04406): run freely from the first test sample for floor(1.25 T) steps,
drop the first quarter of T as transient, and compare the remaining T steps with the test series, in standardised units.
With external inputs no step may be dropped: T - 1 steps, beside rows 2..T of the test series.
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

from .._checks import trouble
from ..data import Embedding, Scaling, Series
from ..forcing import DEFAULT, Schedule
from ..models import Model
from ..solvers import Auto, Solver
from . import _storage as storage
from ._checkpoint import Checkpoints
from ._config import Recipe
from ._devices import mesh_over
from ._job import Job, longest_stretch, prepare, standardised
from ._loop import Progress, Standing, checked_callbacks, train
from ._memory import require_memory_for
from ._rollout import checked_inputs, pieces, rollout, under_a_bar, until_interrupted
from ._scores import Scores, judge
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
            "retried" (not at the first attempt), "damped" and "sequential" (tried so), "skipped" (not applied).
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
        _require_steps(steps)
        if isinstance(start, Series):
            values = self.standardised(start).values
            start = values[np.isfinite(values).all(axis=1).argmax()]
        elif start is None:
            start = self.first
        else:
            start = self._in_model_units(np.asarray(start))
        parts = pieces(self.model, steps, start, checked_inputs(self.model, u, steps))
        values = until_interrupted(under_a_bar(parts, steps))
        if len(values) < steps:
            warnings.warn(f"interrupted after {len(values):,} of {steps:,} steps, which are returned", stacklevel=2)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the free run left all bounds after {int(finite.argmin())} of {steps} steps; start on the attractor, "
                "train longer, or use ClippedShallowPLRNN, whose orbits stay bounded "
                f"({trouble('the-free-run-runs-away')})"
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
        _require_steps(steps)
        series = self.standardised(test)
        inputs = checked_inputs(self.model, u, len(test))
        start, stop = max(series.segments(), key=lambda stretch: stretch[1] - stretch[0])
        if inputs is not None:
            inputs = inputs[len(test) - len(series) :][start:stop]  # an embedding loses the first rows
        other = None if floor is None else longest_stretch(self.standardised(floor))
        return judge(self.model, series.values[start:stop], self.dt, steps=steps, floor=other, u=inputs)

    def save(self, path: str | Path) -> None:
        """Write one `.npz`: arrays, a JSON header, no pickle; whole or not at all. TypeError: a class of your own."""
        storage.write(
            path,
            self.model,
            dt=self.dt,
            first=self.first,
            scaling=self.scaling,
            embedding=self.embedding,
            name=self.name,
            ending=self.ending,
            update=self.update,
            history=self.history,
        )

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
        return rollout(self.model, steps, start, checked_inputs(self.model, u, steps))

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
        learning_rate: first learning rate of the default optimiser, see `gtfdeer.training._config.default_optimiser`.
        optimiser: any optax transformation, instead of the default one.
        noise: standard deviation of noise added to the network's input, in standardised units.
        allow_missing: also take windows of which up to half the rows are missing (NaN): there alpha and loss are zero.
        u: `(T, K)` external inputs (a list of arrays for several series); the model needs `input_dim=K`.
        standardise: work on a copy z-scored over all recordings; one that was standardised before keeps its scaling.
        validations: how often, in the second half of training, free runs are judged against the training data, so that
            the best moment is kept (`gtfdeer.training._validation`); 0 keeps the last. Not with external inputs.
        callbacks: called a few times a second with a `gtfdeer.fit.Progress`.
        checkpoint: a `.npz` that always holds a whole, recent state of the run, data included, for
            `gtfdeer.resume`; the one before it is kept as `run.previous.npz`. None writes nothing.
        every: updates between two checkpoints; one more is written at the end, however it comes.
        devices: how many of `jax.devices()`, or which, share each batch evenly, or the time of `batch=1`; None takes
            JAX's default device. The result is that of one device up to the rounding of sums.
        key: `jax.random.key(seed)` for windows and noise; by default seed 0.
        progress: show a progress bar.

    Returns:
        A `Reconstruction`.

    Raises:
        ValueError, TypeError: if model, data and settings do not fit together, in one sentence.
        MemoryError: if an update needs more memory than is left.
    """
    recordings = standardised(series, standardise=standardise)
    longest = max(s.length if allow_missing else stop - start for s in recordings for start, stop in s.segments())
    recipe = Recipe(
        window=min(_DEFAULT_WINDOW, max(2, longest // 2)) if window is None else window,
        batch=batch,
        updates=updates,
        forcing=DEFAULT if forcing is None else forcing,
        solver=Auto() if solver is None else solver,
        learning_rate=learning_rate,
        optimiser=optimiser,
        noise=noise,
        allow_missing=allow_missing,
    )
    mesh = mesh_over(devices, recipe.batch)
    job = prepare(model, recordings, u, recipe, jax.random.key(0) if key is None else key, validations)
    require_memory_for(job, mesh)
    best = BestCheckpoint(job.longest_stretch, recipe.updates, job.validations)
    if checkpoint is None:
        return _train(job, best, callbacks=callbacks, progress=progress, mesh=mesh)
    with Checkpoints(checkpoint, every) as checkpoints:
        checkpoints.require_room_for(job)
        return _train(job, best, checkpoints, callbacks=callbacks, progress=progress, mesh=mesh)


def resume(
    path: str | Path,
    *,
    callbacks: Iterable[Callable[[Progress], Any]] = (),
    devices: int | Sequence[Any] | None = None,
    progress: bool = True,
) -> Reconstruction:
    """Go on with a run that `fit(..., checkpoint=path)` began, to the very result that it would have had.

    Parameters, optimiser, schedule, keys, history ("seconds" apart) and the choice of the best moment are those of a
    run that was never stopped, bit for bit on the same machine. The file holds the data, too. Checkpoints go on being
    written to the same path.

    Args:
        path: of the checkpoint, or of the one before it, `run.previous.npz`.
        callbacks, devices: as in `fit`; they are not part of a checkpoint. Bit for bit holds on the same devices.
        progress: show a progress bar.

    Returns:
        The same as `fit`; at once, if that run was finished.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is damaged; the sentence names the older one.
    """
    with Checkpoints.at(path) as checkpoints:
        job, standing, seen = checkpoints.read()
        best = BestCheckpoint(job.longest_stretch, job.recipe.updates, job.validations)
        best.recall(*seen)
        mesh = mesh_over(devices, job.recipe.batch)
        require_memory_for(job, mesh)
        return _train(job, best, checkpoints, standing, callbacks=callbacks, progress=progress, mesh=mesh)


def _train(
    job: Job,
    best: BestCheckpoint,
    checkpoints: Checkpoints | None = None,
    begin: Standing | None = None,
    *,
    callbacks: Iterable[Callable[[Progress], Any]],
    progress: bool,
    mesh: Mesh | None,
) -> Reconstruction:
    last, standing = train(
        job.model,
        job.recordings,
        job.recipe,
        key=job.key,
        inputs=job.inputs,
        callbacks=[*checked_callbacks(callbacks), best],
        moments=best.moments,
        begin=begin,
        save=None if checkpoints is None else lambda standing: checkpoints.save(job, best, standing),
        every=None if checkpoints is None else checkpoints.every,
        progress=progress,
        mesh=mesh,
    )
    series = job.recordings[0]
    return Reconstruction(
        model=last if best.model is None else best.model,
        scaling=series.scaling,
        dt=series.dt,
        first=job.first,
        name=series.name,
        embedding=series.embedding,
        history=standing.history,
        ending=standing.ending,
        update=len(standing.history["loss"]) if best.model is None else best.update,
    )


def load(path: str | Path) -> Reconstruction:
    """Read what `Reconstruction.save` wrote; runs no code from the file.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not a reconstruction of this version or older.
    """
    return Reconstruction(**storage.read(path))


def _require_steps(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"steps is {steps!r}; pass a whole number of at least 1")
