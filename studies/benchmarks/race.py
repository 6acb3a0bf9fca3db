"""A race: programs that compute the same loss, compiled apart, timed in turns, each compared with the first of them.

    ratio = time of the baseline / time of a program,    median over turns; above 1 is faster

All programs of a case take turns, so that a noisy machine is unfair to all of them alike. Every timing blocks until
ready. Beside the speed stands how the solve ended and how far predictions and gradient are from the baseline's: the
speed of a wrong answer is none.
"""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gtfdeer.solvers._solve import Status

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

__all__ = ["BASELINE", "Case", "Measurement", "Outcome", "Race", "compare"]

BASELINE = "lax.scan"
_FEWEST, _LONG = 3, 60.0  # turns that every case gets; seconds of turns after which no other begins


class Outcome(NamedTuple):
    """What a program finds beside the loss: most iterations and worst status of the batch, any step-by-step rescue."""

    predicted: Float[Array, "batch time-1 observed"]
    iterations: Int[Array, ""]
    code: Int[Array, ""]
    fallback: Bool[Array, ""]


@dataclass(frozen=True)
class Race:
    """Programs `(parameters, x) -> (loss, Outcome)`, the baseline first, what they get, what memory is foretold."""

    programs: Mapping[str, Callable[[Any, Array], tuple[Array, Outcome]]]
    parameters: Any
    x: Float[Array, "batch time observed"]
    estimates: Mapping[str, int]


class Case(abc.ABC):
    """One size of a task; its leaves are frozen dataclasses, whose `str` is a line of the figure."""

    @abc.abstractmethod
    def race(self) -> Race:
        """The programs and what they work on."""

    @abc.abstractmethod
    def as_row(self) -> dict[str, Any]:
        """What the case is, flat, for JSON."""

    def left_out(self) -> dict[str, int]:
        """Solvers that do not run in this case, and the bytes of memory that they would need."""
        return {}


@dataclass(frozen=True)
class Measurement:
    """What one program took for one case; times in seconds (medians), memory in bytes.

    Attributes:
        value, gradient: of the loss alone, and of loss and gradient.
        value_ratio, gradient_ratio: baseline / this, medians over turns; above 1 is faster.
        ratio_spread: half the distance between the quartiles of the gradient's ratio.
        turns: timings of each.
        compile: of loss and gradient.
        temporary: memory that the compiled gradient asks for beside its inputs and outputs; None if XLA does not say.
        estimated: what decided whether it takes part; None for a program without a solver.
        iterations: most in the batch.
        status: how the solve ended, of the batch the worst: the name of a `gtfdeer.Status`.
        fallback: whether `Auto` had to go step by step, for any of the batch.
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
    turns: int
    compile: float
    temporary: int | None
    estimated: int | None
    iterations: int
    status: str
    fallback: bool
    error: float
    gradient_error: float

    @property
    def converged(self) -> bool:
        return self.status == Status.CONVERGED.name

    def as_row(self) -> dict[str, Any]:
        """Flat, for JSON, which knows no NaN and no infinity: they are None there."""
        row = {name: value for name, value in asdict(self).items() if name != "case"}
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        return self.case.as_row() | finite


def compare(case: Case, *, turns: int = 9, progress: bool = False) -> list[Measurement]:
    """Measure every program of a case, the baseline first.

    Args:
        case: what to do.
        turns: timings of each program; fewer, but three at least, where they take longer than a minute.
        progress: show a bar.

    Raises:
        ValueError: for fewer than 1 turn.
    """
    if turns < 1:
        raise ValueError(f"turns is {turns}; pass at least 1")
    race = case.race()
    with tqdm(total=len(race.programs) + turns, disable=not progress, leave=False, desc=str(case)) as bar:
        ready = {}
        for name, program in race.programs.items():
            ready[name] = _compiled(program, race.parameters, race.x)
            bar.update()
        seconds = _turns(ready, race, turns, bar)
    reference = ready[next(iter(ready))]
    return [
        _measurement(case, name, program, reference, seconds[name], next(iter(seconds.values())), race.estimates)
        for name, program in ready.items()
    ]


class _Program(NamedTuple):
    value: Callable
    gradient: Callable
    seconds: float
    temporary: int | None
    outcome: tuple[tuple[Array, Outcome], Any]


def _compiled(program: Callable, parameters: Any, x: Array) -> _Program:
    began = time.perf_counter()
    gradient = jax.jit(jax.value_and_grad(program, has_aux=True)).lower(parameters, x).compile()
    seconds = time.perf_counter() - began
    value = jax.jit(lambda p, x: program(p, x)[0]).lower(parameters, x).compile()
    memory = gradient.memory_analysis()
    temporary = None if memory is None else int(memory.temp_size_in_bytes)
    return _Program(value, gradient, seconds, temporary, jax.block_until_ready(gradient(parameters, x)))


def _turns(ready: Mapping[str, _Program], race: Race, turns: int, bar: tqdm) -> dict[str, np.ndarray]:
    """Seconds of value and gradient, `(turns, 2)` for each program."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ready}
    began = time.perf_counter()
    for turn in range(turns):
        if turn >= _FEWEST and time.perf_counter() - began > _LONG:
            break
        for name, program in ready.items():
            seconds[name].append(
                (_timed(program.value, race.parameters, race.x), _timed(program.gradient, race.parameters, race.x))
            )
        bar.update()
    return {name: np.array(taken) for name, taken in seconds.items()}


def _timed(program: Callable, *arguments: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    return time.perf_counter() - began


def _measurement(
    case: Case,
    name: str,
    program: _Program,
    reference: _Program,
    own: np.ndarray,
    others: np.ndarray,
    estimates: Mapping[str, int],
) -> Measurement:
    (_, found), gradient = program.outcome
    (_, truth), true_gradient = reference.outcome
    value, value_and_gradient = np.median(own, axis=0)
    value_ratio, gradient_ratio = np.median(others / own, axis=0)
    return Measurement(
        case=case,
        solver=name,
        value=float(value),
        gradient=float(value_and_gradient),
        value_ratio=float(value_ratio),
        gradient_ratio=float(gradient_ratio),
        ratio_spread=float(np.subtract(*np.percentile(others[:, 1] / own[:, 1], [75, 25])) / 2),
        turns=len(own),
        compile=program.seconds,
        temporary=program.temporary,
        estimated=estimates.get(name),
        iterations=int(found.iterations),
        status=_status(found).name,
        fallback=bool(found.fallback),
        error=_difference(found.predicted, truth.predicted),
        gradient_error=_difference(gradient, true_gradient),
    )


def _status(found: Outcome) -> Status:
    """What the program says of itself; but nothing that is not finite has converged."""
    return Status(int(found.code)) if bool(jnp.isfinite(found.predicted).all()) else Status.NONFINITE


def _difference(found: Any, reference: Any) -> float:
    """The largest difference in any array, relative to that array's largest entry; NaN where there is one."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(reference), strict=True)
    differences = [float(jnp.max(jnp.abs(a - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-30)) for a, b in pairs if a.size]
    return float(np.max(differences))
