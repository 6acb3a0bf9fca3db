"""A tiny chaos study, end to end: forcing repairs Newton's method, and two studies give one table."""

from dataclasses import replace

import pytest

from studies import chaos, conduct


def plan(full, seed):
    systems = ("Lorenz-63", chaos.UNTRAINED)
    return [chaos.Run(seed, system, 0, 300, alpha, "teacher") for system in systems for alpha in (0.0, 0.3)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    study = replace(chaos.STUDY, plan=plan)
    return [conduct(study, tmp_path_factory.mktemp("chaos"), seeds=1, progress=False) for _ in range(2)]


def test_forcing_makes_the_map_contract_and_newton_converge(found):
    free, forced = (row for row in found[0].rows if row["system"] == "Lorenz-63")
    assert free["exponent"] > 0 > forced["exponent"]
    assert forced["status"] == "CONVERGED"
    assert forced["iterations"] <= 6
    assert forced["error"] < 1e-4
    assert forced["exponent"] <= forced["norms"]
    assert 0 < forced["average"] < forced["geometric"] < forced["supremum"] < 0.3
    assert forced["parameter"] is None


def test_the_bound_from_parameters_is_the_loosest(found):
    network = found[0].rows[-1]
    assert network["system"] == chaos.UNTRAINED
    assert network["supremum"] < network["parameter"] < 1


def test_the_same_seed_gives_the_same_table_and_caption(found):
    first, second = found
    assert first.files[0].read_bytes() == second.files[0].read_bytes()
    assert first.caption == second.caption


def test_the_caption_tells_the_edge_that_the_table_shows():
    def row(alpha, status, exponent):
        solve = {"seed": 0, "system": "Rossler", "steps": 100, "alpha": alpha, "guess": "teacher"}
        bounds = {"average": 0.01, "geometric": 0.02, "supremum": 0.3, "parameter": None}
        return {**solve, "status": status, "iterations": 4, "exponent": exponent, **bounds}

    rows = [row(0.0, "NONFINITE", 1.0), row(0.1, "NONFINITE", -1.0), row(0.2, "CONVERGED", -2.0)]
    rows += [{**each, "guess": "zeros", "status": "NONFINITE"} for each in rows]
    told = chaos.caption(rows)
    assert "Rossler: from alpha 0.2 (teacher), nowhere (zeros), contracts from alpha 0.1; 0.01 / 0.02 / 0.3." in told
    assert (
        "fails on chaotic systems (100% at T = 100 of the solves); with enough of it, it converges on 1 of 1 maps"
        in told
    )
    assert "overflow and" not in told
    escaped = [{**each, "exponent": None} if each["alpha"] == 0 else each for each in rows]
    assert "1 of 3 orbits themselves overflow and do not count" in chaos.caption(escaped)
