"""What cannot be written is refused before the work, and looking leaves nothing behind."""

import os
from pathlib import Path

import pytest

from gtfdeer.commands.files import require_writable, require_writable_folder

LONG = "x" * 300
PROC = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc, which root cannot write either")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")


@pytest.mark.parametrize("place", ["out", "deep/in/the/wood", "there", "there/below", "missing/../out", "."])
def test_a_folder_that_can_be_made_is_let_pass_and_not_made(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    require_writable_folder(Path(place))
    require_writable_folder(tmp_path / place)
    assert os.listdir() == ["there"]
    assert os.listdir("there") == []


def test_a_file_that_can_be_written_is_let_pass_and_not_written(tmp_path):
    (tmp_path / "old.npz").write_text("old")
    for name in ("new.npz", "old.npz"):
        require_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.npz"]
    assert (tmp_path / "old.npz").read_text() == "old"


@PROC
@pytest.mark.parametrize(
    "words",
    [
        ["demo", "--out", "/proc/x"],
        ["demo", "--out", "/proc/x/y"],
        ["study", "chaos", "--out", "/proc/x"],
        ["sweep", "none.csv", "--out", "/proc/x"],
        ["fit", "none.csv", "--out", "/proc/x"],
        ["simulate", "none.npz", "--steps", "3", "--out", "/proc/x.csv"],
        ["bench", "--out", "/proc/x.json"],
    ],
)
def test_what_even_root_cannot_write_is_refused_before_the_work(words, refused):
    sentence = refused(*words)
    assert f"cannot write '{words[-1]}' (" in sentence
    assert "; pass a path in a folder that exists and is yours" in sentence


@ROOT
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    for require, place in ((require_writable, "m.npz"), (require_writable_folder, "."), (require_writable_folder, "x")):
        with pytest.raises(PermissionError, match=r"cannot write .*theirs.* \(permission denied\); pass a path"):
            require(tmp_path / "theirs" / place)


@pytest.mark.parametrize("require", [require_writable, require_writable_folder])
def test_a_name_that_is_too_long_is_refused(require, tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*x' \(file name too long\); pass a shorter name"):
        require(tmp_path / LONG)
    assert not os.listdir(tmp_path)
