"""A model from its name and its sizes."""

from __future__ import annotations

import inspect
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models import Model

__all__ = ["add_model", "build", "exported"]

_HIDDEN_UNITS = 50  # of a model that has hidden units: the published Lorenz-63 model (arXiv 2306.04406)
_NOUNS = {"hidden_dim": "hidden units", "width": "width", "depth": "depth"}
_READOUTS = {"identity": "IdentityObservation", "scaled": "ScaledObservation", "affine": "AffineObservation"}


def add_model(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--model", default="ShallowPLRNN", metavar="NAME", help="its class in gtfdeer.models (ShallowPLRNN)"
    )
    group.add_argument(
        "--latent-dim",
        type=int,
        metavar="M",
        help="latent units; by default the model's own number, or as many as the data have columns",
    )
    group.add_argument(
        "--hidden-dim", type=int, metavar="H", help=f"hidden units, in a model with these ({_HIDDEN_UNITS})"
    )
    group.add_argument("--width", type=int, metavar="H", help="features of a state-space model (32)")
    group.add_argument("--depth", type=int, metavar="L", help="layers of a state-space model (2)")
    group.add_argument(
        "--observation",
        choices=tuple(_READOUTS),
        help="how units of a nonlinear model become data: the first ones (identity), these times gains (scaled), or a "
        "matrix times all, also for fewer units than columns (affine); by default the model's own",
    )


def build(options: Namespace, columns: int) -> Model:
    from flax import nnx

    from .. import models

    kind = exported(models, models.Model, options.model, "model")
    keywords = inspect.signature(kind.__init__).parameters
    sizes: dict[str, int] = {"observed_dim": columns}
    if options.latent_dim is not None:
        sizes["latent_dim"] = options.latent_dim
    elif (own := keywords["latent_dim"].default) is inspect.Parameter.empty or own < columns:
        sizes["latent_dim"] = columns
    if "hidden_dim" in keywords:
        sizes["hidden_dim"] = _HIDDEN_UNITS
    for name in ("hidden_dim", "width", "depth"):
        size = getattr(options, name)
        if size is not None and name not in keywords:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is {size}, but {options.model} has no {_NOUNS[name]}; leave it out")
        if size is not None:
            sizes[name] = size
    return kind(**sizes, **_readout(options, keywords, sizes), rngs=nnx.Rngs(options.seed))


def _readout(options: Namespace, keywords: Mapping[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    """The keyword `observation`, where one was chosen."""
    from .. import models

    name, units, columns = options.observation, sizes.get("latent_dim"), sizes["observed_dim"]
    if "observation" not in keywords:
        if name is not None:
            raise ValueError(f"--observation is {name}, but {options.model} has a readout of its own; leave it out")
        return {}
    too_few_units = units is not None and units < columns and name != "affine"
    if too_few_units:
        raise ValueError(
            f"--latent-dim is {units}, but the data have {columns} columns; pass --latent-dim {columns} or more, or "
            "--observation affine"
        )
    return {} if name is None else {"observation": getattr(models, _READOUTS[name])}


def exported(module: Any, base: type, name: str, noun: str) -> Any:
    """The concrete class of this name; the sentence that refuses others lists those there are."""
    exported = [getattr(module, each) for each in module.__all__]
    known = {
        c.__name__: c for c in exported if isinstance(c, type) and issubclass(c, base) and not inspect.isabstract(c)
    }
    if name not in known:
        raise ValueError(f"there is no {noun} {name!r}; pass --{noun} with one of {', '.join(sorted(known))}")
    return known[name]
