"""How fast programs run on this device: compiled apart, timed in turns, compared with one another.

speedup = time of the reference / time of a program,    turn by turn; above 1 is faster

All programs take turns, so that noise affects all of them equally; every timing blocks until the result is ready.
Beside the speed stands the error: the speed of a wrong answer is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Timing", "benchmark"]

_FEWEST = 3  # turns that are made however long they take


@dataclass(frozen=True)
class Timing:
    """What one program took, and what it returned.

    Attributes:
        seconds: `(repeats,)` of every run, compiling apart.
        compile_seconds: of tracing and compiling, once.
        memory: bytes that the compiled program needs beside its inputs and outputs; None where XLA does not say.
        result: what the program returned.
        program: the compiled program.
    """

    seconds: Float[np.ndarray, " repeats"]
    compile_seconds: float
    memory: int | None
    result: Any
    program: Callable[..., Any]

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return float(np.median(self.seconds))

    def speedup(self, reference: Timing) -> tuple[float, float]:
        """Median of reference time / own time over turns, and half the distance between its quartiles."""
        turns = min(len(self.seconds), len(reference.seconds))
        low, middle, high = np.percentile(reference.seconds[:turns] / self.seconds[:turns], [25, 50, 75])
        return float(middle), float(high - low) / 2

    def error(self, reference: Timing, select: Callable[[Any], Any] = lambda result: result) -> float:
        """Largest difference in any array of the results, or of a part of them, relative to that array's largest entry.

        NaN where one is.
        """
        pairs = zip(jax.tree.leaves(select(self.result)), jax.tree.leaves(select(reference.result)), strict=True)
        scaled = [jnp.max(jnp.abs(a - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-30) for a, b in pairs if a.size]
        return float(np.max(np.array(scaled, float)))


def benchmark(
    programs: Mapping[str, Callable[..., Any] | Timing], *arguments: Any, repeats: int = 7, limit: float = 60.0
) -> dict[str, Timing]:
    """Compile programs for these arguments, then time them in turns.

    Args:
        programs: functions of arrays that JAX can trace, by name; a `Timing` from a call with arguments of the same
            shapes is not compiled again.
        arguments: what every program is called with.
        repeats: turns.
        limit: seconds of all turns after which no other begins; three are made in any case.

    Returns:
        A `Timing` for every program, in their order.

    Raises:
        ValueError: for fewer than 1 repeat.

    Examples:
        >>> x = jnp.ones((100, 100))
        >>> found = benchmark({"sum": lambda x: x.sum(), "product": lambda x: (x @ x)[0].sum()}, x, repeats=3)
        >>> found["product"].seconds.shape, found["product"].error(found["sum"])
        ((3,), 0.0)
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; pass at least 1")
    ready = {name: _compile(program, arguments) for name, program in programs.items()}
    results = {name: jax.block_until_ready(program(*arguments)) for name, (program, *_) in ready.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    began = time.perf_counter()
    for turn in range(repeats):
        if turn >= _FEWEST and time.perf_counter() - began > limit:
            break
        for name, (program, *_) in ready.items():
            started = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(np.array(seconds[name]), compile_seconds, memory, results[name], program)
        for name, (program, compile_seconds, memory) in ready.items()
    }


def _compile(program: Callable[..., Any] | Timing, arguments: tuple) -> tuple[Callable[..., Any], float, int | None]:
    if isinstance(program, Timing):
        return program.program, program.compile_seconds, program.memory
    began = time.perf_counter()
    compiled = jax.jit(program).lower(*arguments).compile()
    seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    return compiled, seconds, None if memory is None else int(memory.temp_size_in_bytes)
