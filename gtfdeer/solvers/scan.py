"""Affine recurrences, solved exactly: the only place that knows scans.

    z_t = A_t z_{t-1} + b_t,    t = 1..T,    z_0 = 0

`A` is dense `(T, M, M)` or diagonal `(T, M)`. Three ways to the same answer:

- `sequential`: one step after the other; T steps deep, T M^2 work.
- `associative`: adding in a tree, (A_j, b_j) o (A_i, b_i) = (A_j A_i, A_j b_i + b_j); depth log T, T M^3 work.
  Blelloch, "Prefix sums and their applications", 1990; Lim et al., "Parallelizing non-linear sequential
  models over the sequence length", arXiv 2309.12252, section 3.
- `Blocked`: cut T into windows and walk all windows at once, from zero and then from the ends found. Where products of
  A have died out within a window, as they do under contraction, that is the answer, for T M^2 work in 2 sqrt(T) steps;
  elsewhere each window's own map says where to start from, after 3 sqrt(T) more. (Diagonal A: by the maps at once.)
  Fast on CPUs: the windows lie innermost in memory, so that every product is one vector instruction wide.

A start z_0 that is not zero belongs into b_1 (add A_1 z_0). All products ask for the highest precision,
because the default of some GPUs (TF32) keeps three digits only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._checks import whole
from ._columns import batched

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = [
    "Blocked",
    "affine",
    "associative",
    "check_method",
    "for_this_device",
    "on_cpu",
    "sequential",
    "this_device",
]

Method = Callable[..., jax.Array]  # (A, b) -> z
_einsum = partial(jnp.einsum, precision="highest")


def affine(
    A: Float[Array, "time latent latent"] | Float[Array, "time latent"],
    b: Float[Array, "time latent"],
    *,
    reverse: bool = False,
    method: Method | None = None,
) -> Float[Array, "time latent"]:
    """Solve `z_t = A_t z_{t-1} + b_t` from `z_0 = 0`; reversed, `z_t = A_t z_{t+1} + b_t` from `z_{T+1} = 0`.

    Args:
        A: dense `(T, M, M)` or diagonal `(T, M)` transition matrices. `A_1` (reversed: `A_T`) meets the zero start.
        b: `(T, M)` offsets.
        reverse: run from the end to the beginning.
        method: `sequential`, `associative` (default) or `Blocked()`.

    Returns:
        `(T, M)` states.

    Raises:
        ValueError, TypeError: if shapes or dtypes of `A` and `b` do not belong together, or there is no step.

    >>> affine(jnp.full((4, 1), 0.5), jnp.ones((4, 1)))[:, 0]
    Array([1.   , 1.5  , 1.75 , 1.875], dtype=float32)
    """
    if b.ndim != 2 or A.shape not in (b.shape, (*b.shape, b.shape[-1])):
        raise ValueError(
            f"A has shape {A.shape} and b {b.shape}; pass b as (T, M) and A as (T, M, M) or, diagonal, (T, M)"
        )
    if not len(b):
        raise ValueError(f"A has shape {A.shape} and b {b.shape}, no step at all; pass T >= 1")
    if A.dtype != b.dtype or not jnp.issubdtype(b.dtype, jnp.inexact):
        raise TypeError(f"A is {A.dtype} and b {b.dtype}; pass both as one dtype, such as float32")
    check_method(method)
    method = associative if method is None else method
    if reverse:
        return method(A[::-1], b[::-1])[::-1]
    return method(A, b)


def check_method(method: Method | None) -> None:
    """Refuse what is not a way to solve an affine recurrence."""
    if method is not None and not callable(method):
        raise TypeError(
            f"method is {method!r}; pass gtfdeer.scan.sequential, gtfdeer.scan.associative, gtfdeer.scan.Blocked() "
            "or None"
        )


def sequential(A: Array, b: Array) -> Float[Array, "time latent"]:
    """One step after the other (`lax.scan`); for `affine(method=sequential)`."""
    times = _multiplication(A.ndim == 2)

    def step(z: Array, element: tuple[Array, Array]) -> tuple[Array, Array]:
        z = times(element[0], z) + element[1]
        return z, z

    return jax.lax.scan(step, jnp.zeros_like(b[0]), (A, b))[1]


def associative(A: Array, b: Array) -> Float[Array, "time latent"]:
    """Adding in a tree (`lax.associative_scan`); for `affine(method=associative)`."""
    if A.ndim == 2:
        return jax.lax.associative_scan(lambda i, j: (j[0] * i[0], j[0] * i[1] + j[1]), (A, b))[1]

    def combine(i: tuple[Array, Array], j: tuple[Array, Array]) -> tuple[Array, Array]:
        return _einsum("tij,tjk->tik", j[0], i[0]), _einsum("tij,tj->ti", j[0], i[1]) + j[1]

    return jax.lax.associative_scan(combine, (A, b))[1]


def this_device() -> Any:  # a jax.Device, which type checkers take for a variable
    """The device that JAX computes on: the one of `jax.default_device` where that is set, otherwise the first one."""
    config: Any = jax.config  # its options are unknown to type checkers
    chosen = config.jax_default_device  # a device, or the name of a platform
    return chosen if isinstance(chosen, jax.Device) else jax.local_devices(backend=chosen)[0]


def on_cpu() -> bool:
    """Whether a CPU does the work."""
    return this_device().platform == "cpu"


def for_this_device() -> Method:
    """`Blocked()` on CPUs, where a tree costs more than it saves; `associative` on accelerators."""
    return Blocked() if on_cpu() else associative


@dataclass(frozen=True)
class Blocked:
    """Windows side by side; for `affine(method=Blocked())`.

    Args:
        length: steps in a window; by default about sqrt(T), which makes both kinds of loop equally long.
    """

    length: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None:
            whole(self.length, "length", example="None, for the default")

    def __call__(self, A: Array, b: Array) -> Float[Array, "time latent"]:
        if A.ndim == b.ndim:
            return self._of_all(A[None], b[None])[0]
        return _blocked(self, A, b)

    def _of_all(self, A: Array, b: Float[Array, "batch time latent"]) -> Float[Array, "batch time latent"]:
        """The states of a batch, whose windows stand in one row."""
        batch, steps, latent = b.shape
        length = min(steps, self.length or math.isqrt(steps) + 1)
        windows = -(-steps // length)
        A, b = (_side_by_side(x, windows, length) for x in (A, b))  # (length, M, [M,] batch * windows)
        dense = A.ndim > b.ndim
        multiply, apply = (_matrix_matrix, _matrix_vector) if dense else (jnp.multiply, jnp.multiply)
        nothing = jnp.zeros_like(b[0])

        def walk(starts: Array) -> tuple[Array, Array]:  # the windows' ends, and all states
            def state(z: Array, element: tuple[Array, Array]) -> tuple[Array, Array]:
                z = apply(element[0], z) + element[1]
                return z, z

            return jax.lax.scan(state, starts, (A, b))

        def next_starts(ends: Array) -> Array:
            of_each = ends.reshape(latent, batch, windows)
            return jnp.pad(of_each[..., :-1], ((0, 0), (0, 0), (1, 0))).reshape(ends.shape)

        def from_their_maps() -> Array:
            def window_map(carry: tuple[Array, Array], element: tuple[Array, Array]) -> tuple[tuple, None]:
                return (multiply(element[0], carry[0]), apply(element[0], carry[1]) + element[1]), None

            identity = jnp.eye(latent, dtype=b.dtype)[..., None] if dense else jnp.ones((), b.dtype)
            identity = jnp.broadcast_to(identity, A.shape[1:])
            maps, _ = jax.lax.scan(window_map, (identity, nothing), (A, b))
            of_each = (jnp.moveaxis(x.reshape(*x.shape[:-1], batch, windows), (-2, -1), (0, 1)) for x in maps)
            ends = jax.vmap(sequential)(*of_each)  # one state a window: short
            return walk(next_starts(jnp.moveaxis(ends, -1, 0).reshape(nothing.shape)))[1]

        if dense:
            ends = walk(nothing)[0]
            again, z = walk(next_starts(ends))
            left, size = (_largest_of_each(x, batch) for x in (again - ends, z))
            forgotten = jnp.all(left <= jnp.finfo(b.dtype).eps * size)
            z = jax.lax.cond(~forgotten, from_their_maps, lambda: z)
        else:
            z = from_their_maps()
        return jnp.moveaxis(z, -1, 0).reshape(batch, windows * length, latent)[:, :steps]


@partial(jax.custom_vjp, nondiff_argnums=(0,))  # dense ones, which go through `batched`, have no other gradient
def _blocked(method: Blocked, A: Array, b: Array) -> Array:
    return batched(lambda _, trajectories: method._of_all(*trajectories))((), (A, b))


def _blocked_forward(method: Blocked, A: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    z: Any = _blocked(method, A, b)  # its type is lost on type checkers
    return z, (A, z)


def _blocked_backward(method: Blocked, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    """`l_t = g_t + A_{t+1}^T l_{t+1}`, the same recurrence backwards; `dL/db_t = l_t`, `dL/dA_t = l_t z_{t-1}^T`."""
    A, z = saved
    after = jnp.concatenate([jnp.swapaxes(A[1:], 1, 2), jnp.zeros_like(A[:1])])
    adjoints: Any = _blocked(method, after[::-1], g[::-1])
    adjoints = adjoints[::-1]
    before = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1]])
    return adjoints[:, :, None] * before[:, None, :], adjoints


_blocked.defvjp(_blocked_forward, _blocked_backward)


def _multiplication(diagonal: bool) -> Callable[[Array, Array], Array]:
    return jnp.multiply if diagonal else partial(_einsum, "ij,j->i")


def _side_by_side(x: Array, windows: int, length: int) -> Array:
    """`(B, T, ...)` to `(length, ..., B * windows)`, the ends padded with zeros."""
    padded = jnp.pad(x, [(0, 0), (0, windows * length - x.shape[1])] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(padded.reshape(-1, length, *x.shape[2:]), 0, -1)


def _largest_of_each(x: Float[Array, "... columns"], batch: int) -> Float[Array, " batch"]:
    of_each = jnp.abs(x).reshape(-1, batch, x.shape[-1] // batch)
    return jnp.max(of_each, axis=(0, 2))


# Written as sums of products, not as `dot`: XLA then fuses them into loops over the windows, which lie innermost.
def _matrix_vector(A: Array, z: Array) -> Array:
    return sum((A[:, j] * z[j] for j in range(z.shape[0])), start=jnp.zeros_like(z))


def _matrix_matrix(A: Array, P: Array) -> Array:
    return sum((A[:, j, None] * P[j] for j in range(P.shape[0])), start=jnp.zeros_like(P))
