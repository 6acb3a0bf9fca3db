"""`gtfdeer demo`, in miniature: every file is there, and the page says what the numbers are."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import gtfdeer
from gtfdeer.__main__ import main
from gtfdeer.commands import demo_page, demo_run

SMALL = ["--updates", "2", "--length", "1000"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "deep" / "demo"
    assert main(["demo", *SMALL, "--seed", "3", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def run(folder):
    """The repetition behind the folder, once more, from what was saved: no second training."""
    reconstruction = gtfdeer.load(folder / "lorenz63.npz")
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(3, 1000, 3)), axis=1)
    train, test, second = (gtfdeer.data.Series(values, dt=demo_run.DT, name="walk") for values in walk)
    scores = gtfdeer.training._scores.Scores(
        D_stsp=0.3,
        D_H=0.08,
        PE=0.01,
        lambda_max=0.91,
        outside=0.0,
        floor_D_stsp=0.12,
        floor_D_H=0.06,
        PE_persistence=1.3,
        floor_source="another recording of the same system",
        steps=20,
    )
    free = reconstruction.standardised(second).values
    return demo_run.Run(3, train, test, second, reconstruction, scores, free, None, {"train": 1.0})


def test_all_files_are_there_and_nothing_else(folder):
    found = {path.name for path in folder.iterdir()}
    assert {
        "lorenz63.npz",
        "scores.json",
        "report.html",
        "attractors.png",
        "time_series.png",
        "training.png",
    } <= found
    assert not [name for name in found if name.startswith(".")]


def test_scores_json_says_what_the_scores_are_held_against(folder):
    facts = json.loads((folder / "scores.json").read_text())
    assert facts["truth"]["lambda_max"] == 0.9056
    assert facts["published"]["D_stsp"] == [0.23, 0.26]
    assert "2306.04406" in facts["published"]["source"]
    assert facts["seed"] == 3
    assert facts["seeds"][0]["D_stsp"] == facts["D_stsp"] == facts["summary"]["median"]["D_stsp"]
    assert facts["command"] == f"gtfdeer demo --out {folder} --seed 3 --seeds 1 --length 1000 --updates 2"
    assert {"versions", "date", "seconds", "device"} <= set(facts)


def test_the_report_holds_table_and_pictures(folder):
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list(folder.glob("*.png")))
    assert "<table>" in page
    for words in ("floor", "published", "arXiv 2306.04406", "Sprott", "0.9056", "gtfdeer fit recording.csv"):
        assert words in page
    assert "http" not in page  # nothing is fetched


def test_the_model_was_trained_with_defaults_on_noisy_data(folder):
    reconstruction = gtfdeer.load(folder / "lorenz63.npz")
    assert (reconstruction.model.latent_dim, reconstruction.model.hidden_dim) == (3, 50)
    assert reconstruction.history["loss"].size == 2


FACTS = {"versions": {"gtfdeer": "0"}, "seconds": 1.0, "command": "c", "date": "d", "device": "cpu"}


@pytest.fixture(scope="module")
def lost(run):
    """The repetition of a model that leaves all bounds."""
    scores = replace(run.scores, D_stsp=math.inf, lambda_max=None)
    return replace(run, free=np.full_like(run.free, np.nan), exponents=None, scores=scores)


@pytest.fixture(scope="module")
def pictures(lost):
    return demo_page.figures(lost)


def test_a_good_run_is_called_good_and_a_poor_one_is_not(run, lost, pictures):
    def verdict(run):
        return demo_page.report(run, [run], pictures, FACTS).summary

    assert "moves as the system does" in verdict(run)
    assert "has not learned" in verdict(replace(run, scores=replace(run.scores, D_stsp=3.0)))
    assert "leaves all bounds" in verdict(lost)


def test_pictures_that_cannot_be_drawn_are_missed_in_words(lost, pictures):
    assert set(pictures) == {"attractors", "time_series", "training"}
    assert (
        "nothing to draw: left alone, the model leaves all bounds"
        in demo_page.report(lost, [lost], pictures, FACTS).html()
    )


def test_spectra_belong_to_what_moves(run):
    assert demo_page._moves(run.free)
    assert not demo_page._moves(np.ones_like(run.free))
    assert not demo_page._moves(np.full_like(run.free, np.inf))
    assert "D_H is 0.08" in demo_page._spectra(run).caption


def test_several_seeds_are_all_shown_and_the_middle_one_is_chosen(run):
    runs = [
        replace(run, seed=seed, scores=replace(run.scores, D_stsp=D_stsp, lambda_max=exponent))
        for seed, D_stsp, exponent in ((0, 0.5, 0.80), (1, math.inf, None), (2, 0.2, 0.95), (3, 0.4, 0.90))
    ]
    assert demo_run.middle(runs).seed == 3
    table = demo_run.summary(runs)
    assert (table["best"]["D_stsp"], table["worst"]["D_stsp"]) == (0.2, None)
    assert table["median"]["D_stsp"] == pytest.approx(0.45)
    assert (table["best"]["lambda_max"], table["worst"]["lambda_max"]) == (0.90, None)
    json.dumps([demo_run.as_record(each) for each in runs], allow_nan=False)
    page = demo_page._seeds_table(runs).html()
    assert all(f"seed {seed}" in page for seed in range(4))
    assert "worst" in page


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--seeds", "0"], "--seeds"), (["--length", "10"], "--length"), (["--updates", "0"], "updates")],
)
def test_settings_that_mean_nothing_are_refused(options, word, refused, tmp_path):
    assert word in refused("demo", *SMALL, *options, "--out", tmp_path / "out")


def test_a_folder_under_a_file_is_refused_before_the_work(refused, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "is a file" in refused("demo", *SMALL, "--out", tmp_path / "file" / "demo")
