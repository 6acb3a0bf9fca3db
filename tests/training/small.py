"""One small training run, the same wherever it is started: in a test, a thread or a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
from flax import nnx

import gtfdeer as gd

UPDATES = 120


def recording() -> gd.data.Series:
    """1,200 samples: enough for the free run to be judged."""
    return gd.data.simulate(gd.data.Lorenz63(), length=1200, dt=0.01, key=jax.random.key(3))


def model() -> gd.models.ClippedShallowPLRNN:
    return gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=8, rngs=nnx.Rngs(0))


SETTINGS = {
    "window": 20,
    "batch": 4,
    "updates": UPDATES,
    "noise": 0.05,
    "validations": 5,
    "solver": gd.solvers.Sequential(),
    "key": jax.random.key(7),
    "progress": False,
}


def run_slowly(path: str, fatal: str, count: int) -> None:
    """The run with a checkpoint after every update; `fatal`, a function of `os`, kills it at its `count`-th call."""
    if fatal:
        deadly = getattr(os, fatal)
        calls = iter(range(1, count))

        def die_in_the_end(*arguments):
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return deadly(*arguments)

        setattr(os, fatal, die_in_the_end)
    slow = [lambda moment: time.sleep(0.01)]
    gd.fit(model(), recording(), checkpoint=path, every=1, callbacks=slow, **SETTINGS)


def wait_for(path: Path, child: subprocess.Popen) -> None:
    """Until the child has written there."""
    while not path.exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)


if __name__ == "__main__":
    run_slowly(sys.argv[1], sys.argv[2], int(sys.argv[3]))
