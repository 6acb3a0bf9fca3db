"""A run that is stopped and resumed is the run that was never stopped, bit for bit; a broken file is refused."""

from __future__ import annotations

import importlib
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.training._settings import as_plain, from_plain

from .small import SETTINGS, UPDATES, keeping, model, wait_for


@pytest.fixture(scope="module")
def whole(series):
    """The run that is never stopped."""
    return gd.fit(model(), series, **SETTINGS)


def stopping_at(update):
    def stop(moment):
        if moment.update >= update:
            moment.stop()

    return stop


@pytest.fixture(scope="module")
def stopped(series, tmp_path_factory):
    """A run stopped on its way, between two looks and two checkpoints; where it was kept."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    rec = gd.fit(model(), series, checkpoint=path, every=40, callbacks=[stopping_at(90)], **SETTINGS)
    assert rec.ending == "stopped by a callback"
    return path


def copy(path, folder):
    """The two files of a run, in a folder of their own."""
    for each in (path, path.with_suffix(".previous.npz")):
        (folder / each.name).write_bytes(each.read_bytes())
    return folder / path.name


def test_a_resumed_run_is_the_run_that_was_never_stopped(stopped, whole, same, tmp_path):
    same(gd.resume(copy(stopped, tmp_path), progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_the_one_before_it_will_do_and_writes_to_the_run_s_own_path(stopped, whole, same, tmp_path):
    path = copy(stopped, tmp_path)
    path.unlink()
    same(gd.resume(path.with_suffix(".previous.npz"), progress=False), whole)
    assert path.is_file()


def test_a_finished_run_comes_back_at_once(stopped, whole, same, tmp_path):
    path = copy(stopped, tmp_path)
    gd.resume(path, progress=False)
    seen = []
    same(gd.resume(path, callbacks=[lambda moment: seen.append(moment.update)], progress=False), whole)
    assert seen == [UPDATES]


def test_an_interrupt_in_the_middle_of_a_look_loses_nothing(series, whole, same, tmp_path):
    def impatient(moment):
        if moment.update == 96:  # the free run is judged after this update, and this callback comes first
            raise KeyboardInterrupt

    path = tmp_path / "run.npz"
    rec = gd.fit(model(), series, checkpoint=path, every=96, callbacks=[impatient], **SETTINGS)
    assert rec.ending == "interrupted"
    same(gd.resume(path, progress=False), whole)


@pytest.mark.parametrize(
    "error", [RuntimeError("no such axis"), MemoryError("none left")], ids=lambda e: type(e).__name__
)
def test_an_error_on_the_way_is_raised_and_loses_nothing(error, series, whole, same, tmp_path):
    """A panel's, or an accelerator's that has no memory left: the run cannot go on, but it can be taken up."""

    def fail(moment):
        if moment.update >= 60:
            raise error

    path, learned = tmp_path / "run.npz", []
    with pytest.raises(type(error), match=str(error)):
        gd.fit(model(), series, checkpoint=path, callbacks=[fail], **SETTINGS)
    rec = gd.resume(path, callbacks=[lambda moment: learned.append(moment.update)], progress=False)
    assert learned[0] >= 60
    same(rec, whole)


def test_what_is_learned_does_not_depend_on_how_updates_are_grouped(series, whole, same, monkeypatch):
    monkeypatch.setattr(importlib.import_module("gtfdeer.training._loop"), "_PULSE", 0.0)  # one update a loop
    same(gd.fit(model(), series, **SETTINGS), whole)


def test_the_folder_is_flushed_after_the_file_has_its_name(stopped, tmp_path, monkeypatch):
    """A power cut may undo a name that the disk has not been told of."""
    path, done = copy(stopped, tmp_path), []
    for name in ("fsync", "replace"):
        true = getattr(os, name)

        def noted(*arguments, name=name, true=true):
            first = arguments[0]
            kind = "folder" if isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode) else name
            done.append(kind)
            return true(*arguments)

        monkeypatch.setattr(os, name, noted)
    gd.resume(path, callbacks=[lambda moment: moment.stop()], progress=False)
    assert done == ["fsync", "replace", "replace", "folder"]


def test_where_there_are_no_links_the_one_before_is_a_copy(stopped, tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(95, "Operation not supported")

    path = copy(stopped, tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "link", unknown)
    gd.resume(path, callbacks=[lambda moment: moment.stop()], progress=False)
    assert path.with_suffix(".previous.npz").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_refused_and_the_older_one_named(damage, stopped, tmp_path):
    path = copy(stopped, tmp_path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 4
    path.write_bytes({"cut": content[:-1000], "flip": bytes(flipped), "empty": b"", "other": b"hello"}[damage])
    with pytest.raises(ValueError, match=r"checksum.*pass '.*run\.previous\.npz'"):
        gd.resume(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_any_flipped_bit_is_seen(stopped, tmp_path):
    path = copy(stopped, tmp_path)
    content = path.read_bytes()
    path.with_suffix(".previous.npz").unlink()
    for place in np.random.default_rng(0).integers(0, len(content), 60).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"checksum.*pass a checkpoint"):
            gd.resume(path)


def test_a_checkpoint_is_an_ordinary_npz_without_pickles(stopped):
    with np.load(stopped, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert header["recipe"]["solver"]["class"] == "Sequential"
        assert archive["data/0/values"].shape == (1200, 3)
        assert all(archive[name].dtype.kind in "fiu" for name in archive.files)


def test_a_disk_that_fills_up_is_told_and_the_run_goes_on(series, whole, same, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gtfdeer.training._files.os.fsync", full)
    with pytest.warns(RuntimeWarning, match="free some space"):
        rec = gd.fit(model(), series, checkpoint=tmp_path / "run.npz", every=50, **SETTINGS)
    same(rec, whole)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_never_written_over(series, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    before = (tmp_path / "data.npz").read_bytes()
    with pytest.raises(FileExistsError, match="no checkpoint"):
        gd.fit(model(), series, checkpoint=tmp_path / "data.npz", **SETTINGS)
    assert (tmp_path / "data.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["data.npz"]


class Own(gd.models.ClippedShallowPLRNN):
    """A model that the package does not know."""


class OwnReadout(gd.models.ScaledObservation):
    """A readout that the package does not know."""


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"optimiser": optax.adam(1e-3)}, TypeError, "learning_rate"),
        ({"model": Own(latent_dim=3, hidden_dim=4, rngs=nnx.Rngs(0))}, TypeError, "a class of your own, Own,"),
        (
            {"model": gd.models.GRU(latent_dim=4, observed_dim=3, observation=OwnReadout, rngs=nnx.Rngs(0))},
            TypeError,
            "a class of your own, OwnReadout,",
        ),
        ({"forcing": gd.forcing.Adaptive(estimator=lambda J: J.max())}, TypeError, "of your own making"),
        ({"checkpoint": 3}, TypeError, "path of a file"),
        ({"checkpoint": "run.pt"}, ValueError, r"ends in \.npz"),
        ({"checkpoint": "run.previous.npz"}, ValueError, r"run\.npz"),
        ({"checkpoint": "missing/run.npz"}, FileNotFoundError, "folder that exists"),
        ({"every": 0}, ValueError, "at least 1"),
        ({"every": 2.5}, ValueError, "whole number"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_before_the_first_update(
    changed, kind, words, series, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    settings = {**SETTINGS, "checkpoint": "run.npz", **changed}
    with pytest.raises(kind, match=words):
        gd.fit(settings.pop("model", model()), series, **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint_is_missed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        gd.resume(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "setting",
    [
        gd.solvers.DEER(tol=1e-5),
        gd.solvers.Auto(),
        gd.solvers.Shooting(length=16),
        gd.forcing.Adaptive(decay=0.9, estimator=gd.forcing.product_upper_bound),
        gd.forcing.Annealed(last=0.1),
    ],
)
def test_settings_come_back_from_plain_data(setting):
    assert from_plain(json.loads(json.dumps(as_plain(setting)))) == setting


def test_arrays_of_alpha_come_back_to_the_bit():
    alpha = np.random.default_rng(0).random((19, 1)).astype(np.float32)
    again = from_plain(json.loads(json.dumps(as_plain(gd.forcing.Constant(alpha)))))
    assert again.strength.dtype == np.float32
    assert np.array_equal(again.strength, alpha)


# --- more than one at a time ---


def test_two_fits_in_two_threads_are_two_fits(series, whole, same):
    done = {}
    other = {**SETTINGS, "key": jax.random.key(8)}
    runs = {"one": SETTINGS, "two": other}
    threads = [
        threading.Thread(target=lambda n=n, s=s: done.update({n: gd.fit(model(), series, **s)}))
        for n, s in runs.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(done["one"], whole)
    assert not np.array_equal(done["two"].history["loss"], whole.history["loss"])


def test_a_fit_is_stopped_from_another_thread_and_goes_on_later(series, whole, same, tmp_path):
    halfway, enough, done = threading.Event(), threading.Event(), []

    def listen(moment):
        if moment.update >= 30:
            halfway.set()
            assert enough.wait(60)
            moment.stop()

    settings = {**SETTINGS, "checkpoint": tmp_path / "run.npz", "callbacks": [listen]}
    thread = threading.Thread(target=lambda: done.append(gd.fit(model(), series, **settings)))
    thread.start()
    assert halfway.wait(120)
    enough.set()
    thread.join()
    assert done[0].ending == "stopped by a callback"
    same(gd.resume(tmp_path / "run.npz", progress=False), whole)


def test_a_second_run_on_one_path_is_refused_and_the_first_goes_on(series, whole, same, tmp_path):
    path, refusals = tmp_path / "run.npz", []

    def intrude(moment):
        if moment.update > 1 and not refusals:
            for second in (lambda: gd.fit(model(), series, checkpoint=path, **SETTINGS), lambda: gd.resume(path)):
                with pytest.raises(BlockingIOError, match="another run is writing") as refusal:
                    second()
                refusals.append(refusal)

    first = gd.fit(model(), series, checkpoint=path, every=1, callbacks=[intrude], **SETTINGS)
    assert len(refusals) == 2
    same(first, whole)
    same(gd.resume(path, progress=False), whole)


def test_a_second_process_on_one_path_is_refused_and_the_first_goes_on(whole, same, compiled, tmp_path):
    path, wait = tmp_path / "run.npz", tmp_path / "wait"
    wait.touch()
    program = [sys.executable, str(Path(__file__).with_name("small.py")), str(path), "", "0"]

    def start():
        return subprocess.Popen(program, env=keeping(compiled), stderr=subprocess.PIPE, text=True)

    first = start()
    wait_for(path, first)
    second = start()
    assert "BlockingIOError: another run is writing" in second.communicate(timeout=300)[1]
    wait.unlink()
    assert first.communicate(timeout=300)[1] == ""
    assert (first.returncode, second.returncode) == (0, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]
    same(gd.resume(path, progress=False), whole)
