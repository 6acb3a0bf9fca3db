"""One step of a piecewise-linear network written out, as text or as LaTeX.

Small networks with all their numbers, a line for each latent unit; larger ones in matrix form with sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..models import AlmostLinearRNN, ClippedShallowPLRNN, Model, ShallowPLRNN

_MOST_TERMS = 400  # numbers beyond which nobody reads them


def write_equations(model: Model, *, latex: bool = False) -> str:
    """Return `z' = F(z)` of a PLRNN, digits to four places.

    Raises:
        TypeError: for a model of another family.
    """
    if not isinstance(model, AlmostLinearRNN | ClippedShallowPLRNN | ShallowPLRNN):
        raise TypeError(f"{type(model).__name__} has no short equations; train a PLRNN or an AlmostLinearRNN")
    M = model.latent_dim
    terms = M * (M if isinstance(model, AlmostLinearRNN) else 2 * model.hidden_dim)
    text = _write_matrices(model) if terms > _MOST_TERMS else _write_numbers(model)
    if not latex:
        return text
    text = re.sub(r"\b([zhW])(\d+)", r"\1_{\2}", text).replace("max", r"\max").replace("phi", r"\phi")
    return text.replace("\n", " \\\\\n")


def _write_matrices(model: Any) -> str:
    if isinstance(model, AlmostLinearRNN):
        return f"z' = A z + W phi(z) + h, M = {model.latent_dim}, ReLU in the last {model.relu_units} units"
    hidden = "max(0, W2 z + h2)"
    if isinstance(model, ClippedShallowPLRNN):
        hidden = f"[{hidden} - max(0, W2 z)]"
    return f"z' = A z + W1 {hidden} + h1, M = {model.latent_dim}, H = {model.hidden_dim}"


def _write_numbers(model: Any) -> str:
    M = model.latent_dim
    z, A = [f"z{m + 1}" for m in range(M)], np.asarray(model.A[...])
    if isinstance(model, AlmostLinearRNN):
        W, h = np.asarray(model.W[...]), np.asarray(model.h[...])
        units = [f"max(0, {each})" if m >= M - model.relu_units else each for m, each in enumerate(z)]
    else:
        W, W2, h, h2 = (np.asarray(p[...]) for p in (model.W1, model.W2, model.h1, model.h2))
        lines = [_sum(zip(row, z, strict=True)) for row in W2]
        units = [f"max(0, {line} {_signed(bias)})" for line, bias in zip(lines, h2, strict=True)]
        if isinstance(model, ClippedShallowPLRNN):
            units = [f"({unit} - max(0, {line}))" for unit, line in zip(units, lines, strict=True)]
    rows = [_sum([(A[m], z[m]), *zip(W[m], units, strict=True)]) for m in range(M)]
    return "\n".join(f"{name}' = {row} {_signed(bias)}" for name, row, bias in zip(z, rows, h, strict=True))


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    return " ".join(f"{_signed(factor)} {what}" for factor, what in terms).removeprefix("+ ")


def _signed(number: float) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number):.4g}"
