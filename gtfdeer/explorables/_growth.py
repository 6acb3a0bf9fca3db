"""The picture of the training panel: curves over the updates, and the free run growing beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import plots
from ..data import Series
from ._canvas import alpha_slider, axis, describe_slider, line, plot, vline

__all__ = ["DRAWN", "SLIDERS", "SNAPSHOTS", "describe_growth"]

DRAWN = 1500  # steps of the free run that is drawn
SNAPSHOTS = 60  # that are kept for the replay, twice as many while it trains
SLIDERS = [
    alpha_slider("alpha by hand"),
    describe_slider("snapshot", "replay", range(2 * SNAPSHOTS + 1), rows="orbits", hide=True),
]
_CURVES = (  # name, role, kind of axis, its range
    ("loss", "error", "log", None),
    ("alpha", "forced", "log", (1e-3, 1)),
    ("iterations", "truth", "linear", None),
    ("gradient norm", "error", "log", None),
)


def describe_growth(
    recording: Series,
    history: dict[str, np.ndarray],
    gradients: np.ndarray,
    snapshots: Sequence[tuple[int, np.ndarray]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Description and arrays of the picture.

    Args:
        recording: the data, standardised.
        history: as `Reconstruction.history`, empty before training.
        gradients: `(K, 2)`, update and norm.
        snapshots: update and free run `(T, N)`, the newest last.
    """
    pick = [*range(min(3, recording.columns))]
    truth = recording.values[:DRAWN][:, pick]
    arrays: dict[str, Any] = {"truth": truth, "at": [done for done, _ in snapshots] or [0]}
    if snapshots:
        arrays["orbits"] = np.clip([orbit[:, pick] for _, orbit in snapshots], -20, 20)
    for name in ("loss", "alpha", "iterations"):
        arrays[f"{name} at"], arrays[name] = plots.thinned(history.get(name, np.zeros(0)), 1000)
    arrays["gradient norm at"], arrays["gradient norm"] = gradients[:, 0], gradients[:, 1]
    updates = axis("update", (0, max(10, len(history.get("loss", ())))))
    most = max(2.0, 1.1 * float(np.max(arrays["iterations"], initial=0)))
    curves = [
        plot(
            *(row, 0, updates, axis(name, bounds or ((0, most) if kind == "linear" else None), kind)),
            line(name, role, f"{name} at"),
            vline({"array": "at", "slider": "snapshot"}, "model"),
        )
        for row, (name, role, kind, bounds) in enumerate(_CURVES)
    ]
    flat = len(pick) < 3
    limits = [*(_limits(truth[:, d]) for d in range(len(pick))), *[(-1.0, 1.0)] * (3 - len(pick))]
    common = {"kind": "orbit", "column": 1, "rows": 2, "range": limits, "flat": flat, "axes": ["1", "2", "3"]}
    common["view"] = {"turn": -90, "tilt": 90} if flat else {"turn": -55, "tilt": 20}
    model = line("orbits", "model", label="model, running free", row="snapshot")
    spec = {
        "label": f"Training: {recording.name}",
        "columns": [1, 1.1],
        "height": 165,
        "text": "snapshot",
        "sliders": SLIDERS,
        "plots": [
            *curves,
            {**common, "row": 0, "items": [line("truth", "data", label=f"data: {recording.name}")]},
            {**common, "row": 2, "items": [model]},
        ],
    }
    return spec, arrays


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.15 * (high - low)
    return low - margin, high + margin
