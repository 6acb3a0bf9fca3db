"""The door of the Lyapunov exponents: a bounded orbit z_{t+1} = F(z_t) of a map F onto its own state space.

Exponents are averages over an orbit that stays finite, with a derivative that does. Anything else is refused
with what to type next, before the computation where that can be seen, else after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Step = Callable[[Float[Array, " latent"]], Float[Array, " latent"]]


def require_rounds(steps: int, dt: float, transient: int, every: int):
    """Raise ValueError unless there is something to average, in whole rounds, over a positive time."""
    if steps < 1 or every < 1 or transient < 0 or not 0 < dt < np.inf:
        raise ValueError(
            f"steps={steps}, dt={dt}, transient={transient}, reorthonormalise_every={every} describe no "
            f"orbit; pass steps, dt and reorthonormalise_every above 0 and transient from 0 on"
        )
    if steps % every:
        raise ValueError(
            f"steps={steps} is not a multiple of reorthonormalise_every={every}; "
            f"pass steps={-(-steps // every) * every}"
        )


def require_self_map(step: Step, z0: Float[Array, " latent"], count: int):
    """Raise ValueError unless `step` maps the state's shape and dtype onto itself, with `count` exponents."""
    if z0.ndim != 1:
        raise ValueError(
            f"z0 has shape {z0.shape}, but one state (M,) was expected; pass a single state, such as z0[0]"
        )
    if not 1 <= count <= z0.size:
        raise ValueError(
            f"exponents={count} was asked of a map with {z0.size} dimensions; pass exponents from 1 to {z0.size}"
        )
    expected = f"{z0.dtype}{z0.shape}"
    result = jax.tree.map(lambda leaf: f"{leaf.dtype}{leaf.shape}", jax.eval_shape(step, z0))
    if result != expected:
        raise ValueError(
            f"step maps {expected} to {result}, but a map of the state onto itself was expected; "
            f"pass the latent step, not the observed one, and z0 in the dtype that step returns"
        )


def require_finite_orbit(log_growth: Float[np.ndarray, "rounds exponents"], finite_steps: int, total: int):
    """Raise ValueError if the orbit or its tangents left the finite numbers (-inf is the logarithm of 0)."""
    if finite_steps < total:
        raise ValueError(
            f"the orbit of step became non-finite after {finite_steps} steps of {total} (transient included) "
            f"and so has no exponents; pass a z0 on the attractor, or a step that stays bounded"
        )
    if not (log_growth < np.inf).all():
        raise ValueError(
            "the tangent vectors became non-finite although the orbit did not; "
            "pass a smaller reorthonormalise_every, or a step whose derivative is finite along the orbit"
        )
