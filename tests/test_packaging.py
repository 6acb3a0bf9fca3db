"""What is shipped: metadata that agree, and a wheel that works alone (the slow part: `make test-package`)."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

import gtfdeer

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RECORDING = "gtfdeer/data/recordings/mitdb208.npz"
NOTICE = "gtfdeer/data/recordings/NOTICE.md"


def test_there_is_one_version():
    assert PYPROJECT["project"]["version"] == CITATION["version"] == gtfdeer.__version__


def test_there_is_one_licence():
    assert CITATION["license"] == PYPROJECT["project"]["license"] == "Apache-2.0"
    assert NOTICE in PYPROJECT["project"]["license-files"]


def test_the_citation_has_what_its_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["message"]
    assert CITATION["title"]
    for work in (CITATION, *CITATION["references"]):
        assert work["authors"]
        assert all("name" in author or {"family-names", "given-names"} <= author.keys() for author in work["authors"])
    assert all({"type", "title", "year", "url"} <= work.keys() for work in CITATION["references"])


def test_the_citation_names_every_paper_that_the_readme_builds_on():
    cited = {work["url"].rsplit("/", 1)[1] for work in CITATION["references"]}
    readme = (ROOT / "README.md").read_text()
    assert all(paper in readme for paper in cited)


def test_the_extras_that_the_manual_names_exist():
    assert {"lab", "docs", "dev", "cuda12", "cuda13"} <= PYPROJECT["project"]["optional-dependencies"].keys()


def test_nothing_says_to_install_from_a_registry_where_the_name_is_not_ours():
    by_name = re.compile(r"pipx? install [^`\n]*?(?<![\w/])gtfdeer\b(?!(\[[^]]*\])? @ git\+)")
    places = ("*.md", "*.toml", "docs/*.md", "docs/api/*.md", "binder/*", "gtfdeer/**/*.py", "notebooks/**/*.ipynb")
    files = [path for place in places for path in ROOT.glob(place)]
    assert {"README.md", "index.md", "lab.py", "01_quickstart.ipynb"} <= {path.name for path in files}
    assert not [path for path in files if by_name.search(path.read_text(encoding="utf-8"))]
    for wrong in (
        "pip install gtfdeer",
        "pip install 'gtfdeer[lab]'",
        "pip install --upgrade gtfdeer",
        "pip install -U jax gtfdeer",
    ):
        assert by_name.search(wrong)
    assert not by_name.search("pip install 'gtfdeer[lab,cuda12] @ git+https://github.com/gtfdeer/gtfdeer'")


def test_every_file_of_the_package_that_is_not_code_is_shipped():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["gtfdeer"]
    package = ROOT / "gtfdeer"
    others = [p for p in package.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    names = [str(p.relative_to(package)) for p in others]
    assert "py.typed" in names
    assert not [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)]


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


def gtfdeer_there(clean, *words):
    return subprocess.run([clean / "env/bin/gtfdeer", *words], cwd=clean, capture_output=True, text=True)


@pytest.mark.package
def test_the_wheel_holds_types_data_and_notices(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"gtfdeer/py.typed", RECORDING, NOTICE} <= names
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


@pytest.mark.package
def test_the_command_line_of_the_wheel_works_alone(clean):
    assert gtfdeer_there(clean, "--version").stdout == f"gtfdeer {gtfdeer.__version__}\n"
    assert f"gtfdeer                 {gtfdeer.__version__}\n" in gtfdeer_there(clean, "info").stdout


@pytest.mark.package
def test_without_jupyterlab_the_lab_says_what_to_type(clean):
    done = gtfdeer_there(clean, "lab")
    assert done.returncode == 1
    assert "pip install 'gtfdeer[lab] @ git+https://github.com/gtfdeer/gtfdeer'" in done.stderr
