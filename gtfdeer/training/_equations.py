"""One step of a piecewise-linear network written out, as text or as LaTeX.

Small networks with all their numbers, a line for each latent unit; larger ones in matrix form with sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..models import AlmostLinearRNN, ClippedShallowPLRNN, Model, ShallowPLRNN

__all__ = ["write_equations"]

_MOST_TERMS = 400  # numbers beyond which nobody reads them


def write_equations(model: Model, *, latex: bool = False) -> str:
    """Return `z' = F(z)` of a PLRNN, digits to four places.

    Raises:
        TypeError: for a model of another family.
    """
    if not isinstance(model, AlmostLinearRNN | ClippedShallowPLRNN | ShallowPLRNN):
        raise TypeError(f"{type(model).__name__} has no short equations; train a PLRNN or an AlmostLinearRNN")
    terms = model.latent_dim * (model.latent_dim if isinstance(model, AlmostLinearRNN) else 2 * model.hidden_dim)
    return _matrix_form(model, latex) if terms > _MOST_TERMS else _full_form(model, latex)


def _matrix_form(model: Any, latex: bool) -> str:
    M, phi = model.latent_dim, r"\max(0, W_2 z + h_2)" if latex else "max(0, W2 z + h2)"
    if isinstance(model, AlmostLinearRNN):
        text = r"z' = A z + W \phi(z) + h" if latex else "z' = A z + W phi(z) + h"
        return f"{text}, M = {M}, ReLU in the last {model.relu_units} units"
    if isinstance(model, ClippedShallowPLRNN):
        phi = rf"[{phi} - \max(0, W_2 z)]" if latex else f"[{phi} - max(0, W2 z)]"
    text = f"z' = A z + W_1 {phi} + h_1" if latex else f"z' = A z + W1 {phi} + h1"
    return f"{text}, M = {M}, H = {model.hidden_dim}"


def _full_form(model: Any, latex: bool) -> str:
    name = (lambda i: f"z_{{{i + 1}}}") if latex else (lambda i: f"z{i + 1}")
    relu = (lambda inside: rf"\max(0, {inside})") if latex else (lambda inside: f"max(0, {inside})")
    M = model.latent_dim
    A = np.asarray(model.A[...])
    if isinstance(model, AlmostLinearRNN):
        phi = [relu(name(i)) if i >= M - model.relu_units else name(i) for i in range(M)]
        W, h = np.asarray(model.W[...]), np.asarray(model.h[...])
        hidden = [[(W[m, i], phi[i]) for i in range(M)] for m in range(M)]
    else:
        W1, W2, h1, h2 = (np.asarray(p[...]) for p in (model.W1, model.W2, model.h1, model.h2))
        lines = [_sum((W2[k, i], name(i)) for i in range(M)) for k in range(model.hidden_dim)]
        units = [relu(f"{line} {_signed(h2[k])}") for k, line in enumerate(lines)]
        if isinstance(model, ClippedShallowPLRNN):
            units = [f"({unit} - {relu(line)})" for unit, line in zip(units, lines, strict=True)]
        hidden, h = [[(W1[m, k], units[k]) for k in range(model.hidden_dim)] for m in range(M)], h1
    rows = [f"{name(m)}' = {_sum([(A[m], name(m)), *hidden[m]])} {_signed(h[m])}" for m in range(M)]
    return (" \\\\\n" if latex else "\n").join(rows)


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    text = " ".join(f"{_signed(factor)} {what}" for factor, what in terms)
    return text.removeprefix("+ ")


def _signed(number: float) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number):.4g}"
