"""gtfdeer: learn the rules of a chaotic system from a recording.

>>> import jax
>>> from flax import nnx
>>> import gtfdeer as gd
>>> series = gd.data.simulate(gd.data.Lorenz63(), length=2000, dt=0.01, key=jax.random.key(0))
>>> train, test = series.standardise().split(0.5)
>>> model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=20, rngs=nnx.Rngs(0))
>>> rec = gd.fit(model, train, window=100, updates=20, progress=False)
>>> rec.score(test).steps
20
>>> rec.model.latent_dim, rec.ending
(3, 'finished')
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import data, forcing, measures, models, solvers, training
from .solvers import Solution, Status, iterates, scan, solve
from .training import Reconstruction, fit, info, load, notebook, resume

__version__ = version("gtfdeer")

if TYPE_CHECKING:
    from . import explorables, plots

__all__ = [
    "Reconstruction",
    "Solution",
    "Status",
    "__version__",
    "data",
    "explorables",
    "fit",
    "forcing",
    "info",
    "iterates",
    "load",
    "measures",
    "models",
    "notebook",
    "plots",
    "resume",
    "scan",
    "solve",
    "solvers",
    "training",
]


def __getattr__(name: str) -> Any:
    """`plots` and `explorables` come when first asked for: matplotlib is a fifth of an import, widgets are optional."""
    if name in ("plots", "explorables"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'gtfdeer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
