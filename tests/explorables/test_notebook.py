"""A notebook fails with its panel: each of three callbacks is broken on purpose, and nbmake says so."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
PANEL = """
import numpy as np
import gtfdeer as gd
def broken(panel):
    raise ArithmeticError("on purpose")
gd.explorables.TrainingPanel.{method} = broken
panel = gd.explorables.TrainingPanel(gd.data.Series(np.sin(np.arange(600.0)).reshape(300, 2), dt=1.0))
"""
WAYS = {
    "slider": ("_respond", "panel.alpha = 0.3"),
    "button": ("download", 'panel.controls["download"].click()'),
    "thread": ("_train", "panel.start()\npanel.wait()"),
}


def test_nbmake_fails_where_a_callback_of_a_panel_raises(tmp_path):
    for way, (method, action) in WAYS.items():
        cells = map(nbformat.v4.new_code_cell, (PANEL.format(method=method), action, "print('all good')"))
        nbformat.write(nbformat.v4.new_notebook(cells=[*cells]), tmp_path / f"{way}.ipynb")
    environment = {**os.environ, "GTFDEER_FAST": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "--nbmake", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "3 failed" in run.stdout, run.stdout
    assert run.stdout.count("on purpose") >= 3, run.stdout
