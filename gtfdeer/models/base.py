"""The contract that every model keeps, and how a nonlinear recurrent network is taught.

    z_1 = start(x_1);     z_t = F((1 - alpha_t P) z_{t-1} + alpha_t P z_hat_{t-1}),     x_pred_t = observe(z_t)

for t = 2..T, P the forced units, z_hat = infer(x). The first step leaves from z_1 itself. `fit`, `simulate`,
`score` and `save` work for every model through this contract alone.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from ..forcing import Forced, check_alpha, force, force_jacobian
from ..solve import Solution, solve
from ..solvers import Solver
from .observation import IdentityObservation, Observation

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = ["Model", "RecurrentModel", "positive"]


class Model(nnx.Module):
    """A generative model of a time series: a latent map, a readout, and a way to be taught in parallel over time."""

    latent_dim: int
    observed_dim: int

    @abc.abstractmethod
    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        """One step of the latent map, `z_t = F(z_{t-1}, u_t)`, `(M,) -> (M,)`."""

    @abc.abstractmethod
    def observe(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        """The observation of a state, `(M,) -> (N,)`."""

    @abc.abstractmethod
    def infer(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The teacher signal of an observation, `(N,) -> (M,)`."""

    @abc.abstractmethod
    def start(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The state that a free run begins with, `(N,) -> (M,)`."""

    @abc.abstractmethod
    def teach(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        """The predictions of `x[1:]` under teacher forcing and the solve they come from."""

    @abc.abstractmethod
    def teacher_jacobians(self, x: Float[Array, "time observed"], u: Any = None) -> Float[Array, "time latent latent"]:
        """The latent map's Jacobians at the teacher states, for adaptive forcing."""

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's keywords (without `rngs`) that build a model of this shape; saved beside the parameters."""

    def forecast(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> Float[Array, "time-1 observed"]:
        """Predictions of `x[1:]` from the past under forcing of strength `alpha`.

        Args:
            x: `(T, N)` observations, T >= 2.
            alpha: a number, `(T - 1,)` per step, `(T - 1, M)` or `(1, M)` per unit, in [0, 1].
            solver: from `gtfdeer.solvers`.
            u: `(T, K)` external inputs; `u[t]` enters the step that ends at t. None without.

        Returns:
            `(T - 1, N)`; row t predicts `x[t + 1]`.
        """
        return self.teach(x, alpha, solver, u)[0]


class RecurrentModel(Model):
    """A nonlinear recurrent network: `solve` on the forced step. Leaves give `step`, `jacobian` and `config`."""

    observation: Observation
    input_dim: int

    @abc.abstractmethod
    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        """`dF/dz`, `(M, M)`; strict `> 0` at the kink of a ReLU, as autodiff has it."""

    def observe(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return self.observation.observe(z)

    def infer(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.observation.infer(x)

    def start(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.observation.start(x)

    def teach(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        if x.ndim != 2 or x.shape[1] != self.observed_dim or x.shape[0] < 2:
            raise ValueError(f"x has shape {x.shape}; this model needs (T, {self.observed_dim}) with T of at least 2")
        check_alpha(alpha)
        self._check_input(x, u)
        teacher = jax.lax.stop_gradient(jax.vmap(self.infer)(x))  # the teacher is data; only the start is learned
        guess = jax.lax.stop_gradient(jax.vmap(self.start)(x))
        inputs = Forced(teacher[:-1], self._strength(alpha, teacher[:-1]), None if u is None else u[1:])
        solution = solve(
            force(self.step),
            self.start(x[0]),
            inputs,
            solver=solver,
            guess=guess[1:],
            jacobian=force_jacobian(self.jacobian),
        )
        return jax.vmap(self.observe)(solution.states), solution

    def teacher_jacobians(self, x: Float[Array, "time observed"], u: Any = None) -> Float[Array, "time latent latent"]:
        return jax.vmap(self.jacobian)(jax.vmap(self.infer)(x), u)

    def _check_input(self, x: Float[Array, "time observed"], u: Any) -> None:
        wanted = (x.shape[0], self.input_dim) if self.input_dim else None
        came = None if u is None else jnp.shape(u)
        if came != wanted:
            advice = (
                f"pass u of shape {wanted}" if wanted else "pass u=None, or build the model with input_dim=columns of u"
            )
            raise ValueError(
                f"u has shape {came} for {x.shape[0]} steps and a model with input_dim={self.input_dim}; {advice}"
            )

    def _strength(self, alpha: Any, teacher: Float[Array, "time latent"]) -> Array:
        """alpha as `(T - 1, 1)` or `(T - 1, M)`, zero on units that must not be forced and at the first step."""
        alpha = jnp.asarray(alpha, teacher.dtype)
        alpha = alpha[:, None] if alpha.ndim == 1 else alpha
        steps, latent = teacher.shape
        if alpha.ndim > 2 or alpha.shape not in {(), (steps, 1), (1, 1), (steps, latent), (1, latent)}:
            raise ValueError(
                f"alpha has shape {alpha.shape}; pass a number, ({steps},) per step, or ({steps}, {latent}) "
                f"or (1, {latent}) per unit"
            )
        partly_forced = isinstance(self.observation, IdentityObservation) and self.observed_dim < self.latent_dim
        if partly_forced:
            alpha = alpha * self.observation.forced_units().astype(alpha.dtype)
        alpha = jnp.broadcast_to(alpha, (steps, alpha.shape[-1] if alpha.ndim else 1))
        return alpha.at[0].set(0)  # the first step leaves from the start itself


def positive(**sizes: int) -> None:
    """Refuse a size that is not a positive whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} is {size!r}; pass a positive whole number such as {name}=3")
