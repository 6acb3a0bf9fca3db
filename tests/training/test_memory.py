"""A run that does not fit into memory is refused before it begins; one that fits is not."""

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.__main__ import main
from gtfdeer.training._memory import available_memory, host_memory


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
    # three times as many as fit: what is there changes while others come and go
    batch = 3 * there // gd.solvers.memory_needed(gd.solvers.DEER(), **sizes)
    assert gd.solvers.memory_needed(gd.solvers.Shooting(), **sizes, batch=batch) < there
    settings = {"window": 2000, "progress": False, "updates": 1, "validations": 0}
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


MACHINE = {"meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"}  # 16 and 8 GiB
LIMITS = "Limit                     Soft Limit           Hard Limit           Units\nMax address space         "
GIB = 2**30


def found(folder, files):
    """What is read off a system whose files say this."""
    for name, text in (MACHINE | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))
    memory = host_memory(folder, folder)
    return memory.total / GIB, memory.available / GIB, memory.limited


def group(path, limit, used, **stat):
    stat = "".join(f"{name} {size}\n" for name, size in stat.items())
    return {f"{path}memory.max": limit, f"{path}memory.current": used, f"{path}memory.stat": stat}


def test_a_container_has_the_memory_that_it_is_allowed(tmp_path):
    assert found(tmp_path, group("", 2 * GIB, GIB)) == (2, 1, "control group")


def test_a_limit_counts_in_the_group_of_the_process_and_in_any_around_it(tmp_path):
    own = {"self/cgroup": "0::/user.slice/run-1.scope\n"}
    own |= group("user.slice/run-1.scope/", "max", GIB) | group("user.slice/", 4 * GIB, GIB) | group("", "max", 9 * GIB)
    assert found(tmp_path / "around", own) == (4, 3, "control group")
    own |= group("user.slice/run-1.scope/", 2 * GIB, GIB // 2)
    assert found(tmp_path / "own", own) == (2, 1.5, "control group")


def test_another_process_s_group_does_not_count(tmp_path):
    files = {"self/cgroup": "0::/mine\n", **group("mine/", "max", GIB), **group("other/", GIB, 0)}
    assert found(tmp_path, files) == (16, 8, None)


def test_a_job_of_a_batch_system_is_a_group_of_the_older_kind(tmp_path):
    job = "memory/slurm/job_5"
    files = {"self/cgroup": "9:cpu,memory:/slurm/job_5/step_0\n1:name=systemd:/x\n"}
    files |= {f"{job}/memory.limit_in_bytes": 2 * GIB, f"{job}/memory.usage_in_bytes": GIB}
    files |= {f"{job}/step_0/memory.limit_in_bytes": 2**63 - 4096, f"{job}/step_0/memory.usage_in_bytes": GIB}
    assert found(tmp_path, files) == (2, 1, "control group")


def test_pages_that_only_keep_files_at_hand_are_not_in_use(tmp_path):
    assert found(tmp_path, group("", 4 * GIB, 4 * GIB, anon=GIB, inactive_file=3 * GIB)) == (4, 3, "control group")


def test_the_shell_s_limit_counts(tmp_path):
    files = {"self/limits": f"{LIMITS}{6 * GIB}    {8 * GIB}    bytes\n", "self/status": "VmSize:\t 2097152 kB\n"}
    assert found(tmp_path / "limited", files) == (6, 4, "ulimit -v")
    files["self/limits"] = f"{LIMITS}unlimited    unlimited    bytes\n"
    assert found(tmp_path / "unlimited", files) == (16, 8, None)
