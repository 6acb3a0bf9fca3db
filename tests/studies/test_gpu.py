"""The call for an accelerator, in small, on whatever is here: it stops in time and keeps what it has."""

import json

from studies import gpu


def test_without_time_it_still_leaves_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "TESTS", ("--version",))
    gpu.main(["--minutes", "0.01", "--longest", "1000", "--out", str(tmp_path)])
    facts = json.loads((tmp_path / "gpu.json").read_text())
    assert facts["device"]
    assert facts["training"]["window"] == 100
    assert 1 <= facts["training"]["updates"] < 2000
    assert not (tmp_path / "gpu.csv").exists()
