"""A small run that is quick to train, and what is compared of two runs."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import gtfdeer as gd
from gtfdeer.training import name_parameters

from .small import recording


@pytest.fixture(scope="session")
def series() -> gd.data.Series:
    return recording()


@pytest.fixture
def same():
    """Compare two reconstructions bit for bit, wall-clock seconds apart."""

    def compare(one: gd.Reconstruction, other: gd.Reconstruction) -> None:
        first, second = (name_parameters(rec.model) for rec in (one, other))
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first)
        assert one.history.keys() == other.history.keys()
        for name in one.history.keys() - {"seconds"}:
            assert np.array_equal(one.history[name], other.history[name], equal_nan=True), name
        assert len(one.history["seconds"]) == len(other.history["seconds"])
        for name in ("scaling", "dt", "name", "embedding", "ending", "update"):
            assert getattr(one, name) == getattr(other, name), name
        assert np.array_equal(one.first, other.first)
        u = np.ones((20, one.model.input_dim), np.float32) if one.model.input_dim else None
        assert np.array_equal(jax.device_get(one.simulate(20, u=u)), jax.device_get(other.simulate(20, u=u)))

    return compare
