"""kill -9 at any moment, inside a save too: what stands on the disk resumes to the very same result.

GTFDEER_KILLS=25 kills as often; three times is the default.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gtfdeer as gd

from .small import SETTINGS, keeping, model, wait_for

KILLS = int(os.environ.get("GTFDEER_KILLS", "3"))
IN_A_SAVE = ("fsync", "replace", "link")  # what a save calls, in this order but for the first, which links nothing


@pytest.fixture(scope="module")
def whole(series):
    return gd.fit(model(), series, **SETTINGS)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_resumes_to_the_same_result(number, whole, same, compiled, tmp_path):
    path = tmp_path / "run.npz"
    draw = random.Random(number)
    fatal = IN_A_SAVE[number % 6 // 2] if number % 2 else ""  # every second one dies inside a save
    program = [sys.executable, str(Path(__file__).with_name("small.py")), str(path), fatal, str(draw.randint(2, 100))]
    child = subprocess.Popen(program, env=keeping(compiled), stderr=subprocess.PIPE)
    if not fatal:
        wait_for(path, child)
        time.sleep(draw.uniform(0, 1))
        child.kill()
    child.wait(300)
    assert child.returncode == -signal.SIGKILL, child.stderr.read()
    same(gd.resume(path, progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]
