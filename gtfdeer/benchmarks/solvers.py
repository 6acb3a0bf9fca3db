"""Every solver against the sequential scan: time, memory, iterations, and the error beside the speed.

The task is one training loss, `mean (x_pred - x)^2` of a clipped shallow PLRNN under constant forcing on standardised
Lorenz-63, and its gradient with respect to the parameters. The baseline is `lax.scan` over the same forced step,
differentiated by JAX. Compile time is apart; every timing blocks until ready; all candidates of a case take turns, so
that a noisy machine is unfair to all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from .. import data, forcing, models, scan, solvers
from ..solve import solve
from ..solvers import Solver

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["Case", "Measurement", "cases", "compare", "table"]

BASELINE = "lax.scan"
TEXTBOOK = "textbook DEER"
_ROOM = 2**29  # bytes of working memory: above it a solver is left out


@dataclass(frozen=True)
class Case:
    """One size of the task: latent M, hidden H, time steps T, batch B, forcing strength."""

    latent_dim: int
    hidden_dim: int
    length: int
    batch: int
    alpha: float

    def __str__(self) -> str:
        return f"M {self.latent_dim}, H {self.hidden_dim}, T {self.length}, B {self.batch}, alpha {self.alpha:g}"


@dataclass(frozen=True)
class Measurement:
    """What one solver took for one case; times in seconds (medians), memory in bytes.

    Attributes:
        value, gradient: of the loss alone, and of loss and gradient.
        value_ratio, gradient_ratio: baseline / this, medians over turns; above 1 is faster.
        ratio_spread: half the distance between the quartiles of the gradient's ratio.
        compile: of loss and gradient.
        temporary: memory that the compiled gradient asks for beside its inputs and outputs.
        estimated: what `gtfdeer.solvers.memory_needed` says of it; 0 for the baseline.
        iterations: most in the batch.
        error, gradient_error: largest difference of the loss's predictions and of the gradient from the baseline's,
            relative to the largest entry.
    """

    case: Case
    solver: str
    value: float
    gradient: float
    value_ratio: float
    gradient_ratio: float
    ratio_spread: float
    compile: float
    temporary: int
    estimated: int
    iterations: int
    error: float
    gradient_error: float

    def as_row(self) -> dict[str, Any]:
        """Flat, for JSON and CSV."""
        row = asdict(self)
        return row.pop("case") | row


def cases(*, full: bool) -> list[Case]:
    """The grid: a minute's worth, or the sizes that results are quoted for."""
    short = [Case(3, 50, 200, 16, 0.2), Case(3, 50, 8192, 16, 0.2)]
    if not full:
        return short
    return [
        *short,
        Case(30, 200, 8192, 16, 0.2),
        Case(3, 50, 131_072, 1, 0.2),
        Case(30, 200, 131_072, 1, 0.2),
        Case(3, 50, 16_384, 1, 0.2),
        Case(10, 100, 16_384, 1, 0.2),
    ]


def candidates(case: Case) -> dict[str, Solver]:
    """Every solver that this case leaves room for; "textbook" is DEER by an associative scan, without analytic J."""
    every: dict[str, Solver] = {
        "Auto": solvers.Auto(),
        "Sequential": solvers.Sequential(),
        "Shooting": solvers.Shooting(),
        "QuasiDEER": solvers.QuasiDEER(),
        "DEER": solvers.DEER(),
        TEXTBOOK: solvers.DEER(method=scan.associative),
        "ELK": solvers.ELK(),
    }
    room = {
        name: solvers.memory_needed(
            solver, length=case.length, latent_dim=case.latent_dim, batch=case.batch, gradient=True
        )
        < _ROOM
        for name, solver in every.items()
    }
    return {name: solver for name, solver in every.items() if room[name]}


def compare(case: Case, *, turns: int = 9) -> Iterator[Measurement]:
    """Measure the baseline and every candidate on one case, in turns."""
    loss, parameters, x = _task(case)
    programs = {BASELINE: partial(_baseline, case, loss)} | {
        name: partial(_solved, case, solver, loss, analytic=name != TEXTBOOK)
        for name, solver in candidates(case).items()
    }
    ready = {name: _compile(program, parameters, x) for name, program in programs.items()}
    times = {name: (_Times(), _Times()) for name in ready}
    for _ in range(turns):
        for name, program in ready.items():
            times[name][0].add(program.value, parameters, x)
            times[name][1].add(program.gradient, parameters, x)
    reference = ready[BASELINE].outcome
    for name, program in ready.items():
        ratios = times[BASELINE][1].array() / times[name][1].array()
        yield Measurement(
            case=case,
            solver=name,
            value=times[name][0].median(),
            gradient=times[name][1].median(),
            value_ratio=float(np.median(times[BASELINE][0].array() / times[name][0].array())),
            gradient_ratio=float(np.median(ratios)),
            ratio_spread=float(np.subtract(*np.percentile(ratios, [75, 25])) / 2),
            compile=program.seconds,
            temporary=program.temporary,
            estimated=_estimate(case, candidates(case).get(name)),
            iterations=int(program.outcome[0][1][1]),
            error=_difference(program.outcome[0][1][0], reference[0][1][0]),
            gradient_error=_difference(program.outcome[1], reference[1]),
        )


def table(rows: Sequence[Measurement]) -> str:
    """Measurements as text, one line each, grouped by case."""
    lines = []
    for case in dict.fromkeys(row.case for row in rows):
        lines += ["", str(case), f"{'':15}{'value':>10}{'x':>7}{'gradient':>11}{'x':>7}{'+-':>6}"]
        lines[-1] += f"{'compile':>9}{'memory':>9}{'it':>4}{'error':>9}{'grad err':>9}"
        lines += [
            f"{r.solver:15}{1e3 * r.value:8.2f}ms{r.value_ratio:7.2f}{1e3 * r.gradient:9.2f}ms{r.gradient_ratio:7.2f}"
            f"{r.ratio_spread:6.2f}{r.compile:8.1f}s{r.temporary / 2**20:7.0f}MB{r.iterations:4d}{r.error:9.0e}"
            f"{r.gradient_error:9.0e}"
            for r in rows
            if r.case == case
        ]
    return "\n".join(lines[1:])


def _estimate(case: Case, solver: Solver | None) -> int:
    if solver is None:
        return 0
    return solvers.memory_needed(solver, length=case.length, latent_dim=case.latent_dim, batch=case.batch)


def _task(case: Case) -> tuple[Callable, Any, Float[Array, "batch time latent"]]:
    copies = -(-case.latent_dim // 3)
    series = data.simulate(data.Lorenz63(), length=case.length + 100 * case.batch, dt=0.01, key=jax.random.key(0))
    values = np.tile(series.standardise().values, (1, copies))[:, : case.latent_dim]
    x = jnp.asarray(np.stack([values[100 * b : 100 * b + case.length] for b in range(case.batch)]))
    model = models.ClippedShallowPLRNN(latent_dim=case.latent_dim, hidden_dim=case.hidden_dim, rngs=nnx.Rngs(0))
    graph, parameters = nnx.split(model)
    return lambda p: nnx.merge(graph, p), parameters, x


def _solved(case: Case, solver: Solver, build: Callable, parameters: Any, x: Array, *, analytic: bool = True):
    model = build(parameters)

    def one(x: Array):
        if analytic:
            predicted, solution = model.teach(x, case.alpha, solver)
            return predicted, solution.iterations
        alphas = jnp.full((len(x) - 1, 1), case.alpha).at[0].set(0)
        forced = forcing.Forced(x[:-1], alphas)
        solution = solve(forcing.force(model.step), x[0], forced, solver=solver, guess=x[1:])
        return solution.states, solution.iterations

    predicted, iterations = jax.vmap(one)(x)
    return jnp.mean((predicted - x[:, 1:]) ** 2), (predicted, jnp.max(iterations))


def _baseline(case: Case, build: Callable, parameters: Any, x: Array):
    model = build(parameters)

    def one(x: Array) -> Array:
        def step(z: Array, teacher: Array) -> tuple[Array, Array]:
            z = model.step((1 - case.alpha) * z + case.alpha * teacher)
            return z, z

        first = model.step(x[0])
        return jnp.concatenate([first[None], jax.lax.scan(step, first, x[1:-1])[1]])

    predicted = jax.vmap(one)(x)
    return jnp.mean((predicted - x[:, 1:]) ** 2), (predicted, jnp.asarray(1))


@dataclass(frozen=True)
class _Program:
    value: Callable
    gradient: Callable
    seconds: float
    temporary: int
    outcome: Any


def _compile(program: Callable, parameters: Any, x: Array) -> _Program:
    began = time.perf_counter()
    gradient = jax.jit(jax.value_and_grad(program, has_aux=True)).lower(parameters, x).compile()
    seconds = time.perf_counter() - began
    value = jax.jit(lambda p, x: program(p, x)[0]).lower(parameters, x).compile()
    memory = gradient.memory_analysis()
    temporary = 0 if memory is None else int(memory.temp_size_in_bytes)
    return _Program(value, gradient, seconds, temporary, jax.block_until_ready(gradient(parameters, x)))


class _Times:
    """One duration a turn."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def add(self, program: Callable, *arguments: Any) -> None:
        began = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        self.seconds.append(time.perf_counter() - began)

    def array(self) -> np.ndarray:
        return np.array(self.seconds)

    def median(self) -> float:
        return float(np.median(self.seconds))


def _difference(found: Any, reference: Any) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(reference), strict=True)
    return max(float(jnp.max(jnp.abs(a - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-30)) for a, b in pairs if a.size)
