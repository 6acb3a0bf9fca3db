"""Auto: the solver that is fastest here, checked, with the sequential one as its safety net.

    CPU            T < 512 or T B < 2048: Sequential    otherwise: Shooting
    accelerators   T < 64: Sequential                   otherwise: DEER while M <= 32 and T B M <= 2,000,000 (its
                                                        Jacobians are T B M^2 numbers), beyond that Shooting

On CPUs this was measured (2 cores, M 3, 10 and 30): at T 1024 `Sequential` is as fast or faster for one sequence,
`Shooting` is for four, and from T B = 2048 on it always is. Not so below T = 512: at T 200, B 16, as `gd.fit` has them,
value and gradient of a shallow PLRNN (M 3, H 50) took `Sequential` 3.0 ms and `Shooting` 5.2 under a gain of 0.15, 2.2
and 3.3 at alpha 0.15, 2.0 and 1.8 at 0.5; of a GRU with 16 units 3.8 and 16 (one shared core, fastest of 15 turns).

On an H100 value and gradient took DEER and `Shooting` 4.0 and 6.2 ms at M 3, T 300,000, and 10.3 and 7.6 at T
1,000,000; 3.0 and 4.2 at M 30, T 10,000, and 22.5 and 7.0 at T 100,000; a GRU with 16 units 4.3 and 7.3 at T 100,000. A
whole update of `gd.fit` with it at T 200, B 16 took 1.6 and 7.3, and 7.5 step by step.

How fast the map forgets is seen while solving: `Shooting` corrects its windows by Newton's method where plain sweeps
crawl. Where the chosen solver itself does not converge (the last residuals of Newton's method, the
edges of the windows), the answer is computed step by step, and `Solution.fallback` says so. `gd.fit` takes the choice
alone and looks at how the last updates went (`gtfdeer.training._step`).
Gradients come from the chosen solver, and are exact for any trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax

from .._checks import whole
from ._base import Problem, Solver, SolverResult, check_cap, largest, tolerance_for
from ._columns import any_in_batch
from ._newton import DEER
from ._sequential import Sequential
from ._shooting import Shooting
from .scan import this_device

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["Auto", "choose"]


@dataclass(frozen=True)
class Auto(Solver):
    """Choose by device, length, latent dimension and batch; fall back on `Sequential` where the choice fails.

    Args:
        tol: as in the other solvers; `None`: 1e-5 in float32, 1e-10 in float64.
        max_iterations: after how many iterations or sweeps it gives up and goes step by step.
        batch: how many trajectories are solved at once by `vmap`; `gtfdeer.fit` sets it.

    >>> import gtfdeer as gd, jax.numpy as jnp
    >>> solution = gd.solve(lambda z, u: 3.9 * z * (1 - z), jnp.full(1, 0.3), jnp.zeros((5000, 0)), solver=Auto())
    >>> solution.status.name, bool(solution.fallback)  # chaotic and not forced: only step by step can it be solved
    ('CONVERGED', True)
    """

    tol: float | None = None
    max_iterations: int = 8
    batch: int = 1

    def __post_init__(self) -> None:
        check_cap(self.tol, self.max_iterations, "max_iterations")
        whole(self.batch, "batch")

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> SolverResult:
        length, latent_dim = guess.shape
        chosen = self.choice(length, latent_dim)
        result = chosen.run(problem, guess)
        if isinstance(chosen, Sequential):
            return result

        def fall_back() -> SolverResult:
            states = Sequential().run(problem, guess).states
            residual = largest(problem.map_steps(states) - states)
            return result._replace(
                states=states, iterations=result.iterations + 1, residual=residual, exact=True, fallback=True
            )

        return jax.lax.cond(any_in_batch(~result.converged), fall_back, lambda: result)

    def gradient(self, problem: Problem, result: SolverResult, cotangents: Array) -> tuple[PyTree, Array, PyTree]:
        length, latent_dim = cotangents.shape
        return self.choice(length, latent_dim).gradient(problem, result, cotangents)

    def differentiates_scan(self, length: int, latent_dim: int, dtype: Any) -> bool:
        return self.choice(length, latent_dim).differentiates_scan(length, latent_dim, dtype)

    def tolerance(self, dtype: Any) -> float:
        return tolerance_for(self.tol, dtype)

    def choice(self, length: int, latent_dim: int) -> Solver:
        """The solver that this device is given for `length` steps of `latent_dim` units."""
        sizes = {"length": length, "latent_dim": latent_dim, "batch": self.batch}
        return choose(this_device().platform, self.tol, self.max_iterations, **sizes)


def choose(platform: str, tol: float | None, cap: int, *, length: int, latent_dim: int, batch: int = 1) -> Solver:
    """The rules, as a function of everything they depend on.

    >>> for length, batch, platform in [(200, 1, "cpu"), (20_000, 1, "cpu"), (20_000, 1, "gpu"), (10**6, 32, "gpu")]:
    ...     print(type(choose(platform, None, 8, length=length, latent_dim=8, batch=batch)).__name__)
    Sequential
    Shooting
    DEER
    Shooting
    """
    on_cpu, columns = platform == "cpu", length * batch
    if length < 512 or columns < 2048 if on_cpu else length < 64:
        return Sequential()
    if not on_cpu and latent_dim <= 32 and columns * latent_dim <= 2_000_000:
        return DEER(tol=tol, max_iterations=cap)
    return Shooting(tol=tol, max_sweeps=cap)
