"""The package opens no socket: not to import, train, score, save and read, nor from its panels and command line."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import contextlib, io, sys
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event.startswith("socket.") else None)
import jax, numpy as np
import gtfdeer as gd
series = gd.data.simulate(gd.data.Lorenz63(), length=400, key=jax.random.key(0))
gd.data.electrocardiogram()
from gtfdeer import explorables
panel = explorables.TrainingPanel(series, hidden_dim=4, strict=True)
panel.updates, panel.window = 100, 50
panel.controls["start"].click()
panel.download()
from gtfdeer.__main__ import main
np.savetxt("x.csv", series.values, delimiter=",")
tiny = "--dt 0.01 --updates 2 --batch 2 --window 10 --hidden-dim 4 --solver Sequential".split()
for words in (
    ["fit", "x.csv", "--out", "y.npz", "--test-fraction", "0.3", "--checkpoint", "run.npz", *tiny],
    ["resume", "run.npz", "--out", "again.npz"],
    ["simulate", "y.npz", "--steps", "5", "--out", "z.csv"],
    ["score", "y.npz", "x.csv", "--json"],
    ["info"],
):
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(words) == 0, words
assert not [each for each in opened if each[0] != "socket.gethostname"], opened
print("nothing opened")
"""


def test_no_socket_is_opened(tmp_path):
    child = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert child.stdout == "nothing opened\n", child.stderr
