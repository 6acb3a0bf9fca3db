"""A trajectory of a known system, sampled every dt: `simulate`.

    z_t = Phi_dt(z_{t-1}),    Phi_dt = system.step(dt)

The start is drawn by the key and a transient is run and thrown away, so that the series lies on the attractor.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import key as check_key
from .._checks import real, whole
from ._series import Series
from ._systems import System

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key
    from numpy.typing import DTypeLike


def simulate(
    system: System,
    length: int,
    dt: float | None = None,
    *,
    key: Key[Array, ""],
    transient: float | None = None,
    dtype: DTypeLike = np.float32,
) -> Series:
    """Return `length` samples of `system` on its attractor.

    Args:
        system: any `System`, for example `Lorenz63()`.
        length: number of samples T.
        dt: time between samples in the system's unit of time; by default `system.default_dt`.
        key: draws the start; the same key gives the same series on the same machine.
        transient: time run before the first sample and thrown away; by default `system.default_transient`.
        dtype: of the values. The sums are done in float32, or in float64 once x64 is switched on in JAX.

    Raises:
        ValueError, TypeError: for what is no such number, float64 without x64, and an orbit that leaves all bounds.

    >>> from gtfdeer.data import Lorenz63
    >>> simulate(Lorenz63(), length=500, dt=0.02, key=jax.random.key(0))
    Series('Lorenz63', 500 x 3, dt=0.02)
    """
    if not isinstance(system, System):
        raise TypeError(f"system is {system!r}; pass a System object, for example gtfdeer.data.Lorenz63()")
    key = check_key(key)
    length = whole(length, "length", example="10_000")
    dt = system.default_dt if dt is None else dt
    transient = system.default_transient if transient is None else transient
    system.step(dt)  # refuses what is no dt
    real(transient, "transient", least=0)
    if np.dtype(dtype) not in (np.float32, jnp.result_type(float)):
        raise ValueError(
            f"dtype is {np.dtype(dtype)}; pass dtype=numpy.float32, or numpy.float64 after "
            "jax.config.update('jax_enable_x64', True)"
        )
    states = np.asarray(_orbit(system, length, dt, math.ceil(transient / dt), key), dtype=dtype)
    if not np.isfinite(states).all():
        row = int(np.argmin(np.isfinite(states).all(axis=1)))
        raise ValueError(f"the orbit of {system} left the range of numbers at sample {row}; pass other parameters")
    return Series(states, dt=dt, name=type(system).__name__, wide=True)


@partial(jax.jit, static_argnames=("system", "length", "dt", "skipped"))
def _orbit(system: System, length: int, dt: float, skipped: int, key: Key[Array, ""]) -> Float[Array, "time dimension"]:
    """Run `skipped` samples, then record `length` of them."""
    step = system.step(dt)
    start = jax.lax.fori_loop(0, skipped, lambda _, z: step(z), system.initial_state(key))
    return jax.lax.scan(lambda z, _: (step(z), z), start, None, length=length)[1]
