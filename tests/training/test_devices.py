"""A batch across several devices, the time of one sequence, and both across processes: the result of one device.

Two programs find it all out, each run once for all tests: one on four forced devices, one in two processes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.__main__ import main
from gtfdeer.training._devices import mesh_over

RUN = """
import gtfdeer as gd, jax, jax.numpy as jnp, json, numpy as np, sys
from flax import nnx
from gtfdeer.training import _storage as storage

def trained(**settings):
    series = gd.data.simulate(gd.data.Lorenz63(), length=1000, dt=0.01, key=jax.random.key(3))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    settings = dict(window=40, batch=8, updates=4, validations=0, noise=0.01, progress=False) | settings
    return gd.fit(model, series, **settings)

def told(rec):
    flat = {name: np.asarray(value).tolist() for name, value in storage.flat_parameters(rec.model).items()}
    orbit = np.asarray(rec.simulate(5)).tolist()
    return {"parameters": flat, "loss": rec.history["loss"].tolist(), "ending": rec.ending, "orbit": orbit}

SEQUENCE = dict(batch=1, window=18)  # 17 steps: uneven among four, and among two
"""

FOUR = """
from gtfdeer.solvers import DEER, QuasiDEER, Sequential, Sharded, Shooting

# whole trainings: their compiled updates lie where XLA was told to leave them, in this order
runs = {
    "one": trained(validations=1),
    "auto": trained(validations=1, devices=4),
    "shooting": trained(solver=Shooting(length=5), devices=4),
    "shooting, longer": trained(solver=Shooting(length=5), devices=4, window=71, updates=1),
    "deer": trained(solver=DEER(), devices=4),
    "sequence: one": trained(**SEQUENCE),
    "sequence: shooting": trained(solver=Shooting(length=2), devices=4, **SEQUENCE),
    "sequence: shooting, longer": trained(solver=Shooting(length=2), devices=4, batch=1, window=34, updates=1),
    "sequence: deer": trained(solver=DEER(), devices=4, **SEQUENCE),
}
found = {"runs": {name: told(run) for name, run in runs.items()}}

try:
    trained(batch=6, devices=4)
except ValueError as error:
    found["refused"] = str(error)

W = 0.9 * jax.random.normal(jax.random.key(0), (3, 3))

def value(W, z0, u, solver):
    solution = gd.solve(lambda z, u: jnp.tanh(W @ z + u), z0, u, solver=solver)
    return jnp.sum(jnp.sin(3 * solution.states)), (solution.code, solution.residual)

graded = jax.jit(jax.value_and_grad(value, argnums=(0, 1, 2), has_aux=True), static_argnums=3)
found["sharded"] = []
for T, solver in [
    (1, Shooting()), (1, DEER(tol=1e-6)), (5, Shooting(tol=1e-6)), (5, Sequential()),
    (203, Shooting(tol=1e-6)), (203, DEER(tol=1e-6)), (203, QuasiDEER(tol=1e-6)), (203, Sequential()),
]:
    given = (W, jnp.full(3, 0.3), jax.random.normal(jax.random.key(1), (T, 3)))
    (expected, _), exact = graded(*given, Sequential())
    (got, (code, _)), gradient = graded(*given, Sharded(solver))
    errors = [float(jnp.abs(a - b).max() / (1 + jnp.abs(b).max())) for a, b in zip(gradient, exact)]
    answer = {"T": T, "code": int(code), "error": abs(float(got - expected)), "gradient": max(errors)}
    found["sharded"].append(answer)

# 1.5, 2.25, 5.1, 26, 660, 430,000: right in five steps, of which two for each device; three more would overflow
def last(gain, solver):
    solution = gd.solve(lambda z, u: gain * z**2 + u, jnp.full(1, 1.5), jnp.zeros((5, 1)), solver=solver)
    return solution.states[-1, 0], solution.code

squared = jax.jit(jax.value_and_grad(last, has_aux=True), static_argnums=1)
for solver in (Sequential(), Sharded(Shooting())):
    (got, code), gradient = squared(1.0, solver)
    found.setdefault("steep", []).append([int(code), float(got), float(gradient)])

def loss(w, u, solver):
    return jnp.sum(gd.solve(lambda z, u: w * jnp.tanh(z) + u, jnp.zeros(2), u, solver=Sharded(solver)).states)

graded = jax.jit(jax.grad(loss), static_argnums=2)
lengths = [jnp.ones((T, 2)) for T in (1600, 3200)]
found["deer"] = [graded.lower(0.5, u, DEER()).compile().as_text() for u in lengths]
print(json.dumps(found))
"""

TWO = """
from gtfdeer.__main__ import main
out, recording = sys.argv[1:3]
short = ["--window", "40", "--batch", "4", "--updates", "5", "--dt", "0.01", "--hidden-dim", "5"]
code = main(["fit", recording, "--out", out, *short, "--distributed"])
assert jax.process_count() == 2 and len(jax.devices()) == 2
found = {"batch": told(trained(devices=jax.devices()))}
found["sequence"] = told(trained(devices=jax.devices(), solver=gd.solvers.Shooting(length=2), **SEQUENCE))
print(json.dumps({"code": code, "runs": found}))
jax.distributed.shutdown()
"""

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute")


def start(program: str, *arguments: str, devices: int = 1, flags: str = "", **variables: str) -> subprocess.Popen:
    flags = f"--xla_force_host_platform_device_count={devices} {flags}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", RUN + program, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen) -> tuple[dict, str]:
    """The last line, which is JSON, and what came before it."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    *before, last = out.splitlines()
    return json.loads(last), "\n".join(before)


def once(find, name, tmp_path_factory, worker_id) -> dict:
    """What `find(folder)` returns, found by the first test process that asks, for all of them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "found.json"
        if not kept.exists():
            kept.write_text(json.dumps(find(folder)))
        return json.loads(kept.read_text())


@pytest.fixture(scope="session")
def worker_id(request):
    """Which of pytest-xdist's processes this is; "master" without it."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


@pytest.fixture(scope="session")
def four(tmp_path_factory, worker_id):
    def find(folder):
        flags = f"--xla_dump_to={folder}/xla --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*run_updates.*"
        # a program that comes from a cache is not compiled, and leaves no text
        found, _ = printed(start(FOUR, devices=4, flags=flags, JAX_ENABLE_COMPILATION_CACHE="false"))
        texts = sorted((folder / "xla").glob("*after_optimizations.txt"))
        counts = dict(zip(found["runs"], map(collectives, (path.read_text() for path in texts)), strict=True))
        return {**found, "collectives": counts, "deer": list(map(collectives, found["deer"]))}

    return once(find, "four", tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def two(tmp_path_factory, worker_id):
    """Two tasks of a SLURM job, told what SLURM tells them; JAX finds the first one by node list and job number."""

    def find(folder):
        series = gd.data.simulate(gd.data.Lorenz63(), length=500, dt=0.01, key=jax.random.key(3))
        np.savetxt(folder / "recording.csv", series.values, delimiter=",")
        out, recording = str(folder / "model.npz"), str(folder / "recording.csv")
        job = {"SLURM_JOB_ID": str(_free_port(61440) - 61440), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
        tasks = [start(TWO, out, recording, SLURM_PROCID=str(k), SLURM_LOCALID=str(k), **job) for k in range(2)]
        found = [printed(task) for task in tasks]
        return {"tasks": [{**told, "said": said} for told, said in found], "model": out, "recording": recording}

    return once(find, "two", tmp_path_factory, worker_id)


def collectives(program: str) -> list[int]:
    """How many of each kind a compiled program has, those started and awaited apart counted once."""
    return [len(re.findall(rf" {name}(?:-start)?\(", program)) for name in COLLECTIVES]


def same(one: dict, other: dict) -> None:
    """Up to the tolerance of a solver and the rounding of sums over a batch, which a few updates amplify."""
    assert one["ending"] == other["ending"] == "finished"
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
    for name, value in one["parameters"].items():
        np.testing.assert_allclose(value, other["parameters"][name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(one["orbit"], other["orbit"], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("solver", ["auto", "shooting", "deer"])
def test_four_devices_that_share_a_batch_give_the_result_of_one(four, solver):
    same(four["runs"]["one"], four["runs"][solver])


@pytest.mark.parametrize("solver", ["shooting", "deer"])
def test_four_devices_that_share_the_time_of_one_sequence_give_the_result_of_one(four, solver):
    same(four["runs"]["sequence: one"], four["runs"][f"sequence: {solver}"])


def test_one_device_talks_to_nobody(four):
    assert not any(four["collectives"]["one"] + four["collectives"]["sequence: one"])


def test_what_crosses_between_devices_that_share_a_batch_is_summed_and_does_not_grow_with_time(four):
    counts = four["collectives"]
    assert counts["shooting"] == counts["shooting, longer"]
    for solver in ("auto", "shooting", "deer"):
        reduced, *others = counts[solver]
        assert reduced >= 1
        assert not any(others)


def test_as_much_crosses_between_devices_that_share_time_for_any_length(four):
    counts = four["collectives"]
    assert counts["sequence: shooting"] == counts["sequence: shooting, longer"]
    for short, long in ((counts["sequence: shooting"],) * 2, four["deer"]):
        assert short == long
        reduced, gathered, everybody, neighbours = short
        assert everybody == 0
        assert neighbours >= 1
        assert reduced + gathered >= 1


def test_a_series_cut_along_time_has_the_states_and_gradients_of_a_whole_one(four):
    assert len(four["sharded"]) == 8
    for answer in four["sharded"]:
        assert answer["code"] == 0, answer
        assert answer["error"] < 1e-4 * answer["T"], answer
        assert answer["gradient"] < 1e-4, answer


def test_steps_that_only_fill_the_last_devices_up_do_not_overflow(four):
    one, cut = four["steep"]
    assert one[0] == cut[0] == gd.Status.CONVERGED
    np.testing.assert_allclose(cut, one, rtol=1e-5)  # float32, a few products


def test_a_batch_that_cannot_be_shared_is_refused_and_the_next_one_named(four):
    assert four["refused"] == (
        "4 devices cannot share a batch of 6 evenly; pass batch=8, or batch=1, whose time they share"
    )


def test_two_processes_that_share_a_batch_give_the_result_of_one(two, four):
    first, second = (task["runs"]["batch"] for task in two["tasks"])
    assert first == second
    same(four["runs"]["one"], first)


def test_two_processes_that_share_the_time_of_one_sequence_give_the_result_of_one(two, four):
    first, second = (task["runs"]["sequence"] for task in two["tasks"])
    assert first == second
    same(four["runs"]["sequence: one"], first)


def test_two_tasks_of_a_slurm_job_write_one_model(two, tmp_path, capsys):
    assert [task["code"] for task in two["tasks"]] == [0, 0]
    assert [f"saved  {two['model']}" in task["said"] for task in two["tasks"]] == [True, False]
    short = ["--window", "40", "--batch", "4", "--updates", "5", "--dt", "0.01", "--hidden-dim", "5"]
    assert main(["fit", two["recording"], "--out", str(tmp_path / "alone.npz"), *short, "--quiet"]) == 0
    one, both = (gd.load(path) for path in (tmp_path / "alone.npz", two["model"]))
    np.testing.assert_allclose(one.history["loss"], both.history["loss"], rtol=1e-4)


@pytest.mark.parametrize("wrong", [gd.solvers.ELK(), "DEER"])
def test_a_solver_that_cannot_be_cut_along_time_is_refused(wrong):
    with pytest.raises(TypeError, match="cannot be cut along time; pass Shooting"):
        gd.solvers.Sharded(wrong)


def _free_port(least: int) -> int:
    for port in range(least, least + 4096):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


@pytest.mark.parametrize(
    ("devices", "error", "sentence"),
    [
        (4096, ValueError, "there are .* pass a number from 1 to .* XLA_FLAGS=--xla_force_host_platform_device_count"),
        (0, ValueError, "pass a number from 1 to"),
        (True, TypeError, "pass how many"),
        ("all", TypeError, "pass how many"),
        ([], TypeError, "pass how many"),
        (2 * jax.devices()[:1], ValueError, "twice"),
    ],
)
def test_devices_that_are_not_there_are_refused(devices, error, sentence):
    with pytest.raises(error, match=sentence):
        mesh_over(devices, 16)


def test_one_device_by_number_is_one_device(tmp_path):
    series = gd.data.simulate(gd.data.Lorenz63(), length=500, dt=0.01, key=jax.random.key(3))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    settings = {"window": 20, "batch": 2, "updates": 3, "progress": False, "validations": 0}
    kept = gd.fit(model, series, devices=1, checkpoint=tmp_path / "run.npz", **settings)
    again = gd.resume(tmp_path / "run.npz", devices=1, progress=False)
    assert np.array_equal(kept.simulate(5), again.simulate(5))
