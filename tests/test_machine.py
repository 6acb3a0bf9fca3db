"""A run that does not fit into memory is refused before it begins; one that fits is not."""

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.__main__ import main
from gtfdeer.machine import available_memory, host_memory


@pytest.fixture
def series():
    return gd.data.simulate(gd.data.Lorenz63(), length=200_000, dt=0.01, key=jax.random.key(0))


def test_what_does_not_fit_is_refused_with_the_numbers_and_a_way_out(series, tmp_path):
    model = gd.models.ShallowPLRNN(latent_dim=100, hidden_dim=200, observed_dim=3, rngs=nnx.Rngs(0))
    too_much = {"window": 100_000, "batch": 1000, "solver": gd.solvers.DEER(), "progress": False}
    path = tmp_path / "run.npz"
    with pytest.raises(
        MemoryError, match=r"DEER needs about [\d.]+ GiB for 1000 sequences of 100,000 steps .* are left"
    ):
        gd.fit(model, series, checkpoint=path, **too_much)
    assert not list(tmp_path.iterdir())


def test_the_leaner_solver_is_named_where_it_fits_and_trains(series):
    there = available_memory()
    if there is None:
        pytest.skip("nobody says how much memory there is")
    model = gd.models.ShallowPLRNN(latent_dim=30, hidden_dim=10, observed_dim=3, rngs=nnx.Rngs(0))
    sizes = {"length": 2000, "latent_dim": 30}
    batch = 1 + there // gd.solvers.memory_needed(gd.solvers.DEER(), **sizes)
    assert gd.solvers.memory_needed(gd.solvers.Shooting(), **sizes, batch=batch) < there
    settings = {"window": 2000, "progress": False, "updates": 1, "looks": 0}
    with pytest.raises(MemoryError, match=r"pass solver=gtfdeer.solvers.Shooting\(\), a smaller batch or"):
        gd.fit(model, series, batch=batch, solver=gd.solvers.DEER(), **settings)
    assert np.isfinite(gd.fit(model, series, batch=2, solver=gd.solvers.DEER(), **settings).history["loss"]).all()


def test_the_command_line_says_it_in_one_line(series, tmp_path, capsys):
    np.savetxt(tmp_path / "recording.csv", series.values[:50_000], delimiter=",")
    sizes = ["--window", "20000", "--batch", "1000000", "--solver", "DEER"]
    assert main(["fit", str(tmp_path / "recording.csv"), "--out", str(tmp_path / "model.npz"), *sizes]) == 1
    said = capsys.readouterr().err
    assert said.startswith("gtfdeer: error: DEER needs about")
    assert said.count("\n") == 1
    assert not (tmp_path / "model.npz").exists()


def test_a_container_has_the_memory_that_it_is_allowed(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    (tmp_path / "memory.max").write_text(f"{2**31}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    found = host_memory(tmp_path, tmp_path)
    assert (found.total, found.available, found.limited) == (2**31, 2**30, True)
