"""A batch across several devices, and across processes: the result of one device."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.devices import mesh_over

RUN = """
import gtfdeer as gd, jax, json, numpy as np, sys
from flax import nnx
from gtfdeer import storage

def trained(**settings):
    series = gd.data.simulate(gd.data.Lorenz63(), length=2000, dt=0.01, key=jax.random.key(3))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=10, rngs=nnx.Rngs(0))
    settings = dict(window=60, batch=8, updates=30, looks=2, noise=0.01, progress=False) | settings
    return gd.fit(model, series, **settings)

def told(rec):
    flat = {name: np.asarray(value).tolist() for name, value in storage.flat_parameters(rec.model).items()}
    orbit = np.asarray(rec.simulate(5)).tolist()
    return {"parameters": flat, "loss": rec.history["loss"].tolist(), "ending": rec.ending, "orbit": orbit}

def collectives(function, *arguments):
    text = function.lower(*arguments).compile().as_text()
    names = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
    return [text.count(f" {name}(") for name in names]
"""

FOUR = """
for solver in (gd.solvers.Auto(), gd.solvers.Shooting(length=10), gd.solvers.DEER()):
    print(json.dumps([told(trained(solver=solver)), told(trained(solver=solver, devices=4))]))
"""

COLLECTIVES = """
import jax.numpy as jnp
from gtfdeer.devices import mesh_over, spread
model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=10, rngs=nnx.Rngs(0))
graph, parameters = nnx.split(model)
mesh = mesh_over(4, 8)
def loss(parameters, x):
    x = spread(x, mesh)
    model = nnx.merge(graph, parameters)
    return jnp.mean(jax.vmap(lambda x: model.forecast(x, 0.5, gd.solvers.Sequential()))(x) ** 2)
print(json.dumps([collectives(jax.jit(jax.grad(loss)), parameters, jnp.ones((8, T, 3))) for T in (50, 203)]))
"""

TIME = """
for solver in (gd.solvers.Shooting(length=5), gd.solvers.DEER()):
    settings = dict(solver=solver, batch=1, window=72, updates=12)  # 71 steps: uneven among four
    print(json.dumps([told(trained(**settings)), told(trained(devices=4, **settings))]))
"""

SHARDED = """
import jax.numpy as jnp
W = 0.9 * jax.random.normal(jax.random.key(0), (3, 3))

def value(W, z0, u, solver):
    solution = gd.solve(lambda z, u: jnp.tanh(W @ z + u), z0, u, solver=solver)
    return jnp.sum(jnp.sin(3 * solution.states)), (solution.code, solution.residual)

graded = jax.jit(jax.value_and_grad(value, argnums=(0, 1, 2), has_aux=True), static_argnums=3)
kinds = [kind(tol=1e-6) for kind in (gd.solvers.Shooting, gd.solvers.DEER, gd.solvers.QuasiDEER)]
kinds.append(gd.solvers.Sequential())
for T in (1, 5, 203):
    given = (W, jnp.full(3, 0.3), jax.random.normal(jax.random.key(1), (T, 3)))
    (expected, _), exact = graded(*given, gd.solvers.Sequential())
    for solver in kinds:
        (found, (code, _)), gradient = graded(*given, gd.solvers.Sharded(solver))
        errors = [float(jnp.abs(a - b).max() / (1 + jnp.abs(b).max())) for a, b in zip(gradient, exact)]
        print(json.dumps({"T": T, "code": int(code), "error": abs(float(found - expected)), "gradient": max(errors)}))
"""

SHARDED_COLLECTIVES = """
import jax.numpy as jnp

def loss(w, u, solver):
    solver = gd.solvers.Sharded(solver)
    return jnp.sum(gd.solve(lambda z, u: w * jnp.tanh(z) + u, jnp.zeros(2), u, solver=solver).states)

for solver in (gd.solvers.Shooting(length=10), gd.solvers.DEER()):
    graded = jax.jit(jax.grad(loss), static_argnums=2)
    print(json.dumps([collectives(graded, 0.5, jnp.ones((T, 2)), solver) for T in (1600, 3200)]))
"""

JOB = """
from gtfdeer.__main__ import main
sys.exit(main(sys.argv[1:]))
"""

TWO = """
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
assert jax.process_count() == 2 and len(jax.devices()) == 2
print(json.dumps(told(trained(devices=jax.devices()))))
jax.distributed.shutdown()
"""


def start(program: str, *arguments: str, devices: int = 1, **variables: str) -> subprocess.Popen:
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", RUN + program, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen) -> list:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines() if line.startswith(("{", "[[", "[{", '["'))]


def same(one: dict, other: dict) -> None:
    """Up to the rounding of sums over a batch, which thirty updates amplify."""
    assert one["ending"] == other["ending"] == "finished"
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
    for name, value in one["parameters"].items():
        np.testing.assert_allclose(value, other["parameters"][name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(one["orbit"], other["orbit"], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("program", "solvers"), [(FOUR, 3), (TIME, 2)], ids=["sequences", "time"])
def test_four_devices_that_share_a_batch_or_the_time_of_one_sequence_give_the_result_of_one(program, solvers):
    pairs = printed(start(program, devices=4))
    assert len(pairs) == solvers
    for one, four in pairs:
        same(one, four)


def test_what_crosses_between_devices_does_not_grow_with_time():
    short, long = printed(start(COLLECTIVES, devices=4))[0]
    assert short == long
    reduced, *others = short
    assert reduced >= 1
    assert not any(others)


def test_a_series_cut_along_time_has_the_states_and_gradients_of_a_whole_one():
    found = printed(start(SHARDED, devices=4))
    assert len(found) == 12
    for answer in found:
        assert answer["code"] == 0, answer
        assert answer["error"] < 1e-4 * answer["T"], answer
        assert answer["gradient"] < 1e-4, answer


def test_cut_along_time_as_much_crosses_between_devices_for_any_length():
    for short, long in printed(start(SHARDED_COLLECTIVES, devices=4)):
        assert short == long
        reduced, gathered, everybody, neighbours = short
        assert everybody == 0
        assert neighbours >= 1
        assert reduced + gathered + neighbours < 60


@pytest.mark.parametrize("wrong", [gd.solvers.ELK(), "DEER"])
def test_a_solver_that_cannot_be_cut_along_time_is_refused(wrong):
    with pytest.raises(TypeError, match="cannot be cut along time; pass Shooting"):
        gd.solvers.Sharded(wrong)


def test_two_processes_give_the_result_of_one():
    port = str(_free_port(20480))
    alone = start("print(json.dumps(told(trained())))")
    both = [start(TWO, port, str(k)) for k in range(2)]
    (first,), (second,) = (printed(process) for process in both)
    assert first == second
    same(printed(alone)[0], first)


def test_two_tasks_of_a_slurm_job_write_one_model(tmp_path):
    """What SLURM tells its tasks, told to two processes here: JAX finds the first one by node list and job number."""
    series = gd.data.simulate(gd.data.Lorenz63(), length=1000, dt=0.01, key=jax.random.key(3))
    np.savetxt(tmp_path / "recording.csv", series.values, delimiter=",")
    out = tmp_path / "model.npz"
    short = ["--window", "40", "--batch", "4", "--updates", "10", "--dt", "0.01", "--hidden-dim", "10"]
    command = ["fit", str(tmp_path / "recording.csv"), "--out", str(out), *short]
    said = [
        (*process.communicate(timeout=300), process.returncode)
        for process in [
            start(
                JOB,
                *command,
                "--distributed",
                SLURM_JOB_ID=str(_free_port(61440) - 61440),
                SLURM_STEP_NODELIST="127.0.0.1",
                SLURM_NTASKS="2",
                SLURM_PROCID=str(k),
                SLURM_LOCALID=str(k),
            )
            for k in range(2)
        ]
    ]
    assert [code for *_, code in said] == [0, 0], said
    assert [f"saved  {out}" in words for words, *_ in said] == [True, False]
    alone = start(JOB, *command, "--out", str(tmp_path / "alone.npz"))
    assert alone.wait(timeout=300) == 0
    one, both = (gd.load(path) for path in (tmp_path / "alone.npz", out))
    np.testing.assert_allclose(one.history["loss"], both.history["loss"], rtol=1e-4)


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


def test_a_batch_that_cannot_be_shared_is_refused_and_the_next_one_named():
    program = "try: trained(batch=6, devices=4)\nexcept ValueError as error: print(json.dumps([str(error)]))"
    assert printed(start(program, devices=4))[0] == [
        "4 devices cannot share a batch of 6 evenly; pass batch=8, or batch=1, whose time they share"
    ]


def test_one_device_by_number_is_one_device(tmp_path):
    series = gd.data.simulate(gd.data.Lorenz63(), length=500, dt=0.01, key=jax.random.key(3))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    settings = {"window": 20, "batch": 2, "updates": 3, "progress": False, "looks": 0}
    kept = gd.fit(model, series, devices=1, checkpoint=tmp_path / "run.npz", **settings)
    again = gd.resume(tmp_path / "run.npz", devices=1, progress=False)
    assert np.array_equal(kept.simulate(5), again.simulate(5))
