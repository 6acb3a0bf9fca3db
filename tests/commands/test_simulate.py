"""`gtfdeer simulate`: the orbit on disk is the orbit of the model."""

import signal

import numpy as np
import pytest
from tqdm import tqdm

import gtfdeer
from gtfdeer.__main__ import main
from gtfdeer.training import _rollout as free

from .small import DT


def test_csv_has_a_header_and_the_time(trained, tmp_path, capsys):
    out = tmp_path / "orbit.csv"
    assert main(["simulate", str(trained), "--steps", "40", "--out", str(out)]) == 0
    assert out.read_text().splitlines()[0] == "time,x1,x2"
    table = np.loadtxt(out, delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 0], DT * np.arange(1, 41), rtol=1e-9)  # ten digits are written
    # nine digits are written
    np.testing.assert_allclose(table[:, 1:], gtfdeer.load(trained).simulate(40), rtol=1e-8)
    assert "40 steps x 2 columns" in capsys.readouterr().out


def test_what_was_written_is_read_back_as_a_recording(trained, tmp_path):
    out = tmp_path / "orbit.csv"
    main(["simulate", str(trained), "--steps", "200", "--out", str(out)])
    series = gtfdeer.data.read_series(out)
    assert (series.length, series.columns) == (200, 2)
    assert series.dt == pytest.approx(DT)


def test_npy_and_a_start_of_its_own(trained, files, tmp_path):
    out = tmp_path / "orbit.npy"
    words = ["simulate", str(trained), "--steps", "30", "--start", str(files / "test.csv"), "--out", str(out)]
    assert main(words) == 0
    test = gtfdeer.data.read_series(files / "test.csv", dt=DT)
    np.testing.assert_array_equal(np.load(out), gtfdeer.load(trained).simulate(30, start=test))


class Impatient(tqdm):
    """A bar that meets Ctrl-C when it first moves."""

    def update(self, n=1):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_is_written_as_far_as_it_got(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(free, "tqdm", Impatient)
    out = tmp_path / "orbit.npy"
    assert main(["simulate", str(trained), "--out", str(out), "--steps", "40000"]) == 130
    orbit = np.load(out)
    assert 0 < len(orbit) < 40_000
    assert f"the first {len(orbit):,} of 40,000 steps are in {out}\n" in capsys.readouterr().err
    monkeypatch.undo()
    np.testing.assert_array_equal(orbit, gtfdeer.load(trained).simulate(40_000)[: len(orbit)])


def test_embedded_columns_are_called_by_their_lags(trained):
    from dataclasses import replace

    from gtfdeer.commands.simulate import column_names

    embedded = replace(gtfdeer.load(trained), embedding=gtfdeer.data.Embedding(2, 7))
    assert column_names(embedded) == ["x1_lag0", "x1_lag7"]


@pytest.mark.parametrize(
    ("out", "word"),
    [("orbit.xls", ".csv or .npy"), ("orbit", ".csv or .npy"), ("missing/orbit.csv", "no folder")],
)
def test_a_name_that_cannot_be_written_is_refused(out, word, trained, refused, tmp_path):
    assert word in refused("simulate", trained, "--steps", 3, "--out", tmp_path / out)


def test_no_steps_are_refused(trained, refused, tmp_path):
    assert "steps" in refused("simulate", trained, "--steps", 0, "--out", tmp_path / "orbit.csv")


def test_an_orbit_that_cannot_be_written_whole_leaves_nothing(trained, tmp_path, monkeypatch, refused):
    import os

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sentence = refused("simulate", trained, "--steps", 3, "--out", tmp_path / "orbit.csv")
    assert "no space left" in sentence.lower()
