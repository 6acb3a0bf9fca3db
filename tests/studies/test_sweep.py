"""`sweep`: whole runs in the table, whatever stops it; the same table stopped or not, in one process or two."""

import joblib
import pandas as pd
import pytest

from studies.sweep import grid, sweep

RUNS = grid(seed=range(2), height=[0.1, 2.0])
made, stop_at = [], [None]


def fall(seed, height):
    return [{"bounce": n, "speed": (height / 3) ** n + seed, "note": None} for n in (1, 2)]


def counted(seed, height):
    if len(made) == stop_at[0]:
        raise KeyboardInterrupt
    made.append((seed, height))
    return fall(seed, height)


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()
    stop_at[0] = None


def run(path, runs=RUNS, **keywords):
    return sweep(counted, runs, path, progress=False, **keywords)


@pytest.mark.parametrize("runs_before", range(4))
def test_a_stopped_sweep_goes_on_to_the_same_table(tmp_path, runs_before):
    run(tmp_path / "whole.csv")
    made.clear()
    stop_at[0] = runs_before
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped.csv")
    stop_at[0] = None
    run(tmp_path / "stopped.csv")
    assert len(made) == len(RUNS)  # none twice
    assert (tmp_path / "stopped.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_more_seeds_and_settings_go_on_from_fewer(tmp_path):
    run(tmp_path / "table.csv", RUNS[2:])
    more = grid(seed=range(3), height=[0.1, 2.0, 30.0])
    table = run(tmp_path / "table.csv", more)
    assert len(made) == len(more)
    pd.testing.assert_frame_equal(table, run(tmp_path / "whole.csv", more))
    assert len(run(tmp_path / "table.csv", RUNS[:1])) == 2  # rows of other runs stay in the file


def test_two_processes_give_the_same_table(tmp_path):
    run(tmp_path / "here.csv")
    with joblib.parallel_config(backend="loky", n_jobs=2):
        sweep(fall, RUNS, tmp_path / "there.csv", progress=False)
    there = pd.read_csv(tmp_path / "there.csv").sort_values(["seed", "height"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(there, pd.read_csv(tmp_path / "here.csv"))


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    with pytest.raises(ValueError, match="2 runs came, 1 of them different"):
        run(None, [RUNS[0], RUNS[0]])
    with pytest.raises(ValueError, match="0 runs came"):
        run(None, [])
    (tmp_path / "other.csv").write_text("seed,speed\n0,3\n")
    with pytest.raises(ValueError, match=r"has no columns \['height'\]"):
        run(tmp_path / "other.csv")
