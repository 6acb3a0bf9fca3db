"""What is shipped: metadata that agree, and a wheel that works alone (the slow part: `make test-package`)."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import gtfdeer

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RECORDING = "gtfdeer/data/recordings/mitdb208.npz"
NOTICE = "gtfdeer/data/recordings/NOTICE.md"


def test_there_is_one_version():
    assert PROJECT["version"] == CITATION["version"] == gtfdeer.__version__


def test_binder_has_all_that_the_package_and_the_lab_need():
    assert (ROOT / "binder/environment.yml").read_text() == (ROOT / "environment.yml").read_text()
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    needed = {
        re.match(r"[\w-]+", each)[0] for each in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]
    }
    assert needed - {re.match(r"[\w-]+", each)[0] for each in [*conda, *pip["pip"]]} == {"numpy"}  # comes with jax


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as a release is: a source archive from the repository, and the wheel from that archive alone."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """A folder with a fresh virtual environment that holds the wheel and what it asks for, nothing else."""
    home = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", home / "env"], check=True)
    subprocess.run([home / "env/bin/python", "-m", "pip", "install", "--quiet", wheel], check=True)
    return home


@pytest.mark.package
def test_the_wheel_holds_types_data_and_notices(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"gtfdeer/py.typed", "gtfdeer/report.ipynb", RECORDING, NOTICE} <= names
    licences = {name.split("/licenses/")[1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", NOTICE}
    assert {name.split("/")[0] for name in names} == {"gtfdeer", f"gtfdeer-{gtfdeer.__version__}.dist-info"}


@pytest.mark.package
def test_the_wheel_works_alone(clean):
    program = (
        "import jax, gtfdeer as gd; from flax import nnx\n"
        "assert 'site-packages' in gd.__file__, gd.__file__\n"
        "heart = gd.data.electrocardiogram().split(0.04)[0].delay_embed(3, 10)\n"
        "model = gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=10, rngs=nnx.Rngs(0))\n"
        "rec = gd.fit(model, heart, window=50, batch=2, updates=5, progress=False)\n"
        "rec.save('heart.npz')\n"
        "print(gd.plots.png(gd.plots.attractor(gd.load('heart.npz').simulate(100)))[1:4])\n"
    )
    python = [clean / "env/bin/python", "-I", "-c", program]
    assert subprocess.run(python, cwd=clean, capture_output=True, text=True, check=True).stdout == "b'PNG'\n"
    info = subprocess.run([clean / "env/bin/gtfdeer", "info"], cwd=clean, capture_output=True, text=True).stdout
    assert re.search(rf"^gtfdeer +{re.escape(gtfdeer.__version__)}$", info, re.M)
