"""A batch across four devices and across two processes: the result of one device, and one checkpoint."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RUN = """
import sys
import gtfdeer as gd, jax, json, numpy as np
from flax import nnx

def train(**settings):
    series = gd.data.simulate(gd.data.Lorenz63(), length=1000, dt=0.01, key=jax.random.key(3))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    settings = dict(window=40, batch=8, updates=4, validations=0, noise=0.01, progress=False) | settings
    return gd.fit(model, series, **settings)

def describe(rec):
    named = {name: np.asarray(value).tolist() for name, value in gd.training.name_parameters(rec.model).items()}
    orbit = np.asarray(rec.simulate(5)).tolist()
    return {"parameters": named, "loss": rec.history["loss"].tolist(), "ending": rec.ending, "orbit": orbit}
"""

FOUR = """
from gtfdeer.solvers import DEER, Shooting

# whole trainings: their compiled updates lie where XLA was told to leave them, in this order
runs = {
    "one": train(),
    "auto": train(devices=4),
    "shooting": train(solver=Shooting(length=5), devices=4),
    "shooting, longer": train(solver=Shooting(length=5), devices=4, window=71, updates=1),
    "deer": train(solver=DEER(), devices=4),
}
found = {"runs": {name: describe(run) for name, run in runs.items()}}
try:
    train(batch=1, devices=4)
except ValueError as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""

TWO = """
port, k, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=k)

def stop(moment):
    if moment.update >= 2:
        moment.stop()

begun = train(devices=jax.devices(), validations=1, checkpoint=path, every=1, callbacks=[stop])
whole = gd.resume(path, devices=jax.devices(), progress=False)
print(json.dumps({"run": describe(whole), "begun": len(begun.history["loss"])}))
jax.distributed.shutdown()
"""


def start(program: str, *arguments: str, devices: int = 1, flags: str = "", **variables: str) -> subprocess.Popen:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices} {flags}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", RUN + program, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen) -> dict:
    """The last line, which is JSON."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def count_collectives(program: str) -> list[int]:
    """How many of each kind a compiled program has, those started and awaited apart counted once."""
    kinds = ("all-reduce", "all-gather", "all-to-all", "collective-permute")
    return [len(re.findall(rf" {name}(?:-start)?\(", program)) for name in kinds]


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four")
    flags = f"--xla_dump_to={folder} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*run_updates.*"
    # a program that comes from a cache is not compiled, and leaves no text
    found = printed(start(FOUR, devices=4, flags=flags, JAX_ENABLE_COMPILATION_CACHE="false"))
    texts = [path.read_text() for path in sorted(Path(folder).glob("*after_optimizations.txt"))]
    return {**found, "collectives": dict(zip(found["runs"], map(count_collectives, texts), strict=True))}


def assert_same(one: dict, other: dict) -> None:
    """Up to the tolerance of a solver and the rounding of sums over a batch, which a few updates amplify."""
    assert one["ending"] == other["ending"] == "finished"
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
    for name, value in one["parameters"].items():
        np.testing.assert_allclose(value, other["parameters"][name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(one["orbit"], other["orbit"], rtol=1e-2, atol=1e-2)


def test_four_devices_that_share_a_batch_give_the_result_of_one_or_name_the_next_batch(four):
    for solver in ("auto", "shooting", "deer"):
        assert_same(four["runs"]["one"], four["runs"][solver])
    assert four["refused"] == "4 devices cannot share a batch of 1 evenly; pass batch=4"


def test_what_crosses_between_devices_is_summed_and_does_not_grow_with_time(four):
    counts = four["collectives"]
    assert not any(counts["one"])
    assert counts["shooting"] == counts["shooting, longer"]
    for solver in ("auto", "shooting", "deer"):
        reduced, *others = counts[solver]
        assert reduced >= 1
        assert not any(others)


def test_two_processes_share_a_batch_and_keep_one_checkpoint(four, tmp_path):
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port = str(tried.getsockname()[1])
    tasks = [start(TWO, port, str(k), str(tmp_path / "run.npz")) for k in range(2)]
    first, second = [printed(task) for task in tasks]
    assert first == second
    assert 2 <= first["begun"] < 4
    assert_same(four["runs"]["one"], first["run"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]
