"""The command line: each verb end to end at small size, refusals in one sentence, progress without a terminal."""

import importlib.util
import inspect
import json
import os
import re
import signal
import sys

import numpy as np
import pytest

import gtfdeer as gd
from gtfdeer.__main__ import main

DT = 0.02
TINY = "--updates 2 --batch 2 --window 20 --hidden-dim 4 --solver Sequential"
VERBS = ("demo", "fit", "resume", "simulate", "forecast", "score", "report", "info")


def spiral(steps, phase=0.0):
    """Two columns that turn and breathe: quick to write down, never constant."""
    t = DT * np.arange(steps) + phase
    return np.stack([np.cos(3 * t) * (1 + 0.3 * np.sin(t)), np.sin(3 * t)], axis=1)


def write_csv(path, values, header="x,y"):
    np.savetxt(path, values, delimiter=",", header=header, comments="")
    return path


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Recordings, and a model of two columns that is barely trained: what it says is not judged, that it says it is."""
    folder = tmp_path_factory.mktemp("recordings")
    write_csv(folder / "train.csv", spiral(600))
    write_csv(folder / "test.csv", spiral(300, phase=50.0))
    write_csv(folder / "one.csv", spiral(600)[:, :1], header="x")
    words = ["fit", folder / "train.csv", "--dt", DT, *TINY.split(), "--quiet", "--out", folder / "model.npz"]
    assert main(list(map(str, words))) == 0
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch, capfd):
    """Run a command in a folder of its own, IN standing for the recordings; returns status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(line):
        capfd.readouterr()
        status = main([word.replace("IN/", f"{files}/") for word in line.split(" ")])
        return status, *capfd.readouterr()

    return call


def test_help_names_every_number_and_switch_of_fit_and_there_is_a_version(capsys):
    for words in ([], *([verb] for verb in VERBS if verb != "fit"), ["fit"]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([*words, "--help"])
        assert left.value.code == 0
    told = capsys.readouterr().out
    for name, parameter in inspect.signature(gd.fit).parameters.items():
        plain = re.match("int|float|bool|str", str(parameter.annotation)) and name != "progress"
        assert (f"--{name.replace('_', '-')}" in told) or not plain
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"gtfdeer {gd.__version__}\n"


@pytest.mark.parametrize("line", ["", "dance", "fit a.csv", "score only_one", "info --loud"])
def test_what_is_not_understood_leaves_with_2(line, capsys):
    with pytest.raises(SystemExit) as left:
        main(line.split())
    assert left.value.code == 2
    assert "usage: gtfdeer" in capsys.readouterr().err


def test_fit_tells_what_it_found_did_and_saved(run):
    line = f"fit IN/one.csv --dt {DT} --delay-embed 3 --delay 5 --test-fraction 0.3 --out one.npz"
    status, told, _ = run(f"{line} {TINY}")
    assert status == 0
    for words in (
        "410 x 3, dt=0.02",  # 70 % of 600 rows, less 2 lags of 5
        "embedded in 3 lags of 5",
        "ShallowPLRNN(latent_dim=3, observed_dim=3, hidden_dim=4)",
        "finished after 2 updates",
        "one.npz",
        "free runs against what was held out of one",
        "D_stsp",
    ):
        assert words in told
    assert (gd.load("one.npz").dt, gd.load("one.npz").embedding.delay) == (DT, 5)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_batch_system_that_ends_a_run_in_time_loses_nothing(run, monkeypatch):
    """SIGTERM, as SLURM sends it at the time limit and a container when it stops."""
    true_fit, before = gd.fit, signal.getsignal(signal.SIGTERM)

    def ending(*args, **settings):
        return true_fit(*args, **settings, callbacks=[lambda _: os.kill(os.getpid(), signal.SIGTERM)])

    ending.__signature__ = inspect.signature(true_fit)
    monkeypatch.setattr(gd, "fit", ending)
    line = f"fit IN/train.csv --dt {DT} {TINY} --updates 1000 --quiet --out early.npz"
    status, _, err = run(line)
    assert (status, err) == (130, "gtfdeer: interrupted: what was learned until then is in early.npz\n")
    assert gd.load("early.npz").ending == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is before


def test_simulate_and_forecast_write_what_the_model_says(run, files, tmp_path):
    model, known = gd.load(files / "model.npz"), gd.data.read_series(files / "test.csv", dt=DT)
    assert run("simulate IN/model.npz --steps 200 --out orbit.csv")[0] == 0
    orbit = gd.data.read_series("orbit.csv")
    assert (orbit.length, orbit.columns, round(orbit.dt, 9)) == (200, 2, DT)
    np.testing.assert_allclose(orbit.values, model.simulate(200), rtol=1e-7)  # nine digits are written
    assert run("simulate IN/model.npz --steps 30 --start IN/test.csv --out orbit.npy")[0] == 0
    np.testing.assert_array_equal(np.load("orbit.npy"), model.simulate(30, start=known))

    status, said, _ = run("forecast IN/model.npz IN/test.csv --dt 0.02 --steps 7 --out f.csv --figure f.png")
    assert (status, "7 steps x 2 columns" in said) == (0, True)
    assert (tmp_path / "f.csv").read_text().startswith("time,x,y\n0.02,")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    rows = np.loadtxt(tmp_path / "f.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(rows[:, 1:], model.forecast(known, 7), rtol=1e-6)  # nine digits


def test_whole_trials_are_held_out_and_scored_together(run):
    np.savez("trials.npz", values=np.random.default_rng(0).normal(size=(5, 120, 2)))
    line = f"fit trials.npz IN/one.csv --columns 0 --dt {DT} --test-fraction 0.3 --out t.npz"
    status, told, _ = run(f"{line} {TINY}")
    assert status == 0
    assert [line.split()[0] for line in told.splitlines()[:6]] == ["train"] * 4 + ["test"] * 2
    assert told.count("D_stsp") == 1
    assert "the two halves of every trial" in told


def test_a_run_goes_on_from_its_checkpoint_to_the_same_model_and_a_tilde_is_the_users_folder(
    run, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = "--model clippedshallowplrnn --forcing Annealed(last=0.2) --learning-rate 0.01 --no-standardise"
    line = f"fit IN/train.csv IN/test.csv --dt {DT} --coarsen 2 {TINY} --latent-dim 5 {settings} --quiet"
    assert run(f"{line} --checkpoint=~/run.npz --every 1 --out=~/first.npz")[0] == 0
    with np.load(tmp_path / "run.npz") as kept:
        asked = json.loads(kept["header"].tobytes())["run"]["config"]["fields"]
    assert (asked["window"], asked["learning_rate"], asked["solver"]["class"]) == (20, 0.01, "Sequential")
    assert (asked["forcing"]["class"], asked["forcing"]["fields"]["last"]) == ("Annealed", 0.2)
    assert run("resume ~/run.npz --out=~/second.npz --quiet")[0] == 0
    first, second = (gd.load(f"~/{name}.npz") for name in ("first", "second"))
    assert np.array_equal(first.model.W1[...], second.model.W1[...])
    assert (type(first.model), first.model.latent_dim) == (gd.models.ClippedShallowPLRNN, 5)
    assert (first.scaling, len(first.history["loss"])) == (None, 2)
    assert run("forecast ~/first.npz IN/test.csv --steps 9 --out=~/ahead.csv")[0] == 0  # coarsened as it was trained
    assert (first.dt, gd.data.read_series("~/ahead.csv").length) == (2 * DT, 9)
    first.save("~/copy.npz")
    assert {each.name for each in tmp_path.glob("*.npz")} >= {"first.npz", "run.npz", "second.npz", "copy.npz"}


def test_score_tells_the_floor_and_json_parses(run):
    status, told, _ = run("score IN/model.npz IN/test.csv --floor IN/train.csv")
    assert status == 0
    assert "another recording" in told
    scores = json.loads(run("score IN/model.npz IN/test.csv --json --steps 5")[1])
    assert scores["steps"] == 5
    assert {"D_stsp", "D_H", "PE", "lambda_max", "floor_D_stsp", "gtfdeer", "dt", "model"} <= set(scores)


def test_info_names_versions_device_and_advice_and_a_fault_of_ours_is_told_in_one_line(run, monkeypatch):
    facts = json.loads(run("info --json")[1])
    assert {"versions", "device", "cores", "memory available", "advice"} <= set(facts)
    assert re.search(r"^jaxlib +\d(.|\n)*^advice +\w", run("info")[1], re.MULTILINE)

    def broken():
        raise KeyError("dt")

    monkeypatch.setattr(gd, "info", broken)
    assert "unexpected KeyError ('dt'); please report it" in run("info")[2]
    with pytest.raises(KeyError):
        run("info --debug")


def require_self_contained(page):
    """One page that fetches nothing: pictures inside, no script, no style sheet, no address."""
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<h1") == page.count("</html>") == 1
    text = re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", page)
    for trace in ("<script", "<link", "@import", "url(", 'src="http', "Traceback"):
        assert trace not in text
    assert "<code" not in text.partition("Going on")[0]  # the notebook's code is hidden
    assert all('alt="No description' not in tag for tag in re.findall("<img[^>]*", text))


def test_report_of_any_model_is_one_self_contained_page(run):
    status, _, err = run("report IN/model.npz IN/test.csv --out page.html")
    assert status == 0, err
    with open("page.html") as file:
        page = file.read()
    require_self_contained(page)
    assert re.search(r"<h1[^>]*>train, learned by ShallowPLRNN", page)
    assert re.search("(Left to itself, the network|The network (has|did) not learn)", page)
    assert page.index("<h1") < page.index("data:image/png") < page.index("<table") < page.index("How it was trained")


def test_demo_leaves_model_scores_report_and_figures(run):
    status, told, _ = run("demo --updates 2 --length 1000 --seed 3 --seeds 2 --out deep/demo")
    assert status == 0
    assert "seed 4: simulating" in told
    found = set(os.listdir("deep/demo"))
    assert found >= {"lorenz63.npz", "scores.json", "report.html", "attractors.png", "time_series.png", "training.png"}
    assert not [name for name in found if name.startswith(".")]
    with open("deep/demo/scores.json") as file:
        facts = json.load(file)
    assert [record["seed"] for record in facts["seeds"]] == [3, 4]
    assert {"versions", "date", "seconds", "device", "dt", "noise", "length", "seed", "PE", "floor_D_H"} <= set(facts)
    assert facts["command"] == "gtfdeer demo --updates 2 --length 1000 --seed 3 --seeds 2 --out deep/demo"
    assert (gd.load("deep/demo/lorenz63.npz").model.latent_dim) == 16
    with open("deep/demo/report.html") as file:
        page = file.read()
    require_self_contained(page)
    for words in ("Lorenz-63, learned from a noisy recording", "published", "2306.04406", "0.9056", "seed 4", "median"):
        assert words in page


FIT = f"fit IN/train.csv --dt {DT} {TINY} --out m.npz"
REFUSED = [
    ("fit IN/none.csv --out m.npz", "there is no file"),
    ("fit IN/train.csv --out missing/m.npz", "pass a path in a folder that exists"),
    ("fit IN/none.csv --out .", "which is a folder"),
    ("fit IN/none.csv --out /proc/x.npz", "/proc/"),
    ("fit IN/train.csv --every 5 --out m.npz", "--checkpoint run.npz"),
    ("fit IN/train.csv --model Oracle --out m.npz", "pass one of AlmostLinearRNN, ClippedShallowPLRNN, GRU, LRU"),
    ("fit IN/train.csv --model GRU --hidden-dim 3 --out m.npz", "GRU takes no hidden_dim; it takes latent_dim"),
    ("fit IN/train.csv --model Mamba(observation=AffineObservation) --out m.npz", "Mamba takes no observation"),
    (f"{FIT} --solver Oracle", "DEER"),
    (f"{FIT} --forcing Constant(alpha=import)", "pass a name and keywords"),
    (f"{FIT} --forcing Constant(open('x'))", "pass a name and keywords"),
    (f"{FIT} --delay 3", "--delay-embed"),
    (f"{FIT} --test-fraction 1", "fraction is 0.0; pass a number in (0, 1)"),
    (f"{FIT} --test-fraction 0.1", "a larger fraction"),
    ("resume none.npz --out m.npz", "none.npz"),
    ("simulate IN/model.npz --steps 3 --out orbit.xls", ".csv or .npy"),
    ("report IN/model.npz IN/test.csv --out page.pdf", ".html or .ipynb"),
    ("demo --seeds 0 --out new", "seeds is 0"),
    ("demo --length 10 --out new", "at least 1000"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_written(line, words, run, tmp_path):
    status, _, err = run(line)
    assert status == 1
    assert err.startswith("gtfdeer: error: ")
    assert err.count("\n") == 1, err
    assert "please report" not in err
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_could_not_write_its_report_says_so_before_training(run, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nbclient" else True)
    status, told, err = run("demo --out new")
    assert (status, told) == (1, "")
    assert err == "gtfdeer: error: a report needs nbclient; type: pip install nbclient\n"
    assert list(tmp_path.iterdir()) == []
