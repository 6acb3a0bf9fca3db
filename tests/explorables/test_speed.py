"""SpeedLab: it measures and agrees, stops between two measurements, and alpha never compiles."""

from .waiting import compilations, until


def test_it_measures_and_agrees(speed_lab):
    speed_lab.longest, said = 100, []
    speed_lab._programs.clear()  # as if nobody had measured yet
    speed_lab._status.observe(lambda change: said.append(change.new), names="value")
    speed_lab.measure()
    speed_lab.wait(300)
    assert speed_lab.status == "finished: 3 of 3 measured"
    assert [t.status for t in speed_lab.timings] == ["CONVERGED"] * 3
    assert max(t.error for t in speed_lab.timings) < 1e-4
    compiling, running = (
        next(k for k, words in enumerate(said) if f"{state} 2 of 3: DEER at T 100" in words)
        for state in ("compiling", "running")
    )
    assert compiling < running


def test_alpha_never_compiles(speed_lab, caplog):
    speed_lab.longest, speed_lab.alpha = 100, 0.45

    def measure():
        speed_lab.measure()
        speed_lab.wait(300)

    measure()
    assert compilations(caplog, measure) == 0
    assert "alpha 0.45" in speed_lab.summary


def test_stop_keeps_what_was_measured(speed_lab):
    speed_lab.longest = 1000
    speed_lab.measure()
    assert speed_lab.controls["longest"].disabled
    until(lambda: "running 2 of 6" in speed_lab.status)
    speed_lab.controls["stop"].click()
    assert speed_lab.status.startswith("stopp")  # at once
    speed_lab.wait(120)
    assert speed_lab.status == f"stopped: {len(speed_lab.timings)} of 6 measured"
    assert 1 <= len(speed_lab.timings) < 6
    assert not speed_lab.controls["longest"].disabled
