"""`gtfdeer bench`: files after every case, what is kept when it is stopped, and refusals."""

import json
from dataclasses import replace

import pytest

from gtfdeer.__main__ import main
from gtfdeer.benchmarks import BASELINE, Measurement, SolverCase
from gtfdeer.commands.bench import Record, race_all

CASES = [SolverCase(3, 50, length, 1, 0.2) for length in (100, 200)]
BASE = Measurement(CASES[0], BASELINE, 1.0, 2.0, 1.0, 1.0, 0.0, 1, 0.5, 1000, None, 1, "CONVERGED", False, 0.0, 0.0)
FASTER = replace(BASE, solver="Shooting", gradient_ratio=4.0, gradient=0.5, estimated=900)
WRONG = replace(BASE, solver="ELK", gradient_ratio=9.0, status="OUT_OF_ITERATIONS", error=float("inf"))


def rows(path):
    return json.loads(path.read_text())["rows"]


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "bench.json", {"command": "gtfdeer bench"})


def test_one_case_leaves_json_and_a_figure(tmp_path, capfd):
    out = tmp_path / "bench.json"
    words = ["bench", "--models", "--only", "VanillaRNN, T 200,", "--turns", "1", "--out", str(out)]
    assert main(words) == 0
    found = json.loads(out.read_text())
    assert [row["solver"] for row in found["rows"]] == [BASELINE, "Auto"]
    assert {(row["model"], row["status"]) for row in found["rows"]} == {("VanillaRNN", "CONVERGED")}
    # rounding of 200 steps in float32, about 1e-7 each, most of it forgotten
    assert max(max(row["error"], row["gradient_error"]) for row in found["rows"]) < 1e-4
    assert found["command"] == f"gtfdeer bench --models --only 'VanillaRNN, T 200,' --turns 1 --out {out}"
    assert {"date", "versions", "devices"} <= found.keys()
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "VanillaRNN, T 200, B 16" in capfd.readouterr().out


def test_solvers_without_room_are_named(record, capfd):
    wide = SolverCase(30, 200, 131_072, 1, 0.2, ("DEER", "Shooting"))
    race_all([wide], lambda case: [replace(BASE, case=case)], record)
    assert "left out, for the memory that they would need: DEER (1," in capfd.readouterr().out
    (missing,) = json.loads(record.path.read_text())["left out"]
    assert (missing["solver"], missing["length"]) == ("DEER", 131_072)


def test_what_was_measured_before_ctrl_c_is_kept(record, capfd):
    def measure(case):
        if case is CASES[1]:
            raise KeyboardInterrupt
        return [BASE, FASTER]

    with pytest.raises(KeyboardInterrupt, match=r"1 of 2 cases are kept in .*bench\.json"):
        race_all(CASES, measure, record)
    assert [row["solver"] for row in rows(record.path)] == [BASELINE, "Shooting"]
    assert record.picture.exists()


def test_cases_add_up_in_one_file(record):
    record.add([BASE, FASTER])
    record.add([replace(BASE, case=CASES[1]), replace(WRONG, case=CASES[1])])
    assert [(row["length"], row["status"]) for row in rows(record.path)] == [
        (100, "CONVERGED"),
        (100, "CONVERGED"),
        (200, "CONVERGED"),
        (200, "OUT_OF_ITERATIONS"),
    ]
    assert rows(record.path)[3]["error"] is None  # JSON has no infinity


def test_stopped_before_anything_was_measured_writes_nothing(record):
    def measure(case):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        race_all(CASES, measure, record)
    assert not record.path.exists()


def test_a_name_that_is_not_json_is_refused(refused, tmp_path):
    sentence = refused("bench", "--out", tmp_path / "speed.png")
    assert "ends in .json" in sentence
    assert "speed.json" in sentence


def test_words_that_no_case_has_are_refused(refused):
    sentence = refused("bench", "--only", "T 7")
    assert "'T 7'" in sentence
    assert "T 8192" in sentence


def test_no_turns_are_refused(refused):
    assert "--turns is 0" in refused("bench", "--turns", 0)
