"""Which device computes, and what to type: every case that a machine can be in."""

import json
import os
import stat

import jax
import pytest

from gtfdeer.__main__ import main
from gtfdeer.commands.devices import Graphics, advice, graphics

T4 = Graphics("NVIDIA T4", "550.54.15")
H100 = Graphics("NVIDIA H100", "580.65.06")
CASES = {
    "a GPU computes": (("gpu", H100, "jax-cuda13-plugin 0.10.2", ""), "JAX_PLATFORMS=cpu"),
    "there is none": (("cpu", None, None, ""), "no NVIDIA GPU answers"),
    "it was forbidden": (("cpu", T4, "jax-cuda12-plugin 0.10.2", "cpu"), "unset JAX_PLATFORMS"),
    "no plugin, old driver": (("cpu", T4, None, ""), "pip install 'jax[cuda12]'"),
    "no plugin, new driver": (("cpu", H100, None, ""), "pip install 'jax[cuda13]'"),
    "a plugin that does not fit": (("cpu", T4, "jax-cuda12-plugin 0.7.2", ""), "--upgrade 'jax[cuda12]'"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_advice_says_what_to_type(case):
    facts, words = CASES[case]
    assert words in advice(*facts)


def driver(folder, script):
    """A folder with a program of the driver's name, as the only place where programs are looked for."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def test_the_driver_names_the_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", driver(tmp_path, "echo 'NVIDIA H100 80GB HBM3, 580.65.06'"))
    assert graphics() == Graphics("NVIDIA H100 80GB HBM3", "580.65.06")


@pytest.mark.parametrize("script", ["echo 'No devices were found'", "exit 9"])
def test_a_driver_without_a_gpu_is_no_gpu(script, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", driver(tmp_path, script))
    assert graphics() is None


def test_no_driver_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graphics() is None


def test_info_tells_it(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    platforms = os.environ.get("JAX_PLATFORMS", "")
    plugin = None if facts["CUDA plugin"] == "not installed" else facts["CUDA plugin"]
    assert facts["advice"] == advice(jax.default_backend(), graphics(), plugin, platforms)
