"""A reconstruction as one `.npz` file: arrays and a JSON header, no pickle, nothing executed, version-stamped.

header                 UTF-8 bytes of a JSON object: format, version, model class and its constructor's keywords
parameters/<path>      one array a parameter
history/<name>         one array a recorded quantity
scaling/mean, std      the data's scaling, where there is one
first                  the first training sample
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from .. import models
from .._checks import package
from .._version import __version__
from ..data import Embedding, Scaling
from ..models import Model
from ._files import as_path, write_whole
from ._sealed import Broken, pack, unpack

__all__ = ["built", "described", "flat_parameters", "of_your_own", "read", "set_parameters", "write"]

_FORMAT = "gtfdeer reconstruction"
_FORMAT_VERSION = 1
_LARGEST = 2**31  # bytes of arrays that a model file may hold; real ones hold a few hundred kilobytes
_UNSUSPICIOUS = 2**20  # numbers that a constructor may make on a header's word


def write(
    path: str | Path,
    model: Model,
    *,
    dt: float,
    first: np.ndarray,
    scaling: Scaling | None,
    embedding: Embedding | None,
    name: str,
    ending: str,
    update: int,
    history: dict[str, np.ndarray],
) -> None:
    """Write atomically: to a temporary file beside `path`, flushed to disk, then renamed.

    Raises:
        TypeError: for a model that `read` could not build.
        OSError: if the file cannot be written.
    """
    if (own := of_your_own(model)) is not None:
        raise TypeError(
            f"the model is built of a class of your own, {own}, which gtfdeer.load could not know; keep the parameters "
            "yourself, flax.nnx.state(rec.model), or take a model and an observation from gtfdeer.models"
        )
    header = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "gtfdeer": __version__,
        **described(model),
        "dt": dt,
        "name": name,
        "ending": ending,
        "update": update,
        "embedding": None if embedding is None else [embedding.dimension, embedding.delay],
    }
    arrays = {f"parameters/{k}": v for k, v in flat_parameters(model).items()}
    arrays |= {f"history/{k}": np.asarray(v) for k, v in history.items()}
    arrays["first"] = np.asarray(first)
    if scaling is not None:
        arrays |= {"scaling/mean": np.asarray(scaling.mean), "scaling/std": np.asarray(scaling.std)}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    write_whole(as_path(path, "model.npz"), pack(arrays))


def read(path: str | Path) -> dict[str, Any]:
    """The fields of a `Reconstruction`, its model rebuilt; refuses what is not such a file before using any of it."""
    path = as_path(path, "model.npz")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; pass a .npz written by Reconstruction.save")
    try:
        arrays = unpack(path, most=_LARGEST, unsealed=True)
    except Broken as error:
        raise ValueError(
            f"{str(path)!r} is not a model file of gtfdeer ({error}); pass one written by Reconstruction.save"
        ) from error
    header = _header(path, arrays)
    try:
        return _fields(header, arrays)
    except (KeyError, TypeError, IndexError, OverflowError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is damaged or incomplete ({error!r}); use an older copy of it") from error


def _fields(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    parameters = under("parameters/")
    model = built(header, parameters.values())
    set_parameters(model, parameters)
    embedding, first, dt = header["embedding"], arrays["first"], float(header["dt"])
    scaling = Scaling(arrays["scaling/mean"], arrays["scaling/std"]) if "scaling/mean" in arrays else None
    columns = {model.observed_dim, *first.shape} | (set() if scaling is None else {scaling.columns})
    fits = len(columns) == 1 and first.ndim == 1 and first.dtype.kind == "f" and np.isfinite(first).all()
    if not (fits and 0 < dt < np.inf):
        raise ValueError(
            f"the file holds a first sample {first.dtype}{list(first.shape)}, columns {sorted(columns)} and dt={dt}, "
            "which do not fit together; use an older copy of it"
        )
    return {
        "model": model,
        "scaling": scaling,
        "dt": dt,
        "first": first,
        "name": str(header["name"]),
        "embedding": None if embedding is None else Embedding(int(embedding[0]), int(embedding[1])),
        "history": under("history/"),
        "ending": str(header["ending"]),
        "update": int(header["update"]),
    }


def described(model: Model) -> dict[str, Any]:
    """The model's class and its constructor's keywords, for a header."""
    config = {**model.config(), "observed_dim": model.observed_dim}
    return {
        "model": type(model).__name__,
        "config": {k: v.__name__ if isinstance(v, type) else v for k, v in config.items()},
    }


def of_your_own(model: Model) -> str | None:
    """The class of the model, or one of which it is built, that is not the package's: no file can name it."""
    known = [getattr(models, name) for name in models.__all__]
    if type(model) not in known:
        return type(model).__name__
    readout = model.config().get("observation")
    return None if readout is None or readout in known else readout.__name__


def built(header: dict[str, Any], held: Collection[np.ndarray]) -> Model:
    """A model of the described class and sizes, refused if `held`, all of its file's parameters, are too few for it."""
    name, config = header["model"], dict(header["config"])
    kind = _exported(name, Model)
    _refuse_absurd_sizes(config, held)
    if "observation" in config:
        config["observation"] = _exported(config["observation"], models.Observation)
    described = nnx.eval_shape(lambda: kind(**config, rngs=nnx.Rngs(0)))  # shapes only: no memory is taken yet
    needed = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(described, nnx.Param)))
    if needed > _count(held):
        raise _too_few(config, held)
    return kind(**config, rngs=nnx.Rngs(0))


def _refuse_absurd_sizes(config: dict[str, Any], held: Collection[np.ndarray]) -> None:
    """What the shapes alone would take too long to tell: no array of a model has fewer numbers than one of its sizes.

    Nor has a stack of layers fewer than all its sizes together, and S5's start is worked out from a matrix of states by
    states, however narrow it is.
    """
    sizes = {name: v for name, v in config.items() if isinstance(v, int) and not isinstance(v, bool)}
    largest, second = sorted([*sizes.values(), 1, 1], reverse=True)[:2]
    stacked = [sizes.get(name, 1) for name in ("latent_dim", "width", "depth")] if "width" in sizes else [1]
    numbers = _count(held)
    few = max(_UNSUSPICIOUS, 100 * numbers)
    if max(largest, math.prod(stacked)) > max(numbers, 1) or max(largest * second, stacked[0] ** 2) > few:
        raise _too_few(config, held)


def _count(held: Collection[np.ndarray]) -> int:
    return sum(array.size for array in held)


def _too_few(config: dict[str, Any], held: Collection[np.ndarray]) -> ValueError:
    return ValueError(
        f"the file names a model of sizes {config}; this model needs more than the {_count(held)} numbers that the "
        "file holds; use an older copy of it"
    )


def flat_parameters(model: Model) -> dict[str, np.ndarray]:
    """Parameters by path, `{"W1": array, "observation/B": array, ..}`."""
    flat: dict[str, np.ndarray] = {}

    def walk(prefix: str, node: Any) -> None:
        for name, child in node.items():
            if isinstance(child, dict):
                walk(f"{prefix}{name}/", child)
            else:
                flat[f"{prefix}{name}"] = np.asarray(child)

    walk("", nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    return flat


def set_parameters(model: Model, flat: dict[str, np.ndarray]) -> None:
    """Put parameters by path into a model, in place; names, shapes and dtypes must be the model's own."""
    own = flat_parameters(model)
    if own.keys() != flat.keys():
        raise ValueError(f"parameters {sorted(flat)} do not belong to this model, which has {sorted(own)}")
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        wanted = own[path]
        if value.shape != wanted.shape or value.dtype.kind != "f" or not np.isfinite(value).all():
            raise ValueError(
                f"parameter {path} is {value.dtype}{list(value.shape)}; this model needs finite "
                f"{wanted.dtype}{list(wanted.shape)}"
            )
        *parents, leaf = path.split("/")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    state = nnx.state(model, nnx.Param)
    nnx.replace_by_pure_dict(state, nested)
    nnx.update(model, state)


def _header(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        header = json.loads(arrays["header"].tobytes())
        known = header["format"] == _FORMAT
        version = int(header["format_version"])
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not a model file of gtfdeer (no header); pass one written by Reconstruction.save"
        ) from error
    if header["format"] == "gtfdeer checkpoint":
        raise ValueError(f"{str(path)!r} is a checkpoint of a run; pass it to gtfdeer.resume")
    if not known:
        raise ValueError(f"{str(path)!r} is a {header['format']!r} file; pass one written by Reconstruction.save")
    if version > _FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} was written by gtfdeer {header.get('gtfdeer')} in format {version}, newer than this "
            f"gtfdeer ({__version__}, format {_FORMAT_VERSION}); type: pip install --upgrade {package()}"
        )
    return header


def _exported(name: str, base: type) -> Any:
    known = {n: c for n in models.__all__ if isinstance(c := getattr(models, n), type) and issubclass(c, base)}
    if name not in known:
        raise ValueError(f"the file names a {name!r}, which this gtfdeer does not know; it knows {sorted(known)}")
    return known[name]
