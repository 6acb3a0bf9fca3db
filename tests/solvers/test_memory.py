"""The memory estimate against XLA's own account of compiled programs."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gtfdeer.models import ClippedShallowPLRNN
from gtfdeer.solvers import DEER, ELK, Auto, QuasiDEER, Sequential, Shooting, memory_needed
from gtfdeer.solvers._auto import choose

from .maps import name_of

SOLVERS = [Sequential(), DEER(), QuasiDEER(), ELK(), Shooting(), Auto()]


def _working_memory(solver, length, latent_dim, batch):
    """Bytes of temporary buffers of a forced network's loss and gradient; compiled, never run."""
    graph, parameters = nnx.split(ClippedShallowPLRNN(latent_dim=latent_dim, hidden_dim=20, rngs=nnx.Rngs(0)))

    def loss(parameters, x):
        model = nnx.merge(graph, parameters)
        return jnp.mean((jax.vmap(lambda x: model.forecast(x, 0.2, solver))(x) - x[:, 1:]) ** 2)

    x = jax.ShapeDtypeStruct((batch, length, latent_dim), jnp.float32)
    return jax.jit(jax.value_and_grad(loss)).lower(parameters, x).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("solver", SOLVERS, ids=name_of)
@pytest.mark.parametrize(("length", "latent_dim", "batch"), [(20_000, 3, 1), (5000, 12, 4)])
def test_the_estimate_is_near_what_xla_reserves(solver, length, latent_dim, batch):
    found = _working_memory(solver, length, latent_dim, batch)
    estimate = memory_needed(solver, length=length, latent_dim=latent_dim, batch=batch)
    assert estimate == pytest.approx(found, rel=0.25)


def test_the_estimate_grows_as_it_should():
    size = functools.partial(memory_needed, latent_dim=10)
    assert size(DEER(), length=2000) == 2 * size(DEER(), length=1000)
    assert size(DEER(), length=1000, batch=8) == 8 * size(DEER(), length=1000)
    assert size(DEER(), length=1000, dtype=jnp.float64) == 2 * size(DEER(), length=1000)
    assert size(DEER(), length=1000, gradient=False) < size(DEER(), length=1000)


@pytest.mark.parametrize("sizes", [{"length": 0}, {"latent_dim": -1}, {"batch": 2.0}, {"length": True}])
def test_a_size_that_is_none_is_refused(sizes):
    with pytest.raises(ValueError, match=next(iter(sizes))):
        memory_needed(DEER(), **{"length": 10, "latent_dim": 3, **sizes})


def test_what_is_no_solver_is_refused():
    with pytest.raises(TypeError, match=r"DEER.*instance"):
        memory_needed(DEER, length=10, latent_dim=3)


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_an_accelerator_auto_takes_newton_where_the_whole_batch_fits(batch, dtype):
    sizes = {"length": 250_000, "latent_dim": 8, "batch": batch, "dtype": dtype}
    needed = memory_needed(DEER(), **sizes)
    plenty, little = (choose("gpu", memory, None, 8, **sizes) for memory in (4 * needed + 4, 4 * needed))
    assert (plenty, little) == (DEER(max_iterations=8), Shooting(max_sweeps=8))
