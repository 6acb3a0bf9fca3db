"""Argument checks for every room: each refuses in one sentence with what came, what is expected, what to type.

TypeError for what is no number, no array of numbers or no key; ValueError for a wrong value, range or shape.
Tracers pass: their values are not known yet.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

if TYPE_CHECKING:
    from jaxtyping import Array, Key

__all__ = ["array", "docs_url", "file_path", "key", "package", "real", "whole"]


def whole(value: Any, name: str, least: int = 1, most: int | None = None, example: Any = None) -> int:
    """Return a whole number from `least` to `most` as an `int`.

    >>> whole(2.5, "window", example=200)
    Traceback (most recent call last):
    ValueError: window is 2.5; pass a whole number of at least 1, such as window=200
    """
    wanted = f"a whole number of at least {least}" + ("" if most is None else f" and at most {most:,}")
    top = math.inf if most is None else most
    if isinstance(value, Tracer):
        return value  # pyright: ignore[reportReturnType]
    _require(lambda v: isinstance(v, numbers.Integral) and least <= int(v) <= top, value, name, wanted, example)
    return int(value)


def real(
    value: Any,
    name: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    example: Any = None,
) -> float:
    """Return a finite number as a `float`, with `least <= value <= most` and `above < value < below`.

    >>> real(-0.1, "dt", above=0, example=0.01)
    Traceback (most recent call last):
    ValueError: dt is -0.1; pass a positive number such as dt=0.01
    >>> real(2, "alpha", least=0, most=1)
    Traceback (most recent call last):
    ValueError: alpha is 2; pass a number in [0, 1]
    """
    if isinstance(value, Tracer):
        return value  # pyright: ignore[reportReturnType]
    wanted = _describe_range(least, most, above, below)
    _require(lambda v: math.isfinite(v) and least <= v <= most and above < v < below, value, name, wanted, example)
    return float(value)


def array(
    values: Any,
    name: str,
    shape: tuple[int | str, ...] | None = None,
    *,
    finite: bool = True,
    least: float = -math.inf,
    most: float = math.inf,
) -> np.ndarray:
    """Return real numbers as an array that is not empty; a text in `shape` stands for any length.

    >>> array([[1, 2, 3]], "x", ("T", 3)).shape
    (1, 3)
    >>> array([1, 2], "x", ("T", 3))
    Traceback (most recent call last):
    ValueError: x has shape (2,); pass an array of shape (T, 3)
    """
    if isinstance(values, Tracer):
        return values  # pyright: ignore[reportReturnType]
    try:
        found = np.asarray(np.ma.filled(values.astype(float), np.nan) if np.ma.is_masked(values) else values)
        found = found.astype(float) if found.dtype.kind == "O" else found
    except (ValueError, TypeError) as problem:
        raise type(problem)(f"{name} is no table of numbers ({problem}); pass rows of equal length") from problem
    if found.dtype.kind == "c":
        raise TypeError(f"{name} holds complex numbers; pass real ones, for example {name}.real")
    if found.dtype.kind == "m" or not (found.dtype == bool or jnp.issubdtype(found.dtype, jnp.number)):
        raise TypeError(f"{name} holds {found.dtype}; pass an array of real numbers, such as float32")
    if shape is not None and not _fits(found.shape, shape):
        wanted = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
        raise ValueError(f"{name} has shape {found.shape}; pass {_reshape(name, found.shape, shape)}of shape {wanted}")
    if found.size == 0:
        raise ValueError(f"{name} has shape {found.shape} and holds no number; pass at least one row and one column")
    if (least, most) != (-math.inf, math.inf):
        outside = np.argwhere(~((found >= least) & (found <= most)))
        for place in outside[:1]:
            _require(lambda _: False, found[tuple(place)], name + _place(place), _describe_range(least, most))
    if finite and not np.isfinite(found).all():
        broken = np.argwhere(~np.isfinite(found))
        count = "1 value that is" if len(broken) == 1 else f"{len(broken)} values that are"
        came = f"{name} holds {count} not finite, the first{_place(broken[0])}"
        raise ValueError(f"{came}; cut out or interpolate such rows")
    return found


def key(value: Any) -> Key[Array, ""]:
    """Return one random key of the new style; a `jax.random.PRNGKey` is taken, too.

    >>> key(0)
    Traceback (most recent call last):
    TypeError: key is 0; pass one JAX random key, such as jax.random.key(0)
    """
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and value.shape == ():
            return value
        if value.dtype == jnp.uint32 and value.shape == (2,):
            return jax.random.wrap_key_data(value)
    came = repr(value) if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
    raise TypeError(f"key is {came}; pass one JAX random key, such as jax.random.key(0)")


def file_path(value: Any, example: str = "model.npz") -> Path:
    """Return where a file is or will be; `~` is the user's folder.

    >>> file_path(3)
    Traceback (most recent call last):
    TypeError: path is 3; pass the path of a file, such as 'model.npz'
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"path is {value!r}; pass the path of a file, such as {example!r}")
    return Path(os.path.expanduser(value))


def docs_url(heading: str) -> str:
    """Return the address of a heading on the page "When it goes wrong".

    >>> docs_url("no-gpu").rsplit("/", 1)[1]
    'trouble.md#no-gpu'
    """
    return f"{_project_url('Documentation')}/trouble.md#{heading}"


def package(extra: str = "") -> str:
    """Return what `pip install` takes: the repository, as the name belongs to nobody in a registry.

    >>> package("lab")
    "'gtfdeer[lab] @ git+https://github.com/gtfdeer/gtfdeer'"
    """
    return f"'gtfdeer{extra and f'[{extra}]'} @ git+{_project_url('Repository')}'"


def _project_url(label: str) -> str:
    listed = (entry.split(", ", 1) for entry in metadata.metadata("gtfdeer").get_all("Project-URL", []))
    return dict(listed)[label]


def _require(valid: Callable[[Any], bool], value: Any, name: str, wanted: str, example: Any = None) -> None:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and valid(value)):
        such = "" if example is None else f"{'' if wanted.endswith('number') else ','} such as {name}={example}"
        shown = str(value) if isinstance(value, np.generic) else repr(value)
        raise (ValueError if number else TypeError)(f"{name} is {shown}; pass {wanted}{such}")


def _describe_range(least: float, most: float, above: float = -math.inf, below: float = math.inf) -> str:
    low, high = max(least, above), min(most, below)
    if low > -math.inf and high < math.inf:
        return f"a number in {'(' if above == low else '['}{low:g}, {high:g}{')' if below == high else ']'}"
    if low > -math.inf:
        return "a positive number" if above == 0 else f"a number {'above' if above == low else 'of at least'} {low:g}"
    return "a finite number" if high == math.inf else f"a number {'below' if below == high else 'of at most'} {high:g}"


def _fits(came: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(came) == len(wanted) and all(w in (c, str(w)) for c, w in zip(came, wanted, strict=True))


def _reshape(name: str, came: tuple[int, ...], wanted: tuple[int | str, ...]) -> str:
    """Return what to type for an array of the wrong shape, where that can be known."""
    if _fits(came[::-1], wanted):
        return f"{name}.T, "
    if _fits((*came, 1), wanted):
        return f"a single column as {name}[:, None], "
    return f"one at a time, {name}[0], " if _fits(came[1:], wanted) else "an array "


def _place(index: Any) -> str:
    return f" in row {index[0]}{f', column {index[1]}' if len(index) == 2 else ''}" if len(index) in (1, 2) else ""
