"""Systems whose equations are known, to test reconstructions on: dz/dt = f(z), with what is known about each.

All are autonomous (time does not enter f), so that a model which sees the whole state can in principle
reproduce them exactly. Equations and sources stand in each class. Lyapunov exponents are per unit of time;
those marked "measured" come from a QR method with RK4 in float64 written for this file.

A flow becomes a map z_{t-1} -> z_t by the classical Runge-Kutta method of order 4, with local error O(h^5):

    k1 = f(z)   k2 = f(z + h/2 k1)   k3 = f(z + h/2 k2)   k4 = f(z + h k3)
    z  <-  z + h/6 (k1 + 2 k2 + 2 k3 + k4),    h = dt / substeps

Source: E. Hairer, S. Norsett and G. Wanner, "Solving Ordinary Differential Equations I", 1993, section II.1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import jax
import jax.numpy as jnp

from .._checks import real, whole

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Key

MOST_SUBSTEPS = 1000  # between two samples; beyond, neighbouring samples of a chaotic system are unrelated (ours)


def rk4_step(vector_field: Callable[[Array], Array], dt: float, substeps: int = 1) -> Callable[..., Array]:
    """Return step(z, u=None) -> z that advances z (M,) by `dt` in `substeps` equal Runge-Kutta steps; u is ignored.

    Args: vector_field, f: (M,) -> (M,); dt, unit of time as in f; substeps, at least 1.
    The step can be differentiated (forwards and backwards), batched and handed to `gtfdeer.solve` or
    `gtfdeer.measures.lyapunov_spectrum`.

    >>> step = rk4_step(lambda z: -z, dt=1.0, substeps=10)
    >>> round(float(step(1.0)), 5)      # exp(-1) = 0.36788
    0.36788
    """
    h = dt / whole(substeps, "substeps")

    def single(z: Array) -> Array:
        k1 = vector_field(z)
        k2 = vector_field(z + h / 2 * k1)
        k3 = vector_field(z + h / 2 * k2)
        k4 = vector_field(z + h * k3)
        return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def step(z: Array, u: object = None) -> Array:
        return single(z) if substeps == 1 else jax.lax.fori_loop(0, substeps, lambda _, state: single(state), z)

    return step


class System(ABC):
    """The interface of a system: a vector field, where to start, and how finely to step.

    Subclasses are frozen dataclasses, so that equal systems are compiled once, and set the four attributes.
    """

    dimension: int  # M, the number of state variables
    step_size: float  # the longest Runge-Kutta step that follows the system, in its unit of time
    default_dt: float  # the customary time between samples
    default_transient: float  # the time after which a start has reached the attractor

    @abstractmethod
    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        """dz/dt at `state` (M,); pure JAX."""

    @abstractmethod
    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        """A random start (M,) from which the system reaches its attractor."""

    def step(self, dt: float | None = None) -> Callable[..., Array]:
        """Return the exact sampled map step(z, u=None) -> z, the one that `simulate` iterates.

        Args: dt, time between samples, by default `default_dt`; it is cut into the fewest equal Runge-Kutta steps
        that are no longer than `step_size`.
        Raises: ValueError for a `dt` that is not positive or spans over 1000 inner steps.

        >>> z = Lorenz63().step(0.02)(jnp.array([1.0, 1.0, 25.0]))      # hand it to solve or lyapunov_spectrum
        >>> z.shape
        (3,)
        """
        dt = self.default_dt if dt is None else dt
        real(dt, "dt", above=0, example=self.default_dt)
        substeps = math.ceil(dt / self.step_size * (1 - 1e-9))  # 0.03 / 0.01 is 3 and not 4
        if substeps > MOST_SUBSTEPS:
            raise ValueError(
                f"dt={dt} is {substeps} inner steps of {self.step_size} and samples {type(self).__name__} too coarsely "
                f"to follow it; pass dt={MOST_SUBSTEPS * self.step_size:g} or less, for example dt={self.default_dt}"
            )
        return rk4_step(self.vector_field, dt, substeps)


@final
@dataclass(frozen=True)
class Lorenz63(System):
    """Convection rolls in a heated layer, the model chaos.

        dx/dt = sigma (y - x)    dy/dt = x (rho - z) - y    dz/dt = x y - beta z

    At the default parameters sigma 10, rho 28, beta 8/3: exponents 0.9056, 0, -14.572 (their sum is
    -(sigma + 1 + beta) exactly); mean (0, 0, 23.6), std (7.9, 9.0, 8.6). No period; one turn of a wing takes about
    0.75. Source: E. Lorenz, J. Atmos. Sci. 20, 130, 1963; exponents: J. C. Sprott, "Chaos and Time-Series
    Analysis", 2003.

    >>> Lorenz63().vector_field(jnp.array([1.0, 1.0, 0.0])).tolist()
    [0.0, 27.0, 1.0]
    """

    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8 / 3

    dimension = 3
    step_size = 0.01
    default_dt = 0.01
    default_transient = 20.0

    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        x, y, z = state
        return jnp.stack([self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z])

    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        return jnp.array([0.0, 0.0, self.rho - 4.4]) + 8.0 * jax.random.normal(key, (3,))


@final
@dataclass(frozen=True)
class Rossler(System):
    """A spiral with one fold, the simplest continuous chaos.

        dx/dt = -y - z    dy/dt = x + a y    dz/dt = b + z (x - c)

    At the default parameters a 0.2, b 0.2, c 5.7: exponents 0.071, 0, -5.394 (measured: 0.073(1), 0, -5.396(1)). No
    period; a turn takes about 5.9. Starts far outside the spiral escape to infinity: `initial_state` stays in a square
    tested for that. Sources: O. Rossler, Phys. Lett. A 57, 397, 1976; exponents: J. C. Sprott, "Chaos and Time-Series
    Analysis", 2003.
    """

    a: float = 0.2
    b: float = 0.2
    c: float = 5.7

    dimension = 3
    step_size = 0.02
    default_dt = 0.08
    default_transient = 100.0

    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        x, y, z = state
        return jnp.stack([-y - z, x + self.a * y, self.b + z * (x - self.c)])

    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        x, y = jax.random.uniform(key, (2,), minval=-6.0, maxval=6.0)
        return jnp.stack([x, y, jnp.zeros_like(x)])


@final
@dataclass(frozen=True)
class Lorenz96(System):
    """Weather on a circle of latitude: `dimension` sites, advection, damping and forcing F.

        dx_i/dt = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F,    indices modulo the dimension

    At dimension 10 and F = 8: exponents 1.181(2), 0.701(4), 0.089(2), 0, -0.435(3), -0.874(2), -1.319(2), -1.942(3),
    -2.810(6), -4.592(2) (measured); they sum to -dimension exactly. No period.
    Not to be confused with its two-scale version, which adds fast variables to every site. Source: E. Lorenz,
    "Predictability: a problem partly solved", ECMWF Seminar on Predictability, 1996.

    >>> Lorenz96(dimension=4).vector_field(jnp.full(4, 8.0)).tolist()      # the unstable steady state x_i = F
    [0.0, 0.0, 0.0, 0.0]
    """

    dimension: int = 10
    forcing: float = 8.0

    step_size = 0.01
    default_dt = 0.04
    default_transient = 50.0

    def __post_init__(self) -> None:
        whole(self.dimension, "dimension", least=4)  # a site feels three others

    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        ahead, behind, two_behind = jnp.roll(state, -1), jnp.roll(state, 1), jnp.roll(state, 2)
        return (ahead - two_behind) * behind - state + self.forcing

    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        return self.forcing + jax.random.normal(key, (self.dimension,))


@final
@dataclass(frozen=True)
class BurstingNeuron(System):
    """A neuron that fires 15 spikes and falls silent, again and again: three time scales. V in mV, t in ms.

        C dV/dt = I - g_L (V - E_L) - g_Na m(V) (V - E_Na) - g_K n (V - E_K) - g_M h (V - E_K) - g_NMDA s(V) V
        dn/dt = (n_inf(V) - n) / tau_n        dh/dt = (h_inf(V) - h) / tau_h
        s(V) = 1 / (1 + 0.33 exp(-0.0625 V))       m, n_inf, h_inf = 1 / (1 + exp((V_half - V) / k))

    C 6; g_L 8, E_L -80; g_Na 20, E_Na 60, V_half -20, k 15; g_K 10, E_K -90, V_half -25, k 5, tau_n 1; g_M
    25, V_half -15, k 5, tau_h 200; g_NMDA 10.2; I 0. State (V, n, h). At these: PERIOD 148.0(2) ms, spikes 4
    to 8 ms apart, 84 ms of silence, mean (-48.63, .1449, .0538), std (17.2, .200, .0062), measured; exponents
    0, as it is periodic, and -.070, -.56 per ms (measured).

    It is BISTABLE: from (-50, 0.1, 0.05) it fires without pause. `initial_state` starts at (-38.0822,
    0.06659, 0.02605), which bursts, and runs on for a random part of a period; other parameters need their
    basin measured anew (g_NMDA from 8 to 10.2 bursts, 10.4 does not). Sources: D. Durstewitz, Neural Networks
    22, 1189, 2009; bursting set: D. Schmidt et al., ICLR 2021 (arXiv 1910.03471).
    """

    nmda_conductance: float = 10.2
    slow_time_constant: float = 200.0
    current: float = 0.0

    dimension = 3
    step_size = 0.05  # 0.25 and 0.5 give wrong bursts
    default_dt = 0.5
    default_transient = 1000.0

    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        V, n, h = state
        m, n_inf, h_inf = (jax.nn.sigmoid((V - half) / k) for half, k in ((-20.0, 15.0), (-25.0, 5.0), (-15.0, 5.0)))
        s = 1 / (1 + 0.33 * jnp.exp(-0.0625 * V))
        outward = 8.0 * (V + 80.0) + 20.0 * m * (V - 60.0) + (10.0 * n + 25.0 * h) * (V + 90.0)
        dV = (self.current - outward - self.nmda_conductance * s * V) / 6.0
        return jnp.stack([dV, n_inf - n, (h_inf - h) / self.slow_time_constant])

    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        period = 148.0  # ms, at the default constants
        steps = jax.random.randint(key, (), 0, round(period / self.step_size))
        step = self.step(self.step_size)
        bursting = jnp.array([-38.0822, 0.06659, 0.02605])
        return jax.lax.fori_loop(0, steps, lambda _, z: step(z), bursting)


@final
@dataclass(frozen=True)
class SlowFastLorenz(System):
    """Lorenz-63 whose rho swings with a slow clock: a time scale of `period` that is known exactly.

        dx/dt = sigma (y - x)    dy/dt = x (rho + depth u - z) - y    dz/dt = x y - beta z
        du/dt = (1 - u^2 - v^2) u - omega v    dv/dt = (1 - u^2 - v^2) v + omega u,    omega = 2 pi / period

    State (x, y, z, u, v). The clock is the normal form of the Hopf bifurcation and feels nothing of x, y, z:
    on its limit cycle u = cos(omega t + phase), v = sin(omega t + phase), so its period is `period` exactly,
    and its two exponents are 0 and -2 exactly. With sigma 10, beta 8/3, rho 36 and depth 8, rho + depth u stays in
    [28, 44], where Lorenz-63 is chaotic, and the level of z, near rho - 4.4, rises and falls with the clock. Exponents
    at period 100: 1.061(2), 0, 0, -2, -14.73 (measured), at 20: 1.04(1), 0, 0, -2, -14.71. At dt 0.01 the
    period of 100 is 10 000 samples against 70 for a turn of a wing.

    To hide the clock from a model: `simulate(...).select([0, 1, 2])`. A control without the slow scale:
    `depth=0`.
    Sources: ours; Lorenz 1963 for x, y, z; J. Guckenheimer and P. Holmes, "Nonlinear Oscillations, Dynamical
    Systems, and Bifurcations of Vector Fields", 1983, section 3.4, for u, v.
    """

    period: float = 100.0
    depth: float = 8.0
    rho: float = 36.0
    sigma: float = 10.0
    beta: float = 8 / 3

    dimension = 5
    step_size = 0.01
    default_dt = 0.01
    default_transient = 20.0

    def __post_init__(self) -> None:
        real(self.period, "period", least=1, example=100.0)

    def vector_field(self, state: Float[Array, " dimension"]) -> Float[Array, " dimension"]:
        u, v = state[3:]
        omega, pull = 2 * math.pi / self.period, 1 - u * u - v * v
        fast = Lorenz63(self.sigma, self.rho + self.depth * u, self.beta).vector_field(state[:3])
        return jnp.concatenate([fast, jnp.stack([pull * u - omega * v, pull * v + omega * u])])

    def initial_state(self, key: Key[Array, ""]) -> Float[Array, " dimension"]:
        fast_key, phase_key = jax.random.split(key)
        fast = Lorenz63(rho=self.rho).initial_state(fast_key)
        phase = jax.random.uniform(phase_key, (), maxval=2 * math.pi)
        return jnp.concatenate([fast, jnp.stack([jnp.cos(phase), jnp.sin(phase)])])
