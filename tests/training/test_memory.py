"""A run that does not fit into memory is refused before it begins; one that fits is not, and compiles once."""

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.training import _memory
from gtfdeer.training._memory import control_group_memory

GIB = 2**30


@pytest.fixture(scope="module")
def series():
    return gd.data.simulate(gd.data.Lorenz63(), length=2000, dt=0.01, key=jax.random.key(0))


def fit(series, **settings):
    model = gd.models.ShallowPLRNN(latent_dim=10, hidden_dim=20, observed_dim=3, rngs=nnx.Rngs(0))
    return gd.fit(model, series, updates=2, validations=0, progress=False, **settings)


def test_what_does_not_fit_is_refused_with_the_numbers_and_a_way_out(series, tmp_path):
    said = r"DEER needs about [\d.]+ GiB for 3000000 sequences of 60 steps of 10 units, and .* left; pass "
    with pytest.raises(MemoryError, match=said + r"solver=gtfdeer.solvers.Shooting\(\), a smaller batch or"):
        fit(series, window=60, batch=3_000_000, solver=gd.solvers.DEER(), checkpoint=tmp_path / "run.npz")
    assert not list(tmp_path.iterdir())


def test_the_limit_is_what_the_compiled_program_takes(series, monkeypatch):
    settings = {"window": 500, "batch": 4, "solver": gd.solvers.Sequential()}
    programs = []
    monkeypatch.setattr("gtfdeer.training._loop.require_memory", lambda program, *_: programs.append(program))
    fit(series, **settings)
    monkeypatch.undo()
    sizes = programs[0].memory_analysis()
    needed = sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    monkeypatch.setattr(_memory, "available_memory", lambda: needed)
    assert np.isfinite(fit(series, **settings).history["loss"]).all()
    monkeypatch.setattr(_memory, "available_memory", lambda: needed - 1)
    with pytest.raises(MemoryError, match="Sequential needs about"):
        fit(series, **settings)


def test_an_update_is_compiled_once(series):
    compiled = []

    def count(event, duration, **_):
        compiled.append(event.endswith("backend_compile_duration"))

    seen = []
    jax.monitoring.register_event_duration_secs_listener(count)
    settings = {"window": 500, "batch": 4, "solver": gd.solvers.Sequential()}
    fit(series, callbacks=[lambda moment: seen.append(sum(compiled))], **settings)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    before = sum(compiled)
    fit(series, key=jax.random.key(1), **settings)
    assert sum(compiled) == before  # a run of equal settings and sizes has the program of the first


def left(folder, own, files):
    """Gigabytes left by the control groups of a system whose files say this."""
    for name, text in {"own": own, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(str(text))
    return [bytes_left / GIB for bytes_left in control_group_memory(folder / "own", folder)]


def group(path, limit, used, cached=0):
    return {f"{path}memory.max": limit, f"{path}memory.current": used, f"{path}memory.stat": f"inactive_file {cached}"}


def test_a_limit_counts_in_the_group_of_the_process_and_in_any_around_it(tmp_path):
    files = group("user/run/", 2 * GIB, GIB // 2) | group("user/", 4 * GIB, GIB) | group("", "max", 9 * GIB)
    assert left(tmp_path, "0::/user/run\n", files | group("other/", GIB, 0)) == [1.5, 3]
    cached = group("", 4 * GIB, 4 * GIB, cached=3 * GIB)  # file pages that are not in use
    assert left(tmp_path, "0::/\n", cached) == [3]


def test_a_job_of_a_batch_system_is_a_group_of_the_older_kind(tmp_path):
    job = "memory/slurm/job_5"
    files = {f"{job}/memory.limit_in_bytes": 2 * GIB, f"{job}/memory.usage_in_bytes": GIB}
    files |= {f"{job}/step_0/memory.limit_in_bytes": 2**63 - 4096, f"{job}/step_0/memory.usage_in_bytes": GIB}
    assert left(tmp_path, "9:cpu,memory:/slurm/job_5/step_0\n1:name=systemd:/x\n", files) == [1]
