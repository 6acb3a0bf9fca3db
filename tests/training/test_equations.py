"""The equations of a model as text: read as formulas, they are its step."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gtfdeer import models
from gtfdeer.training._equations import write_equations

MODELS = [
    models.ShallowPLRNN(latent_dim=3, hidden_dim=4, rngs=nnx.Rngs(0)),
    models.ClippedShallowPLRNN(latent_dim=2, hidden_dim=3, rngs=nnx.Rngs(1)),
    models.AlmostLinearRNN(latent_dim=4, rngs=nnx.Rngs(2)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("latex", [False, True])
def test_read_as_formulas_they_are_the_step(model, latex):
    z = np.random.default_rng(0).normal(size=model.latent_dim)
    text = write_equations(model, latex=latex)
    for mark, plain in ((r"\max", "max"), (r"\\", ""), ("z_{", "z"), ("}", "")):
        text = text.replace(mark, plain)
    lines = [re.sub(r"(\d) (?=z|max|\()", r"\1 * ", line.split("=")[1]) for line in text.strip().splitlines()]
    found = [eval(line, {f"z{k + 1}": value for k, value in enumerate(z)}) for line in lines]
    np.testing.assert_allclose(found, model.step(jnp.asarray(z)), atol=2e-3)  # four digits of each number
