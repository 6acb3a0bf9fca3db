"""LiveView draws a training that runs in a cell, and stays quiet between two pictures."""

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd

SERIES = gd.data.Series(np.stack([np.sin(np.arange(300) / 9), np.cos(np.arange(300) / 9)], axis=1), dt=1.0)


@pytest.fixture(scope="module")
def watched():
    """A view that draws whenever it is called, one that draws at first and last, and how often training called them."""
    views = [gd.explorables.LiveView(SERIES, steps=50, seconds=seconds) for seconds in (0.0, 1e9)]
    drawn = [[], []]

    def note(progress):
        for view, pictures in zip(views, drawn, strict=True):
            view(progress)
            pictures.append((bytes(view.training.value), bytes(view.run.value)))

    model = gd.models.ShallowPLRNN(latent_dim=2, hidden_dim=5, rngs=nnx.Rngs(0))
    gd.fit(model, SERIES, window=20, updates=60, callbacks=[note], key=jax.random.key(0), progress=False)
    return drawn


def test_it_draws_loss_and_free_run(watched):
    assert all(picture.startswith(b"\x89PNG") for picture in watched[0][-1])


def test_it_draws_at_first_and_at_the_end_however_rarely_it_is_asked_to(watched):
    often, rarely = watched
    assert rarely[0][0].startswith(b"\x89PNG")
    assert rarely[-1] == often[-1]
    assert len({pictures for pictures in rarely}) == 2


def test_a_run_that_escapes_is_drawn_too():
    view = gd.explorables.LiveView(SERIES, steps=50)

    class Escaped:
        update, updates, history = 1, 1, {"loss": np.ones(1), "alpha": np.ones(1), "iterations": np.ones(1)}
        model = gd.models.ShallowPLRNN(latent_dim=2, hidden_dim=5, rngs=nnx.Rngs(0))

    parameters = jax.tree.map(lambda leaf: 1e6 * leaf, nnx.state(Escaped.model, nnx.Param))
    nnx.update(Escaped.model, parameters)
    view(Escaped())
    assert bytes(view.run.value).startswith(b"\x89PNG")
