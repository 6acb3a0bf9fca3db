"""The files that other machines are built from agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_every_dependency_is_pinned_for_make_and_named_for_binder(requirement):
    name = re.match(r"[\w-]+", requirement)[0]
    assert re.search(rf"^{name}==", (ROOT / "requirements.txt").read_text(), re.M)
    if name != "numpy":  # comes with jax
        assert re.search(rf"- {name}[>=]", (ROOT / "environment.yml").read_text())


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


def test_what_must_pass_installs_checks_documents_and_tests():
    script = (ROOT / ".ci/run").read_text()
    assert all(f"make {target}\n" in script for target in ("check", "docs", "test"))


def test_the_fast_tests_exist():
    names = re.search(r"^FAST := (.*?[^\\])$", (ROOT / "Makefile").read_text(), re.M | re.S)[1].replace("\\\n", " ")
    assert len(names.split()) > 3
    assert not [name for name in names.split() if not (ROOT / name).exists()]
