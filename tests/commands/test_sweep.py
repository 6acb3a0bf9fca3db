"""`gtfdeer sweep`: every combination once, a table that goes on, and refusals."""

import csv
import json

import pytest

from gtfdeer.__main__ import main

from .small import DT

SMALL = ["--hidden-dim", "4", "--batch", "2", "--updates", "3", "--dt", str(DT), "--window", "20"]


def rows(folder):
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def sweep(files, out, *words):
    return main(["sweep", str(files / "train.csv"), *SMALL, "--out", str(out), *map(str, words)])


@pytest.fixture(scope="module")
def swept(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    assert sweep(files, out, "--alpha", 0.1, 0.3, "--seeds", 2) == 0
    return out


def test_every_combination_is_a_row_with_its_seed_and_scores(swept):
    found = rows(swept)
    assert {(row["alpha"], row["seed"]) for row in found} == {("0.1", "0"), ("0.1", "1"), ("0.3", "0"), ("0.3", "1")}
    assert len(found) == 4
    assert all(float(row["D_H"]) >= 0 and row["ending"] == "finished" for row in found)
    assert len({row["D_H"] for row in found}) > 1


def test_the_record_says_how_to_do_it_again(swept):
    record = json.loads((swept / "sweep.json").read_text())
    assert record["seeds"] == 2
    command = record["worked on"][0]["command"]
    assert "--alpha 0.1 0.3" in command
    assert "jax" in record["worked on"][0]["versions"]
    assert "2 settings, median of 2 seeds" in record["caption"]
    assert (swept / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_one_seed_more_goes_on_from_what_there_is(files, swept, capfd):
    before = rows(swept)
    assert sweep(files, swept, "--alpha", 0.1, 0.3, "--seeds", 3) == 0
    assert rows(swept)[:4] == before
    assert len(rows(swept)) == 6


def test_another_recording_does_not_mix_in(files, swept, capfd):
    before = rows(swept)
    other = [
        "sweep",
        str(files / "test.csv"),
        *SMALL,
        "--out",
        str(swept),
        "--alpha",
        "0.1",
        "0.3",
        "--test-fraction",
        "0.4",
    ]
    assert main(other) == 1
    assert "rows of other runs" in capfd.readouterr().err
    assert rows(swept) == before


def test_what_makes_no_sense_is_refused(files, refused, tmp_path):
    recording = files / "train.csv"
    assert "--seeds is 0" in refused("sweep", recording, "--seeds", 0, "--out", tmp_path / "new")
    assert "pass 0.2" in refused("sweep", recording, "--test-fraction", 0, "--out", tmp_path / "new")
    assert "pass each once" in refused("sweep", recording, *SMALL, "--alpha", 0.1, 0.1, "--out", tmp_path / "new")
