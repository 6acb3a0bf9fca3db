"""Lyapunov exponents: how fast nearby orbits of a map separate, on average, per unit of time.

    z_{t+1} = F(z_t),    V_{t+1} = J(z_t) V_t,    every q steps V = Q R and V <- Q
    lambda_i = 1 / (steps dt) * sum of ln |R_ii|

J is never formed: K exponents cost K tangents, pushed through it by forward differentiation. lambda_1 > 0 means chaos,
and 1 / lambda_1 is the time over which forecasts fail. Not to be confused with exponents per STEP (dt = 1), nor with
singular values of one Jacobian, which ignore direction.

Precision: within q steps the vectors must not collapse onto the first, so (lambda_1 - lambda_K) q dt has to stay well
below 16 (float32) or 36 (float64). A direction that F forgets completely (a unit switched off) has -inf.

Source: Benettin et al. 1980 (10.1007/BF02128236); Vogt et al. 2022 (10.3389/fams.2022.818799) for trained networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import real, whole

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, Key

    Step = Callable[[Float[Array, " latent"]], Float[Array, " latent"]]


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Lyapunov exponents per unit of time, and how their estimates settled.

    `exponents` (K,), descending; `history` (R, K), their running estimates at `times` (R,), the last row `exponents`;
    `dt`, the time of one step. With several starts, (S, K) and (S, R, K).
    """

    exponents: Float[np.ndarray, "*starts exponents"]
    history: Float[np.ndarray, "*starts rounds exponents"]
    times: Float[np.ndarray, " rounds"]
    dt: float


def lyapunov_spectrum(
    step: Step,
    z0: Float[Array | np.ndarray, "*starts latent"],
    *,
    steps: int,
    dt: float,
    transient: int = 1000,
    reorthonormalise_every: int = 1,
    exponents: int | None = None,
    key: Key[Array, ""] | None = None,
) -> LyapunovSpectrum:
    """Return the K largest Lyapunov exponents of the map `step` along the orbit from `z0`, per unit of time.

    Args: step, differentiable, z (M,) -> (M,); z0 (M,), whose dtype is computed in, or (S, M) for several starts at
    once, whose scatter is the error of an estimate; steps averaged over from each start; dt, time per step; transient,
    steps taken first for z to reach the attractor and V to align, rounded up to whole rounds; reorthonormalise_every, q
    in steps, a divisor of `steps`: larger is faster and less exact; exponents K, all M if None; key of the random first
    V, `jax.random.key(0)` unless given.
    Raises: ValueError for impossible numbers or shapes, and if the orbit or its derivative becomes non-finite.

    >>> halve_and_double = lambda z: jnp.array([0.5, 2.0]) * z                         # +- ln 2 / 0.1
    >>> lyapunov_spectrum(halve_and_double, jnp.zeros(2), steps=100, dt=0.1).exponents.round(3)
    array([ 6.931, -6.931])
    """
    z0 = jnp.asarray(z0)
    z0 = z0.astype(jnp.promote_types(z0.dtype, jnp.float32))
    if z0.ndim not in (1, 2):
        raise ValueError(f"z0 has shape {z0.shape}; pass one state (M,), or several starts (S, M)")
    starts = jnp.atleast_2d(z0)
    dt = real(dt, "dt", above=0, example=0.01)
    steps, every = whole(steps, "steps"), whole(reorthonormalise_every, "reorthonormalise_every")
    if steps % every:
        advice = f"pass steps={-(-steps // every) * every}"
        raise ValueError(f"steps={steps} is not a multiple of reorthonormalise_every={every}; {advice}")
    size = starts.shape[1]
    count = size if exponents is None else whole(exponents, "exponents", most=size)
    _require_self_map(step, starts[0])
    settling, rounds = -(-whole(transient, "transient", least=0) // every), steps // every

    frame = jax.random.normal(jax.random.key(0) if key is None else key, (size, count), z0.dtype)
    # A new function object each call: jit would otherwise remember the step of a model that has since learnt.
    run = jax.jit(jax.vmap(partial(_log_growth, step, every, settling + rounds), in_axes=(0, None)))
    with jax.default_matmul_precision("highest"):
        log_growth, finite_steps = run(starts, jnp.linalg.qr(frame)[0].T)
    log_growth = np.asarray(log_growth, np.float64)
    _require_finite_orbit(log_growth, int(finite_steps.min()), (settling + rounds) * every)

    times = dt * every * np.arange(1, rounds + 1)
    history = np.cumsum(log_growth[:, settling:], axis=1) / times[:, None]
    history = np.take_along_axis(history, np.argsort(-history[:, -1:], axis=2, kind="stable"), axis=2)
    history = history[0] if z0.ndim == 1 else history
    return LyapunovSpectrum(exponents=history[..., -1, :], history=history, times=times, dt=dt)


def _log_growth(
    step: Step, every: int, rounds: int, z: Float[Array, " latent"], tangents: Float[Array, "exponents latent"]
) -> tuple[Float[Array, "rounds exponents"], Int[Array, ""]]:
    """Return ln |R_ii| of every round, and how many steps had a finite state."""

    def advance(carry, _):
        z, tangents, finite_steps = carry
        z, push = jax.linearize(step, z)
        return (z, jax.vmap(push)(tangents), finite_steps + jnp.isfinite(z).all()), None

    def go_round(carry, _):
        (z, tangents, finite_steps), _ = jax.lax.scan(advance, carry, length=every)
        q, r = jnp.linalg.qr(tangents.T)
        return (z, q.T, finite_steps), jnp.log(jnp.abs(jnp.diagonal(r)))

    (_, _, finite_steps), log_growth = jax.lax.scan(go_round, (z, tangents, jnp.zeros((), jnp.int32)), length=rounds)
    return log_growth, finite_steps


def _require_self_map(step: Step, z0: Float[Array, " latent"]) -> None:
    """Refuse a `step` that does not map the state's shape and dtype onto itself."""
    expected = f"{z0.dtype}{z0.shape}"
    result = jax.tree.map(lambda leaf: f"{leaf.dtype}{leaf.shape}", jax.eval_shape(step, z0))
    if result != expected:
        advice = "pass the latent step, not the observed one, and z0 in the dtype that step returns"
        raise ValueError(f"step maps {expected} to {result}, not the state onto itself; {advice}")


def _require_finite_orbit(log_growth: Float[np.ndarray, "starts rounds exponents"], finite: int, total: int) -> None:
    """Refuse an orbit that, or whose tangents, left the finite numbers (-inf is the logarithm of 0)."""
    if finite < total:
        came = f"the orbit of step became non-finite after {finite} steps of {total} (transient included)"
        raise ValueError(f"{came}; pass a z0 on the attractor, or a step that stays bounded")
    if not (log_growth < np.inf).all():
        advice = "pass a smaller reorthonormalise_every, or a step whose derivative is finite along the orbit"
        raise ValueError(f"the tangent vectors became non-finite although the orbit did not; {advice}")
