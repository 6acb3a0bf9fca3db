"""The two halves of the implicit-function gradient, at the solution of `z_t = f(z_{t-1}, u_t; theta)`.

    l_t = g_t + J_{t+1}^T l_{t+1}              `dense_adjoint`, `vjp_adjoint`
    dL/dtheta = sum_t (df_t/dtheta)^T l_t      `gradient_from`

with `g_t = dL/dz_t`. Lim et al., arXiv 2309.12252, section 3.1. `gtfdeer.solvers._shooting` does both in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from . import scan
from ._base import Problem, default_tolerance, from_chunks, largest, single_cpu, to_chunks
from ._columns import any_in_batch, batched, vmap_last_sum

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["dense_adjoint", "floating", "gradient_from", "vjp_adjoint"]


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
    rebuild_constants, rebuild_inputs = (floating(tree)[1] for tree in (problem.constants[0], problem.inputs))
    first = jax.tree.map(lambda u: u[0], problem.inputs)
    of_start = jax.vjp(lambda z: problem.step(z, first), problem.z0)[1](adjoints[0])[0]
    return rebuild_constants(of_constants, None), of_start, rebuild_inputs(of_inputs, None)


def _chunk_by_chunk(
    step: Callable, constants: PyTree, previous: Array, inputs: PyTree, adjoints: Array
) -> tuple[list, list]:
    """The gradients with respect to the floating-point leaves of the constants and of the inputs."""
    constants, rebuild_constants = floating(constants)
    fixed = [x for x in jax.tree.leaves(inputs) if not _is_floating(x)]
    inputs, rebuild_inputs = floating(inputs)

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


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def floating(tree: PyTree) -> tuple[list, Any]:
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
