"""The contract that every model keeps, and how a nonlinear recurrent network is taught.

    z_1 = initial_state(x_1);     z_t = F((1 - alpha_t P) z_{t-1} + alpha_t P z_hat_{t-1}),     x_pred_t = decode(z_t)

for t = 2..T, P the forced units, z_hat = encode(x). The first step leaves from z_1 itself. `fit`, `simulate`
and `score` work for every model through this contract alone; `save` and checkpoints for those of the package.
"""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from .._checks import array, whole
from ..forcing import Forced, bridge_gaps, force, force_jacobian
from ..solvers import Solver
from ..solvers._solve import Solution, solve
from ._observation import IdentityObservation, Observation

if TYPE_CHECKING:
    from jaxtyping import Array, Float

__all__ = [
    "Model",
    "RecurrentModel",
    "check_input",
    "check_series",
    "check_state",
    "glorot",
    "scaled_diagonal",
    "set_columns",
]


class Model(nnx.Module):
    """A generative model of a time series: a latent map, a readout, and a way to be taught in parallel over time."""

    latent_dim: int
    observed_dim: int
    input_dim: int
    _observed_dim_given: bool
    grows_by: ClassVar[str] = "latent_dim"
    """The constructor's keyword that makes a model of this family larger, see `gtfdeer.models.matched`."""

    @abc.abstractmethod
    def step(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, " latent"]:
        """One step of the latent map, `z_t = F(z_{t-1}, u_t)`, `(M,) -> (M,)`."""

    @abc.abstractmethod
    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        """The observation of a state, `(M,) -> (N,)`."""

    @abc.abstractmethod
    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The teacher signal of an observation, `(N,) -> (M,)`."""

    @abc.abstractmethod
    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        """The state that a free run begins with, `(N,) -> (M,)`."""

    @abc.abstractmethod
    def teacher_forced(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        """The predictions of `x[1:]` under teacher forcing and the solve they come from."""

    @abc.abstractmethod
    def teacher_jacobians(self, x: Float[Array, "time observed"], u: Any = None) -> Float[Array, "time latent latent"]:
        """The map's Jacobians at the teacher states, for adaptive forcing: `(T, M, M)`, or their forced block.

        `u[t]` is the input of the step that leaves `x[t]`.
        """

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's keywords (without `rngs`) that build a model of this shape; saved beside the parameters."""

    def forecast(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> Float[Array, "time-1 observed"]:
        """Predictions of `x[1:]` from the past under forcing of strength `alpha`; over gaps none (`bridge_gaps`).

        Args:
            x: `(T, N)` observations, T >= 2, the first row complete; a row with a NaN is a gap.
            alpha: a number, `(T - 1,)` per step, `(T - 1, M)` or `(1, M)` per unit, in [0, 1].
            solver: from `gtfdeer.solvers`.
            u: `(T, K)` external inputs; `u[t]` enters the step that ends at t. None without.

        Returns:
            `(T - 1, N)`; row t predicts `x[t + 1]`.
        """
        check_series(x, self.observed_dim)
        array(alpha, "alpha", least=0, most=1)
        return self.teacher_forced(*bridge_gaps(x, alpha), solver, u)[0]


class RecurrentModel(Model):
    """A nonlinear recurrent network: `solve` on the forced step. Leaves give `step`, `jacobian` and `config`."""

    observation: Observation

    def _set_sizes(
        self, latent_dim: int, observed_dim: int | None, input_dim: int, observation: type[Observation]
    ) -> None:
        """What every leaf is told; the leaf then makes its parameters and, last, `observation(..)`."""
        latent_dim = whole(latent_dim, "latent_dim", example=3)
        set_columns(self, latent_dim if observed_dim is None else observed_dim, input_dim, observed_dim is not None)
        if not (isinstance(observation, type) and issubclass(observation, Observation)):
            raise TypeError(f"observation is {observation!r}; pass a class, such as gtfdeer.models.AffineObservation")
        self.latent_dim, self._observation_type = latent_dim, observation

    def _sizes(self) -> dict[str, Any]:
        """The keywords that every leaf has, for its `config`."""
        return {
            "latent_dim": self.latent_dim,
            "observed_dim": self.observed_dim if self._observed_dim_given else None,
            "input_dim": self.input_dim,
            "observation": self._observation_type,
        }

    @abc.abstractmethod
    def jacobian(self, z: Float[Array, " latent"], u: Any = None) -> Float[Array, "latent latent"]:
        """`dF/dz`, `(M, M)`; strict `> 0` at the kink of a ReLU, as autodiff has it."""

    def decode(self, z: Float[Array, " latent"]) -> Float[Array, " observed"]:
        return self.observation.decode(z)

    def encode(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.observation.encode(x)

    def initial_state(self, x: Float[Array, " observed"]) -> Float[Array, " latent"]:
        return self.observation.initial_state(x)

    def teacher_forced(
        self, x: Float[Array, "time observed"], alpha: Any, solver: Solver, u: Any = None
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        check_series(x, self.observed_dim)
        array(alpha, "alpha", least=0, most=1)
        check_input(x, u, self.input_dim)
        teacher = jax.lax.stop_gradient(jax.vmap(self.encode)(x))  # the teacher is data; only the start is learned
        guess = jax.lax.stop_gradient(jax.vmap(self.initial_state)(x))
        strength, units = self._strength(alpha, teacher[:-1])
        step, jacobian = force(self.step), force_jacobian(self.jacobian)

        def on_units(inputs: Forced) -> Forced:
            return inputs._replace(alpha=inputs.alpha * units)

        solution = solve(
            lambda z, inputs: step(z, on_units(inputs)),
            self.initial_state(x[0]),
            Forced(teacher[:-1], strength, None if u is None else u[1:]),
            solver=solver,
            guess=guess[1:],
            jacobian=lambda z, inputs: jacobian(z, on_units(inputs)),
        )
        return jax.vmap(self.decode)(solution.states), solution

    def teacher_jacobians(self, x: Float[Array, "time observed"], u: Any = None) -> Float[Array, "time latent latent"]:
        return jax.vmap(self.jacobian)(jax.vmap(self.encode)(x), u)

    def _strength(self, alpha: Any, teacher: Float[Array, "time latent"]) -> tuple[Array, Array]:
        """alpha as a product of `(T - 1, 1)` or `(T - 1, M)` over time, zero at the first step, and `(1,)` or `(M,)`.

        What does not change with time is not kept for every time: the second is zero on units that must not be forced.
        """
        came, alpha = jnp.shape(alpha), jnp.asarray(alpha, teacher.dtype)
        alpha = alpha[:, None] if alpha.ndim == 1 else alpha
        steps, latent = teacher.shape
        if alpha.ndim > 2 or alpha.shape not in {(), (steps, 1), (1, 1), (steps, latent), (1, latent)}:
            raise ValueError(
                f"alpha has shape {came}; pass a number, ({steps},) per step, or ({steps}, {latent}) "
                f"or (1, {latent}) per unit"
            )
        partly_forced = isinstance(self.observation, IdentityObservation) and self.observed_dim < self.latent_dim
        units = self.observation.forced_units().astype(alpha.dtype) if partly_forced else jnp.ones(1, alpha.dtype)
        if alpha.shape == (1, latent):
            alpha, units = jnp.ones((), alpha.dtype), alpha[0] * units
        alpha = jnp.broadcast_to(alpha, (steps, alpha.shape[-1] if alpha.ndim else 1))
        return alpha.at[0].set(0), units  # the first step leaves from the start itself


def scaled_diagonal(rngs: nnx.Rngs, size: int) -> Float[Array, " size"]:
    """`diag(K) / lambda_max(K)` with `K = R^T R / M + I`, R standard normal: all in (0, 1] (GTF's public code)."""
    R = jax.random.normal(rngs.params(), (size, size))
    K = jnp.dot(R.T, R, precision="highest") / size + jnp.eye(size)
    return jnp.diag(K) / jnp.linalg.eigvalsh(K)[-1]


def glorot(rngs: nnx.Rngs, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """`U(+-sqrt(6 / (rows + columns)))`: the weights of external inputs in GTF's public code."""
    bound = math.sqrt(6 / (rows + columns))
    return jax.random.uniform(rngs.params(), (rows, columns), minval=-bound, maxval=bound)


def set_columns(model: Model, observed_dim: int, input_dim: int, given: bool) -> None:
    """The columns that a model observes (`given`, or left to `fit`) and those of its external input."""
    model.observed_dim = whole(observed_dim, "observed_dim", example=3)
    model.input_dim, model._observed_dim_given = whole(input_dim, "input_dim", least=0), given


def check_series(x: Float[Array, "time observed"], observed_dim: int) -> None:
    """Refuse observations that are not `(T, N)`."""
    if x.ndim != 2 or x.shape[1] != observed_dim or x.shape[0] < 2:
        raise ValueError(f"x has shape {x.shape}; this model needs (T, {observed_dim}) with T of at least 2")


def check_state(z: Any, latent_dim: int, parts: str = "units") -> None:
    """Refuse a state that is not one vector `(M,)`."""
    shape = jnp.shape(z) if hasattr(z, "dtype") else None
    if shape != (latent_dim,):
        came = f"a {type(z).__name__}" if shape is None else f"an array of shape {shape}"
        raise ValueError(
            f"the state is {came}; pass one vector of shape ({latent_dim},), its {parts} one after the other"
        )


def check_input(x: Float[Array, "time observed"], u: Any, input_dim: int) -> None:
    """Refuse external inputs that are not `(T, K)`, missing or superfluous ones among them."""
    wanted = (x.shape[0], input_dim) if input_dim else None
    came = None if u is None else jnp.shape(u)
    if came != wanted:
        without = "pass u=None, or build the model with input_dim=columns of u"
        advice = f"pass u of shape {wanted}" if wanted else without
        raise ValueError(f"u has shape {came} for {x.shape[0]} steps and a model with input_dim={input_dim}; {advice}")
