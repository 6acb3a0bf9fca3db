"""A reconstruction: a trained model together with everything needed to use it in the units of the data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import array, whole
from .._checks import key as check_key
from ..data import Embedding, Scaling, Series
from ..models import Model, parameter_count
from . import _files
from ._equations import write_equations
from ._filter import filter_series
from ._json import name_parameters
from ._prepare import check_inputs, longest_segment
from ._rollout import iterate_rollout, require_bounded, rollout, rollout_side_by_side
from ._scores import Scores, score_model

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclass(frozen=True)
class Reconstruction:
    """A trained model that speaks in data units. Made by `gtfdeer.fit`, `gtfdeer.resume` or `gtfdeer.load`.

    >>> import gtfdeer as gd
    >>> from flax import nnx
    >>> series = gd.data.simulate(gd.data.Lorenz63(), length=500, key=jax.random.key(0))
    >>> model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=10, rngs=nnx.Rngs(0))
    >>> rec = gd.fit(model, series, window=20, updates=50, validations=0, progress=False)
    >>> rec.filter(series).shape, rec.forecast(series, 7).shape, rec.forecast(series, 7, samples=5).shape
    ((500, 3), (7, 3), (5, 7, 3))

    Attributes:
        model: the trained network; it lives in standardised units.
        scaling: what was done to the data, or None.
        dt: sampling step in units of time.
        first: `(N,)` the first training sample, standardised; free runs begin there unless told otherwise.
        name: of the series.
        embedding: delay embedding of the series, or None; applied to one-column test series.
        history: arrays, one entry an update: "loss", "alpha", "iterations", "seconds", "retried" (computed again, by
            `Sequential`), "skipped" (not applied).
        ending: how training ended, "finished" or the reason.
        update: after how many updates the model stood as it is kept here.
        gain: `(M, N)` the gain s K that finds the state of a series (`gtfdeer.training._filter`); None for linear
            state-space models.
        noise: `(N,)` standard deviation of the model's one-step errors on the training data, standardised.
        input_scaling: what was done to the external inputs, or None.
        dtype: of the data, in which results are returned.
        column_names: of the training data, before an embedding, or (); named columns are brought into this order.
        coarsened: rows of the recording that were averaged for each row of the training data.
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
    gain: Float[np.ndarray, "latent observed"] | None = None
    noise: Float[np.ndarray, " observed"] | None = None
    input_scaling: Scaling | None = None
    dtype: str = "float32"
    column_names: tuple[str, ...] = ()
    coarsened: int = 1

    def __str__(self) -> str:
        """Model, data, training, and the gain, a row for each latent unit."""
        kind, sizes = type(self.model).__name__, f"M {self.model.latent_dim}, N {self.model.observed_dim}"
        lines = [f"{kind} ({sizes}, {parameter_count(self.model):,} parameters) of {self.name!r}, dt {self.dt:g}"]
        lines.append(f"training {self.ending}, the model after {self.update:,} updates")
        if self.gain is not None:
            with np.printoptions(precision=3, suppress=True, threshold=200):
                lines.append(f"gain s K, the weight of each column's error in each unit:\n{self.gain}")
        return "\n".join(lines)

    def simulate(
        self, steps: int, start: Series | Any = None, u: Any = None, *, noise: bool = False, key: Array | None = None
    ) -> Float[np.ndarray, "time observed"]:
        """Run freely for `steps` steps and return the observations in data units; Ctrl-C keeps those that there are.

        Args:
            steps: how many.
            start: a `Series`, whose FIRST complete row is where the run begins (`forecast` goes on from its last), or
                one observation `(N,)` in data units; None begins at the first training sample.
            u: `(steps, K)` external inputs for models that have them; `u[t]` enters the step that ends at row t.
            noise: add observation noise of the model's own size, `self.noise`, to the rows, as a recording has it.
            key: of that noise; by default `jax.random.key(0)`.

        Returns:
            `(steps, N)` in the dtype of the data; row 0 is one step after the start. Fewer rows, and a warning, after
            Ctrl-C.

        Raises:
            ValueError: if shapes do not fit, or if the run leaves all bounds (the sentence says after how many steps).
        """
        steps = whole(steps, "steps")
        if isinstance(start, Series):
            values = self.standardised(start).values
            first = values[np.isfinite(values).all(axis=1).argmax()]
        elif start is None:
            first = self.first
        else:
            first = array(start, "start", (self.model.observed_dim,)).astype(np.float64)
            first = first if self.scaling is None else self.scaling.apply(first)
        z, pieces = self.model.initial_state(jnp.asarray(first, jnp.float32)), []
        try:
            for piece in iterate_rollout(self.model, steps, z, self._inputs(u, steps)):
                pieces.append(piece)
        except KeyboardInterrupt:
            if not pieces:
                raise
            done = sum(map(len, pieces))
            warnings.warn(f"interrupted after {done:,} of {steps:,} steps, which are returned", stacklevel=2)
        values = np.concatenate(pieces)
        require_bounded(values)
        return self._in_data_units(self._add_noise(values, key) if noise else values)

    def filter(self, series: Series, u: Any = None) -> Float[np.ndarray, "time latent"]:
        """Return the state behind every row of a series, `(T, M)`, by the gain (`gtfdeer.training._filter`).

        Args:
            series: in data units or standardised; a missing cell (NaN) corrects nothing. An embedding loses its first
                rows.
            u: `(T, K)` external inputs along the series, for models that have them.
        """
        standard, inputs = self._prepare_pair(series, u)
        return filter_series(self.model, standard.values, self.gain, inputs)[0]

    def forecast(
        self, series: Series, steps: int, u: Any = None, *, samples: int | None = None, key: Array | None = None
    ) -> Float[np.ndarray, "time observed"] | Float[np.ndarray, "samples time observed"]:
        """Go on from the LAST row of a series, from the state that `filter` finds there.

        Args:
            series: what is known, in data units or standardised; of an embedded model its raw columns.
            steps: how many rows to forecast.
            u: `(T + steps, K)` external inputs along the series and the forecast, for models that have them.
            samples: size of an ensemble that shows how far to trust the forecast: each member starts from the series
                with fresh noise, as `simulate` adds it, and has such noise in its rows.
            key: of that noise; by default `jax.random.key(0)`.

        Returns:
            `(steps, N)` in data units and dtype, or, with `samples`, `(samples, steps, N)`; of an embedded model the
            raw columns. Row 0 is one step after the last row of the series.

        Raises:
            ValueError: if shapes do not fit, or the forecast leaves all bounds.
        """
        steps = whole(steps, "steps")
        standard, inputs = self._prepare_pair(series, u, steps)
        past, ahead = (None, None) if inputs is None else (inputs[:-steps], inputs[-steps:])
        if samples is None:
            z = filter_series(self.model, standard.values, self.gain, past)[0][-1]
            values = rollout(self.model, steps, u=ahead, z=z)
        else:
            key = check_key(jax.random.key(0) if key is None else key)
            members = [
                filter_series(self.model, self._add_noise(standard.values, one), self.gain, past)[0][-1]
                for one in jax.random.split(key, whole(samples, "samples"))
            ]
            values = self._add_noise(rollout_side_by_side(self.model, steps, np.stack(members), ahead), key)
        require_bounded(values if samples is None else np.moveaxis(values, 1, 0))
        values = self._in_data_units(values)
        return values if self.embedding is None else values[..., : values.shape[-1] // self.embedding.dimension]

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Return everything that a step of the model needs as arrays: parameters by name, gain, noise, and the scaling.

        With them `simulate` is a loop in NumPy, here for a shallow PLRNN with identity observation:

        >>> import gtfdeer as gd
        >>> from flax import nnx
        >>> series = gd.data.simulate(gd.data.Lorenz63(), length=500, key=jax.random.key(0))
        >>> model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=10, rngs=nnx.Rngs(0))
        >>> rec = gd.fit(model, series, window=20, updates=50, validations=0, progress=False)
        >>> p = rec.to_numpy()
        >>> z, rows = p["first"], []
        >>> for _ in range(10):
        ...     z = p["A"] * z + p["W1"] @ np.maximum(p["W2"] @ z + p["h2"], 0) + p["h1"]
        ...     rows.append(p["std"] * z + p["mean"])
        >>> bool(np.allclose(rows, rec.simulate(10), rtol=1e-4))
        True
        """
        arrays = {name.replace("/", "."): value for name, value in name_parameters(self.model).items()}
        arrays |= {"first": self.first, "dt": np.asarray(self.dt)}
        arrays |= {name: value for name in ("gain", "noise") if (value := getattr(self, name)) is not None}
        ones = np.ones(self.model.observed_dim)
        scaling = Scaling(0 * ones, ones) if self.scaling is None else self.scaling
        return arrays | {"mean": scaling.mean, "std": scaling.std}

    def equations(self, *, latex: bool = False) -> str:
        """Return one step of a PLRNN as text, or as LaTeX; small ones with all numbers (`training._equations`).

        Raises:
            TypeError: for another family, whose step has no such short form.
        """
        return write_equations(self.model, latex=latex)

    def score(
        self,
        test: Series | Sequence[Series],
        *,
        steps: int = 20,
        floor: Series | Sequence[Series] | None = None,
        u: Any = None,
    ) -> Scores:
        """Judge free runs and short forecasts against a test series, or several trials; prints as a table.

        Args:
            test: in data units or standardised; of each its longest segment without a long gap counts. Of several
                trials one set of scores is made, in which nothing straddles two.
            steps: n of the prediction error PE(n).
            floor: another recording of the same system, or several: their scores against `test` are what a perfect
                model would get. By default the two halves of `test` are compared, which only approximates it.
            u: `(T, K)` external inputs along `test`, a row for each of its rows, gaps included; a list for several.

        Returns:
            `Scores` with D_stsp, D_H, PE, valid time, lambda_max and the floors.

        Raises:
            ValueError, TypeError: if columns or sampling step differ from the training data's, or `u` does not fit.
        """
        steps = whole(steps, "steps")
        tests = [test] if isinstance(test, Series) else list(test)
        inputs = u if isinstance(u, list | tuple) else [u] * len(tests)
        if len(inputs) != len(tests):
            raise ValueError(f"u holds {len(inputs)} arrays for {len(tests)} series; pass one for each")
        pairs = [self._longest_segment(*pair) for pair in zip(tests, inputs, strict=True)]
        others = [floor] if isinstance(floor, Series) else floor
        return score_model(
            self.model,
            [values for values, _ in pairs],
            self.dt,
            self.gain,
            steps=steps,
            floor=None if others is None else [longest_segment([self.standardised(each)])[0] for each in others],
            u=[given for _, given in pairs if given is not None] or None,
        )

    def _longest_segment(self, series: Series, u: Any) -> tuple[np.ndarray, np.ndarray | None]:
        standard, inputs = self._prepare_pair(series, u)
        return longest_segment([standard], None if inputs is None else [inputs])

    def save(self, path: str | Path) -> None:
        """Write one `.npz`: arrays, a JSON header, no pickle; whole or not at all. TypeError: a class of your own."""
        _files.save(path, self)

    def standardised(self, series: Series) -> Series:
        """A series prepared as the training data were: columns in order, coarsened, delay-embedded, in model units."""
        if not isinstance(series, Series):
            came = type(series).__name__
            raise TypeError(f"series is a {came}; pass a Series, from gtfdeer.data.read_series(values, dt={self.dt})")
        if series.embedding is None:
            series = self._prepare(series)
        if self.embedding is not None and series.embedding is None and series.columns < self.model.observed_dim:
            series = series.delay_embed(self.embedding.dimension, self.embedding.delay)
        came, observes = series.columns, self.model.observed_dim
        if came != observes:
            raise ValueError(f"series has {came} columns but the model observes {observes}; pass the same ones")
        if not np.isclose(series.dt, self.dt, rtol=1e-4):
            trained = f"the model was trained at dt={self.dt:g}"
            raise ValueError(f"series has dt={series.dt:g} but {trained}; coarsen it, or pass its true dt")
        return series.unscaled() if self.scaling is None else series.scaled_by(self.scaling)

    def _prepare(self, series: Series) -> Series:
        """Coarsen a raw recording as the training data were, and put its named columns into their order.

        Where inputs drive the model only its caller can coarsen both alike; the raw recording is refused by its dt.
        """
        factor = self.coarsened // series.coarsened
        if factor > 1 and not self.model.input_dim and np.isclose(series.dt * factor, self.dt, rtol=1e-4):
            series = series.coarsen(factor)
        if not (self.column_names and series.column_names) or series.column_names == self.column_names:
            return series
        missing = [name for name in self.column_names if name not in series.column_names]
        if missing and series.columns != len(self.column_names):
            return series  # refused by the number of its columns
        if missing:
            have, need = ", ".join(series.column_names), ", ".join(self.column_names)
            wanted = f"pass a series with {', '.join(missing)}"
            raise ValueError(f"series has the columns {have} but the model was trained on {need}; {wanted}")
        return series.select(self.column_names)

    def rollout(
        self, steps: int, start: Any = None, u: Any = None, *, z: Any = None
    ) -> Float[np.ndarray, "time observed"]:
        """As `simulate`, but in standardised units, from a standardised start or a state of `filter`, and unjudged."""
        return rollout(self.model, steps, start, self._inputs(u, steps), z=z)

    def _prepare_pair(self, series: Series, u: Any, ahead: int = 0) -> tuple[Series, np.ndarray | None]:
        """Series and inputs in model units; an embedding loses the first rows of both."""
        standard, inputs = self.standardised(series), self._inputs(u, len(series) + ahead)
        return standard, None if inputs is None else inputs[len(series) - len(standard) :]

    def _inputs(self, u: Any, rows: int) -> np.ndarray | None:
        checked = check_inputs(self.model, u, [rows])
        if checked is None:
            return None
        return checked[0] if self.input_scaling is None else self.input_scaling.apply(checked[0])

    def _add_noise(self, values: np.ndarray, key: Array | None) -> np.ndarray:
        key = check_key(jax.random.key(0) if key is None else key)
        size = 0.0 if self.noise is None else self.noise
        return values + size * np.asarray(jax.random.normal(key, values.shape), values.dtype)

    def _in_data_units(self, values: np.ndarray) -> np.ndarray:
        exact = values.astype(np.float64)
        return (exact if self.scaling is None else self.scaling.undo(exact)).astype(self.dtype)
