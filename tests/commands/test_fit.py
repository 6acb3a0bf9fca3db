"""`gtfdeer fit`: what it tells, what it refuses, what it keeps."""

import os
import re
import shlex
import signal
import sys

import numpy as np
import pytest
from flax import nnx

import gtfdeer
from gtfdeer.__main__ import main

from .small import DT, spiral, write_csv

TINY = ["--updates", "2", "--batch", "2", "--window", "20", "--hidden-dim", "4"]


def test_it_tells_what_it_found_did_and_saved(files, tmp_path, capsys):
    out = tmp_path / "one.npz"
    words = ["fit", str(files / "one.csv"), "--dt", str(DT), "--delay-embed", "3", "--delay", "5"]
    assert main([*words, "--test-fraction", "0.3", *TINY, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "410 steps x 3 columns" in told  # 70 % of 600 rows, less 2 lags of 5
    assert "embedded in 3 lags of 5 steps" in told
    assert "ShallowPLRNN(latent_dim=3, observed_dim=3, hidden_dim=4)" in told
    assert "finished after 2 updates" in told
    assert "solver iterations 1 (median)" in told
    assert str(out) in told
    assert "free run against the held-out end of one" in told
    assert "D_stsp" in told
    reconstruction = gtfdeer.load(out)
    assert reconstruction.dt == DT
    assert (reconstruction.embedding.dimension, reconstruction.embedding.delay) == (3, 5)


def test_a_coarsened_recording_is_scored_as_it_was_trained(files, tmp_path, capfd, refused):
    out = tmp_path / "coarse.npz"
    words = ["fit", str(files / "train.csv"), "--dt", str(DT), "--coarsen", "2", *TINY, "--out", str(out)]
    assert main(words) == 0
    assert f"300 steps x 2 columns, dt {2 * DT:g}" in capfd.readouterr().out
    assert gtfdeer.load(out).dt == 2 * DT
    assert main(["score", str(out), str(files / "test.csv"), "--coarsen", "2", "--steps", "5"]) == 0
    assert f"150 steps x 2 columns, dt {2 * DT:g}" in capfd.readouterr().out
    sentence = refused("score", out, files / "test.csv", "--dt", DT)
    assert "the model was trained at dt=0.04; coarsen or resample it" in sentence
    assert "--coarsen is 0; pass how many" in refused("score", out, files / "test.csv", "--coarsen", 0)


def test_options_reach_the_training(files, monkeypatch, tmp_path):
    seen = {}

    def spy(model, series, **settings):
        seen.update(settings, model=model, series=series)
        raise ValueError("seen enough")

    monkeypatch.setattr(gtfdeer, "fit", spy)
    words = ["fit", files / "train.csv", files / "test.csv", "--dt", DT, "--model", "ClippedShallowPLRNN"]
    words += [
        "--latent-dim",
        5,
        "--hidden-dim",
        7,
        "--window",
        30,
        "--batch",
        4,
        "--updates",
        9,
        "--noise",
        0.1,
    ]
    words += ["--forcing", "annealed", "--alpha", 0.2, "--solver", "DEER", "--learning-rate", 0.01, "--quiet"]
    assert main([*map(str, words), "--out", str(tmp_path / "m.npz")]) == 1
    model, settings = seen["model"], seen
    assert (type(model).__name__, model.latent_dim, model.hidden_dim, model.observed_dim) == (
        "ClippedShallowPLRNN",
        5,
        7,
        2,
    )
    assert [series.name for series in seen["series"]] == ["train", "test"]
    assert settings["forcing"] == gtfdeer.forcing.Annealed(last=0.2)
    assert settings["solver"] == gtfdeer.solvers.DEER()
    assert [settings[name] for name in ("window", "batch", "updates", "noise", "learning_rate")] == [
        30,
        4,
        9,
        0.1,
        0.01,
    ]
    assert settings["progress"] is False


def test_what_is_not_given_is_left_to_the_defaults(files, monkeypatch, tmp_path):
    seen = {}

    def spy(model, series, **settings):
        seen.update(settings)
        raise ValueError("seen enough")

    monkeypatch.setattr(gtfdeer, "fit", spy)
    main(["fit", str(files / "train.csv"), "--hidden-dim", "4", "--out", str(tmp_path / "m.npz")])
    assert set(seen) == {"key", "progress", "forcing", "solver"}


def test_an_interruption_keeps_what_was_learned(files, monkeypatch, tmp_path, capsys):
    def impatient(moment):
        raise KeyboardInterrupt

    true_fit = gtfdeer.fit
    monkeypatch.setattr(gtfdeer, "fit", lambda *a, **k: true_fit(*a, **k, callbacks=[impatient]))
    out = tmp_path / "early.npz"
    words = ["fit", str(files / "train.csv"), "--dt", str(DT), *TINY, "--updates", "1000", "--quiet"]
    assert main([*words, "--out", str(out)]) == 130
    assert capsys.readouterr().err == f"gtfdeer: interrupted: what was learned until then is in {out}\n"
    assert gtfdeer.load(out).ending == "interrupted"
    assert gtfdeer.load(out).history["loss"].size == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_batch_system_that_ends_a_run_in_time_loses_nothing(files, monkeypatch, tmp_path, capsys):
    """SIGTERM, as SLURM sends it at the time limit and a container when it stops."""

    def end_of_time(moment):
        if moment.update >= 2:
            os.kill(os.getpid(), signal.SIGTERM)

    true_fit, before = gtfdeer.fit, signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(gtfdeer, "fit", lambda *a, **k: true_fit(*a, **k, callbacks=[end_of_time]))
    out, run = tmp_path / "early.npz", tmp_path / "run.npz"
    words = ["fit", str(files / "train.csv"), "--dt", str(DT), *TINY, "--updates", "1000", "--quiet"]
    assert main([*words, "--checkpoint", str(run), "--out", str(out)]) == 130
    assert capsys.readouterr().err == f"gtfdeer: interrupted: what was learned until then is in {out}\n"
    learned = gtfdeer.load(out).history["loss"].size
    assert 2 <= learned < 1000
    assert gtfdeer.resume(run, callbacks=[lambda moment: moment.stop()], progress=False).history["loss"].size == learned
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def fitting(files, tmp_path, refused):
    """Refuse a fit of a table; returns the sentence."""

    def run(values, *options, header="x,y"):
        path = write_csv(tmp_path / "bad.csv", values, header=header)
        return refused("fit", path, "--dt", DT, *TINY, *options, "--out", tmp_path / "bad.npz")

    return run


def test_a_missing_file_is_refused(refused, tmp_path):
    assert "none.csv" in refused("fit", tmp_path / "none.csv", "--dt", 1, "--out", tmp_path / "m.npz")


def test_text_in_a_column_is_refused(refused, tmp_path):
    path = tmp_path / "text.csv"
    path.write_text("x,y\n1,2\n3,four\n" + "5,6\n" * 50)
    sentence = refused("fit", path, "--dt", 1, "--out", tmp_path / "m.npz")
    assert "four" in sentence


def test_nan_everywhere_is_refused(fitting):
    assert "NaN" in fitting(np.full((300, 2), np.nan))


def test_fewer_steps_than_the_window_are_refused(fitting):
    sentence = fitting(spiral(300), "--window", "301")
    assert "has 300 steps but --window is 301; pass --window 300 or less, or --allow-missing\n" in sentence


def test_a_constant_column_is_refused_as_its_file_calls_it(fitting):
    t = DT * np.arange(300)
    values = np.stack([t, np.full(300, 7.0), t**2], axis=1)
    for header, called, others in (
        ("x,y,z", "y", "x z"),
        ("time,level (mV),z", "'level (mV)'", "z"),  # the first column is the clock, so it is no choice
        ("x,y,y", "1", "x 2"),
        ("", "1", "0 2"),
    ):
        for options in ([], ["--delay-embed", "2"], ["--delay-embed", "2", "--delay", "1"], ["--test-fraction", "0.5"]):
            sentence = fitting(values, *options, header=header).strip()
            assert f"column {called} of " in sentence
            assert "bad.csv' is always 7, so" in sentence
            assert sentence.endswith(f"; pass --columns {others}")
    assert fitting(values[:, 1:2], header="x").strip().endswith("; pass a recording that moves")


def test_a_column_that_is_constant_in_several_files_is_told_with_all_of_them(files, refused, tmp_path):
    paths = [write_csv(tmp_path / f"{name}.csv", spiral(300) * [1, 0] + [0, 7]) for name in ("monday", "tuesday")]
    sentence = refused("fit", *paths, "--dt", DT, "--out", tmp_path / "m.npz")
    assert re.search(
        r"column y of '.*monday\.csv', '.*tuesday\.csv' is always 7, .*; pass --columns x$", sentence.strip()
    )
    assert refused("fit", *paths, files / "three.csv", "--dt", DT, "--out", tmp_path / "m.npz").count("differ") == 1


def test_columns_taken_as_the_refusal_says_are_taken(tmp_path, capsys):
    path = write_csv(tmp_path / "r.csv", np.insert(spiral(300), 1, 7.0, axis=1), header="x,y,z (V)")
    words = ["fit", str(path), "--dt", str(DT), *TINY, "--out", str(tmp_path / "m.npz")]
    assert main(words) == 1
    advice = shlex.split(capsys.readouterr().err.partition("; pass ")[2])
    assert advice == ["--columns", "x", "z (V)"]
    assert main([*words, *advice]) == 0


def test_a_constant_column_of_several_series_is_named_in_python_too():
    still = [gtfdeer.data.Series(spiral(100) * [1, 0] + [0, 7], dt=DT, name=name) for name in ("monday", "tuesday")]
    model = gtfdeer.models.ShallowPLRNN(latent_dim=2, hidden_dim=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"column 1 of 'monday, tuesday' is always 7, .*series\.select\(\[0\]\)"):
        gtfdeer.fit(model, still, updates=1)


def test_a_dt_that_is_not_positive_is_refused(files, refused, tmp_path):
    assert "dt" in refused("fit", files / "train.csv", "--dt", -0.1, "--out", tmp_path / "m.npz")


def test_an_unknown_model_is_refused_by_naming_the_known(files, refused, tmp_path):
    sentence = refused("fit", files / "train.csv", "--model", "Oracle", "--out", tmp_path / "m.npz")
    assert "ShallowPLRNN" in sentence
    assert "RecurrentModel" not in sentence


MODELS = ["AlmostLinearRNN", "ClippedShallowPLRNN", "GRU", "LRU", "LSTM", "Mamba", "S5", "ShallowPLRNN", "VanillaRNN"]


def test_the_sentence_about_an_unknown_model_lists_every_model(files, refused, tmp_path):
    sentence = refused("fit", files / "train.csv", "--model", "Oracle", "--out", tmp_path / "m.npz")
    assert sentence.strip().endswith(f"pass --model with one of {', '.join(MODELS)}")


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_named(model, files, monkeypatch, tmp_path):
    seen = {}

    def spy(model, series, **settings):
        seen.update(model=model)
        raise ValueError("seen enough")

    monkeypatch.setattr(gtfdeer, "fit", spy)
    main(["fit", str(files / "train.csv"), "--model", model, "--quiet", "--out", str(tmp_path / "m.npz")])
    assert type(seen["model"]).__name__ == model
    assert seen["model"].observed_dim == 2


@pytest.mark.parametrize(
    ("model", "option", "noun"), [("GRU", "--hidden-dim", "hidden units"), ("ShallowPLRNN", "--depth", "depth")]
)
def test_a_size_that_the_model_lacks_is_refused(model, option, noun, files, refused, tmp_path):
    words = ["--model", model, option, 3, "--out", tmp_path / "m.npz"]
    assert f"{option} is 3, but {model} has no {noun}" in refused("fit", files / "train.csv", *words)


def test_an_unknown_solver_is_refused_by_naming_the_known(files, refused, tmp_path):
    sentence = refused("fit", files / "train.csv", "--solver", "Oracle", "--out", tmp_path / "m.npz")
    assert "DEER" in sentence


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--forcing", "adaptive", "--alpha", "0.1"], "--forcing"),
        (["--forcing", "constant", "--alpha", "1.5"], "--alpha is 1.5; pass a forcing strength"),
        (["--delay", "3"], "--delay-embed"),
        (["--delay-embed", "0"], "--delay-embed is 0; pass --delay-embed 1 or more"),
        (["--test-fraction", "1"], "--test-fraction"),
        (["--test-fraction", "0.1"], "larger"),
        (["--columns", "z"], "no column 'z'; pass --columns out of these: 0 'x', 1 'y'"),
        (["--updates", "0"], "--updates is 0; pass"),
        (["--learning-rate", "-1"], "--learning-rate is -1.0; pass"),
        (["--noise", "-1"], "--noise is -1.0; pass"),
        (["--latent-dim", "1"], "--observation affine"),
        (["--field", "q"], "; leave --field out"),
        (["--batch", "0"], "--batch is 0; pass"),
        (["--checkpoint", "run.txt"], "--checkpoint is 'run.txt'; pass a name"),
        (["--window", "2000000000", "--batch", "1"], "; pass a smaller --batch or a shorter --window"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, word, files, refused, tmp_path):
    assert word in refused("fit", files / "train.csv", "--dt", DT, *TINY, *options, "--out", tmp_path / "m.npz")


@pytest.mark.parametrize("place", ["a file/m.npz", "missing/m.npz", "folder"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(place, refused, tmp_path):
    (tmp_path / "a file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    sentence = refused("fit", "no such recording.csv", "--dt", 1, "--out", tmp_path / place)
    assert "cannot write" in sentence


def test_a_run_stopped_on_its_way_goes_on_from_its_checkpoint(files, tmp_path, capsys):
    run, first, second = tmp_path / "run.npz", tmp_path / "first.npz", tmp_path / "second.npz"
    words = ["fit", str(files / "train.csv"), "--dt", str(DT), *TINY, "--forcing", "constant", "--quiet"]
    assert main([*words, "--checkpoint", str(run), "--every", "1", "--out", str(first)]) == 0
    older = run.with_suffix(".previous.npz")  # after one update of two
    assert main(["fit", "--resume", str(older), "--out", str(second)]) == 0
    assert "finished after 2 updates" in capsys.readouterr().out
    models = [gtfdeer.load(path) for path in (first, second)]
    assert np.array_equal(models[0].model.W1[...], models[1].model.W1[...])
    assert np.array_equal(models[0].history["loss"], models[1].history["loss"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume", "none.npz"], "none.npz"),
        (["--resume", "none.npz", "--window", "30"], "leave that out"),
        (["--resume", "none.npz", "x.csv"], "recordings"),
        ([], "no recording came"),
        (["x.csv", "--every", "5"], "--checkpoint"),
        (["train.csv", "--checkpoint", "run.txt"], ".npz"),
    ],
)
def test_what_does_not_go_with_a_checkpoint_is_refused(words, said, files, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    assert said in refused("fit", *words, "--out", tmp_path / "m.npz")
