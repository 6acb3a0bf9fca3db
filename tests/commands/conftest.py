"""Recordings on disk, one small trained model, and a command line that runs in this process."""

import numpy as np
import pytest

from gtfdeer.__main__ import main

from .small import DT, spiral, write_csv


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with a recording of two columns, one of one column, and a test recording of each."""
    folder = tmp_path_factory.mktemp("recordings")
    write_csv(folder / "train.csv", spiral(600))
    write_csv(folder / "test.csv", spiral(300, phase=50.0))
    write_csv(folder / "one.csv", spiral(600)[:, :1], header="x")
    write_csv(folder / "one_test.csv", spiral(300, phase=50.0)[:, :1], header="x")
    write_csv(folder / "three.csv", np.random.default_rng(0).normal(size=(300, 3)), header="a,b,c")
    return folder


@pytest.fixture(scope="session")
def trained(files):
    """A model of the two columns, barely trained: what it says is not judged, that it says it is."""
    path = files / "model.npz"
    fit = [
        "fit",
        str(files / "train.csv"),
        "--dt",
        str(DT),
        "--window",
        "20",
        "--updates",
        "3",
        "--batch",
        "2",
    ]
    assert main([*fit, "--hidden-dim", "4", "--quiet", "--out", str(path)]) == 0
    return path


@pytest.fixture
def refused(capfd, tmp_path):
    """Run a command that must fail with status 1, one sentence and nothing written; returns the sentence."""

    def run(*words):
        before = sorted(tmp_path.rglob("*"))
        status = main([str(word) for word in words])
        _, err = capfd.readouterr()
        assert status == 1
        assert err.startswith("gtfdeer: error: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        assert "unexpected" not in err, err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run
