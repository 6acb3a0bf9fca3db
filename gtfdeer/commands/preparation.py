"""From files to what is learned from and what is held out: read, cut, delay-embed."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .recordings import column_names, longest_stretch, read

if TYPE_CHECKING:
    from ..data import Series

__all__ = ["add_preparation", "prepare"]

_SHORTEST_TEST = 100  # steps without a gap that scores need


def add_preparation(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("preparing the data")
    group.add_argument(
        "--delay-embed",
        type=int,
        metavar="D",
        help="replace each column by D copies of itself, each later in the past",
    )
    group.add_argument(
        "--delay",
        type=int,
        metavar="K",
        help="time steps between two copies; chosen from the data by default",
    )
    group.add_argument(
        "--test-fraction",
        type=float,
        default=0.0,
        metavar="F",
        help="hold out this share at the end of every recording and score on it (0: train on everything)",
    )


def prepare(options: Namespace) -> tuple[list[Series], list[Series]]:
    """The series to train on and the ends held out, embedded after the cut: no row knows both parts."""
    fraction = options.test_fraction
    if not 0 <= fraction < 1:
        raise ValueError(f"--test-fraction is {fraction:g}; pass a number from 0 to less than 1, such as 0.2")
    if options.delay is not None and options.delay_embed is None:
        raise ValueError("--delay came without --delay-embed; pass --delay-embed 5, or leave --delay out")
    whole = [read(path, options.dt, options) for path in options.recordings]
    parts = [series.split(1 - fraction) for series in whole] if fraction else [(series, None) for series in whole]
    train = [part for part, _ in parts]
    held_out = [end for _, end in parts if end is not None]
    _require_motion(train, options)
    if options.delay_embed is not None:
        first = train[0].delay_embed(options.delay_embed, options.delay)
        assert first.embedding is not None
        lags = first.embedding.dimension, first.embedding.delay
        train = [first, *(series.delay_embed(*lags) for series in train[1:])]
        held_out = [series.delay_embed(*lags) for series in held_out]
    for series in held_out:
        if longest_stretch(series) < _SHORTEST_TEST:
            raise ValueError(
                f"--test-fraction {fraction:g} holds out {longest_stretch(series)} steps of {series.name} "
                f"without a gap, but scores need {_SHORTEST_TEST}; pass a larger fraction"
            )
    return train, held_out


def _require_motion(recordings: Sequence[Series], options: Namespace) -> None:
    """Refuse a column that never changes in any of the recordings, by what its file calls it."""
    import numpy as np

    if len({series.columns for series in recordings}) > 1:
        return  # gtfdeer.fit says which of them differ
    values = np.concatenate([series.values for series in recordings])
    lowest, highest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    if (lowest < highest).all():
        return
    called = [shlex.quote(name) for name in column_names(options.recordings[0], options)]
    still, moving = int(np.argmax(lowest == highest)), [called[place] for place in np.flatnonzero(lowest < highest)]
    files, advice = ", ".join(map(repr, options.recordings)), f"--columns {' '.join(moving)}"
    raise ValueError(
        f"column {called[still]} of {files} is always {highest[still]:.6g}, so there is nothing to learn from it; "
        f"pass {advice if moving else 'a recording that moves'}"
    )
