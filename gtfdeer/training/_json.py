"""Settings and models as JSON and back: classes and functions by name, from closed lists.

    DEER(tol=1e-5)  <->  {"class": "DEER", "fields": {"tol": 1e-05, "max_iterations": 100}}

What a file names is looked up here or refused; nothing is imported or called because a file says so.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import forcing, models, solvers
from ..models import Model
from ._config import TrainConfig

_UNSUSPICIOUS = 2**20  # numbers that a constructor may make before the arrays are compared
_FUNCTIONS = {name: getattr(forcing, name) for name in ("arithmetic_mean", "product_upper_bound")}
_CLASSES: dict[str, Any] = {
    name: kind
    for room, base in ((forcing, forcing.Schedule), (solvers, solvers.Solver))
    for name in room.__all__
    if isinstance(kind := getattr(room, name), type) and issubclass(kind, base) and is_dataclass(kind)
} | {"TrainConfig": TrainConfig}


def to_json(setting: Any) -> Any:
    """Return a setting as what JSON can hold, to the bit; TypeError if something in it is not the package's own.

    >>> from gtfdeer.solvers import DEER
    >>> from_json(to_json(DEER(tol=1e-5))) == DEER(tol=1e-5)
    True
    """
    if setting is None or type(setting) in (bool, int, float, str):
        return setting
    if _CLASSES.get(type(setting).__name__) is type(setting):
        own = {each.name: to_json(getattr(setting, each.name)) for each in fields(setting)}
        return {"class": type(setting).__name__, "fields": own}
    if isinstance(setting, np.ndarray | np.generic | jax.Array):
        array = np.asarray(setting)
        if array.dtype.kind in "fiub":
            return {"array": array.tolist(), "dtype": array.dtype.name}
    name = getattr(setting, "__name__", "")
    if name and _FUNCTIONS.get(name) is setting:
        return {"function": name}
    own = f"a {type(setting).__name__} of your own cannot be kept in a checkpoint"
    raise TypeError(f"{own}; pass one of gtfdeer's, or leave checkpoint out")


def from_json(plain: Any) -> Any:
    """Return the setting that `to_json` made this of; ValueError, TypeError or KeyError if it made no such thing."""
    if not isinstance(plain, dict):
        return plain
    if "class" in plain:
        return _CLASSES[plain["class"]](**{name: from_json(value) for name, value in plain["fields"].items()})
    if "array" in plain:
        dtype = np.dtype(plain["dtype"])
        if dtype.kind not in "fiub":
            raise ValueError(f"a setting is an array of {dtype}")
        return np.array(plain["array"], dtype)
    return _FUNCTIONS[plain["function"]]


def describe_model(model: Model) -> dict[str, Any]:
    """Return the model's class and its constructor's keywords, for a header; TypeError: a class of your own."""
    config = {**model.config(), "observed_dim": model.observed_dim}
    for kind in (type(model), config.get("observation")):
        if kind is not None and getattr(models, kind.__name__, None) is not kind:
            own = f"the model is built of a class of your own, {kind.__name__}, which no file can name"
            raise TypeError(f"{own}; take one of gtfdeer.models, or keep flax.nnx.state(rec.model) yourself")
    plain = {name: v.__name__ if isinstance(v, type) else v for name, v in config.items()}
    return {"model": type(model).__name__, "config": plain}


def build_model(header: dict[str, Any], parameters: dict[str, np.ndarray]) -> Model:
    """Build a model of the class and sizes in a header from parameters by path; refuse what does not fit together."""
    config, numbers = dict(header["config"]), sum(array.size for array in parameters.values())
    kind = _find_class(header["model"], Model)
    too_few = ValueError(f"this model, of sizes {config}, needs more than the {numbers} numbers that the file holds")
    # Each size is that of an array, a stack of layers has all its sizes together, S5 begins with states by states.
    sizes = {name: v for name, v in config.items() if type(v) is int}
    largest, second = sorted([*sizes.values(), 1, 1], reverse=True)[:2]
    stacked = [sizes.get(name, 1) for name in ("latent_dim", "width", "depth")] if "width" in sizes else [1]
    few = max(_UNSUSPICIOUS, 100 * numbers)
    if max(largest, math.prod(stacked)) > max(numbers, 1) or max(largest * second, stacked[0] ** 2) > few:
        raise too_few
    if "observation" in config:
        config["observation"] = _find_class(config["observation"], models.Observation)
    graph, shapes = nnx.split(nnx.eval_shape(lambda: kind(**config, rngs=nnx.Rngs(0))))
    wanted = {"/".join(map(str, path)): (path, shape) for path, shape in nnx.to_flat_state(shapes)}
    if sum(math.prod(shape.shape) for _, shape in wanted.values()) > numbers:
        raise too_few
    if wanted.keys() != parameters.keys():
        raise ValueError(f"parameters {sorted(parameters)} do not belong to this model, which has {sorted(wanted)}")
    found = []
    for name, (path, shape) in wanted.items():
        value = parameters[name]
        if value.shape != shape.shape or value.dtype.kind != "f" or not np.isfinite(value).all():
            came = f"parameter {name} is {value.dtype}{list(value.shape)}"
            raise ValueError(f"{came}; this model needs finite {shape.dtype}{list(shape.shape)}")
        found.append((path, shape.replace(jnp.asarray(value))))
    return nnx.merge(graph, nnx.from_flat_state(found))


def _find_class(name: Any, base: type) -> Any:
    known = {n: c for n in models.__all__ if isinstance(c := getattr(models, n), type) and issubclass(c, base)}
    if name not in known:
        raise ValueError(f"the file names a {name!r}, which this gtfdeer does not know; it knows {sorted(known)}")
    return known[name]


def name_parameters(model: Model) -> dict[str, np.ndarray]:
    """Return parameters by path, `{"W1": array, "observation/B": array, ..}`."""
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {"/".join(map(str, path)): np.asarray(value[...]) for path, value in flat}
