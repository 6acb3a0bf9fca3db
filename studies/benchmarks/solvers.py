"""Every solver against the sequential scan, on a clipped shallow PLRNN under constant forcing.

A solver takes part where its working memory fits into the room of this device:

    accelerators   half of the memory that is left
    CPU            the same, but at most 512 MB: work grows with memory (or faster, as in T M^3), and beyond it one
                   turn of DEER takes many seconds; that is known, and known to lose

A million steps are raced by `Auto` and `Shooting` alone, on accelerators also by `DEER`: step by step they take a
minute there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from gtfdeer import forcing, solvers
from gtfdeer.models import ClippedShallowPLRNN, Model
from gtfdeer.solvers import Solver, scan
from gtfdeer.solvers._solve import solve
from gtfdeer.training import available_memory

from .race import BASELINE, Case, Outcome, Race
from .task import apart, judged, sequences, step_by_step, taught

if TYPE_CHECKING:
    from jaxtyping import Array

__all__ = ["SolverCase", "candidates", "room", "solver_cases"]

TEXTBOOK = "textbook DEER"
_CPU_ROOM = 2**29  # bytes
_MILLION = 1_000_000
SOLVERS: dict[str, Solver] = {
    "Auto": solvers.Auto(),
    "Sequential": solvers.Sequential(),
    "Shooting": solvers.Shooting(),
    "QuasiDEER": solvers.QuasiDEER(),
    "DEER": solvers.DEER(),
    TEXTBOOK: solvers.DEER(method=scan.associative),  # and without the analytic Jacobian
    "ELK": solvers.ELK(),
}


@dataclass(frozen=True)
class SolverCase(Case):
    """One size of the task: latent M, hidden H, time steps T, batch B, forcing strength; and who takes part."""

    latent_dim: int
    hidden_dim: int
    length: int
    batch: int
    alpha: float
    solvers: tuple[str, ...] = tuple(SOLVERS)

    def __str__(self) -> str:
        return f"M {self.latent_dim}, H {self.hidden_dim}, T {self.length}, B {self.batch}, alpha {self.alpha:g}"

    def as_row(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "solvers"}

    def race(self) -> Race:
        build, parameters = apart(
            ClippedShallowPLRNN(latent_dim=self.latent_dim, hidden_dim=self.hidden_dim, rngs=nnx.Rngs(0))
        )
        running = candidates(self, self._room())
        programs = {BASELINE: partial(step_by_step, build, self.alpha)} | {
            name: partial(_by_the_book if name == TEXTBOOK else taught, build, self.alpha, solver)
            for name, solver in running.items()
        }
        estimates = {name: _needed(self, solver) for name, solver in running.items()}
        return Race(programs, parameters, sequences(self.length, self.batch, self.latent_dim), estimates)

    def left_out(self) -> dict[str, int]:
        running = candidates(self, self._room())
        return {name: _needed(self, SOLVERS[name]) for name in self.solvers if name not in running}

    def _room(self) -> float:
        return room(scan.this_device().platform, available_memory())


def solver_cases(*, full: bool, platform: str) -> list[SolverCase]:
    """The grid: a minute's worth, or the sizes that results are quoted for; `platform` as JAX names it."""
    short = [SolverCase(3, 50, 200, 16, 0.2), SolverCase(3, 50, 8192, 16, 0.2)]
    if not full:
        return short
    return [
        *short,
        SolverCase(3, 50, 8192, 16, 0.05),
        SolverCase(30, 200, 8192, 16, 0.2),
        SolverCase(3, 50, 131_072, 1, 0.2),
        SolverCase(30, 200, 131_072, 1, 0.2),
        SolverCase(3, 50, 16_384, 1, 0.2),
        SolverCase(10, 100, 16_384, 1, 0.2),
        *_where_auto_turns(platform),
        *_a_million(platform),
    ]


def _where_auto_turns(platform: str) -> list[SolverCase]:
    """The sizes from which on `Auto` takes another solver, see `gtfdeer.solvers._auto`."""
    considered = ("Auto", "Sequential", "Shooting", "DEER")
    if platform == "cpu":
        return [
            SolverCase(3, 50, length, batch, 0.2, considered) for length, batch in ((1024, 1), (2049, 1), (513, 16))
        ]
    return [SolverCase(3, 50, 65, 16, 0.2, considered), SolverCase(8, 100, 16_384, 1, 0.2, considered)]


def _a_million(platform: str) -> list[SolverCase]:
    if platform == "cpu":
        return [SolverCase(3, 50, _MILLION, 1, 0.2, ("Auto", "Shooting"))]
    return [
        SolverCase(latent_dim, hidden_dim, _MILLION, 1, 0.2, ("Auto", "Shooting", "DEER"))
        for latent_dim, hidden_dim in ((3, 50), (10, 100), (30, 200))
    ]


def room(platform: str, available: int | None) -> float:
    """Bytes that one solver may take for one case, of those that are left (None: nobody knows).

    >>> room("gpu", 80 * 2**30) / 2**30, room("cpu", 80 * 2**30) / 2**30
    (40.0, 0.5)
    """
    half = math.inf if available is None else available / 2
    return min(half, _CPU_ROOM) if platform == "cpu" else half


def candidates(case: SolverCase, room: float) -> dict[str, Solver]:
    """The solvers of this case that need less than `room` bytes; `Auto` is told the batch, as `gtfdeer.fit` does."""
    entered = {name: SOLVERS[name] for name in case.solvers}
    told = {name: replace(s, batch=case.batch) if isinstance(s, solvers.Auto) else s for name, s in entered.items()}
    return {name: solver for name, solver in told.items() if _needed(case, solver) < room}


def _needed(case: SolverCase, solver: Solver) -> int:
    """Bytes, roughly: Newton's methods hold the Jacobians and some products of them, the others some trajectories."""
    dense = isinstance(solver, solvers.DEER | solvers.ELK)
    return 4 * case.length * case.batch * (3 * case.latent_dim**2 if dense else 12 * case.latent_dim)


def _by_the_book(
    build: Callable[[Any], Model], alpha: float, solver: Solver, parameters: Any, x: Array
) -> tuple[Array, Outcome]:
    """As `taught`, but every Jacobian by forward-mode autodiff; for a model whose state is what it observes."""
    model = build(parameters)

    def one(x: Array) -> Outcome:
        alphas = jnp.full((len(x) - 1, 1), alpha).at[0].set(0)
        forced = forcing.Forced(x[:-1], alphas)
        solution = solve(forcing.force(model.step), x[0], forced, solver=solver, guess=x[1:])
        return Outcome(solution.states, solution.iterations, solution.code, solution.fallback)

    return judged(jax.vmap(one)(x), x)
