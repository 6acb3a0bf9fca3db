"""SpeedLab: it measures and agrees, stops between two measurements, and alpha never compiles."""

import pytest

from .waiting import compilations, until


def test_it_measures_and_agrees(speed_lab):
    speed_lab.longest, said = 100, []
    speed_lab._programs.clear()  # as if nobody had measured yet
    speed_lab._status.observe(lambda change: said.append(change.new), names="value")
    speed_lab.run()
    assert speed_lab.status == "finished: 3 of 3 measured"
    assert [t.status for t in speed_lab.timings] == ["CONVERGED"] * 3
    assert max(t.error for t in speed_lab.timings) < 1e-4
    assert speed_lab.speedup("Sequential", 100) == 1
    compiling, running = (
        next(k for k, words in enumerate(said) if f"{state} 2 of 3: DEER at T 100" in words)
        for state in ("compiling", "running")
    )
    assert compiling < running
    with pytest.raises(KeyError, match="not measured"):
        speed_lab.speedup("DEER", 1000)


def test_alpha_never_compiles(speed_lab, caplog):
    speed_lab.longest = 100
    speed_lab.run()
    speed_lab.alpha = 0.45
    assert compilations(caplog, speed_lab.run) == 0
    assert "alpha 0.45" in speed_lab.summary


def test_stop_in_the_background_keeps_what_was_measured(speed_lab):
    speed_lab.longest, speed_lab.where = 1000, "background"
    speed_lab.measure_button.click()
    assert speed_lab.longest_menu.disabled
    until(lambda: "running 2 of 6" in speed_lab.status)
    speed_lab.stop_button.click()
    assert speed_lab.status.startswith("stopp")  # at once
    speed_lab.wait(120)
    assert speed_lab.status == f"stopped: {len(speed_lab.timings)} of 6 measured"
    assert 1 <= len(speed_lab.timings) < 6
    assert not speed_lab.longest_menu.disabled
    speed_lab.longest = 100
    speed_lab.run()  # here and now, whatever the menu says
    assert len(speed_lab.timings) == 3


def test_start_while_it_measures_says_so_and_run_takes_over(speed_lab):
    speed_lab.longest, speed_lab.where = 1000, "background"
    said = []
    speed_lab._status.observe(lambda change: said.append(change.new), names="value")
    speed_lab.start()
    speed_lab.start()
    speed_lab.wait(120)
    assert any("already running" in words for words in said)
    speed_lab.longest = 100
    speed_lab.start()
    speed_lab.run()
    assert speed_lab.status == "finished: 3 of 3 measured"
