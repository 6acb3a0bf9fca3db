"""Checkpoints: a training run as one file, from which it goes on to the very same result.

header           JSON: model class and sizes, recipe, key, series, the best moment so far, how the run stands
data/<i>/...     values, scaling and inputs of every recording
rest/<k>         what a model has beside parameters
state/<k>        parameters, optimiser, schedule, counters: the leaves of `gtfdeer.training._step.State`
best/<k>         parameters of the best moment so far
history/<name>   one array a recorded quantity

Written whole or not at all, the one before it kept as `<name>.previous.npz`, sealed by a checksum over every byte. No
pickle: classes are looked up in the package's own lists. One run at a time writes to a path; a second is refused. Of
the processes that share a run, the first one writes; all of them read.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from .._version import __version__
from ..data import Embedding, Scaling, Series
from ..models import Model
from ._config import Recipe
from ._files import alone_with, as_path, remove_drafts, write_whole
from ._job import Job, prepare
from ._loop import Standing
from ._sealed import Broken, pack, unpack
from ._settings import as_plain, from_plain
from ._step import first_state
from ._storage import built, described, of_your_own
from ._validation import BestCheckpoint

__all__ = ["Checkpoints"]

_FORMAT = "gtfdeer checkpoint"
_FORMAT_VERSION = 1
_LARGEST = 2**32  # bytes of arrays in a checkpoint
_KEYS = ("threefry2x32", "rbg", "unsafe_rbg")
_RECIPE = ("window", "batch", "updates", "forcing", "solver", "learning_rate", "noise", "allow_missing")

Seen = tuple[Model | None, int, float, int]


class Checkpoints:
    """The checkpoints of one run under one path; used in a `with` block, which keeps other runs away from it.

    Args:
        path: a `.npz`; what stands there must be a checkpoint, whole or not, or nothing.
        every: updates between two of them.
    """

    def __init__(self, path: str | Path, every: int) -> None:
        self.path, self.every = as_path(path, "run.npz"), _checked_every(every)
        if self.path.suffix != ".npz" or self.path.name.endswith(".previous.npz"):
            raise ValueError(f"checkpoint is {str(self.path)!r}; pass a name that ends in .npz, such as 'run.npz'")
        self.previous = self.path.with_suffix(".previous.npz")
        self._source = self.path
        self._whole = False  # whether the file at `path` is known to be worth keeping
        self._held = ExitStack()

    @classmethod
    def at(cls, path: str | Path) -> Checkpoints:
        """Those of the run that wrote `path`, or that kept it as its previous one."""
        source = as_path(path, "run.npz")
        if not source.is_file():
            raise FileNotFoundError(f"there is no file {str(source)!r}; pass a checkpoint written by gtfdeer.fit")
        name = source.name.removesuffix(".previous.npz")
        own = cls(source if name == source.name else source.with_name(f"{name}.npz"), 1)
        own._source = source
        return own

    def __enter__(self) -> Checkpoints:
        if self.path.is_dir():
            raise IsADirectoryError(
                f"cannot write {str(self.path)!r}, which is a folder; pass the name of a file in it"
            )
        _together(self._take)
        if self.path.exists() and self.path == self._source:
            self._whole = _is_ours(self.path)
        return self

    def _take(self) -> None:
        self._held.enter_context(alone_with(self.path))
        remove_drafts(self.path)

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def require_room_for(self, job: Job) -> None:
        """Refuse, before the first update, what a checkpoint cannot hold, and to write over a file of another kind."""
        if job.recipe.optimiser is not None:
            raise TypeError(
                "checkpoint came with an optimiser of your own, which no file can hold; leave optimiser out "
                "(learning_rate sets the default one's), or leave checkpoint out"
            )
        if (own := of_your_own(job.model)) is not None:
            raise TypeError(
                f"checkpoint came with a model built of a class of your own, {own}, which gtfdeer.resume could not "
                "know; take a model and an observation from gtfdeer.models, or leave checkpoint out"
            )
        for setting in (job.recipe.forcing, job.recipe.solver):
            as_plain(setting)
        impl = str(jax.random.key_impl(job.key))
        if impl not in _KEYS:
            raise TypeError(f"key is of kind {impl!r}, which a checkpoint cannot hold; pass jax.random.key(0)")
        size = sum(s.values.nbytes for s in job.recordings) + sum(a.nbytes for a in job.inputs or ())
        if size > _LARGEST // 2:
            raise ValueError(
                f"the recordings take {size / 2**30:.1f} GiB but a checkpoint holds {_LARGEST / 2**31:.0f} GiB; "
                "pass float32 values or a part of them, or leave checkpoint out"
            )
        if self.path.exists() and not self._whole:
            raise FileExistsError(
                f"{str(self.path)!r} exists and is no checkpoint that can be read; pass another path, or remove it"
            )

    def save(self, job: Job, best: BestCheckpoint, standing: Standing) -> None:
        """Write one; where that fails, say so and let the run go on: it is worth more than its copy."""
        if not _is_first():
            return
        content = _content(job, best, standing, self.every)
        try:
            write_whole(self.path, content, self.previous if self._whole else None)
        except OSError as error:
            done = int(standing.state.update)
            warnings.warn(f"no checkpoint after update {done}: {error}; training goes on", RuntimeWarning, stacklevel=2)
        else:
            self._whole = True

    def read(self) -> tuple[Job, Standing, Seen]:
        """What `save` wrote: the job, where the run stood, and what `BestCheckpoint.recall` takes.

        Raises:
            ValueError: for a damaged file, with the path of the one before it where that is whole.
        """
        try:
            job, standing, seen, self.every = _read(self._source)
        except Broken as error:
            older = self.previous if self._source != self.previous and _is_ours(self.previous) else None
            advice = (
                f"the one before it is whole: pass {str(older)!r}"
                if older is not None
                else "pass a checkpoint written by gtfdeer.fit"
            )
            raise ValueError(f"{str(self._source)!r} cannot be resumed: {error}; {advice}") from error
        return job, standing, seen


def _is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def _together(act: Callable[[], None]) -> None:
    """Let the first process act; where it fails, all fail, so that none waits for another that is gone."""
    failure = None
    if _is_first():
        try:
            act()
        except OSError as error:
            failure = error
    if (
        jax.process_count() > 1
        and multihost_utils.broadcast_one_to_all(np.asarray(failure is not None))
        and not failure
    ):
        raise OSError("the first process cannot write the checkpoint; it says why")
    if failure is not None:
        raise failure


def _content(job: Job, best: BestCheckpoint, standing: Standing, every: int) -> bytes:
    arrays = {f"history/{name}": column for name, column in standing.history.items()}
    arrays |= _numbered("state", standing.state) | _numbered("rest", _rest(job.model))
    if best.model is not None:
        arrays |= _numbered("best", nnx.state(best.model, nnx.Param))
    for i, series in enumerate(job.recordings):
        arrays[f"data/{i}/values"] = series.values
        if series.scaling is not None:
            arrays |= {f"data/{i}/mean": series.scaling.mean, f"data/{i}/std": series.scaling.std}
        if job.inputs is not None:
            arrays[f"data/{i}/u"] = job.inputs[i]
    arrays["key"] = np.asarray(jax.random.key_data(job.key))
    header = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "gtfdeer": __version__,
        **described(job.model),
        "recipe": {name: as_plain(getattr(job.recipe, name)) for name in _RECIPE},
        "key": str(jax.random.key_impl(job.key)),
        "validations": job.validations,
        "series": [_plain_series(series) for series in job.recordings],
        "best": {"update": best.update, "lowest": float(best.lowest), "looked": best.looked},
        "ending": standing.ending,
        "every": every,
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return pack(arrays, compress=False)


def _plain_series(series: Series) -> dict[str, Any]:
    e = series.embedding
    return {
        "name": series.name,
        "dt": series.dt,
        "embedding": None if e is None else [e.dimension, e.delay, e.chosen_by],
    }


def _read(path: Path) -> tuple[Job, Standing, Seen, int]:
    arrays = unpack(path, most=_LARGEST)
    header = _header(arrays)
    try:
        return _rebuilt(header, arrays)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Broken(f"its content does not fit together ({error})") from error


def _rebuilt(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[Job, Standing, Seen, int]:
    recipe = Recipe(**{name: from_plain(header["recipe"][name]) for name in _RECIPE})
    model = built(header, [array for name, array in arrays.items() if name.startswith("state/")])
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    model = nnx.merge(graph, parameters, _restored("rest", rest, arrays))
    key = jax.random.wrap_key_data(jnp.asarray(arrays["key"]), impl=_one_of(_KEYS, header["key"]))
    recordings = [_series(i, plain, arrays) for i, plain in enumerate(header["series"])]
    inputs = [arrays[f"data/{i}/u"] for i in range(len(recordings))] if "data/0/u" in arrays else None
    job = prepare(model, recordings, inputs, recipe, key, header["validations"])
    state = _restored("state", first_state(recipe, parameters), arrays)
    history = {name.removeprefix("history/"): array for name, array in arrays.items() if name.startswith("history/")}
    if {column.shape for column in history.values()} != {(int(state.update),)}:
        raise ValueError("the history is not as long as the run")
    best = None
    if "best/0" in arrays:
        best = nnx.merge(graph, _restored("best", parameters, arrays), rest)
    seen = best, int(header["best"]["update"]), float(header["best"]["lowest"]), int(header["best"]["looked"])
    return job, Standing(state, history, str(header["ending"])), seen, _checked_every(header["every"])


def _checked_every(every: Any) -> int:
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"every is {every!r}; pass a whole number of updates of at least 1, such as 1000")
    return int(every)


def _series(i: int, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Series:
    scaling = Scaling(arrays[f"data/{i}/mean"], arrays[f"data/{i}/std"]) if f"data/{i}/mean" in arrays else None
    embedding = None if plain["embedding"] is None else Embedding(*plain["embedding"])
    return Series(arrays[f"data/{i}/values"], plain["dt"], plain["name"], scaling, embedding, wide=True)


def _rest(model: Model) -> Any:
    return nnx.split(model, nnx.Param, ...)[2]


def _numbered(name: str, tree: Any) -> dict[str, np.ndarray]:
    return {f"{name}/{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(tree))}


def _restored(name: str, like: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of the same structure, its leaves from the file; shapes and types must be the same."""
    leaves, structure = jax.tree.flatten(like)
    found = [arrays[f"{name}/{k}"] for k in range(len(leaves))]
    for leaf, array in zip(leaves, found, strict=True):
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise ValueError(
                f"an array of {name} is {array.dtype}{list(array.shape)} for {leaf.dtype}{list(leaf.shape)}"
            )
    return jax.tree.unflatten(structure, [jnp.asarray(array) for array in found])


def _header(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        header = json.loads(arrays["header"].tobytes())
        known, version = header["format"] == _FORMAT, int(header["format_version"])
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Broken("it has no header of a checkpoint") from error
    if not known:
        raise Broken(f"it is a {header['format']!r} file")
    if version > _FORMAT_VERSION:
        raise Broken(f"gtfdeer {header.get('gtfdeer')} wrote it, and this is {__version__}, which is older")
    return header


def _is_ours(path: Path) -> bool:
    """Whether a whole checkpoint stands there."""
    if not path.is_file():
        return False
    try:
        _header(unpack(path, most=_LARGEST))
    except Broken:
        return False
    return True


def _one_of(known: tuple[str, ...], name: Any) -> Any:
    if name not in known:
        raise ValueError(f"{name!r} is none of {known}")
    return name
