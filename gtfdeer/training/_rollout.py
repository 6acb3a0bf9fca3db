"""A free run: the latent map on its own, observed at every step.

z_0 = initial_state(x_0);    z_t = F(z_{t-1}, u_t),    x_t = decode(z_t)

A long one is computed in pieces, between which a progress bar moves and Ctrl-C is heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm.auto import tqdm

from .._checks import docs_url
from ..models import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_PIECE = 16_384  # steps: a tenth of a second for small models on a CPU
_BAR = {"delay": 2.0, "leave": False, "disable": None}  # after two seconds, and only where stderr is a terminal


def rollout(
    model: Model, steps: int, start: Any = None, u: Any = None, *, z: Float[Array, " latent"] | None = None
) -> Float[np.ndarray, "time observed"]:
    """Run a model freely, in its own units and not checked for divergence, from an observation or a state.

    Args:
        model: from `gtfdeer.models`.
        steps: how many; row 0 of the result is one step after the start.
        start: `(N,)` the observation to start from, or `z`, `(M,)`, the state.
        u: `(steps, K)` external inputs, or None.

    Returns:
        `(steps, N)` observations.
    """
    z = model.initial_state(jnp.asarray(start, jnp.float32)) if z is None else z
    return np.concatenate(list(iterate_rollout(model, steps, z, u)))


def iterate_rollout(
    model: Model, steps: int, z: Float[Array, " latent"], u: Any = None
) -> Iterator[Float[np.ndarray, "piece observed"]]:
    """Yield a run from a state piece by piece; one program serves all pieces and all runs longer than one."""
    graph, parameters = nnx.split(model)
    steps, z = int(steps), jnp.asarray(z)
    size = min(steps, _PIECE)
    with tqdm(total=steps, desc="free run", unit=" steps", unit_scale=True, **_BAR) as bar:
        for done in range(0, steps, size):
            inputs = None if u is None else np.asarray(u[done : done + size], np.float32)
            if inputs is not None:  # the last piece repeats its last row; the steps that use it are cut off again
                inputs = np.pad(inputs, ((0, size - len(inputs)), (0, 0)), "edge")
            z, x = _run(graph, size, parameters, z, inputs)
            yield np.asarray(x)[: steps - done]
            bar.update(min(size, steps - done))


def rollout_side_by_side(
    model: Model, steps: int, states: Float[np.ndarray, "starts latent"], u: Any = None
) -> Float[np.ndarray, "starts time observed"]:
    """Run a model freely from several states under the same inputs, `(S, steps, N)`, in one program."""
    graph, parameters = nnx.split(model)
    inputs = None if u is None else jnp.asarray(u, jnp.float32)
    return np.asarray(_run_many(graph, int(steps), parameters, jnp.asarray(states), inputs))


def rollout_for_comparison(
    model: Model, reference: Float[np.ndarray, "time observed"], u: Any = None, z: Float[Array, " latent"] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Run freely by the published protocol and return as many rows of the reference and of the run, to be compared.

    floor(1.25 T) steps, the first quarter of T dropped (public GTF code, arXiv 2306.04406). With external inputs no
    step may be dropped: T - 1 steps, beside rows 2..T of the reference.

    Args:
        model: from `gtfdeer.models`.
        reference: `(T, N)` in the model's units.
        u: `(T, K)` external inputs along the reference, or None.
        z: `(M,)` the state to begin with; None takes the model's `initial_state` of the first row.
    """
    z = model.initial_state(jnp.asarray(reference[0], jnp.float32)) if z is None else z
    if u is not None:
        return reference[1:], rollout(model, len(reference) - 1, u=u[1:], z=z)
    dropped = len(reference) // 4
    return reference, rollout(model, len(reference) + dropped, z=z)[dropped:]


def require_bounded(values: Float[np.ndarray, "time ..."]) -> None:
    """Refuse a free run that left all bounds; the sentence says after how many steps."""
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        came = f"the free run left all bounds after {int(finite.argmin())} of {len(values)} steps"
        advice = "start on the attractor, train longer, or use ClippedShallowPLRNN, whose orbits stay bounded"
        raise ValueError(f"{came}; {advice} ({docs_url('the-free-run-runs-away')})")


@partial(jax.jit, static_argnums=(0, 1))
def _run(graph: Any, steps: int, parameters: Any, z: Array, inputs: Array | None) -> tuple[Array, Array]:
    model = nnx.merge(graph, parameters)

    def step(z: Array, u: Any) -> tuple[Array, Array]:
        z = model.step(z, u)
        return z, model.decode(z)

    return jax.lax.scan(step, z, inputs, length=steps)


@partial(jax.jit, static_argnums=(0, 1))
def _run_many(graph: Any, steps: int, parameters: Any, states: Array, inputs: Array | None) -> Array:
    return jax.vmap(lambda z: _run(graph, steps, parameters, z, inputs)[1])(states)
