"""The runner: whole runs in the table, whatever stops it; the same table whether stopped or not; refusals."""

import csv
import json
import math
from dataclasses import dataclass, replace

import pytest

from gtfdeer import plots
from studies import NAMES, Study, conduct, find
from studies.conduct import read_rows
from studies.side_by_side import made
from studies.table import Table


@dataclass(frozen=True)
class Toss:
    seed: int
    height: float


class Fall:
    """A study that is computed at once, and that can be stopped in the middle of a run."""

    def __init__(self):
        self.made, self.stop_at = [], None

    def measure(self, run):
        if len(self.made) == self.stop_at:
            raise KeyboardInterrupt
        self.made.append(run)
        return [{"bounce": n, "speed": (run.height / 3) ** n + run.seed, "note": None} for n in (1, 2)]

    def study(self):
        return Study(
            name="fall",
            question="how fast?",
            plan=lambda full, seed: [Toss(seed, h) for h in ((0.1, 2.0, 30.0) if full else (0.1, 2.0))],
            measure=self.measure,
            draw=lambda rows: plots.figure(4, 3),
            caption=lambda rows: f"{len(rows)} bounces, the fastest {max(row['speed'] for row in rows):g}",
        )


@pytest.fixture
def fall():
    return Fall()


def quietly(fall, folder, **keywords):
    return conduct(fall.study(), folder, progress=False, **keywords)


def lines(folder):
    return list(csv.DictReader((folder / "fall.csv").open()))


def test_leaves_table_record_and_figure(fall, tmp_path):
    found = quietly(fall, tmp_path / "new" / "folder", facts={"command": "gtfdeer study fall"})
    table, record, picture = found.files
    assert [row["seed"] for row in found.rows] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert lines(table.parent)[1] == {"seed": "0", "height": "0.1", "bounce": "2", "speed": "0.00111111", "note": ""}
    told = json.loads(record.read_text())
    assert told["setting"] == "quick"
    assert told["seeds"] == 2
    assert told["caption"] == found.caption == "8 bounces, the fastest 1.66667"
    assert [made["command"] for made in told["worked on"]] == ["gtfdeer study fall"]
    assert picture.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize("stop_at", range(4))
def test_a_stopped_study_goes_on_to_the_same_table(tmp_path, stop_at):
    whole = quietly(Fall(), tmp_path / "whole").files[0].read_bytes()
    stopped = Fall()
    stopped.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt, match=f"{stop_at} of 4 runs are kept"):
        quietly(stopped, tmp_path / "stopped")
    assert len(stopped.made) == stop_at
    again = Fall()
    assert quietly(again, tmp_path / "stopped").files[0].read_bytes() == whole
    assert len(again.made) == 4 - stop_at
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == ["fall.csv", "fall.json", "fall.png"]


def test_a_fault_in_a_run_keeps_the_runs_before_it(fall, tmp_path):
    measure = fall.measure

    def faulty(run):
        if fall.made:
            raise ZeroDivisionError
        return measure(run)

    fall.measure = faulty
    with pytest.raises(ZeroDivisionError):
        quietly(fall, tmp_path)
    assert [row["height"] for row in lines(tmp_path)] == ["0.1", "0.1"]
    assert quietly(Fall(), tmp_path).rows == quietly(Fall(), tmp_path / "whole").rows


def test_more_seeds_go_on_from_fewer(fall, tmp_path):
    quietly(fall, tmp_path, seeds=1)
    assert len(fall.made) == 2
    rows = quietly(fall, tmp_path, seeds=3).rows
    assert [run.seed for run in fall.made] == [0, 0, 1, 1, 2, 2]
    assert rows == quietly(Fall(), tmp_path / "whole", seeds=3).rows


def test_a_finished_study_is_not_made_again(fall, tmp_path):
    before = quietly(fall, tmp_path)
    written = (tmp_path / "fall.json").read_text()
    assert quietly(fall, tmp_path) == before
    assert written.count('"table"') == (tmp_path / "fall.json").read_text().count('"table"') == 1
    assert len(fall.made) == 4


def test_results_of_another_setting_are_not_mixed(fall, tmp_path):
    quietly(fall, tmp_path)
    kept = (tmp_path / "fall.csv").read_bytes()
    with pytest.raises(ValueError, match="holds results of the quick setting, not of the full one; pass another"):
        quietly(fall, tmp_path, full=True)
    with pytest.raises(ValueError, match="holds 4 rows of other runs than these 2"):
        quietly(fall, tmp_path, seeds=1)
    assert (tmp_path / "fall.csv").read_bytes() == kept


def test_a_table_of_unknown_origin_is_refused(fall, tmp_path):
    (tmp_path / "fall.csv").write_text("seed,height,speed\n0,0.1,3\n")
    with pytest.raises(ValueError, match=r"has no fall\.json beside it"):
        quietly(fall, tmp_path)


@pytest.mark.parametrize(("text", "fault"), [("{", "is damaged"), ("[]", "is not the record of the study 'fall'")])
def test_a_record_that_is_none_is_refused(fall, tmp_path, text, fault):
    (tmp_path / "fall.json").write_text(text)
    with pytest.raises(ValueError, match=fault):
        quietly(fall, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fall.json"]


def test_what_a_killed_writer_left_is_removed(fall, tmp_path):
    (tmp_path / ".fall.csv.99999999-0123abcd").write_text("half a tab")
    quietly(fall, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fall.csv", "fall.json", "fall.png"]


def test_runs_that_end_in_another_order_give_the_same_table(fall, tmp_path):
    quietly(fall, tmp_path)
    table, before = Table(tmp_path / "fall.csv"), (tmp_path / "fall.csv").read_bytes()
    runs = [run for seed in range(2) for run in fall.study().plan(False, seed)]
    backwards = Table(tmp_path / "other.csv")
    for run in reversed(runs):
        backwards.add(run, fall.measure(run))
    assert backwards.rows != table.rows
    backwards.sort(runs)
    assert (tmp_path / "other.csv").read_bytes() == before


def test_two_processes_find_what_one_finds():
    runs = [-2, 3, -5]
    assert sorted(made(abs, runs, jobs=2)) == sorted(made(abs, runs, jobs=1)) == [(-5, 5), (-2, 2), (3, 3)]


def test_a_fault_in_another_process_is_seen():
    with pytest.raises(ValueError, match="invalid literal"):
        list(made(int, ["4", "four"], jobs=2))


def test_older_rows_lack_what_is_measured_since(tmp_path):
    table = Table(tmp_path / "fall.csv")
    table.add(Toss(0, 1.0), [{"speed": 2.0}])
    table.add(Toss(1, 1.0), [{"speed": 3.0, "spin": 4.0}])
    assert [row["spin"] for row in Table(tmp_path / "fall.csv").rows] == [None, 4.0]


def test_a_study_that_times_does_not_share_the_machine(fall, tmp_path):
    with pytest.raises(ValueError, match="jobs is 2; fall times programs, which must not share the machine; pass 1"):
        conduct(replace(fall.study(), alone=True), tmp_path, jobs=2)
    with pytest.raises(ValueError, match="jobs is 0; pass 1 or more"):
        quietly(fall, tmp_path, jobs=0)


def test_no_seeds_are_refused(fall, tmp_path):
    with pytest.raises(ValueError, match="seeds is 0; pass how many"):
        quietly(fall, tmp_path, seeds=0)


def test_every_study_plans_runs_that_can_be_told_apart():
    for name in NAMES:
        study = find(name)
        assert study.name == name
        for full in (False, True):
            runs = [run for seed in range(2) for run in study.plan(full, seed)]
            assert len(set(runs)) == len(runs) > 3
            assert {run.seed for run in runs} == {0, 1}
        assert len(study.plan(True, 0)) > len(study.plan(False, 0))


def test_what_a_clock_measured_stands_beside_the_table(fall, tmp_path):
    study = replace(fall.study(), clock=("speed",))
    found = conduct(study, tmp_path, progress=False)
    assert found.rows == quietly(Fall(), tmp_path / "all").rows
    assert Table(tmp_path / "fall.csv").columns == ("seed", "height", "bounce", "note")
    assert read_rows(study, tmp_path) == found.rows
    lines = (tmp_path / "fall.csv").read_text().splitlines(keepends=True)
    (tmp_path / "fall.csv").write_text("".join(lines[:-2]))
    assert conduct(study, tmp_path, progress=False).rows == found.rows  # killed after the times, before the table


def test_the_record_holds_the_table_and_where_it_was_made(fall, tmp_path):
    facts = {"versions": {"jax": "1"}, "device": "an abacus"}
    found = conduct(fall.study(), tmp_path, facts=facts, progress=False)
    record = json.loads((tmp_path / "fall.json").read_text())
    assert {name: record[name] for name in facts} == facts
    assert record["seeds"] == 2
    rows = zip(*record["table"].values(), strict=True)
    assert [dict(zip(record["table"], row, strict=True)) for row in rows] == found.rows


def test_infinities_in_the_record_are_words(tmp_path):
    study = replace(Fall().study(), measure=lambda toss: [{"speed": math.inf}])
    conduct(study, tmp_path, progress=False)
    record = json.loads((tmp_path / "fall.json").read_text(), parse_constant=pytest.fail)
    assert record["table"]["speed"][0] == "inf"
