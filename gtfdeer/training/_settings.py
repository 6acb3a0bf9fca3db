"""Settings as plain data and back: solvers, schedules and estimators by name, from closed lists.

    DEER(tol=1e-5)  <->  {"class": "DEER", "fields": {"tol": 1e-05, "max_iterations": 100}}

What is named in a file is looked up here or refused; nothing is imported or called on a file's word. Numbers come back
to the bit (Python writes the shortest decimals that do).
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import jax
import numpy as np

from .. import forcing, solvers

__all__ = ["as_plain", "from_plain"]

_ESTIMATORS = ("arithmetic_mean", "batch_maximum", "explog_approx", "jacobian_upper_bound", "product_upper_bound")
_FUNCTIONS = {name: getattr(forcing, name) for name in _ESTIMATORS}
_CLASSES = {
    name: kind
    for room, base in ((forcing, forcing.Schedule), (solvers, solvers.Solver))
    for name in room.__all__
    if isinstance(kind := getattr(room, name), type) and issubclass(kind, base) and is_dataclass(kind)
}


def as_plain(setting: Any) -> Any:
    """A setting as what JSON can hold.

    Raises:
        TypeError: if it, or something in it, is not one of the package's own.

    >>> from gtfdeer.forcing import Constant
    >>> as_plain(Constant(0.2))
    {'class': 'Constant', 'fields': {'strength': 0.2}}
    """
    if setting is None or type(setting) in (bool, int, float, str):
        return setting
    if _CLASSES.get(type(setting).__name__) is type(setting):
        own = {field.name: as_plain(getattr(setting, field.name)) for field in fields(setting)}
        return {"class": type(setting).__name__, "fields": own}
    if isinstance(setting, np.ndarray | np.generic | jax.Array):
        array = np.asarray(setting)
        if array.dtype.kind in "fiub":
            return {"array": array.tolist(), "dtype": array.dtype.name}
    name = getattr(setting, "__name__", "")
    if _FUNCTIONS.get(name) is setting and name:
        return {"function": name}
    raise TypeError(
        f"{setting!r} is of your own making, which a checkpoint cannot hold; pass one of the package's "
        f"({', '.join(sorted({*_CLASSES, *_FUNCTIONS}))}), or leave checkpoint out"
    )


def from_plain(plain: Any) -> Any:
    """The setting that `as_plain` made this of.

    Raises:
        ValueError, TypeError, KeyError: if it is not such a thing.
    """
    if not isinstance(plain, dict):
        return plain
    if "class" in plain:
        kind = _CLASSES[plain["class"]]
        return kind(**{name: from_plain(value) for name, value in plain["fields"].items()})
    if "array" in plain:
        dtype = np.dtype(plain["dtype"])
        if dtype.kind not in "fiub":
            raise ValueError(f"a setting is an array of {dtype}")
        return np.array(plain["array"], dtype)
    return _FUNCTIONS[plain["function"]]
