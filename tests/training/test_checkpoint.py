"""A run that is stopped, killed or cut off and resumed is the run that was never stopped, bit for bit.

GTFDEER_KILLS=25 kills as often; three times is the default.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import jax
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer.training import _files

from .small import SETTINGS, UPDATES, model, wait_for


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
    path, seen = copy(stopped, tmp_path), []
    same(gd.resume(path, progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]
    again = gd.resume(path, callbacks=[lambda moment: seen.append(moment.update)], progress=False)
    same(again, whole)  # a finished run comes back at once
    assert seen == [UPDATES]


def test_the_one_before_it_will_do_writes_to_the_run_s_own_path_and_removes_a_draft_of_a_process_that_is_gone(
    stopped, whole, same, tmp_path
):
    path = copy(stopped, tmp_path)
    path.unlink()
    (tmp_path / ".run.npz.999999999-0123abcd").write_bytes(b"half")
    same(gd.resume(path.with_suffix(".previous.npz"), progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_an_interrupt_in_the_middle_of_a_look_loses_nothing(series, whole, same, tmp_path):
    def impatient(moment):
        if moment.update == 96:  # the free run is judged after this update, and this callback comes first
            raise KeyboardInterrupt

    path = tmp_path / "run.npz"
    rec = gd.fit(model(), series, checkpoint=path, every=96, callbacks=[impatient], **SETTINGS)
    assert rec.ending == "interrupted"
    same(gd.resume(path, progress=False), whole)


def test_an_error_on_the_way_is_raised_and_loses_nothing(series, whole, same, tmp_path):
    """A panel's, or an accelerator's that has no memory left: the run cannot go on, but it can be taken up."""

    def fail(moment):
        if moment.update >= 60:
            raise MemoryError("none left")

    path, learned = tmp_path / "run.npz", []
    with pytest.raises(MemoryError, match="none left"):
        gd.fit(model(), series, checkpoint=path, callbacks=[fail], **SETTINGS)
    rec = gd.resume(path, callbacks=[lambda moment: learned.append(moment.update)], progress=False)
    assert learned[0] >= 60
    same(rec, whole)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_refused_and_the_older_one_named(damage, stopped, tmp_path):
    path = copy(stopped, tmp_path)
    content = path.read_bytes()
    flipped, largest = bytearray(content), max(ZipFile(path).infolist(), key=lambda each: each.compress_size)
    flipped[largest.header_offset + largest.compress_size // 2] ^= 4  # in an array: a header's date says nothing
    path.write_bytes({"cut": content[:-1000], "flip": bytes(flipped), "empty": b"", "other": b"hello"}[damage])
    with pytest.raises(ValueError, match=r"or damaged .*pass '.*run\.previous\.npz'"):
        gd.resume(path)
    with pytest.raises(ValueError, match="or damaged"):
        gd.load(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


@pytest.mark.parametrize("compress", [False, True])
def test_a_flipped_bit_is_refused_or_changes_nothing(compress, stopped):
    """1,000 random bits of each kind of file; a date in the Zip directory says nothing about the arrays."""
    arrays = _files.unpack(stopped.read_bytes())
    content, refused = _files.pack(arrays, compress=compress), 0
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 1000).tolist():
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        try:
            found = _files.unpack(bytes(changed))
        except (*_files._DAMAGE, *_files._MISFITS):
            refused += 1
        else:
            assert found.keys() == arrays.keys()
            assert all(found[k].dtype == v.dtype and np.array_equal(found[k], v) for k, v in arrays.items())
    assert refused > 800


def test_of_two_writers_on_one_path_the_last_whole_file_wins(series, whole, same, tmp_path):
    path = tmp_path / "run.npz"
    other = {**SETTINGS, "updates": 3, "validations": 0}
    inner = []

    def intrude(moment):
        if moment.update >= 40 and not inner:
            inner.append(gd.fit(model(), series, checkpoint=path, **other))
            same(gd.resume(path, progress=False), inner[0])

    outer = gd.fit(model(), series, checkpoint=path, every=1000, callbacks=[intrude], **SETTINGS)
    same(outer, whole)
    same(gd.resume(path, progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_a_checkpoint_is_an_ordinary_npz_without_pickles_and_its_best_model_can_be_loaded(stopped):
    with np.load(stopped, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert header["run"]["config"]["fields"]["solver"]["class"] == "Sequential"
        assert archive["data/0/values"].shape == (1200, 3)
        assert all(archive[name].dtype.kind in "fiu" for name in archive.files)
    loaded = gd.load(stopped)
    assert loaded.ending == "stopped by a callback"
    assert 60 <= loaded.update <= len(loaded.history["loss"])
    assert loaded.simulate(5).shape == (5, 3)


def test_a_disk_that_fills_up_is_told_and_the_run_goes_on(series, whole, same, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    def fill_up(_):
        monkeypatch.setattr("gtfdeer.training._archive.os.fsync", full)

    settings = {**SETTINGS, "checkpoint": tmp_path / "run.npz", "every": 50}
    with pytest.warns(RuntimeWarning, match="free some space"):
        rec = gd.fit(model(), series, callbacks=[fill_up], **settings)
    same(rec, whole)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match=r"cannot write .*no space left on device\); free some space"):
        gd.fit(model(), series, **settings)  # and one that is full before the first update
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_never_written_over_nor_a_model_resumed(series, whole, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros(3))
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="no checkpoint"):
        gd.fit(model(), series, checkpoint=path, **SETTINGS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    whole.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"a model without its run, which gtfdeer\.load reads"):
        gd.resume(tmp_path / "m.npz")


# --- more than one at a time ---


def test_two_fits_in_two_threads_are_two_fits(series, whole, same):
    keys = SETTINGS["key"], jax.random.key(8)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda key: gd.fit(model(), series, **SETTINGS | {"key": key}), keys)
    same(one, whole)
    assert not np.array_equal(two.history["loss"], whole.history["loss"])


# --- kill -9, at any moment and inside a save ---


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
@pytest.mark.parametrize("number", range(int(os.environ.get("GTFDEER_KILLS", "3"))))
def test_a_killed_run_resumes_to_the_same_result(number, whole, same, tmp_path):
    path = tmp_path / "run.npz"
    draw = random.Random(number)  # the run in the child makes one update a loop, and a checkpoint of each
    fatal = ("", "fsync", "replace")[number % 3]  # two of three die inside a save
    program = [sys.executable, str(Path(__file__).with_name("small.py")), str(path), fatal, str(draw.randint(5, 100))]
    child = subprocess.Popen(program, stderr=subprocess.PIPE)
    if not fatal:
        wait_for(path, child)
        time.sleep(draw.uniform(0, 1))
        child.kill()
    child.wait(300)
    assert child.returncode == -signal.SIGKILL, child.stderr.read()
    same(gd.resume(path, progress=False), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.npz", "run.previous.npz"]


def test_a_kill_between_the_two_renames_loses_nothing(stopped, whole, same, tmp_path):
    path = copy(stopped, tmp_path)
    path.replace(path.with_suffix(".previous.npz"))
    same(gd.resume(path, progress=False), whole)


# --- what a checkpoint holds beyond the plainest run: schedules, solvers, inputs, gaps ---

QUICK = {"window": 12, "batch": 2, "updates": 30, "noise": 0.05, "key": jax.random.key(7), "progress": False}
STOP = 13


def driven(series):
    """An input that moves with the data, a schedule that moves with the model, and Newton's method."""
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, input_dim=1, rngs=nnx.Rngs(0))
    u = np.sin(np.arange(series.length, dtype=np.float32) / 7)
    adaptive = gd.forcing.Adaptive(every=3, decay=0.9, estimator=gd.forcing.product_upper_bound)
    return model, series, {"u": u, "forcing": adaptive, "solver": gd.solvers.DEER(tol=1e-5)}


def with_gaps(series):
    """Two recordings with gaps that windows cross, seen through an affine observation, and a strength for each step."""
    values = series.values.copy()
    values[np.arange(len(values)) % 20 < 3] = np.nan
    pieces = [
        gd.data.Series(part, dt=series.dt, name=name) for part, name in ((values[:700], "a"), (values[700:], "b"))
    ]
    sizes = {"latent_dim": 4, "hidden_dim": 5, "observation": gd.models.AffineObservation, "observed_dim": 3}
    model = gd.models.ClippedShallowPLRNN(**sizes, rngs=nnx.Rngs(0))
    alpha = np.linspace(0.3, 0.9, QUICK["window"] - 1, dtype=np.float32)
    settings = {"forcing": gd.forcing.Constant(alpha), "solver": gd.solvers.Shooting(length=4)}
    return model, pieces, settings


def linear(series):
    """A linear state-space model of lags of one column, unscaled."""
    model = gd.models.LRU(latent_dim=4, width=4, depth=1, rngs=nnx.Rngs(0))
    lags = series.select([0]).delay_embed(3, 5)
    return model, lags, {"standardise": False, "validations": 3}


def gated(series):
    """A gated network, whose best moment is looked for at every second update."""
    settings = {"validations": 15, "solver": gd.solvers.Sequential(), "forcing": gd.forcing.Annealed(last=0.1)}
    return gd.models.LSTM(latent_dim=6, rngs=nnx.Rngs(0)), series, settings


@pytest.mark.parametrize("case", [driven, with_gaps, linear, gated])
def test_every_kind_of_run_resumes_to_the_same_result(case, series, same, tmp_path):
    model, data, settings = case(series)
    settings = {"validations": 0, **QUICK, **settings}
    path = tmp_path / "run.npz"
    whole = gd.fit(model, data, **settings)
    begun = gd.fit(model, data, checkpoint=path, every=STOP, callbacks=[stopping_at(STOP)], **settings)
    assert (len(begun.history["loss"]), begun.ending) == (STOP, "stopped by a callback")
    assert np.ptp(whole.history["loss"]) > 0
    same(gd.resume(path, progress=False), whole)
