"""A run that two processes share keeps one checkpoint: the first writes it, both go on from it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from .small import keeping

PROGRAM = """
import json, sys
import jax, numpy as np
from gtfdeer.training._files import alone_with
import gtfdeer as gd
from gtfdeer.training import _storage as storage

port, k, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=k)
sys.path.insert(0, sys.argv[4])
from small import SETTINGS, model, recording  # which computes: not before the processes know each other

settings = {**SETTINGS, "devices": jax.devices(), "validations": 0}
if k == 0:
    held = alone_with(gd.checkpoint.as_path(path, ""))
    held.__enter__()
try:
    gd.fit(model(), recording(), checkpoint=path, **settings)
except OSError as error:
    print(json.dumps(str(error)))
if k == 0:
    held.__exit__(None, None, None)

def stop(moment):
    if moment.update >= 50:
        moment.stop()

begun = gd.fit(model(), recording(), checkpoint=path, every=25, callbacks=[stop], **settings)
whole = gd.resume(path, devices=jax.devices(), progress=False)
once = gd.fit(model(), recording(), **settings)
told = {
    "ending": [begun.ending, whole.ending],
    "begun": len(begun.history["loss"]),
    "loss": [rec.history["loss"].tolist() for rec in (whole, once)],
    "W1": [storage.flat_parameters(rec.model)["W1"].tolist() for rec in (whole, once)],
}
print(json.dumps(told))
jax.distributed.shutdown()
"""


def free_port():
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def told(out):
    """What a process has printed itself, beside what the runtime prints."""
    return [json.loads(line) for line in out.splitlines() if line.startswith(("{", '"'))]


def test_two_processes_keep_one_checkpoint_and_both_go_on_from_it(compiled, tmp_path):
    path, port = tmp_path / "run.npz", str(free_port())
    here = str(Path(__file__).parent)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, port, str(k), str(path), here],
            env=keeping(compiled),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(2)
    ]
    outcomes = [(*process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for *_, code in outcomes] == [0, 0], outcomes
    (refusal, first), (other, second) = (told(out) for out, *_ in outcomes)
    assert "another run is writing" in refusal
    assert "the first process cannot write" in other
    assert first == second
    assert first["ending"] == ["stopped by a callback", "finished"]
    assert 50 <= first["begun"] < 120
    assert first["loss"][0] == first["loss"][1]
    assert first["W1"][0] == first["W1"][1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]
