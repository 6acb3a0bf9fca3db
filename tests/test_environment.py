"""The files that other machines are built from agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED = (ROOT / "requirements.txt").read_text()


def test_binder_builds_what_the_top_level_environment_says():
    assert (ROOT / "binder/environment.yml").read_text() == (ROOT / "environment.yml").read_text()


def test_binder_reads_the_python_pin():
    # repo2docker understands "python=3.12" only; any other form silently gives another Python
    assert re.search(r"^  - python=3\.\d+$", (ROOT / "binder/environment.yml").read_text(), re.M)


def test_post_build_installs_the_package_and_stops_at_the_first_error():
    path = ROOT / "binder/postBuild"
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in path.read_text()
    assert "pip install --no-deps" in path.read_text()


def bounds(requirement: str) -> dict[str, str]:
    """`{">=": floor, "<": cap}` of one requirement."""
    return dict(re.findall(r"(>=|<)([\d.]+)", requirement))


def release(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def named(requirements) -> dict[str, dict[str, str]]:
    return {re.match(r"[\w-]+", requirement)[0]: bounds(requirement) for requirement in requirements}


*CONDA, PIP = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
BINDER = named([*CONDA, *PIP["pip"]])
PROMISED = named([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]])


@pytest.mark.parametrize("name", sorted(PROMISED.keys() & BINDER.keys()))
def test_binder_installs_nothing_older_than_promised(name):
    assert release(BINDER[name][">="]) >= release(PROMISED[name][">="])


def test_binder_installs_all_that_the_package_and_the_lab_need():
    assert PROMISED.keys() - BINDER.keys() == {"numpy"}  # which comes with jax


@pytest.mark.parametrize("name", sorted(BINDER.keys() - {"python", "pip"}))
def test_binder_allows_the_version_that_is_tested(name):
    pin = max(release(found) for found in re.findall(rf"^{name}==([\d.]+)", LOCKED, re.M))
    assert release(BINDER[name][">="]) <= pin
    assert pin < release(BINDER[name].get("<", "999"))


def test_jax_and_jaxlib_are_asked_for_alike():
    assert BINDER["jax"] == BINDER["jaxlib"]
    assert PROMISED["jax"] == PROMISED["jaxlib"]
    for extra in ("cuda12", "cuda13"):
        (requirement,) = PROJECT["optional-dependencies"][extra]
        assert bounds(requirement) == PROMISED["jax"]


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_every_dependency_is_pinned_for_make(requirement):
    name = re.match(r"[\w-]+", requirement)[0]
    assert re.search(rf"^{name}==", LOCKED, re.M)


def test_the_floors_are_what_colab_ships():
    floors = dict(r.split(">=") for r in PROJECT["dependencies"])
    assert floors["jax"] == floors["jaxlib"] == "0.7.2"
    assert floors["flax"] == "0.11.2"


def test_the_floor_that_is_tested_is_the_floor_that_is_promised():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements-floor.txt").read_text(), re.M))
    floors = dict(r.split(">=") for r in PROJECT["dependencies"])
    assert {name: pins[name] for name in ("jax", "jaxlib", "flax")} == {
        name: floors[name] for name in ("jax", "jaxlib", "flax")
    }
    assert pins["numpy"].startswith("2.1.")
    assert pins["ipywidgets"] == "7.7.1"
    assert pins["ipykernel"].startswith("6.17.")


def test_what_must_pass_checks_documents_and_tests_all_versions():
    script, makefile = (ROOT / ".ci/run").read_text(), (ROOT / "Makefile").read_text()
    every = ["check", "docs", "test", "test-solutions", "test-package", "fast-floor", "fast-newest"]
    assert re.findall(r"^make (\S+)$", script, re.M) == every
    assert "set -euo pipefail" in script
    assert "nbstripout --verify notebooks/*.ipynb notebooks/solutions/*.ipynb" in makefile


def test_the_browser_that_is_tested_with_is_installed_where_that_is_allowed():
    script = (ROOT / ".ci/run").read_text()
    wanted = re.search(r'shutil.which\("(\w+)"\)', (ROOT / "tests/explorables/test_browser.py").read_text())[1]
    assert f"command -v {wanted} " in script
    assert re.search(rf"apt-get install .*\b{wanted}\b", script)


def test_the_fast_tests_exist():
    names = re.search(r"^FAST := (.*?[^\\])$", (ROOT / "Makefile").read_text(), re.M | re.S)[1].replace("\\\n", " ")
    assert len(names.split()) > 3
    assert not [name for name in names.split() if not (ROOT / name.removeprefix("--ignore=").split("::")[0]).exists()]
