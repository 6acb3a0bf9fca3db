"""A free run: the latent map on its own, observed at every step.

z_0 = start(x_0);    z_t = F(z_{t-1}, u_t),    x_t = observe(z_t)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .models import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["free_run"]


def free_run(model: Model, steps: int, start: Any, u: Any = None) -> Float[np.ndarray, "time observed"]:
    """Observations of a free run of `steps` steps from one observation, in the model's own units; not judged.

    Args:
        model: any model of the contract.
        steps: how many; row 0 of the result is one step after the start.
        start: `(N,)` the observation to start from.
        u: `(steps, K)` external inputs, or None.
    """
    graph, parameters = nnx.split(model)
    inputs = None if u is None else jnp.asarray(u, jnp.float32)[:steps]
    return np.asarray(_run(graph, int(steps), parameters, jnp.asarray(start, jnp.float32), inputs))


@partial(jax.jit, static_argnums=(0, 1))
def _run(graph: Any, steps: int, parameters: Any, start: Array, inputs: Array | None) -> Array:
    model = nnx.merge(graph, parameters)

    def step(z: Array, u: Any) -> tuple[Array, Array]:
        z = model.step(z, u)
        return z, model.observe(z)

    return jax.lax.scan(step, model.start(start), inputs, length=steps)[1]
