"""A free run: the latent map on its own, observed at every step.

z_0 = start(x_0);    z_t = F(z_{t-1}, u_t),    x_t = decode(z_t)

A long one is made in pieces, between which a progress bar moves and Ctrl-C is heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm.auto import tqdm

from ..models import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["checked_inputs", "pieces", "rollout", "under_a_bar", "until_interrupted"]

_PIECE = 16_384  # steps: a tenth of a second for small models on a CPU
_PATIENCE = 2.0  # seconds before a bar is shown


def rollout(model: Model, steps: int, start: Any, u: Any = None) -> Float[np.ndarray, "time observed"]:
    """Observations of a free run of `steps` steps from one observation, in the model's own units; not judged.

    Args:
        model: any model of the contract.
        steps: how many; row 0 of the result is one step after the start.
        start: `(N,)` the observation to start from.
        u: `(steps, K)` external inputs, or None.
    """
    return np.concatenate(list(pieces(model, steps, start, u)))


def pieces(model: Model, steps: int, start: Any, u: Any = None) -> Iterator[Float[np.ndarray, "piece observed"]]:
    """The same run, piece by piece; one program serves all pieces and all runs longer than one."""
    graph, parameters = nnx.split(model)
    size = min(int(steps), _PIECE)
    z = model.initial_state(jnp.asarray(start, jnp.float32))
    for done in range(0, int(steps), size):
        inputs = None if u is None else _padded(np.asarray(u[done : done + size], np.float32), size)
        z, x = _run(graph, size, parameters, z, inputs)
        yield np.asarray(x)[: int(steps) - done]


def under_a_bar(parts: Iterable[np.ndarray], steps: int) -> Iterator[np.ndarray]:
    """The pieces of a run of `steps` steps as they come, under a progress bar once two seconds have passed."""
    with tqdm(total=steps, desc="free run", unit=" steps", unit_scale=True, delay=_PATIENCE, leave=False) as bar:
        for part in parts:
            yield part
            bar.update(len(part))


def until_interrupted(parts: Iterable[np.ndarray]) -> np.ndarray:
    """All pieces, or, after Ctrl-C, those that there are; where there is none yet, the interrupt is passed on."""
    done = []
    try:
        for part in parts:
            done.append(part)  # an interrupt finds what came before it
    except KeyboardInterrupt:
        if not done:
            raise
    return np.concatenate(done)


def checked_inputs(model: Model, u: Any, rows: int) -> Float[np.ndarray, "rows inputs"] | None:
    """External inputs as `(rows, K)` float32, None for a model without.

    Raises:
        ValueError, TypeError: if they are not one finite row of real numbers a step.
    """
    wanted = getattr(model, "input_dim", 0)
    if u is None and not wanted:
        return None
    if u is None:
        raise ValueError(f"the model has input_dim={wanted} but no input came; pass u of shape ({rows}, {wanted})")
    came = np.asarray(u)
    if came.dtype.kind not in "fiub":
        kind = "complex numbers" if came.dtype.kind == "c" else f"{came.dtype}"
        raise TypeError(f"u holds {kind}; pass real numbers, one row a time step")
    came = came[:, None] if came.ndim == 1 else came
    if came.shape != (rows, wanted):
        raise ValueError(
            f"u has {len(came)} rows of {came.shape[-1]} columns for {rows} steps and a model with "
            f"input_dim={wanted}; " + (f"pass u of shape ({rows}, {wanted})" if wanted else "pass u=None")
        )
    if not np.isfinite(came).all():
        raise ValueError(f"u is not finite in row {int(np.isfinite(came).all(axis=1).argmin())}; pass finite numbers")
    return came.astype(np.float32)


def _padded(u: np.ndarray, size: int) -> np.ndarray:
    """The last row repeated: what it gives is cut off again."""
    return np.concatenate([u, np.broadcast_to(u[-1:], (size - len(u), *u.shape[1:]))])


@partial(jax.jit, static_argnums=(0, 1))
def _run(graph: Any, steps: int, parameters: Any, z: Array, inputs: Array | None) -> tuple[Array, Array]:
    model = nnx.merge(graph, parameters)

    def step(z: Array, u: Any) -> tuple[Array, Array]:
        z = model.step(z, u)
        return z, model.decode(z)

    return jax.lax.scan(step, z, inputs, length=steps)
