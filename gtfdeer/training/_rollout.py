"""A free run: the latent map on its own, observed at every step.

z_0 = initial_state(x_0);    z_t = F(z_{t-1}, u_t),    x_t = decode(z_t)

A long one is computed in pieces, between which a progress bar moves and Ctrl-C is heard.
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

from .._checks import docs_url
from ..models import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = [
    "concatenate_until_interrupt",
    "iterate_rollout",
    "require_bounded",
    "rollout",
    "rollout_for_comparison",
    "rollout_side_by_side",
    "show_progress",
]

_PIECE = 16_384  # steps: a tenth of a second for small models on a CPU
_DELAY = 2.0  # seconds before a bar is shown


def rollout(
    model: Model, steps: int, start: Any = None, u: Any = None, *, z: Float[Array, " latent"] | None = None
) -> Float[np.ndarray, "time observed"]:
    """Run a model freely from one observation or state; in the model's own units, not checked for divergence.

    Args:
        model: from `gtfdeer.models`.
        steps: how many; row 0 of the result is one step after the start.
        start: `(N,)` the observation to start from.
        u: `(steps, K)` external inputs, or None.
        z: `(M,)` the state to start from instead.

    Returns:
        `(steps, N)` observations.
    """
    z = model.initial_state(jnp.asarray(start, jnp.float32)) if z is None else z
    return np.concatenate(list(iterate_rollout(model, steps, z, u)))


def rollout_side_by_side(
    model: Model, steps: int, states: Float[np.ndarray, "starts latent"], u: Any = None
) -> Float[np.ndarray, "starts time observed"]:
    """Run a model freely from several states under the same inputs, `(S, steps, N)`, in one program."""
    graph, parameters = nnx.split(model)
    inputs = None if u is None else jnp.asarray(u, jnp.float32)
    return np.asarray(_run_many(graph, int(steps), parameters, jnp.asarray(states), inputs))


@partial(jax.jit, static_argnums=(0, 1))
def _run_many(graph: Any, steps: int, parameters: Any, states: Array, inputs: Array | None) -> Array:
    return jax.vmap(lambda z: _run(graph, steps, parameters, z, inputs)[1])(states)


def require_bounded(values: Float[np.ndarray, "time ..."]) -> None:
    """Refuse a free run that left all bounds; the sentence says after how many steps."""
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"the free run left all bounds after {int(finite.argmin())} of {len(values)} steps; start on the "
            "attractor, train longer, or use ClippedShallowPLRNN, whose orbits stay bounded "
            f"({docs_url('the-free-run-runs-away')})"
        )


def rollout_for_comparison(
    model: Model, reference: Float[np.ndarray, "time observed"], u: Any = None, z: Float[Array, " latent"] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Run freely by the published protocol and return as many rows of the reference and of the run, to be compared.

    floor(1.25 T) steps, the first quarter of T dropped as transient (public GTF code, arXiv
    2306.04406). With external inputs no step may be dropped: T - 1 steps, beside rows 2..T of the reference.

    Args:
        model: from `gtfdeer.models`.
        reference: `(T, N)` in the model's units.
        u: `(T, K)` external inputs along the reference, or None.
        z: `(M,)` the state to begin with; None takes the model's `initial_state` of the first row.
    """
    z = model.initial_state(jnp.asarray(reference[0], jnp.float32)) if z is None else z
    length, dropped = len(reference), len(reference) // 4
    if u is not None:
        steps = length - 1
        run = show_progress(iterate_rollout(model, steps, z, u[1:]), steps)
        return reference[1:], np.concatenate(list(run))
    run = show_progress(iterate_rollout(model, length + dropped, z), length + dropped)
    return reference, np.concatenate(list(run))[dropped:]


def iterate_rollout(
    model: Model, steps: int, z: Float[Array, " latent"], u: Any = None
) -> Iterator[Float[np.ndarray, "piece observed"]]:
    """Yield a run from the state z piece by piece; one program serves all pieces and all runs longer than one."""
    graph, parameters = nnx.split(model)
    size = min(int(steps), _PIECE)
    z = jnp.asarray(z)
    for done in range(0, int(steps), size):
        inputs = None if u is None else _pad(np.asarray(u[done : done + size], np.float32), size)
        z, x = _run(graph, size, parameters, z, inputs)
        yield np.asarray(x)[: int(steps) - done]


def show_progress(pieces: Iterable[np.ndarray], steps: int) -> Iterator[np.ndarray]:
    """Yield the pieces of a run of `steps` steps under a progress bar, shown after two seconds."""
    shown = {"delay": _DELAY, "leave": False, "disable": None}  # None: only where stderr is a terminal
    with tqdm(total=steps, desc="free run", unit=" steps", unit_scale=True, **shown) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))


def concatenate_until_interrupt(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Return all pieces, or, after Ctrl-C, those so far; without any, the interrupt is passed on."""
    done = []
    try:
        for piece in pieces:
            done.append(piece)  # an interrupt finds what came before it
    except KeyboardInterrupt:
        if not done:
            raise
    return np.concatenate(done)


def _pad(u: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row; the steps that use it are cut off again."""
    return np.concatenate([u, np.broadcast_to(u[-1:], (size - len(u), *u.shape[1:]))])


@partial(jax.jit, static_argnums=(0, 1))
def _run(graph: Any, steps: int, parameters: Any, z: Array, inputs: Array | None) -> tuple[Array, Array]:
    model = nnx.merge(graph, parameters)

    def step(z: Array, u: Any) -> tuple[Array, Array]:
        z = model.step(z, u)
        return z, model.decode(z)

    return jax.lax.scan(step, z, inputs, length=steps)
