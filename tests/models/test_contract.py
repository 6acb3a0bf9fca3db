"""The contract that every model keeps: shapes, precision, Jacobian, and forecasts under forcing."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer import models, solvers
from gtfdeer.solve import Status

CONCRETE = [
    c
    for c in (getattr(models, name) for name in sorted(models.__all__))
    if inspect.isclass(c) and issubclass(c, models.Model) and not inspect.isabstract(c)
]
RECURRENT = [c for c in CONCRETE if issubclass(c, models.RecurrentModel)]
LINEAR = [c for c in CONCRETE if issubclass(c, models.StateSpaceModel)]
OBSERVATIONS = [models.IdentityObservation, models.ScaledObservation, models.AffineObservation]
M, H, N, K, T = 4, 6, 2, 3, 12

every_model = pytest.mark.parametrize("model_class", CONCRETE, ids=lambda c: c.__name__)
every_linear = pytest.mark.parametrize("model_class", LINEAR, ids=lambda c: c.__name__)
every_recurrent = pytest.mark.parametrize("model_class", RECURRENT, ids=lambda c: c.__name__)
every_observation = pytest.mark.parametrize("observation", OBSERVATIONS, ids=lambda o: o.__name__)


def parameters_of(model_class):
    """The constructor's own, without self; flax's metaclass hides them from `inspect.signature(model_class)`."""
    return dict(list(inspect.signature(model_class.__init__).parameters.items())[1:])


def build(model_class, seed=0, **keywords):
    """A model of a few units; only the keywords that its constructor knows."""
    keywords = {"latent_dim": M, "hidden_dim": H, "width": H, "depth": 1, **keywords}
    known = parameters_of(model_class)
    model = model_class(**{k: v for k, v in keywords.items() if k in known}, rngs=nnx.Rngs(seed))
    perturb(model, seed)
    return model


def perturb(model, seed):
    """Random values everywhere: no bias is left at zero, where mistakes hide."""
    state = nnx.state(model, nnx.Param)
    rng = np.random.default_rng(seed)
    nnx.update(model, jax.tree.map(lambda p: p + jnp.asarray(0.1 * rng.normal(size=p.shape), p.dtype), state))


def takes(model_class, keyword):
    return keyword in parameters_of(model_class)


def series(length=T, columns=N, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(length, columns)), jnp.float32)


# --- shapes, transformations, precision ---


@every_model
def test_shapes_follow_the_contract(model_class):
    model = build(model_class, observed_dim=N)
    x, z, sequential = series(), jnp.zeros(model.latent_dim), solvers.Sequential()
    forced = model.latent_dim if model_class in RECURRENT else N
    assert model.observed_dim == N
    for function, came, shape in (
        (model.start, x[0], z.shape),
        (model.step, z, z.shape),
        (model.observe, z, (N,)),
        (model.infer, x[0], z.shape),
        (lambda x: model.forecast(x, 0.3, sequential), x, (T - 1, N)),
        (model.teacher_jacobians, x, (T, forced, forced)),
    ):
        assert jax.eval_shape(function, came).shape == shape


@every_model
def test_a_model_observes_as_many_columns_as_it_has_units_by_default(model_class):
    model = build(model_class)
    assert model.observed_dim == M
    if model_class in RECURRENT:
        assert model.latent_dim == M


@every_model
def test_the_configuration_builds_the_same_shapes_again(model_class):
    model = build(model_class, observed_dim=N, input_dim=K, observation=models.AffineObservation)
    config = model.config()
    again = model_class(**config, rngs=nnx.Rngs(7))
    shapes = [jax.tree.map(jnp.shape, nnx.to_pure_dict(nnx.state(m, nnx.Param))) for m in (model, again)]
    assert shapes[0] == shapes[1]


@every_model
def test_same_seed_same_model(model_class):
    leaves = [jax.tree.leaves(nnx.state(build(model_class, seed=s), nnx.Param)) for s in (3, 3, 4)]
    assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))


@every_model
@every_observation
def test_jit_and_batches_give_the_same_forecast(model_class, observation):
    model = build(model_class, observed_dim=N, observation=observation)
    batch = jnp.stack([series(seed=s) for s in range(2)])
    alone = [model.forecast(x, 0.3, solvers.Sequential()) for x in batch]

    @nnx.jit
    def together(model, batch):
        return jax.vmap(lambda x: model.forecast(x, 0.3, solvers.Sequential()))(batch)

    np.testing.assert_allclose(together(model, batch), np.stack(alone), rtol=1e-4, atol=1e-5)  # float32, 11 steps


@every_model
@every_observation
@pytest.mark.usefixtures("x64")
def test_double_precision_goes_all_the_way(model_class, observation):
    model = build(model_class, observed_dim=N, observation=observation)
    x, z = series().astype(jnp.float64), jnp.zeros(model.latent_dim)

    def everything(x, z):
        forecast = model.forecast(x, 0.3, solvers.Sequential())
        return model.start(x[0]), model.step(z), model.observe(z), model.infer(x[0]), forecast

    assert {a.dtype for a in jax.eval_shape(everything, x, z)} == {jnp.dtype("float64")}


# --- the Jacobian ---


@every_recurrent
@every_observation
@pytest.mark.usefixtures("x64")
def test_analytic_jacobian_equals_autodiff(model_class, observation):
    model = build(model_class, observed_dim=N, observation=observation, input_dim=K)
    analytic, automatic = jax.jit(model.jacobian), jax.jit(jax.jacfwd(model.step))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        z, u = jnp.asarray(3 * rng.normal(size=model.latent_dim)), jnp.asarray(rng.normal(size=K))
        # float64 rounding of sums of a few products
        np.testing.assert_allclose(analytic(z), automatic(z), atol=1e-13)
        np.testing.assert_allclose(analytic(z, u), automatic(z, u), atol=1e-13)


@every_recurrent
def test_analytic_jacobian_equals_autodiff_on_the_kink(model_class):
    """At z = 0 many hidden units sit exactly on the kink of their ReLU: slope 0, in both."""
    model = (
        model_class(latent_dim=M, hidden_dim=H, rngs=nnx.Rngs(0))
        if takes(model_class, "hidden_dim")
        else build(model_class)
    )
    z = jnp.zeros(model.latent_dim)
    np.testing.assert_allclose(model.jacobian(z), jax.jacfwd(model.step)(z), atol=1e-6)  # float32


@every_recurrent
def test_teacher_jacobians_are_those_at_the_teacher_states(model_class):
    model, x = build(model_class, observed_dim=N), series()
    jacobian = jax.jit(lambda row: model.jacobian(model.infer(row)))
    expected = [jacobian(row) for row in x]
    np.testing.assert_allclose(model.teacher_jacobians(x), np.stack(expected), atol=1e-6)  # float32


# --- forecasts under forcing, against a loop in NumPy ---


def forecast_by_hand(model, x, alpha, u=None, forced=None):
    """z_1 = start(x_1), z_2 = F(z_1), then z_t = F((1 - alpha) z_{t-1} + alpha infer(x_{t-1})) on the forced units."""
    length = len(x)
    alpha = np.asarray(alpha, float)
    alpha = np.broadcast_to(alpha[:, None] if alpha.ndim == 1 else alpha, (length - 1, model.latent_dim))
    alpha = alpha * (np.ones(model.latent_dim) if forced is None else forced)
    step = jax.jit(model.step) if u is None else jax.jit(lambda z, v: model.step(z, v))
    z = np.asarray(model.start(x[0]))
    predictions = []
    for t in range(length - 1):
        if t > 0:
            z = (1 - alpha[t]) * z + alpha[t] * np.asarray(model.infer(x[t]))
        z = np.asarray(step(jnp.asarray(z)) if u is None else step(jnp.asarray(z), u[t + 1]))
        predictions.append(model.observe(jnp.asarray(z)))
    return np.stack(predictions)


PER_TIME = np.linspace(0, 1, T - 1)
PER_UNIT = np.linspace(0, 1, M)[None]
ALPHAS = {
    "free": 0.0,
    "scalar": 0.3,
    "full": 1.0,
    "per time": PER_TIME,
    "per unit": PER_UNIT,
    "per time and unit": PER_TIME[:, None] * PER_UNIT,
}


def forced_units(observation):
    """Identity and scaled: only the observed ones."""
    return np.ones(M) if observation is models.AffineObservation else np.arange(M) < N


@every_recurrent
@every_observation
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.usefixtures("x64")
def test_forecast_equals_a_loop_by_hand(model_class, observation, alpha):
    model = build(model_class, observed_dim=N, observation=observation)
    x = series().astype(jnp.float64)
    found = model.forecast(x, jnp.asarray(ALPHAS[alpha]), solvers.Sequential())
    expected = forecast_by_hand(model, x, ALPHAS[alpha], forced=forced_units(observation))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)  # float64, 11 steps


@every_recurrent
@every_observation
@pytest.mark.usefixtures("x64")
def test_forecast_with_external_inputs_equals_a_loop_by_hand(model_class, observation):
    if not takes(model_class, "input_dim"):
        pytest.skip("takes no external input")
    model = build(model_class, observed_dim=N, input_dim=K, observation=observation)
    x, u = series().astype(jnp.float64), series(columns=K, seed=5).astype(jnp.float64)
    found = model.forecast(x, 0.3, solvers.Sequential(), u)
    expected = forecast_by_hand(model, x, 0.3, u, forced=forced_units(observation))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)  # float64, 11 steps


GAPS = [3, 4, 9]  # rows


@every_recurrent
@every_observation
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.usefixtures("x64")
def test_nothing_is_forced_in_a_gap(model_class, observation, alpha):
    model = build(model_class, observed_dim=N, observation=observation)
    x = series().astype(jnp.float64)
    found = model.forecast(x.at[jnp.array(GAPS), 1].set(jnp.nan), jnp.asarray(ALPHAS[alpha]), solvers.Sequential())
    strength = np.asarray(ALPHAS[alpha], float)
    strength = np.array(np.broadcast_to(strength[:, None] if strength.ndim == 1 else strength, (T - 1, M)))
    strength[GAPS] = 0
    expected = forecast_by_hand(model, x, strength, forced=forced_units(observation))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)  # float64, 11 steps


@every_linear
def test_a_linear_model_is_fed_what_was_seen_last(model_class):
    model, x = build(model_class, observed_dim=N), series()
    held = x.at[jnp.array([3, 4])].set(x[2]).at[9].set(x[8])
    found = model.forecast(x.at[jnp.array(GAPS), 1].set(jnp.nan), 0.5, solvers.Sequential())
    np.testing.assert_array_equal(found, model.forecast(held, 0.5, solvers.Sequential()))


@every_recurrent
def test_full_forcing_is_one_step_prediction(model_class):
    """The guard against shifts by one: row t predicts x[t + 1] from x[t] alone."""
    model, x = build(model_class), series(columns=M)
    found = model.forecast(x, 1.0, solvers.DEER())
    predict = jax.jit(lambda row: model.observe(model.step(model.infer(row))))
    expected = [predict(row) for row in x[:-1]]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-4, atol=1e-5)  # float32


@every_model
@every_observation
def test_the_future_never_enters_a_forecast(model_class, observation):
    """Row t may depend on x[0..t] only; the last observation on nothing at all."""
    model = build(model_class, observed_dim=N, observation=observation)
    x = series()
    forecast = jax.jit(lambda x: model.forecast(x, 0.5, solvers.Sequential()))
    before = forecast(x)
    changed = forecast(x.at[7:].add(10.0))
    np.testing.assert_array_equal(changed[:7], before[:7])
    assert np.all(np.any(changed[7:] != before[7:], axis=1))
    np.testing.assert_array_equal(forecast(x.at[-1].add(10.0)), before)


@every_recurrent
def test_units_that_nobody_observes_are_never_forced(model_class):
    """Otherwise full forcing would set them to zero: the gradient still reaches the first state through them."""
    # one ReLU only: an AL-RNN with both unobserved units switched off has no way from them to the others
    model = build(model_class, observed_dim=N, observation=models.IdentityObservation, relu_units=1)
    x = series()
    moved = jax.jacobian(lambda first: model.forecast(x.at[0].set(first), 1.0, solvers.Sequential())[3])(x[0])
    assert np.any(moved != 0)


@every_recurrent
@pytest.mark.parametrize("solver", [solvers.Sequential(), solvers.DEER(), solvers.Shooting(length=4)], ids=str)
@every_observation
@pytest.mark.usefixtures("x64")
def test_gradient_of_a_forecast_equals_autodiff_of_a_scan(model_class, observation, solver):
    """The teacher is a constant, the start is not."""
    model = build(model_class, observed_dim=N, observation=observation)
    x, forced = series().astype(jnp.float64), jnp.asarray(forced_units(observation), float)
    graph, parameters = nnx.split(model)

    def by_solver(parameters):
        return jnp.mean((nnx.merge(graph, parameters).forecast(x, 0.4, solver) - x[1:]) ** 2)

    def by_scan(parameters):
        model = nnx.merge(graph, parameters)
        teacher = jax.lax.stop_gradient(jax.vmap(model.infer)(x))

        def step(z, t):
            alpha = jnp.where(t == 0, 0, 0.4) * forced
            z = model.step((1 - alpha) * z + alpha * teacher[t])
            return z, model.observe(z)

        return jnp.mean((jax.lax.scan(step, model.start(x[0]), jnp.arange(T - 1))[1] - x[1:]) ** 2)

    found, expected = (jax.jit(jax.grad(f))(parameters) for f in (by_solver, by_scan))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)  # the solver's tolerance, 1e-10


@every_recurrent
def test_teaching_reports_the_solve_behind_the_forecast(model_class):
    model, x = build(model_class, observed_dim=N), series()
    predictions, solution = model.teach(x, 0.5, solvers.DEER())
    assert solution.status is Status.CONVERGED
    np.testing.assert_array_equal(predictions, jax.vmap(model.observe)(solution.states))


# --- linear state-space models: one scan, and the same map step by step ---


@every_linear
@pytest.mark.usefixtures("x64")
def test_one_scan_equals_the_loop_that_is_fed_the_data(model_class):
    """Values and gradients; full forcing of the observation, none of the layers' states."""
    model = build(model_class, observed_dim=N, input_dim=K)
    x, u = series().astype(jnp.float64), series(columns=K, seed=5).astype(jnp.float64)
    graph, parameters = nnx.split(model)

    def by_loop(parameters):
        model = nnx.merge(graph, parameters)

        def step(z, now):
            z = model.step(z.at[:N].set(now[0]), now[1])
            return z, model.observe(z)

        return jax.lax.scan(step, model.start(x[0]), (x[:-1], u[1:]))[1]

    def by_scan(parameters):
        return nnx.merge(graph, parameters).forecast(x, 1.0, solvers.Sequential(), u)

    def value_and_gradient(forecast):
        def loss(parameters):
            prediction = forecast(parameters)
            return jnp.sum(jnp.sin(prediction)), prediction

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(parameters)

    found, expected = value_and_gradient(by_scan), value_and_gradient(by_loop)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)  # float64, 11 steps in another order


@every_linear
def test_no_state_of_a_layer_grows_on_its_own(model_class):
    """Every transition is inside the unit disc, whatever is fed."""
    model = build(model_class, observed_dim=N, depth=2)
    for layer in (model.layer_0, model.layer_1):
        for seed in range(3):
            v = 5 * series(1, H, seed=seed)[0]
            assert np.all(np.abs(layer.transition(v)[0]) < 1)


# --- the whole way: learn, run freely, be judged, be kept ---


@pytest.fixture(scope="session")
def lorenz():
    series = gd.data.simulate(gd.data.Lorenz63(), length=1200, dt=0.02, key=jax.random.key(0))
    return series.standardise()


@pytest.fixture(scope="session")
def fitted(lorenz):
    """Every model after 200 updates, each trained once and when it is first asked for."""

    @functools.cache
    def fit(model_class):
        sizes = {"latent_dim": 8, "hidden_dim": 16, "width": 8, "observed_dim": 3, "depth": 1}
        model = model_class(**{k: v for k, v in sizes.items() if takes(model_class, k)}, rngs=nnx.Rngs(0))
        sizes = {"window": 20, "batch": 8, "updates": 200, "looks": 0, "progress": False}
        return gd.fit(model, lorenz, solver=solvers.Sequential(), **sizes)

    return fit


@every_model
def test_two_hundred_updates_lower_the_loss(model_class, fitted):
    """By half, with the default rate and forcing."""
    loss = fitted(model_class).history["loss"]
    assert np.isfinite(loss).all()
    assert np.mean(loss[-20:]) < 0.5 * np.mean(loss[:3])


@every_model
def test_a_saved_model_comes_back_bit_by_bit(model_class, fitted, tmp_path):
    rec = fitted(model_class)
    rec.save(tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    assert type(again.model) is model_class
    assert again.model.config() == rec.model.config()
    states = [nnx.to_pure_dict(nnx.state(r.model, nnx.Param)) for r in (rec, again)]
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), *states))
    run = rec.free_run(50, rec.first)
    assert run.shape == (50, 3)
    np.testing.assert_array_equal(again.free_run(50, again.first), run)


@every_model
def test_a_free_run_begins_as_a_forecast_does(model_class, fitted, lorenz):
    """The first step has nothing to be forced with: one map, in training and in use."""
    rec = fitted(model_class)
    x = jnp.asarray(lorenz.values[:3])
    first = rec.model.forecast(x, 0.3, solvers.Sequential())[0]
    np.testing.assert_allclose(rec.free_run(1, x[0])[0], first, atol=1e-5)  # float32


# --- sizes ---


@every_model
def test_models_of_any_family_can_be_made_equally_large(model_class):
    model = models.matched(model_class, 2000, rngs=nnx.Rngs(0), **matched_keywords(model_class))
    assert models.parameter_count(model) == pytest.approx(2000, rel=0.06)  # one size more or less


def matched_keywords(model_class):
    wanted = {"latent_dim": 4, "depth": 1, "observed_dim": 3}
    return {k: v for k, v in wanted.items() if takes(model_class, k) and k != model_class.grows_by}


def test_matching_refuses_what_it_is_to_find():
    with pytest.raises(ValueError, match="latent_dim=5 came, but it is what matched"):
        models.matched(models.GRU, 1000, latent_dim=5, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="parameters is 0"):
        models.matched(models.GRU, 0, rngs=nnx.Rngs(0))


# --- refusals ---


@pytest.mark.parametrize("model_class", [models.LSTM, models.GRU, models.LRU], ids=lambda c: c.__name__)
def test_a_state_of_another_structure_is_refused(model_class):
    model = build(model_class, observed_dim=N)
    with pytest.raises(ValueError, match=r"the state is a tuple; pass one vector of shape \("):
        model.step((jnp.zeros(M), jnp.zeros(M)))
    with pytest.raises(ValueError, match=r"the state is an array of shape \(1, "):
        model.step(jnp.zeros((1, model.latent_dim)))


@every_model
@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_forcing_outside_zero_to_one_is_refused(model_class, alpha):
    with pytest.raises(ValueError, match=r"pass a forcing strength in \[0, 1\]"):
        build(model_class, observed_dim=N).forecast(series(), alpha, solvers.Sequential())


@every_recurrent
@pytest.mark.parametrize("shape", [(T,), (T, M), (T - 1, M + 1), (1, 1, 1)], ids=str)
def test_an_alpha_of_another_shape_is_refused(model_class, shape):
    with pytest.raises(ValueError, match="alpha has shape") as refusal:
        build(model_class).forecast(series(columns=M), jnp.full(shape, 0.5), solvers.Sequential())
    assert str(shape) in str(refusal.value) or str((*shape, 1)) in str(refusal.value)
    assert f"({T - 1},) per step" in str(refusal.value)


@every_model
@pytest.mark.parametrize("shape", [(T, N + 1), (T,), (1, N), (3, T, N)], ids=str)
def test_a_series_of_another_shape_is_refused(model_class, shape):
    with pytest.raises(ValueError, match="x has shape") as refusal:
        build(model_class, observed_dim=N).forecast(jnp.zeros(shape), 0.5, solvers.Sequential())
    assert str(shape) in str(refusal.value)
    assert f"(T, {N})" in str(refusal.value)


@every_recurrent
def test_external_inputs_of_another_shape_are_refused(model_class):
    if not takes(model_class, "input_dim"):
        pytest.skip("takes no external input")
    model, x = build(model_class, observed_dim=N, input_dim=K), series()
    for u in (jnp.zeros((T, K + 1)), jnp.zeros((T - 1, K)), jnp.zeros((T + 5, K))):
        with pytest.raises(ValueError, match=r"u has shape|inputs have lengths") as refusal:
            model.forecast(x, 0.5, solvers.Sequential(), u)
        assert "pass" in str(refusal.value) or "(for a step" in str(refusal.value)


@every_recurrent
def test_a_model_without_inputs_refuses_them(model_class):
    with pytest.raises((ValueError, TypeError), match="input_dim"):
        build(model_class, observed_dim=N).forecast(series(), 0.5, solvers.Sequential(), series(columns=K))


@every_model
@pytest.mark.parametrize("name", ["latent_dim", "hidden_dim", "observed_dim"])
@pytest.mark.parametrize("size", [0, -1, 2.5, "3", True])
def test_sizes_that_are_not_positive_whole_numbers_are_refused(model_class, name, size):
    if not takes(model_class, name):
        pytest.skip(f"has no {name}")
    with pytest.raises(ValueError, match=rf"{name} is {size!r}; pass a positive whole number"):
        build(model_class, **{name: size})


@every_model
def test_more_columns_than_units_are_refused_by_the_identity(model_class):
    if not takes(model_class, "observation"):
        pytest.skip("has no identity readout")
    with pytest.raises(ValueError, match=f"observed_dim={M + 1} exceeds latent_dim={M}") as refusal:
        build(model_class, observed_dim=M + 1, observation=models.IdentityObservation)
    assert "AffineObservation" in str(refusal.value)


@every_model
def test_constructors_take_keywords_only(model_class):
    positional = [p.name for p in parameters_of(model_class).values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == []


def test_parts_of_a_model_stay_usable_alone():
    """An observation is a module of its own, for models still to come."""
    for observation in OBSERVATIONS:
        part = observation(M, N, rngs=nnx.Rngs(0))
        x = series()[0]
        np.testing.assert_allclose(part.observe(part.infer(x)), x, atol=1e-5)  # float32 pseudo-inverse
        np.testing.assert_allclose(functools.reduce(lambda v, f: f(v), (part.start, part.observe), x), x, atol=1e-5)
