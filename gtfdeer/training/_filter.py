"""The state behind a series: a nonlinear network that is corrected by its own innovations, as in training.

    z_t = F(z~_{t-1}),    z~_t = z_t + s K (x_t - C z_t),    a missing cell is an innovation of zero

K was learned with the model or, where it was not, is the pseudo-inverse C^+; s predicts the next observation of the
training data best (a scalar Kalman gain, found by trying). A linear state-space model is fed the observations, as it
was trained; a model of one's own begins anew at every row.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ..forcing import Corrected, correct, fill_gaps
from ..models import Model, RecurrentModel, StateSpaceModel

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_ROWS = 10_000  # of the training data from which noise and gain are taken
_OBSERVER = 0.2  # strength of the correction where no gain was learned: ours, near a Kalman gain at 5 % noise
_FACTORS = np.geomspace(0.02, 1, 13)  # |s K|, tried


def filter_series(
    model: Model,
    x: Float[np.ndarray, "*windows time observed"],
    gain: Float[np.ndarray, "latent observed"] | None,
    u: Float[np.ndarray, "time inputs"] | None = None,
) -> tuple[Float[np.ndarray, "*windows time latent"], Float[np.ndarray, "*windows time observed"]]:
    """Return the corrected state at every row of `x`, and the prediction of each from those before it.

    `x` is `(T, N)`, or `(W, T, N)` for several windows, in the model's units, NaN where nothing was observed; `gain` is
    s K, None for a model without. The first prediction is the first observation itself.
    """
    graph, parameters = nnx.split(model)
    rows = (None if each is None else jnp.asarray(each, jnp.float32) for each in (x, gain, u))
    states, predicted = _filter(graph, parameters, *rows)
    return np.asarray(states), np.asarray(predicted)


@partial(jax.jit, static_argnums=0)
def _filter(graph: Any, parameters: Any, x: Array, gain: Any, u: Any) -> tuple[Array, Array]:
    def filter_one(x: Array) -> tuple[Array, Array]:
        return predict_rows(nnx.merge(graph, parameters), *fill_gaps(x), gain, u)

    return filter_one(x) if x.ndim == 2 else jax.vmap(filter_one)(x)


def predict_rows(model: Model, x: Array, seen: Array, gain: Any, u: Any = None) -> tuple[Array, Array]:
    """Return what `filter_series` does, of filled observations; to be traced."""
    first = model.initial_state(x[0])
    innovate = correct(lambda z, _: z, gain, model.decode)

    def update(z: Array, x: Array, seen: Array) -> Array:
        if isinstance(model, StateSpaceModel):  # its state holds the observation itself
            return z.at[: model.observed_dim].set(jnp.where(seen > 0, x, model.decode(z)))
        if gain is None:  # a model of one's own
            return model.initial_state(jnp.where(seen > 0, x, model.decode(z)))
        return innovate(z, Corrected(x, 1.0, seen))

    def step(z: Array, row: tuple) -> tuple[Array, tuple[Array, Array]]:
        x, seen, u = row
        z = model.step(z, u)
        corrected = update(z, x, seen)
        return corrected, (corrected, model.decode(z))

    rows = (x[1:], seen[1:], None if u is None else u[1:])
    _, (states, predicted) = jax.lax.scan(step, first, rows)
    return jnp.concatenate([first[None], states]), jnp.concatenate([x[:1], predicted])


def observer_gain(model: Model, gain: Any) -> Any:
    """Return the learned gain or, where none was learned, a fifth of the readout's pseudo-inverse."""
    if gain is None and isinstance(model, RecurrentModel):
        return _OBSERVER * jax.jacfwd(model.encode)(jnp.zeros(model.observed_dim))
    return gain


def one_step_noise(
    x: Float[np.ndarray, "time observed"], predicted: Float[np.ndarray, "time observed"]
) -> Float[np.ndarray, " observed"]:
    """Return the standard deviation of the one-step errors of `filter_series` in each column."""
    errors = np.where(np.isfinite(predicted), predicted - x, 0)[1:]
    return np.nan_to_num(np.nanstd(errors, axis=0)).astype(np.float32)


def tune_gain(
    model: Model, x: Float[np.ndarray, "time observed"], gain: Any, u: Any = None
) -> tuple[Float[np.ndarray, "latent observed"] | None, Float[np.ndarray, " observed"]]:
    """Return s K, |s K| <= 1, with the s that predicts the next row of `x` best, and the noise under it.

    For a model without a gain None, and its noise.
    """
    x, u = x[:_ROWS], None if u is None else u[:_ROWS]
    gain, candidates = observer_gain(model, gain), [None]
    if gain is not None:
        direction = np.asarray(gain) / max(np.linalg.norm(gain, 2), np.finfo(np.float32).tiny)
        candidates = [(s * direction).astype(np.float32) for s in _FACTORS]
    predicted = [filter_series(model, x, each, u)[1] for each in candidates]
    with np.errstate(all="ignore"):  # a factor with which the filter overflows is not taken
        errors = np.array([np.nanmean((each - x) ** 2) for each in predicted])
    best = int(np.argmin(np.where(np.isfinite(errors), errors, np.inf)))
    return candidates[best], one_step_noise(x, predicted[best])
