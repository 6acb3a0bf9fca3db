"""One long series on several devices: time is cut into as many runs of steps, and a solver works on all of them.

    device d:    z_t = f(z_{t-1}, u_t)  for its steps;     z before its first step = last z of device d - 1

`Shooting` exchanges the states at the edges between devices, once a sweep. `DEER` and `QuasiDEER` exchange these and,
for each affine scan, one map `z -> P z + q` a device (`gtfdeer.scan.Sharded`). `Sequential` passes its last state on.
The number of exchanges does not depend on T. Where T does not divide among the devices, it is filled up with steps that
lead to zero from anywhere: they are solved at once, and leave every verdict to the others.

Not to be confused with a batch divided among devices, which `jax.shard_map` over `solve` does without any of this.
Lim et al., arXiv 2309.12252 (DEER); Blelloch, "Prefix sums and their applications", 1990 (the scan of parts).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ._auto import Auto
from ._base import Attempt, Problem, Solver
from ._deer import DEER
from ._quasi import QuasiDEER
from ._sequential import Sequential
from ._share import Part
from ._shooting import Shooting

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree

__all__ = ["Sharded"]


@dataclass(frozen=True)
class Sharded(Solver):
    """A solver on a series whose time is cut over several devices.

    Args:
        solver: `Shooting`, `DEER`, `QuasiDEER`, `Sequential`, or `Auto`, which chooses for a device's share.
        mesh: a line of devices; `None` takes all there are.

    Raises:
        TypeError: for another solver, or a mesh with more than one axis.

    >>> import gtfdeer as gd
    >>> solver = Sharded(gd.solvers.Shooting())
    >>> gd.solve(lambda z, u: 0.8 * z + u, jnp.zeros(1), jnp.ones((1001, 1)), solver=solver).states.shape
    (1001, 1)
    """

    solver: Solver = Auto()  # noqa: RUF009 (frozen)
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.solver, Auto | DEER | QuasiDEER | Sequential | Shooting):
            raise TypeError(
                f"solver is {self.solver!r}, which cannot be cut along time; pass Shooting(), DEER(), QuasiDEER(), "
                "Sequential() or Auto()"
            )
        if self.mesh is not None and not (isinstance(self.mesh, Mesh) and len(self.mesh.axis_names) == 1):
            raise TypeError(f"mesh is {self.mesh!r}; pass jax.make_mesh((4,), ('devices',)) or None")

    def run(self, problem: Problem, guess: Float[Array, "time latent"]) -> Attempt:
        out: Any = Attempt(*self.layout)
        return self.spread(self.solver.run, out, problem, guess)

    def adjoint(self, problem: Problem, states: Array, cotangents: Array) -> Float[Array, "time latent"]:
        return self.spread(self.solver.adjoint, P(self._axis), problem, states, cotangents)

    def tolerance(self, dtype: Any) -> float:
        return self.solver.tolerance(dtype)

    def numbers_per_step(self, length: int, latent_dim: int, *, gradient: bool) -> float:
        return self.solver.numbers_per_step(length, latent_dim, gradient=gradient)

    @property
    def layout(self) -> Any:
        """How a solution or an attempt lies on the devices: states along time, the other four known to all."""
        return P(self._axis), P(), P(), P(), P()

    @property
    def line(self) -> Mesh:
        """The devices."""
        return Mesh(np.array(jax.devices()), ("devices",)) if self.mesh is None else self.mesh

    def spread(self, function: Callable, out: PyTree, problem: Problem, *series: Float[Array, "time latent"]) -> Any:
        """`function(problem, *series)`, each device with its share of time.

        Args:
            function: of a problem and arrays along its steps.
            out: what comes out, as a tree of `PartitionSpec`: along time, or one for all.
            problem: all of time.
            series: `(T, M)` arrays.
        """
        line, axis, steps = self.line, self._axis, problem.length
        problem = _filled_up(problem, -steps % line.size)

        def mine(constants: Any, z0: Array, inputs: PyTree, series: tuple) -> Any:
            share = Part(axis, line.size)
            return function(replace(problem, constants=constants, z0=z0, inputs=inputs, share=share), *series)

        series = tuple(_continued(x, problem.length - steps, 0) for x in series)
        mapped = jax.shard_map(mine, mesh=line, in_specs=(P(), P(), P(axis), P(axis)), out_specs=out, check_vma=False)
        found = jax.jit(mapped)(problem.constants, problem.z0, problem.inputs, series)
        along_time = P(axis)
        return jax.tree.map(lambda spec, x: x[:steps] if spec == along_time else x, out, found)

    @property
    def _axis(self) -> str:
        return str(self.line.axis_names[0])


def _filled_up(problem: Problem, missing: int) -> Problem:
    """The problem and so many steps more, `z_t = 0`."""
    if not missing:
        return problem
    real = jnp.arange(problem.length + missing) < problem.length
    inputs = jax.tree.map(lambda u: _continued(u, missing, u[-1]), problem.inputs)

    def step(constants: Any, z: Array, u: Any) -> Array:
        (constants, z0), (u, real) = constants, u
        # from z0, so that no overflow enters the gradient as infinity times zero
        return jnp.where(real, problem.pure_step(constants, jnp.where(real, z, z0), u), 0)

    def jacobian_by(given: Callable) -> Callable:
        return lambda constants, z, u: jnp.where(u[1], given(constants, z, u[0]), 0)

    return replace(
        problem,
        pure_step=step,
        pure_jacobian=None if problem.pure_jacobian is None else jacobian_by(problem.pure_jacobian),
        constants=((problem.constants[0], jax.lax.stop_gradient(problem.z0)), problem.constants[1]),
        inputs=(inputs, real),
    )


def _continued(x: Array, missing: int, by: Any) -> Array:
    return jnp.concatenate([x, jnp.broadcast_to(by, (missing, *x.shape[1:])).astype(x.dtype)]) if missing else x
