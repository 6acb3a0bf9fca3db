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
from ..forcing import Corrected, Forced, correct, correct_jacobian, fill_gaps, force, force_jacobian
from ..solvers import Solver
from ..solvers._solve import Solution, solve
from ._observation import IdentityObservation, Observation

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Model(nnx.Module):
    """A generative model of a time series: a latent map, a readout, and a way to be taught in parallel over time.

    What each family learns of Lorenz-63: docs/families.md. Every constructor takes, by keyword:

        latent_dim    M, units of the latent state
        observed_dim  N, columns of the data; by default `latent_dim`, inside `fit` the columns of the series
        input_dim     K, columns of the external input u; 0 without
        rngs          `nnx.Rngs(seed)`, for random parameters
    """

    latent_dim: int
    observed_dim: int
    input_dim: int
    _observed_dim: int | None
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
        """Predictions of `x[1:]` from the past under forcing of strength `alpha`; a missing cell (NaN) forces nothing.

        Args:
            x: `(T, N)` observations, T >= 2.
            alpha: a number, `(T - 1,)` per step, `(T - 1, M)` or `(1, M)` per unit, in [0, 1].
            solver: from `gtfdeer.solvers`.
            u: `(T, K)` external inputs; `u[t]` enters the step that ends at t. None without.

        Returns:
            `(T - 1, N)`; row t predicts `x[t + 1]`.
        """
        check_window(self, x, alpha, u)
        x, seen = fill_gaps(jnp.asarray(x))
        return predict(self, x, alpha, solver, u, seen=seen)[0]


class RecurrentModel(Model):
    """A nonlinear recurrent network: `solve` on the forced step. Leaves give `step`, `jacobian` and `config`."""

    observation: Observation

    def _set_sizes(
        self, latent_dim: int, observed_dim: int | None, input_dim: int, observation: type[Observation]
    ) -> None:
        """What every leaf is told; the leaf then makes its parameters and, last, `observation(..)`."""
        self.latent_dim = whole(latent_dim, "latent_dim", example=3)
        set_columns(self, latent_dim, observed_dim, input_dim)
        if not (isinstance(observation, type) and issubclass(observation, Observation)):
            raise TypeError(f"observation is {observation!r}; pass a class, such as gtfdeer.models.AffineObservation")
        self._observation_type = observation

    def _free_units(self) -> int:
        """How many units are not read out, where the readout names single units."""
        one_to_one = issubclass(self._observation_type, IdentityObservation)
        return max(0, self.latent_dim - self.observed_dim) if one_to_one else 0

    def _sizes(self) -> dict[str, Any]:
        """The keywords that every leaf has, for its `config`."""
        return {
            "latent_dim": self.latent_dim,
            "observed_dim": self._observed_dim,
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
        self,
        x: Float[Array, "time observed"],
        alpha: Any,
        solver: Solver,
        u: Any = None,
        *,
        gain: Float[Array, "latent observed"] | None = None,
        seen: Float[Array, "time observed"] | None = None,
    ) -> tuple[Float[Array, "time-1 observed"], Solution]:
        """As `Model.teacher_forced`; `gain` corrects all units, a cell that is not `seen` (0) corrects none."""
        check_window(self, x, alpha, u)
        guess = jax.lax.stop_gradient(jax.vmap(self.initial_state)(x))
        u = None if u is None else u[1:]
        if gain is not None:
            step, jacobian, inputs = self._build_corrected(x, alpha, u, gain, seen)
        elif seen is not None and not isinstance(self.observation, IdentityObservation):
            step, jacobian, inputs = self._build_refilled(x, alpha, u, seen)
        else:
            step, jacobian, inputs = self._build_forced(x, alpha, u, seen)
        solution = solve(step, self.initial_state(x[0]), inputs, solver=solver, guess=guess[1:], jacobian=jacobian)
        return jax.vmap(self.decode)(solution.states), solution

    def _build_forced(self, x: Array, alpha: Any, u: Any, seen: Array | None) -> tuple:
        """Step, Jacobian and inputs of GTF; a missing cell forces nothing."""
        teacher = jax.lax.stop_gradient(jax.vmap(self.encode)(x))  # the teacher is data; only the start is learned
        strength, units = self._strength(alpha, x)
        if self.observed_dim < self.latent_dim and isinstance(self.observation, IdentityObservation):
            units = units * self.observation.forced_units().astype(teacher.dtype)
        if seen is not None:
            strength = strength * jnp.pad(seen[:-1], ((0, 0), (0, self.latent_dim - self.observed_dim)))
        step, jacobian = force(self.step), force_jacobian(self.jacobian)

        def on_units(inputs: Forced) -> Forced:
            return inputs._replace(alpha=inputs.alpha * units)

        inputs = Forced(teacher[:-1], strength, u)
        return lambda z, i: step(z, on_units(i)), lambda z, i: jacobian(z, on_units(i)), inputs

    def _build_refilled(self, x: Array, alpha: Any, u: Any, seen: Array) -> tuple:
        """The same where all units are forced together: the model's own prediction stands in a missing cell."""
        inverse = jax.lax.stop_gradient(jax.jacfwd(self.encode)(jnp.zeros(self.observed_dim, x.dtype)))
        strength, units = self._strength(alpha, x)

        def blend(z: Array, inputs: Corrected) -> Array:
            filled = inputs.seen * inputs.x + (1 - inputs.seen) * self.decode(z)
            alpha = units * inputs.alpha * jnp.max(inputs.seen)
            return (1 - alpha) * z + alpha * jnp.dot(inverse, filled, precision="highest")

        def jacobian(z: Array, inputs: Corrected) -> Array:
            J = self.jacobian(blend(z, inputs), inputs.u)
            return jnp.dot(J, jax.jacfwd(blend)(z, inputs), precision="highest")

        inputs = Corrected(x[:-1], strength, seen[:-1], u)
        return lambda z, i: self.step(blend(z, i), i.u), jacobian, inputs

    def _build_corrected(self, x: Array, alpha: Any, u: Any, gain: Array, seen: Array | None) -> tuple:
        """Step, Jacobian and inputs in innovations form, with a learned gain."""
        sizes = (self.latent_dim, self.observed_dim)
        if gain.shape != sizes:
            raise ValueError(f"gain has shape {gain.shape}; pass {sizes}, a row a unit, a column an observed one")
        strength, units = self._strength(alpha, x)
        gain = units[:, None] * gain.astype(x.dtype)
        inputs = Corrected(x[:-1], strength, None if seen is None else seen[:-1], u)
        return correct(self.step, gain, self.decode), correct_jacobian(self.jacobian, gain, self.decode), inputs

    def teacher_jacobians(self, x: Float[Array, "time observed"], u: Any = None) -> Float[Array, "time latent latent"]:
        return jax.vmap(self.jacobian)(jax.vmap(self.encode)(x), u)

    def _strength(self, alpha: Any, x: Float[Array, "time observed"]) -> tuple[Array, Array]:
        """alpha as a product of `(T - 1, 1)` or `(T - 1, M)` over time, zero at the first step, and `(1,)` or `(M,)`.

        What does not change with time is not kept for every time.
        """
        came, alpha = jnp.shape(alpha), jnp.asarray(alpha, x.dtype)
        alpha = alpha[:, None] if alpha.ndim == 1 else alpha
        steps, latent = len(x) - 1, self.latent_dim
        if alpha.ndim > 2 or alpha.shape not in {(), (steps, 1), (1, 1), (steps, latent), (1, latent)}:
            shapes = f"({steps},) per step, or ({steps}, {latent}) or (1, {latent}) per unit"
            raise ValueError(f"alpha has shape {came}; pass a number, {shapes}")
        units = jnp.ones(1, alpha.dtype)
        if alpha.shape == (1, latent):
            alpha, units = jnp.ones((), alpha.dtype), alpha[0]
        alpha = jnp.broadcast_to(alpha, (steps, alpha.shape[-1] if alpha.ndim else 1))
        return alpha.at[0].set(0), units  # the first step leaves from the start itself


def predict(
    model: Model,
    x: Float[Array, "time observed"],
    alpha: Any,
    solver: Solver,
    u: Any = None,
    *,
    gain: Float[Array, "latent observed"] | None = None,
    seen: Float[Array, "time observed"] | None = None,
) -> tuple[Float[Array, "time-1 observed"], Solution]:
    """Return `model.teacher_forced` with a gain and missing cells where the model knows of them.

    A linear state-space model, or one of your own, is fed the filled observations, whatever was seen.
    """
    if isinstance(model, RecurrentModel):
        return model.teacher_forced(x, alpha, solver, u, gain=gain, seen=seen)
    return model.teacher_forced(x, alpha, solver, u)


def glorot(rngs: nnx.Rngs, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """`U(+-sqrt(6 / (rows + columns)))`: the weights of external inputs in GTF's public code."""
    bound = math.sqrt(6 / (rows + columns))
    return jax.random.uniform(rngs.params(), (rows, columns), minval=-bound, maxval=bound)


def set_columns(model: Model, latent_dim: int, observed_dim: int | None, input_dim: int) -> None:
    """The columns that a model observes, where None came as many as units until `fit` knows, and those of its input."""
    model._observed_dim, model.input_dim = observed_dim, whole(input_dim, "input_dim", least=0)
    model.observed_dim = whole(latent_dim if observed_dim is None else observed_dim, "observed_dim", example=3)


def check_state(z: Any, latent_dim: int, parts: str = "units") -> None:
    """Refuse a state that is not one vector `(M,)`."""
    shape = jnp.shape(z) if hasattr(z, "dtype") else None
    if shape != (latent_dim,):
        came = f"a {type(z).__name__}" if shape is None else f"an array of shape {shape}"
        raise ValueError(f"the state is {came}; pass one vector of shape ({latent_dim},), its {parts} in a row")


def check_window(model: Model, x: Float[Array, "time observed"], alpha: Any, u: Any) -> None:
    """Refuse observations that are not `(T, N)`, inputs that are not `(T, K)` or None, and alpha outside [0, 1]."""
    if x.ndim != 2 or x.shape[1] != model.observed_dim or x.shape[0] < 2:
        raise ValueError(f"x has shape {x.shape}; this model needs (T, {model.observed_dim}) with T of at least 2")
    array(alpha, "alpha", least=0, most=1)
    wanted = (x.shape[0], model.input_dim) if model.input_dim else None
    came = None if u is None else jnp.shape(u)
    if came != wanted:
        without = "pass u=None, or build the model with input_dim=columns of u"
        came = f"u has shape {came} for {x.shape[0]} steps and a model with input_dim={model.input_dim}"
        raise ValueError(f"{came}; {f'pass u of shape {wanted}' if wanted else without}")
