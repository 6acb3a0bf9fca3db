"""The contract that every model keeps: shapes, precision, Jacobian, forecasts under forcing, learning, being kept.

Compiling is what costs here: every model of a kind is built once, and one compiled forecast of it, which takes any
alpha, serves all tests that need its numbers.
"""

import functools
import inspect
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import ClosedJaxpr, Jaxpr

import gtfdeer as gd
from gtfdeer import models, solvers
from gtfdeer.solvers._solve import Status

CONCRETE = [
    c
    for c in (getattr(models, name) for name in sorted(models.__all__))
    if inspect.isclass(c) and issubclass(c, models.Model) and not inspect.isabstract(c)
]
RECURRENT = [c for c in CONCRETE if issubclass(c, models.RecurrentModel)]
LINEAR = [c for c in CONCRETE if issubclass(c, models.StateSpaceModel)]
M, H, N, K, T = 4, 6, 2, 3, 12


class Kind(NamedTuple):
    """A family, and one of the readouts that it may have; state-space models have their own."""

    family: type[models.Model]
    observation: type[models.Observation] | None
    columns: int = N

    def __str__(self):
        return f"{self.family.__name__}-{getattr(self.observation, '__name__', 'own')}-{self.columns}"


def parameters_of(family):
    """The constructor's own, without self; flax's metaclass hides them from `inspect.signature(family)`."""
    return dict(list(inspect.signature(family.__init__).parameters.items())[1:])


FORCED = [Kind(c, parameters_of(c)["observation"].default) for c in RECURRENT]
FORCED += [Kind(models.ShallowPLRNN, models.AffineObservation, columns) for columns in (N, M + 2)]
KINDS = [*FORCED, *(Kind(c, None) for c in LINEAR)]

every_model = pytest.mark.parametrize("family", CONCRETE, ids=lambda c: c.__name__)
every_linear = pytest.mark.parametrize("family", LINEAR, ids=lambda c: c.__name__)
every_recurrent = pytest.mark.parametrize("family", RECURRENT, ids=lambda c: c.__name__)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
every_forced_kind = pytest.mark.parametrize("kind", FORCED, ids=str)


def known_to(family, **keywords):
    """Those that the constructor of a family takes."""
    return {k: v for k, v in keywords.items() if k in parameters_of(family)}


def build(family, seed=0, **keywords):
    """A model of a few units with random values everywhere: no bias is left at zero, where mistakes hide."""
    sizes = known_to(family, **{"latent_dim": M, "hidden_dim": H, "width": H, "depth": 1, **keywords})
    model, rng = family(**sizes, rngs=nnx.Rngs(seed)), np.random.default_rng(seed)
    shaken = jax.tree.map(lambda p: p + np.asarray(0.1 * rng.normal(size=p.shape), p.dtype), parameters(model))
    nnx.update(model, shaken)
    return model


@functools.cache
def built(family, observation=None, columns=N):
    """One model of a kind, in single precision; nobody changes it."""
    readout = {} if observation is None else {"observation": observation}
    return build(family, observed_dim=columns, input_dim=K, **readout)


@functools.cache
def double(kind):
    """The same in double precision, and its forecast `(x, alpha (T - 1, M), u) -> (T - 1, N)`, compiled once."""
    model = built.__wrapped__(*kind)
    return model, jax.jit(lambda x, alpha, u: model.forecast(x, alpha, solvers.Sequential(), u))


def series(length=T, columns=N, seed=1):
    return np.random.default_rng(seed).normal(size=(length, columns)).astype(np.float32)


def data_for(kind):
    """Observations and external inputs in double precision."""
    return series(columns=kind.columns).astype(float), series(columns=K, seed=5).astype(float)


def parameters(model):
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


# --- shapes, transformations, precision ---


@every_model
def test_a_model_is_built_by_its_configuration_and_its_seed(family):
    sizes = known_to(family, latent_dim=M, hidden_dim=H, width=H, observed_dim=N)
    models_ = [family(**sizes, rngs=nnx.Rngs(seed)) for seed in (3, 3, 4)]
    first, again, other = (jax.tree.leaves(parameters(m)) for m in models_)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    copy = nnx.eval_shape(lambda: family(**models_[0].config(), rngs=nnx.Rngs(7)))
    assert jax.tree.map(jnp.shape, parameters(copy)) == jax.tree.map(jnp.shape, parameters(models_[0]))
    assert nnx.eval_shape(lambda: build(family)).observed_dim == M  # as many columns as units by default
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters_of(family).values())


@every_kind
@pytest.mark.usefixtures("x64")
def test_shapes_follow_the_contract_and_double_precision_goes_all_the_way(kind):
    model, _ = double(kind)
    (x, u), z = data_for(kind), jnp.zeros(model.latent_dim)

    def everything(x, z, u):
        forecast = model.forecast(x, 0.3, solvers.Sequential(), u)
        states = model.initial_state(x[0]), model.step(z, u[0]), model.encode(x[0])
        return *states, model.decode(z), forecast, model.teacher_jacobians(x, u)

    found = jax.eval_shape(everything, x, z, u)
    forced = kind.columns if kind.family in LINEAR else M
    shapes = [z.shape] * 3 + [(kind.columns,), (T - 1, kind.columns), (T, forced, forced)]
    assert [(a.shape, a.dtype) for a in found] == [(shape, jnp.dtype("float64")) for shape in shapes]
    assert model.observed_dim == kind.columns


def products(jaxpr):
    """Every matrix product in a program, in all that it calls, too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr)):
            if isinstance(value, ClosedJaxpr):
                yield from products(value.jaxpr)
            elif isinstance(value, Jaxpr):
                yield from products(value)


@every_kind
def test_every_product_asks_for_the_highest_precision(kind):
    """TF32, what a GPU multiplies float32 with unless it is told, has three digits: solves would not converge."""
    model = built(*kind)
    x, u, z = series(columns=kind.columns), series(columns=K), jnp.zeros(model.latent_dim)
    graph, state = nnx.split(model)

    def loss(state):
        return jnp.sum(nnx.merge(graph, state).forecast(x, 0.3, solvers.DEER(), u) ** 2)

    def everything(state, x, z, u):
        model = nnx.merge(graph, state)
        parts = model.step(z, u[0]), model.decode(z), model.encode(x[0]), model.initial_state(x[0])
        return parts, model.teacher_jacobians(x, u), jax.grad(loss)(state)

    found = list(products(jax.make_jaxpr(everything)(state, x, z, u).jaxpr))
    assert len(found) > 5
    for equation in found:
        assert equation.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2, str(equation)


# --- the Jacobian ---


@every_recurrent
@pytest.mark.usefixtures("x64")
def test_jacobians_equal_autodiff(family):
    """At z = 0 and with biases of zero many hidden units sit exactly on the kink of their ReLU: slope 0, in both."""
    kind = Kind(family, models.AffineObservation)
    model, (x, u) = double(kind)[0], data_for(kind)
    kinked = family(**known_to(family, latent_dim=M, hidden_dim=H), rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    states, inputs = 3 * rng.normal(size=(5, M)), rng.normal(size=(5, K))

    @jax.jit
    def pairs(z, v, x, u):
        at_teacher = jax.vmap(lambda x, u: jax.jacfwd(model.step)(model.encode(x), u))(x, u)
        return (
            (jax.vmap(model.jacobian)(z), jax.vmap(jax.jacfwd(model.step))(z)),
            (jax.vmap(model.jacobian)(z, v), jax.vmap(jax.jacfwd(model.step))(z, v)),
            (kinked.jacobian(0 * z[0]), jax.jacfwd(kinked.step)(0 * z[0])),
            (model.teacher_jacobians(x, u), at_teacher),
        )

    for analytic, automatic in pairs(states, inputs, x, u):
        np.testing.assert_allclose(analytic, automatic, atol=1e-6 if analytic.dtype == np.float32 else 1e-12)


# --- forecasts under forcing, against a loop in NumPy ---


def forecast_by_hand(kind, model, x, alpha, u, gain=None):
    """z_1 = start(x_1), z_2 = F(z_1), then the teacher: (1 - alpha) z + alpha encode(x), or z + alpha K (x - C z).

    Row t is written before x[t + 1] is read: the future never enters.
    What is missing (NaN) is what the model itself predicts; where nothing was seen nothing is forced.
    """
    step, decode, encode, start = by_hand(kind)
    alpha = alpha if gain is not None else alpha * forced_units(kind.observation)
    z, predictions = start(x[0]), []
    for t in range(T - 1):
        if t > 0 and not np.isnan(x[t]).all():
            own = np.asarray(decode(z))
            filled = np.where(np.isnan(x[t]), own, x[t])
            shift = encode(filled) - z if gain is None else gain @ (filled - own)
            z = z + alpha[t] * shift
        z = step(z, u[t + 1])
        predictions.append(decode(z))
    return np.stack(predictions)


@functools.cache
def by_hand(kind):
    """A model's parts, compiled once."""
    model = double(kind)[0]
    return [jax.jit(part) for part in (model.step, model.decode, model.encode, model.initial_state)]


def forced_units(observation):
    """Identity and scaled: only the observed ones."""
    return np.ones(M) if observation is models.AffineObservation else np.arange(M) < N


PER_TIME, PER_UNIT = np.linspace(0, 1, T - 1)[:, None], np.linspace(0, 1, M)[None]
ALPHAS = [0.0, 0.3, 1.0, gd.forcing.sparse(T - 1, 3)[:, None], PER_TIME, PER_UNIT, PER_TIME * PER_UNIT]
GAPS = [3, 4, 9]  # rows


@every_forced_kind
@pytest.mark.usefixtures("x64")
def test_forecast_equals_a_loop_by_hand_with_gaps_and_with_a_gain(kind):
    """A missing cell forces nothing; a gain corrects every unit."""
    (model, forecast), (x, u) = double(kind), data_for(kind)
    missing = x.copy()
    missing[GAPS, 1] = np.nan
    missing[GAPS[0]] = np.nan
    for strength, seen in itertools.product(ALPHAS, (x, missing)):
        alpha = np.array(np.broadcast_to(np.asarray(strength, float), (T - 1, M)))
        expected = forecast_by_hand(kind, model, seen, alpha, u)
        np.testing.assert_allclose(forecast(seen, alpha, u), expected, rtol=1e-11, atol=1e-11)  # float64, 11 steps
    gain = np.random.default_rng(1).normal(size=(M, x.shape[1])) / 5
    filled, seen = gd.forcing.fill_gaps(jnp.asarray(missing))

    @jax.jit
    def corrected(x, u, gain, seen):
        return model.teacher_forced(x, 0.7, solvers.DEER(), u, gain=gain, seen=seen)[0]

    expected = forecast_by_hand(kind, model, missing, np.full((T - 1, M), 0.7), u, gain)
    # DEER's tolerance in float64
    np.testing.assert_allclose(corrected(filled, u, gain, seen), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_forcing_may_be_given_as_a_number_per_time_or_per_unit():
    """All nonlinear models read it in one place."""
    kind = Kind(models.ShallowPLRNN, models.AffineObservation)
    (model, forecast), (x, u) = double(kind), data_for(kind)
    forms = 0.3, PER_TIME[:, 0], PER_TIME, PER_UNIT, PER_TIME * PER_UNIT
    forecasts = jax.jit(lambda *forms: [model.forecast(x, alpha, solvers.Sequential(), u) for alpha in forms])(*forms)
    for alpha, found in zip(forms, forecasts, strict=True):
        alpha = np.asarray(alpha)[:, None] if np.ndim(alpha) == 1 else alpha
        expected = forecast(x, np.broadcast_to(alpha, (T - 1, M)), u)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)  # float64, fused anew


@every_linear
@pytest.mark.usefixtures("x64")
def test_a_linear_model_is_fed_what_was_seen_last(family):
    kind = Kind(family, None)
    (_, forecast), (x, u) = double(kind), data_for(kind)
    missing, held = x.copy(), x.copy()
    missing[GAPS, 1] = np.nan
    held[[3, 4], 1], held[9, 1] = x[2, 1], x[8, 1]
    alpha = np.full((T - 1, 1), 0.5)
    np.testing.assert_array_equal(forecast(missing, alpha, u), forecast(held, alpha, u))


@every_forced_kind
@pytest.mark.usefixtures("x64")
def test_value_and_gradient_of_a_forecast_equal_autodiff_of_a_scan(kind):
    """The teacher is a constant, the start is not. And the solve is reported."""
    (model, _), (x, u), forced = double(kind), data_for(kind), forced_units(kind.observation).astype(float)
    graph, state = nnx.split(model)

    def by_solver(state, solver):
        predictions, solution = nnx.merge(graph, state).teacher_forced(x, 0.4, solver, u)
        return jnp.mean((predictions - x[1:]) ** 2), solution.code

    def by_scan(state):
        model = nnx.merge(graph, state)
        teacher = jax.lax.stop_gradient(jax.vmap(model.encode)(x))

        def step(z, now):
            t, z_hat, u = now
            alpha = jnp.where(t == 0, 0, 0.4) * forced
            z = model.step((1 - alpha) * z + alpha * z_hat, u)
            return z, model.decode(z)

        inputs = jnp.arange(T - 1), teacher[:-1], u[1:]
        return jnp.mean((jax.lax.scan(step, model.initial_state(x[0]), inputs)[1] - x[1:]) ** 2)

    @jax.jit
    def gradients(state):
        by = [solvers.Sequential(), solvers.DEER(), solvers.Shooting(length=4)]
        found = [jax.value_and_grad(by_solver, has_aux=True)(state, solver) for solver in by]
        return jax.value_and_grad(by_scan)(state), found

    (value, gradient), found = gradients(state)
    for (one, code), by in found:
        assert Status(int(code)) is Status.CONVERGED
        for a, b in zip(jax.tree.leaves((one, by)), jax.tree.leaves((value, gradient)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)  # the solver's tolerance, 1e-10


# --- linear state-space models: one scan, and the same map step by step ---


@every_linear
@pytest.mark.usefixtures("x64")
def test_one_scan_equals_the_loop_that_is_fed_the_data(family):
    """Values and gradients; full forcing of the observation, none of the layers' states."""
    (model, _), (x, u) = double(Kind(family, None)), data_for(Kind(family, None))
    graph, state = nnx.split(model)

    def by_loop(state):
        model = nnx.merge(graph, state)

        def step(z, now):
            z = model.step(z.at[:N].set(now[0]), now[1])
            return z, model.decode(z)

        return jax.lax.scan(step, model.initial_state(x[0]), (x[:-1], u[1:]))[1]

    def by_scan(state):
        return nnx.merge(graph, state).forecast(x, 1.0, solvers.Sequential(), u)

    def value_and_gradient(forecast, state):
        def loss(state):
            prediction = forecast(state)
            return jnp.sum(jnp.sin(prediction)), prediction

        return jax.value_and_grad(loss, has_aux=True)(state)

    found, expected = jax.jit(lambda state: [value_and_gradient(by, state) for by in (by_scan, by_loop)])(state)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)  # float64, 11 steps in another order


@every_linear
@pytest.mark.usefixtures("x64")
def test_a_linear_model_s_teacher_jacobian_is_how_a_prediction_answers_to_what_was_fed_last(family):
    (model, forecast), (x, u) = double(Kind(family, None)), data_for(Kind(family, None))
    step, alpha = 1e-5, np.ones((T - 1, 1))
    found = jax.jit(model.teacher_jacobians)(x[:-1], u[1:])  # u[t + 1] enters the step that leaves x[t]
    for t, column in itertools.product((0, 4, T - 2), range(N)):
        up, down = x.copy(), x.copy()
        up[t, column] += step
        down[t, column] -= step
        difference = (forecast(up, alpha, u)[t] - forecast(down, alpha, u)[t]) / (2 * step)
        np.testing.assert_allclose(found[t, :, column], difference, rtol=1e-6, atol=1e-8)  # h^2, float64 / h


@every_linear
def test_no_state_of_a_layer_grows_on_its_own(family):
    """Every transition is inside the unit disc, whatever is fed and whatever its numbers are."""
    model = build(family, observed_dim=N, depth=2)
    for layer, sign in itertools.product((model.layer_0, model.layer_1), (1, -3)):
        nnx.update(layer, jax.tree.map(lambda p, sign=sign: sign * p, nnx.state(layer, nnx.Param)))
        A, _ = jax.jit(jax.vmap(layer.transition))(5 * series(3, H))
        assert np.all(np.abs(A) < 1)


# --- does forcing make it contract? ---


@every_model
def test_full_forcing_makes_every_family_contract(family):
    """All units forced shift the exponent by ln(1 - alpha); a linear model is fed x and forgets h by itself."""
    model, x = built(family, models.AffineObservation if family in RECURRENT else None), series()
    forced = np.ones((1, M)) if family in RECURRENT else (np.arange(model.latent_dim) < N).astype(float)[None]
    states = jax.vmap(model.encode)(x)
    measure = jax.jit(lambda alpha: gd.forcing.contraction(model.step, states, alpha, dt=0.1))
    free, half, nearly = (measure(jnp.asarray(a * forced, jnp.float32)) for a in (0.0, 0.5, 0.999))
    assert nearly.exponent < 0
    assert all(found.exponent <= found.bound + 1e-4 for found in (free, half, nearly))  # float32
    if family in RECURRENT:
        assert float(half.exponent - free.exponent) == pytest.approx(np.log(0.5) / 0.1, abs=1e-2)  # float32
        assert nearly.bound < 0


def tent(slope=1.9):
    """An observed unit that is driven by one that nobody sees, a chaotic tent map of [0, 1] of exponent ln(slope)."""
    model = models.ShallowPLRNN(latent_dim=2, hidden_dim=2, observed_dim=1, rngs=nnx.Rngs(0))
    model.A[...], model.h2[...], model.observation.L[...] = map(jnp.array, ([0.5, 0], [0, -0.5], [[0.3]]))
    model.W1[...], model.W2[...] = jnp.array([[0.5, 0], [slope, -2 * slope]]), jnp.array([[0, 1.0], [0, 1.0]])
    return model


def test_partial_forcing_may_not_contract_and_the_ladder_carries_it():
    """No alpha reaches a chaotic unit that is not observed: Newton fails, and training goes step by step."""
    model, x = tent(), np.linspace(0.5, 1, 60, dtype=np.float32)[:, None]
    orbit, exact = model.teacher_forced(x, 1.0, solvers.Sequential())
    found = gd.forcing.contraction(model.step, exact.states, jnp.array([[1.0, 0.0]]))
    assert float(found.exponent) == pytest.approx(np.log(1.9), abs=0.05)  # 59 steps; ln 2 / 59 of the norm
    settings = {"window": 60, "batch": 1, "updates": 1, "standardise": False, "validations": 0, "progress": False}
    forcing, newton = gd.forcing.Constant(1.0), solvers.DEER(max_iterations=20)
    rec = gd.fit(model, gd.data.Series(x, dt=1.0), forcing=forcing, solver=newton, **settings)
    assert (rec.history["retried"][0], rec.history["skipped"][0]) == (1, 0)
    loss = float(np.mean((orbit - x[1:]) ** 2))
    assert rec.history["loss"][0] == pytest.approx(loss, rel=1e-3)  # chaos magnifies rounding


# --- the whole way: learn, run freely, be judged, be kept ---


@pytest.fixture(scope="module")
def lorenz():
    series = gd.data.simulate(gd.data.Lorenz63(), length=1200, dt=0.02, key=jax.random.key(0))
    return series.standardise()


@every_model
def test_a_family_learns_runs_freely_is_kept_and_judged(family, lorenz, tmp_path):
    """200 updates by default rate and forcing teach a linear family to predict one step, not yet to go on alone."""
    sizes = known_to(family, latent_dim=8, hidden_dim=16, width=8, observed_dim=3, depth=1)
    model = family(**sizes, rngs=nnx.Rngs(0))
    settings = {"window": 20, "batch": 8, "updates": 200, "validations": 0, "progress": False}
    rec = gd.fit(model, lorenz, solver=solvers.Sequential(), **settings)
    loss = rec.history["loss"]
    assert np.isfinite(loss).all()
    assert np.mean(loss[-20:]) < 0.5 * np.mean(loss[:3])

    rec.save(tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    assert (type(again.model), again.model.config()) == (family, rec.model.config())
    assert jax.tree.all(jax.tree.map(np.array_equal, parameters(rec.model), parameters(again.model)))
    x = jnp.asarray(lorenz.values[0], jnp.float32)
    run = rec.rollout(50, x)
    np.testing.assert_array_equal(again.rollout(50, x), run)

    # the first step has nothing to be forced with: one map, in training and in use; data come back in their units
    first = rec.model.decode(rec.model.step(rec.model.initial_state(x)))
    np.testing.assert_allclose(run[0], first, atol=1e-5)  # float32
    np.testing.assert_allclose(rec.simulate(50, start=lorenz), lorenz.scaling.undo(run), rtol=1e-4, atol=1e-3)

    if family in (models.GRU, models.LRU):  # a score asks no more of a model than the run above
        scores = rec.score(lorenz)
        assert 0 < scores.D_H <= 1
        assert scores.PE_persistence > scores.PE or family in LINEAR
        assert family in LINEAR or np.isfinite([scores.D_stsp, scores.lambda_max]).all()


# --- sizes ---


@every_model
def test_models_of_any_family_can_be_made_equally_large(family):
    wanted = known_to(family, latent_dim=4, depth=1, observed_dim=3)
    wanted.pop(family.grows_by, None)
    model = models.matched(family, 2000, rngs=nnx.Rngs(0), **wanted)
    assert models.parameter_count(model) == pytest.approx(2000, rel=0.06)  # one size more or less


@every_model
def test_sizes_that_are_no_whole_numbers_are_refused(family):
    least = {"latent_dim": 1, "hidden_dim": 1, "observed_dim": 1, "width": 1, "depth": 1, "relu_units": 1}
    for name, size in itertools.product(least | {"input_dim": 0}, ("below", 2.5, "3", True)):
        size = least.get(name, 0) - 1 if size == "below" else size
        if known_to(family, **{name: size}):
            words = rf"{name} is {size!r}; pass a whole number of at least {least.get(name, 0)}"
            with pytest.raises((ValueError, TypeError), match=words):
                build(family, **{name: size})
