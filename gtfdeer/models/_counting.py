"""How large a model is: its parameters, and models of different families with equally many."""

from __future__ import annotations

import math
from typing import Any

import jax
from flax import nnx

from .._checks import whole
from ._base import Model

_LARGEST = 2**20  # of the size that is sought


def parameter_count(model: Model) -> int:
    """Trained numbers in a model, its observation's included.

    >>> from gtfdeer.models import ShallowPLRNN
    >>> parameter_count(ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0)))
    356
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def matched(kind: type[Model], parameters: int, *, rngs: nnx.Rngs, **keywords: Any) -> Model:
    """A model of the class `kind` whose number of parameters comes nearest to `parameters`.

    What varies is the keyword `kind.grows_by`: `hidden_dim` of the shallow PLRNNs, `width` of the state-space models,
    `latent_dim` of the others. `keywords` are the constructor's others, such as `observed_dim=3`.

    Raises:
        ValueError: if the number or a keyword cannot serve.

    >>> from gtfdeer.models import GRU
    >>> model = matched(GRU, 1000, observed_dim=3, rngs=nnx.Rngs(0))
    >>> model.latent_dim, parameter_count(model)
    (17, 980)
    """
    name = kind.grows_by
    if name in keywords:
        raise ValueError(f"{name}={keywords[name]} came, but it is what matched() finds; leave it out")
    parameters = whole(parameters, "parameters")
    build: Any = kind

    def count(size: int) -> int:
        return parameter_count(nnx.eval_shape(lambda: build(**{**keywords, name: size}, rngs=nnx.Rngs(0))))

    low = max(2, keywords.get("observed_dim") or 1) if name == "latent_dim" else 1
    high = low
    while count(high) < parameters and high < _LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    best = min((low, high), key=lambda size: abs(count(size) - parameters))
    return build(**{**keywords, name: best}, rngs=rngs)
