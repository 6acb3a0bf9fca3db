"""A recording: values over equally spaced times, and what has been done to them.

    values (T, N): row t is the observation x_t at time t * dt.  A row that holds a NaN is a gap.

Every method returns a NEW series; nothing is changed in place, and a scaling or an embedding travels along.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import numpy as np

from .._checks import key as check_key
from .._checks import real, whole
from ._clock import positions
from ._embedding import Embedding, choose_delay, delay_coordinates
from ._scaling import Scaling
from ._values import as_values

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """One trajectory, time first.

    Args:
        values: (T, N) numbers, or (T,) for one column. float32 and float64 are kept, whole numbers become
            float32 where it holds them, else float64. NaN or a mask marks a missing value; the row is then a gap.
        dt: time between two rows, in any unit of time; rates and exponents come out per that unit.
        name: for titles and tables.
        scaling: what was done to the values, or None.
        embedding: how the columns were made from fewer, or None.
        wide: says that more columns than time steps are meant; such a table is otherwise refused.
        column_names: what the columns are called, or () where nobody said.
        time_unit: of `dt`, such as "s", or "" where nobody said.
        coarsened: how many rows of the recording each row is the mean of.

    Raises:
        TypeError: for values that are not real numbers, a `dt` that is not a number, wrong kinds of fields.
        ValueError: for an empty, infinite, all-NaN or transposed table, and a `dt` that is not positive.

    Not to be confused with a pandas Series, which is one column with an index of its own.

    >>> series = Series([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0], [3.0, 7.0]], dt=0.5, name="ramp")
    >>> series
    Series('ramp', 4 x 2, dt=0.5)
    >>> series.standardise().split(0.5)[1].unscaled().values
    array([[2., 5.],
           [3., 7.]])
    """

    values: Float[np.ndarray, "time columns"]
    dt: float = 1.0
    name: str = "series"
    scaling: Scaling | None = None
    embedding: Embedding | None = None
    wide: bool = False
    column_names: tuple[str, ...] = ()
    time_unit: str = ""
    coarsened: int = 1

    def __post_init__(self) -> None:
        if hasattr(self.values, "iloc") or hasattr(self.values, "coords"):
            what = f"the numbers of a {type(self.values).__name__}, not its names and clock"
            warnings.warn(f"Series takes {what}; read_series reads all", stacklevel=3)
        values = as_values(self.values, self.wide)
        if not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}; pass a text, for example name='heart'")
        if self.scaling is not None and self.scaling.columns != values.shape[1]:
            came = f"the values have {values.shape[1]} columns but the scaling has {self.scaling.columns}"
            raise ValueError(f"{came}; pass a Scaling with one mean and one std per column")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "dt", real(self.dt, "dt", above=0, example=0.01))
        object.__setattr__(self, "column_names", tuple(map(str, self.column_names)))
        if self.column_names and len(self.column_names) != values.shape[1]:
            count = len(self.column_names)
            raise ValueError(f"{count} column_names came for {values.shape[1]} columns; pass one for each, or none")

    @property
    def length(self) -> int:
        """T, the number of rows."""
        return self.values.shape[0]

    @property
    def columns(self) -> int:
        """N, the number of observed quantities."""
        return self.values.shape[1]

    @property
    def duration(self) -> float:
        """T dt: the time that the rows stand for, in the unit of `dt`."""
        return self.length * self.dt

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        """Name, shape and step, then what was done: scaled, embedded, gaps."""
        gaps, unit = int(np.isnan(self.values).any(axis=1).sum()), self.time_unit and f" {self.time_unit}"
        parts = [repr(self.name), f"{self.length} x {self.columns}", f"dt={self.dt:.6g}{unit}"]
        if self.embedding is not None:
            parts.append(f"embedded in {self.embedding.dimension} lags of {self.embedding.delay}")
        if self.scaling is not None:
            parts.append("standardised")
        if gaps:
            parts.append(f"{gaps} rows missing")
        return f"Series({', '.join(parts)})"

    def standardise(self) -> Series:
        """Z-score each column by its own mean and std (divisor T), NaN left out; an old scaling is undone.

        Raises: ValueError naming the first column that never changes, as it has no std to divide by.
        """
        data = self.unscaled()
        exact = data.values.astype(np.float64)
        constant = np.nanmax(exact, axis=0) == np.nanmin(exact, axis=0)
        if constant.any():
            column, moving = int(np.argmax(constant)), np.flatnonzero(~constant).tolist()
            advice = f"drop it with series.select({moving})" if moving else "pass a series that moves"
            level = np.nanmax(exact[:, column])
            raise ValueError(f"column {column} of {self.name!r} is always {level:.6g}, so its std is 0; {advice}")
        size = 2.0 ** np.floor(np.log2(np.nanmax(np.abs(exact), axis=0)))  # squares of 1e200 overflow, of 1e-200 vanish
        exact = exact / size
        mean, std = size * np.nanmean(exact, axis=0), size * np.nanstd(exact, axis=0)
        return data.scaled_by(Scaling(mean, std, dtype=data.values.dtype))

    def scaled_by(self, scaling: Scaling) -> Series:
        """The same data under another scaling, usually that of the training data; its own is undone first."""
        if not isinstance(scaling, Scaling):
            raise TypeError(f"scaling is {scaling!r}; pass a Scaling, for example train.scaling")
        return replace(self, values=scaling.apply(self.unscaled().values), scaling=scaling)

    def unscaled(self) -> Series:
        """The series in the units of the data, with `scaling` None."""
        if self.scaling is None:
            return self
        return replace(self, values=self.scaling.undo(self.values), scaling=None)

    def split(self, fraction: float) -> tuple[Series, Series]:
        """The first `fraction` of the time, to train, and the rest, to test; both keep scaling and step.

        Raises: ValueError if `fraction` is not between 0 and 1, or a part would hold no complete row.
        """
        real(fraction, "fraction", above=0, below=1, example=0.8)
        cut = round(fraction * self.length)
        parts = self.values[:cut], self.values[cut:]
        if any(np.isnan(part).any(axis=1).all() for part in parts):
            came = f"split({fraction}) cuts {self.length} rows into {cut} and {self.length - cut}"
            raise ValueError(f"{came}, and one part holds no complete row; pass another fraction or a longer series")
        train, test = (replace(self, values=part, wide=True) for part in parts)
        return train, test

    def coarsen(self, factor: int) -> Series:
        """Means of `factor` rows at a time, for a recording sampled much more finely than it moves; dt grows as much.

        Rows that fill no whole mean are left out at the end; a mean over a gap is a gap.

        Raises: ValueError if `factor` is no whole number from 1 on, leaves no row, or the series is embedded already.
        """
        factor = whole(factor, "factor", most=self.length, example=3)
        if self.embedding is not None:
            raise ValueError(f"{self!r} is embedded already; coarsen the original series")
        count = self.length // factor
        means = self.values[: count * factor].reshape(count, factor, -1).mean(axis=1, dtype=np.float64)
        done = {"dt": self.dt * factor, "coarsened": self.coarsened * factor}
        return replace(self, values=means.astype(self.values.dtype), wide=True, **done)

    def select(self, columns: int | str | Sequence[int | str]) -> Series:
        """The series with these columns only, by place from 0 or by name, in this order; `embedding` is forgotten."""
        chosen = positions(self.column_names or [""] * self.columns, columns)
        scaling = None if self.scaling is None else self.scaling.select(chosen)
        names = tuple(self.column_names[place] for place in chosen if self.column_names)
        return replace(self, values=self.values[:, chosen], scaling=scaling, embedding=None, column_names=names)

    def resample(self, dt: float) -> Series:
        """The series at times 0, dt, 2 dt, ... by linear interpolation; what lies beside a gap is a gap.

        To a coarser step, `coarsen` first: interpolation keeps what is too fast for the new one.

        Raises: ValueError if `dt` is not positive or longer than the series, or the series is embedded already.

        >>> Series([0.0, 2.0, np.nan, 6.0], dt=1.0).resample(0.5).values[:, 0]
        array([ 0.,  1.,  2., nan, nan, nan,  6.])
        """
        if self.embedding is not None:
            raise ValueError(f"{self!r} is embedded already; resample the original series")
        times = self.dt * np.arange(self.length)
        return replace(self, values=interpolate(self.values, times, dt), dt=dt, wide=True)

    def delay_embed(self, dimension: int, delay: int | None = None) -> Series:
        """Each column at lags 0, delay, ..., (dimension - 1) delay: row t is [x_t, x_{t-delay}, ...].

        Looking back keeps a row free of the future. The first (dimension - 1) delay rows are lost, so row 0
        is at time (dimension - 1) delay dt of this series; the first N columns are x itself. A row that
        reaches into a gap is a gap.

        Args: dimension, how many lags, at least 1; delay in rows, or None to choose it: the first minimum of
        the average mutual information and, where there is none, the first 1/e crossing of the
        autocorrelation. `result.embedding` holds the delay and which rule chose it.
        Raises: ValueError if already embedded, if the series is too short, or if no rule finds a delay.
        Sources: Takens 1981; Fraser and Swinney 1986 (see `embedding.py`).
        """
        if self.embedding is not None:
            raise ValueError(f"{self!r} is embedded already; embed the original series")
        embedding = choose_delay(self.values, dimension) if delay is None else Embedding(dimension, delay)
        scaling = None if self.scaling is None else self.scaling.tiled(embedding.dimension)
        values = delay_coordinates(self.values, embedding)
        lags = [lag * embedding.delay for lag in range(embedding.dimension)]
        names = tuple(f"{name}_lag{lag}" for lag in lags for name in self.column_names)
        return replace(self, values=values, scaling=scaling, embedding=embedding, wide=True, column_names=names)

    def with_noise(self, fraction: float, *, key: Key[Array, ""]) -> Series:
        """Add Gaussian noise whose std is `fraction` of each column's own std: 0.05 for the customary 5 %.

        Raises: ValueError for a negative or infinite `fraction`; TypeError for a `key` that is no key.
        """
        key = check_key(key)
        real(fraction, "fraction", least=0, example=0.05)
        noise = np.asarray(jax.random.normal(key, self.values.shape, dtype=np.float32))
        spread = np.nanstd(self.values.astype(np.float64), axis=0)
        return replace(self, values=(self.values + fraction * spread * noise).astype(self.values.dtype))

    def segments(self) -> list[tuple[int, int]]:
        """The parts without a gap, as (start, stop) rows, stop not included."""
        complete = ~np.isnan(self.values).any(axis=1)
        edges = np.flatnonzero(np.diff(complete.astype(np.int8), prepend=0, append=0))
        return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]

    def longest_segment(self) -> Series:
        """The longest part without a gap, the first of equals.

        Raises: ValueError if every row is a gap.
        """
        segments = self.segments()
        if not segments:
            raise ValueError(f"every row of {self!r} holds a gap; pass a series with complete rows")
        start, stop = max(segments, key=lambda segment: segment[1] - segment[0])
        return replace(self, values=self.values[start:stop], wide=True)


def interpolate(
    values: Float[np.ndarray, "time columns"], times: Float[np.ndarray, " time"], dt: float
) -> Float[np.ndarray, "steps columns"]:
    """Values at t_0, t_0 + dt, ... by linear interpolation; NaN beside a NaN, and where `times` leave out rows."""
    dt, span = real(dt, "dt", above=0, example=0.01), float(times[-1] - times[0])
    if dt > span:
        raise ValueError(f"dt is {dt!r}; pass a time between rows that is shorter than the recording, {span:.6g}")
    at = times[0] + dt * np.arange(int(np.floor(span / dt * (1 + 1e-9))) + 1)
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    gap = np.diff(times)
    share = (at - times[before]) / gap[before]
    share = np.where(np.abs(share - np.rint(share)) < 1e-6, np.rint(share), share)[:, None]
    exact = values.astype(np.float64, copy=False)
    mixed = (1 - share) * exact[before] + share * exact[before + 1]
    mixed = np.where(share == 0, exact[before], np.where(share == 1, exact[before + 1], mixed))
    hole = (gap > 2 * np.median(gap))[before][:, None] & (share != 0) & (share != 1)
    return np.where(hole, np.nan, mixed).astype(values.dtype)
