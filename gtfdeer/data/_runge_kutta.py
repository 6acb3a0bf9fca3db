"""The classical Runge-Kutta method of order 4: a flow dz/dt = f(z) as a map z_{t-1} -> z_t.

    k1 = f(z)   k2 = f(z + h/2 k1)   k3 = f(z + h/2 k2)   k4 = f(z + h k3)
    z  <-  z + h/6 (k1 + 2 k2 + 2 k3 + k4),    h = dt / substeps,    local error O(h^5)

Source: W. Kutta, Z. Math. Phys. 46, 435, 1901; E. Hairer, S. Norsett and G. Wanner, "Solving Ordinary
Differential Equations I", 1993, section II.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import jax

from .._checks import whole

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Step(Protocol):
    """A map z_{t-1}, u_t -> z_t; here u is ignored, as the systems have no input."""

    def __call__(self, z: Float[Array, " dimension"], u: object = None) -> Float[Array, " dimension"]: ...


def rk4_step(
    vector_field: Callable[[Float[Array, " dimension"]], Float[Array, " dimension"]],
    dt: float,
    substeps: int = 1,
) -> Step:
    """Return step(z, u=None) -> z that advances by `dt` in `substeps` equal Runge-Kutta steps.

    Args: vector_field, f; dt, unit of time as in f; substeps, at least 1.
    The step can be differentiated (forwards and backwards), batched and handed to `gtfdeer.solve` or
    `gtfdeer.measures.lyapunov_spectrum`.

    >>> step = rk4_step(lambda z: -z, dt=1.0, substeps=10)
    >>> round(float(step(1.0)), 5)      # exp(-1) = 0.36788
    0.36788
    """
    h = dt / whole(substeps, "substeps")

    def single(z: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        k1 = vector_field(z)
        k2 = vector_field(z + h / 2 * k1)
        k3 = vector_field(z + h / 2 * k2)
        k4 = vector_field(z + h * k3)
        return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def step(z: Float[Array, " dimension"], u: object = None) -> Float[Array, " dimension"]:
        if substeps == 1:
            return single(z)
        return jax.lax.fori_loop(0, substeps, lambda _, state: single(state), z)

    return step
