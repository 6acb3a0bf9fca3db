"""The call for an accelerator, in small, on whatever is here: it stops in time and keeps what it has."""

import json

import pandas as pd

from studies import gpu


def test_without_time_it_still_leaves_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "TESTS", ("--version",))
    gpu.main(["--minutes", "0.01", "--longest", "1000", "--out", str(tmp_path)])
    facts = json.loads((tmp_path / "gpu.json").read_text())
    assert facts["device"]
    assert facts["training"]["window"] == 100
    assert 1 <= facts["training"]["updates"] < 2000
    assert not (tmp_path / "gpu.csv").exists()


def test_the_figure_stands_beside_the_stored_results():
    solved = {"latent_dim": 3, "status": "CONVERGED"}
    rows = [{**solved, "solver": "DEER", "length": T, "gradient": T / 1e6, "gradient_ratio": T / 20} for T in (10, 100)]
    assert gpu.compare_longest(pd.DataFrame(rows)) == {"DEER": 5}
    (ax,) = gpu.draw(pd.DataFrame(rows), "an abacus").axes
    assert len(ax.lines) == 1 + 1
    assert {(run["latent_dim"], run["length"]) for run in gpu.plan(10_000)} == {(3, 10_000), (30, 10_000)}
