"""The two halves of the implicit-function gradient, at the solution of `z_t = f(z_{t-1}, u_t; theta)`.

    l_t = g_t + J_{t+1}^T l_{t+1}              `dense_adjoint`, `vjp_adjoint`
    dL/dtheta = sum_t (df_t/dtheta)^T l_t      `gradient_from`

with `g_t = dL/dz_t`. Lim et al., arXiv 2309.12252, section 3.1. `windowed_gradient` does both in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from . import scan
from ._base import Problem, default_tolerance, from_chunks, iterate, largest, rounding, single_cpu, to_chunks
from ._columns import any_in_batch, batched, vmap_last_sum, vmap_last_terms
from ._windows import Windows, merging_distance, window_length

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, PyTree

__all__ = ["dense_adjoint", "gradient_from", "vjp_adjoint", "windowed_gradient"]

_ADJOINT_SWEEPS = 8  # after which one walk step by step costs less


def dense_adjoint(
    problem: Problem, states: Array, cotangents: Array, method: scan.Method
) -> Float[Array, "time latent"]:
    """`l_t = g_t + J_{t+1}^T l_{t+1}` as one reversed affine scan over all Jacobians: `T M^2` numbers of memory.

    A Jacobian that the caller gave may be wrong, or an approximation that is meant to steer the solve only. The answer
    is therefore put back into its equation by vector-Jacobian products, and where it fails they do the work instead.
    """
    J = problem.jacobians(states)
    transposed = J if J.ndim == 2 else jnp.swapaxes(J, 1, 2)
    after = problem.following(transposed, jnp.zeros_like(transposed[0]))
    adjoints = scan.affine(after, cotangents, reverse=True, method=method)
    if problem.pure_jacobian is None:
        return adjoints
    pulled = problem.vjps(states, adjoints)
    residual = largest(cotangents + problem.following(pulled, jnp.zeros_like(pulled[0])) - adjoints)
    wrong = residual > default_tolerance(states.dtype) * largest(adjoints)
    return jax.lax.cond(any_in_batch(wrong), lambda: vjp_adjoint(problem, states, cotangents), lambda: adjoints)


def vjp_adjoint(problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
    """The same recurrence, one vector-Jacobian product a step: `T M` numbers of memory."""

    def back(carry: Array, element: tuple) -> tuple[Array, Array]:
        z, u, g = element
        _, vjp = jax.vjp(lambda z: problem.step(z, u), z)
        adjoint = g + carry
        return vjp(adjoint)[0], adjoint

    elements = (problem.previous(states), problem.inputs, cotangents)
    return jax.lax.scan(back, jnp.zeros_like(problem.z0), elements, reverse=True)[1]


def gradient_from(
    problem: Problem, states: Array, adjoints: Float[Array, "time latent"]
) -> tuple[PyTree, Array, PyTree]:
    """`sum_t (df_t/dtheta)^T l_t`, the start's gradient and, for every t, `(df_t/du_t)^T l_t`, a chunk of time at once.

    What is not a floating-point number (indices, keys) gets None. Stretches whose hidden layers fit into the cache are
    3 to 7 times faster on CPUs than all times at once (measured: T 131072, M 3 and 30), and spare `T H` memory.
    """

    def of_all(constants: PyTree, trajectories: tuple) -> tuple[list, list]:
        def one(trajectory: tuple) -> tuple[list, list]:
            return _chunk_by_chunk(problem.pure_step, constants, *trajectory)

        return jax.lax.map(one, trajectories) if single_cpu() else jax.vmap(one)(trajectories)

    trajectory = (problem.previous(states), problem.inputs, adjoints)
    of_constants, of_inputs = batched(of_all)(problem.constants[0], trajectory)
    rebuild_constants, rebuild_inputs = (_floating(tree)[1] for tree in (problem.constants[0], problem.inputs))
    first = jax.tree.map(lambda u: u[0], problem.inputs)
    of_start = jax.vjp(lambda z: problem.step(z, first), problem.z0)[1](adjoints[0])[0]
    return rebuild_constants(of_constants, None), of_start, rebuild_inputs(of_inputs, None)


def _chunk_by_chunk(
    step: Callable, constants: PyTree, previous: Array, inputs: PyTree, adjoints: Array
) -> tuple[list, list]:
    """The gradients with respect to the floating-point leaves of the constants and of the inputs."""
    constants, rebuild_constants = _floating(constants)
    fixed = [x for x in jax.tree.leaves(inputs) if not _is_floating(x)]
    inputs, rebuild_inputs = _floating(inputs)

    def pull(z: Array, u: list, fixed: list, adjoint: Array) -> tuple[list, list]:
        def image(constants: list, u: list) -> Array:
            return step(rebuild_constants(constants), z, rebuild_inputs(u, fixed))

        return jax.vjp(image, constants, u)[1](adjoint)

    def accumulate(total: list, chunk: tuple) -> tuple[list, list]:
        of_constants, of_inputs = vmap_last_sum(pull)(*jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), chunk))
        return jax.tree.map(jnp.add, total, of_constants), jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), of_inputs)

    chunks, rest = to_chunks((previous, inputs, fixed, adjoints))
    total, of_inputs = jax.lax.scan(accumulate, jax.tree.map(jnp.zeros_like, constants), chunks)
    of_inputs = jax.tree.map(from_chunks, of_inputs)
    if len(rest[0]):
        total, of_rest = accumulate(total, rest)
        of_inputs = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), of_inputs, of_rest)
    return total, of_inputs


def windowed_gradient(
    problem: Problem, states: Array, cotangents: Array, *, length: int | None = None, tol: float
) -> tuple[PyTree, Array, PyTree]:
    """Gradients of constants, start and inputs at the solution, all windows at once.

    Where errors are not forgotten within a few sweeps it goes step by step instead: gradients know no cap.
    """
    tol = min(tol, default_tolerance(states.dtype))

    def of_all(constants: PyTree, trajectories: tuple) -> tuple:
        batch, steps, _ = trajectories[2].shape
        back = partial(_sweep_back, problem.pure_step, constants, *trajectories, tol)
        whole = Windows(batch, steps, steps)
        windows = replace(whole, length=min(steps, length or window_length(steps, batch)))
        found, settled = back(windows)
        if windows == whole:
            return found
        return jax.lax.cond(any_in_batch(~jnp.all(settled)), lambda: back(whole)[0], lambda: found)

    trajectory = problem.z0, problem.inputs, states, cotangents
    of_constants, of_start, of_inputs = batched(of_all)(problem.constants[0], trajectory)
    rebuild_constants, rebuild_inputs = (_floating(tree)[1] for tree in (problem.constants[0], problem.inputs))
    return rebuild_constants(of_constants, None), of_start, rebuild_inputs(of_inputs, None)


def _sweep_back(
    function: Callable,
    constants: PyTree,
    z0: Array,
    inputs: PyTree,
    states: Array,
    cotangents: Array,
    tol: float,
    w: Windows,
) -> tuple[tuple[list, Array, list], Bool[Array, " batch"]]:
    """The gradients of floating-point leaves for each trajectory, and whether all that came in has died out."""
    constants, rebuild_constants = _floating(constants)
    fixed = [x for x in jax.tree.leaves(inputs) if not _is_floating(x)]
    inputs, rebuild_inputs = _floating(inputs)
    before = jnp.concatenate([z0[:, None], states[:, :-1]], axis=1)
    elements = jax.tree.map(w.split, (before, inputs, fixed))
    missing = w.each * w.length - w.steps
    g = replace(w, steps=w.steps + missing).split(jnp.pad(cotangents, ((0, 0), (0, missing), (0, 0))))
    adders = []

    def pull(z: Array, u: list, fixed: list, adjoint: Array) -> tuple[list, tuple[Array, list]]:
        def image(constants: list, z: Array, u: list) -> Array:
            return function(rebuild_constants(constants), z, rebuild_inputs(u, fixed))

        of_constants, of_z, of_u = jax.vjp(image, constants, z, u)[1](adjoint)
        return of_constants, (of_z, of_u)

    def one(from_right: Array, element: tuple) -> tuple[Array, tuple]:
        *known, g = element
        terms, add, (of_z, of_u) = vmap_last_terms(pull, *known, from_right + g)
        adders.append(add)
        return of_z, (terms, of_u, from_right + g)

    def of_each(x: Float[Array, "some ... columns"]) -> Float[Array, "batch ... some_each"]:
        x = jnp.moveaxis(jnp.moveaxis(w.by_trajectory(x), -2, 0), 1, -2)
        return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])

    def sweep(carry: tuple) -> tuple:
        count, entered, _, *totals, size = carry
        first = w.largest(entered)

        def alive(carry: tuple) -> Array:
            i, _, _, _, size, moved = carry
            close = size * merging_distance(moved, first, w.length - i, tol)
            return (i > 0) & any_in_batch((count == 0) | jnp.any(~(moved <= close)))

        def go_on(carry: tuple) -> tuple:
            i, a, of_constants, of_inputs, size, _ = carry
            i = i - w.stride
            *known, direct = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i, w.stride), (*elements, g))
            direct = jnp.where(count == 0, direct, 0)
            a, (terms, of_u, adjoints) = jax.lax.scan(one, a, (*known, direct), reverse=True)
            more = jax.vmap(adders[-1], axis_size=w.batch)([of_each(x) for x in terms])  # a step may have none
            of_constants = jax.tree.map(jnp.add, of_constants, more)
            of_inputs = jax.tree.map(lambda x, new: _add_rows(x, new, i), of_inputs, of_u)
            return i, a, of_constants, of_inputs, jnp.maximum(size, w.largest(adjoints)), w.largest(a)

        of_constants, of_start, of_inputs = totals
        begin = (jnp.asarray(w.length), entered, of_constants, of_inputs, size, first)
        i, a, of_constants, of_inputs, size, _ = jax.lax.while_loop(alive, go_on, begin)
        a = jnp.where(i > 0, 0, a)  # what has died out on the way is left out
        of_start = of_start + w.by_trajectory(a)[..., 0].T
        return count + 1, w.before(a), first, of_constants, of_start, of_inputs, size

    def settled(carry: tuple) -> Bool[Array, " batch"]:
        _, entering, _, _, _, _, size = carry
        return w.largest(entering) <= rounding(size.dtype) * size

    def done(carry: tuple) -> Bool[Array, ""]:
        count, entering, entered, *_ = carry
        grows = (count > 1) & jnp.any(~settled(carry) & ~(w.largest(entering) < entered))
        return (count > 0) & (jnp.all(settled(carry)) | grows | (count > _ADJOINT_SWEEPS))

    nothing, none = jnp.zeros_like(before[:, 0]), jnp.zeros(w.batch, before.dtype)
    of_constants = [jnp.zeros((w.batch, *x.shape), x.dtype) for x in constants]
    totals = of_constants, nothing, jax.tree.map(jnp.zeros_like, elements[1])
    begin = (jnp.asarray(0), jnp.zeros_like(g[0]), none, *totals, none)
    last = iterate(sweep, done, begin)
    _, _, _, of_constants, of_start, of_inputs, _ = last
    return (of_constants, of_start, [w.join(x) for x in of_inputs]), settled(last)


def _add_rows(x: Array, new: Array, at: Any) -> Array:
    old = jax.lax.dynamic_slice_in_dim(x, at, len(new))
    return jax.lax.dynamic_update_slice_in_dim(x, old + new, at, 0)


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _floating(tree: PyTree) -> tuple[list, Any]:
    """The floating-point leaves, and how to put the tree together again around new ones.

    `rebuild(leaves)` keeps the other leaves, `rebuild(leaves, others)` exchanges them too, and
    `rebuild(leaves, None)` puts None for each.
    """
    leaves, structure = jax.tree.flatten(tree)
    own = [x for x in leaves if not _is_floating(x)]
    places = [_is_floating(x) for x in leaves]

    def rebuild(floating: list, others: list | None = own) -> PyTree:
        first = iter(floating)
        second = iter(others if others is not None else [None] * len(own))
        return jax.tree.unflatten(structure, [next(first) if place else next(second) for place in places])

    return [x for x in leaves if _is_floating(x)], rebuild
