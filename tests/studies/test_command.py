"""`gtfdeer study`: one clear sentence for what it cannot do."""

import pytest

from gtfdeer.__main__ import main


@pytest.fixture
def refused(capfd, tmp_path):
    def run(*words):
        assert main(["study", *map(str, words)]) == 1
        err = capfd.readouterr().err
        assert err.startswith("gtfdeer: error: ")
        assert err.count("\n") == 1, err
        assert "unexpected" not in err
        assert list(tmp_path.iterdir()) in ([], [tmp_path / "file"])
        return err

    return run


def test_a_name_that_is_none(refused, tmp_path):
    sentence = refused("chaoss", "--out", tmp_path / "new")
    assert "no study 'chaoss'; pass chaos, speed, linear-vs-nonlinear, long-sequences or models" in sentence


def test_a_folder_that_is_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "is a file; pass a folder of your own" in refused("chaos", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_nobody_may_write_in(refused):
    assert "cannot write '/proc/nothing/here' (" in refused("chaos", "--out", "/proc/nothing/here")


def test_no_seeds(refused, tmp_path):
    assert "--seeds is 0" in refused("chaos", "--seeds", 0, "--out", tmp_path / "new")
