"""Gauss-Newton steps after the last update: what gradient descent leaves, least squares finds.

With e the one-step errors of the model's filter (`gtfdeer.training._filter`) and J = de/dtheta their Jacobian,

    (J^T J + mu diag(J^T J)) d = -J^T e,        theta <- theta + d  where this lowers |e|^2,  else mu grows

Gradient and verdict are those of random windows of `_ROWS` rows together, J those of the first few. Conjugate gradients
take products with J and J^T and never the matrix: a network may have any number of parameters. The gain s K stays as it
was at the last update. The first fifth of every window, where the state is not known yet, is washed out.

Levenberg, Quart. Appl. Math. 1944; Marquardt, J. SIAM 1963; Gauss-Newton on prediction errors: Ljung, System
Identification, 2nd ed., ch. 10.2; by conjugate gradients for recurrent networks: Martens & Sutskever, ICML 2011; the
diagonal by random signs: Bekas, Kokiopoulou, Saad, Appl. Numer. Math. 2007; washout: Jaeger, GMD report 148, 2001.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.flatten_util import ravel_pytree

from ..forcing import fill_gaps
from ._config import TrainConfig
from ._filter import predict_rows
from ._step import TrainState, cut_windows

if TYPE_CHECKING:
    from jaxtyping import Array

_ROWS, _ROWS_OF_J = 51_200, 5_120  # in all windows of a step, and in those of J
_ITERATIONS, _SIGNS = 30, 20  # of conjugate gradients, and random signs for the diagonal
_WASHED_OUT = 0.2  # share of a window
_LEAST_DAMPING = 1e-6
_UP, _DOWN = 4.0, 0.25  # ours, as all of these: found on Lorenz-63 (docs/findings.md)


def polish(
    config: TrainConfig, gaps: bool, graph, mesh, rest, values, u, starts, key, state: TrainState
) -> tuple[TrainState, dict]:
    """Do one step; every device does all of it. Records the mean squared one-step error before it."""
    window = config.window
    key_windows, key_signs = jax.random.split(jax.random.fold_in(key, state.update))
    chosen = jax.random.choice(key_windows, starts, (max(1, min(_ROWS, len(values)) // window),))
    x, x_u = cut_windows(values, chosen, window), None if u is None else cut_windows(u, chosen, window)
    filled, seen = jax.vmap(fill_gaps)(x)
    theta, unravel = ravel_pytree(state.parameters.model)
    gain = config.forcing.alpha(state.forcing) * state.parameters.gain
    dropped = int(_WASHED_OUT * window)

    def errors(x: Array, seen: Array, u: Any, theta: Array) -> Array:
        """Each divided by the root of their number, so that the sum of squares is the mean."""
        model = nnx.merge(graph, unravel(theta), rest)

        def of_one(x: Array, seen: Array, u: Any) -> Array:
            _, predicted = predict_rows(model, x, seen, gain, u)
            return jnp.where(seen > 0, predicted - x, 0)[1 + dropped :]

        count = jnp.sum(seen[:, 1 + dropped :])
        return jax.vmap(of_one)(x, seen, u).ravel() / jnp.sqrt(jnp.maximum(count, 1))

    def error(theta: Array) -> Array:
        return jnp.sum(errors(filled, seen, x_u, theta) ** 2)

    few = max(1, _ROWS_OF_J // window)
    before, gradient = jax.value_and_grad(error)(theta)
    move = solve_normal_equations(
        partial(errors, filled[:few], seen[:few], None if x_u is None else x_u[:few]),
        theta,
        gradient / 2,
        state.damping,
        key_signs,
    )
    after = error(theta - move)
    better = after < before  # not where anything is not finite
    damping = jnp.where(better, jnp.maximum(_DOWN * state.damping, _LEAST_DAMPING), _UP * state.damping)
    model = unravel(jnp.where(better, theta - move, theta))
    state = state._replace(parameters=state.parameters._replace(model=model), update=state.update + 1, damping=damping)
    record = {"loss": before, "alpha": 1.0, "iterations": 1, "gain": jnp.linalg.norm(gain, 2)}
    return state, record | {"retried": False, "skipped": ~jnp.isfinite(before)}


def solve_normal_equations(errors: Any, theta: Array, gradient: Array, damping: Array, key: Array) -> Array:
    """Return `(J^T J + mu D)^-1 g`, D the diagonal of J^T J."""
    e, forwards = jax.linearize(errors, theta)
    backwards = jax.linear_transpose(forwards, theta)

    def square(key: Array) -> Array:
        return backwards(jax.random.rademacher(key, e.shape, e.dtype))[0] ** 2

    diagonal = jnp.mean(jax.lax.map(square, jax.random.split(key, _SIGNS)), axis=0)
    diagonal = diagonal + 1e-3 * jnp.mean(diagonal)
    move, _ = jax.scipy.sparse.linalg.cg(
        lambda v: backwards(forwards(v))[0] + damping * diagonal * v,
        gradient,
        maxiter=_ITERATIONS,
        tol=1e-3,
        M=lambda v: v / diagonal,
    )
    return move
