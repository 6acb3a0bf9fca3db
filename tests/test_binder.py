"""What Binder installs, and whether the course fits into it: one core, 2 GB (`make test-binder`; minutes).

What Binder takes from pip and conda-forge is installed into a clean environment by pip, so a network is needed; and two
notebooks run in it as a visitor runs them, at full size, watched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = pytest.mark.binder

ROOT = Path(__file__).parent.parent
*CONDA, PIP = yaml.safe_load((ROOT / "binder/environment.yml").read_text())["dependencies"]
PYTHON = next(entry.removeprefix("python=") for entry in CONDA if entry.startswith("python="))
MOST_MEMORY = 2 * 2**30  # bytes; what mybinder.org gives
NOT_CLONED = shutil.ignore_patterns(".git", ".venv*", "out", "site", "build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The repository, as it would be cloned."""
    folder = tmp_path_factory.mktemp("binder") / "repository"
    shutil.copytree(ROOT, folder, ignore=NOT_CLONED, symlinks=True)
    return folder


def environment(folder: Path, python: str, *packages: str) -> Path:
    """The folder of programs of a new virtual environment."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    programs = folder / "bin"
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
    return programs


def python_of_binder() -> str:
    """An interpreter of the version that Binder takes: this one, or one on the path."""
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [*map(str, pyenv.glob(f"{PYTHON}.*/bin/python{PYTHON}")), shutil.which(f"python{PYTHON}")]
    assert any(found), f"Python {PYTHON} is not here; install it to try what Binder does"
    return next(filter(None, found))


@pytest.fixture(scope="module")
def programs(checkout, tmp_path_factory):
    """What binder/environment.yml names, installed by pip, and then what binder/postBuild does."""
    packages = [entry.replace("python=", "python==") for entry in CONDA if not re.match(r"(python|pip)\b", entry)]
    programs = environment(tmp_path_factory.mktemp("visitor") / "env", python_of_binder(), *packages, *PIP["pip"])
    path = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run([checkout / "binder/postBuild"], cwd=checkout, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^gtfdeer +\d", done.stdout, re.M)  # what `gtfdeer info` prints
    return programs


@pytest.mark.parametrize("notebook", ["01_quickstart", "08_slow_rhythms"])
def test_a_notebook_runs_to_its_end_on_one_core_in_two_gigabytes(notebook, checkout, programs, tmp_path):
    variables = {name: value for name, value in os.environ.items() if name not in ("GTFDEER_FAST", "PYTHONPATH")}
    variables |= {"PATH": f"{programs}:{os.environ['PATH']}", "CPU_LIMIT": "1", "MEM_LIMIT": str(MOST_MEMORY)}
    words = ["--nbmake", "--nbmake-timeout=3600", "-p", "no:cacheprovider", f"notebooks/{notebook}.ipynb"]
    core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    command = [*core, programs / "python", "-m", "pytest", *words]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=checkout, env=variables, stdout=said, stderr=said)
        peak, seconds = watched(process)
        said.seek(0)
        assert process.returncode == 0, said.read()
    sys.stdout.write(f"\n{notebook}: peak {peak / 2**20:.0f} MiB, {seconds:.0f} s of one core\n")
    assert peak <= MOST_MEMORY


def watched(process: subprocess.Popen) -> tuple[int, float]:
    """The most bytes that a program and its kernel held at once, and their CPU time; killed where Binder would."""
    peak, used = 0, {}
    while process.poll() is None:
        held = 0
        for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            try:
                held += one.memory_info().rss
                used[one.pid] = sum(one.cpu_times()[:2])
            except psutil.NoSuchProcess:  # it ended between the list and the question
                continue
        peak = max(peak, held)
        if held > MOST_MEMORY:
            process.kill()
        time.sleep(0.1)
    return peak, sum(used.values())
