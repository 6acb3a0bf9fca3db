"""The package opens no socket: not when it is imported, not when it trains, scores, saves or reads."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event.startswith("socket.") else None)
import jax, numpy as np
from flax import nnx
import gtfdeer as gd
gd.plots
series = gd.data.simulate(gd.data.Lorenz63(), length=300, key=jax.random.key(0))
model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=4, rngs=nnx.Rngs(0))
settings = {"window": 10, "batch": 2, "forcing": gd.forcing.Constant(0.5), "solver": gd.solvers.Sequential()}
rec = gd.fit(model, series, updates=2, checkpoint="run.npz", **settings)
rec.save("m.npz")
gd.load("m.npz").simulate(5)
gd.resume("run.npz")
gd.data.electrocardiogram()
assert not [each for each in opened if each[0] != "socket.gethostname"], opened
print("nothing opened")
"""


def test_no_socket_is_opened(tmp_path):
    child = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert child.stdout == "nothing opened\n", child.stderr
