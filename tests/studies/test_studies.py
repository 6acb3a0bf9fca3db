"""Tiny versions of the studies: they run, and what they measure is so."""

import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx

import gtfdeer as gd
from studies import bench, chaos, gpu, linear_vs_nonlinear, long_sequences, models, peers, speed
from studies.__main__ import main
from studies.common import EXACT, SHARES, build, jacobian_movement
from studies.sweep import sweep

ROOT = Path(__file__).parents[2]


def plan_all(study, full):
    return [run for seed in range(2) for run in study.plan(full, seed)]


@pytest.mark.parametrize("study", [bench, chaos, linear_vs_nonlinear, long_sequences, models, speed])
def test_plans_tell_runs_apart_and_the_full_one_is_larger(study):
    for full in (False, True):
        runs = plan_all(study, full)
        assert len({tuple(run.values()) for run in runs}) == len(runs) > 3
        assert {run["seed"] for run in runs} == {0, 1}
    assert len(plan_all(study, True)) > len(plan_all(study, False))


@pytest.mark.parametrize("name", ["chaos", "linear-vs-nonlinear", "long-sequences", "models", "speed"])
def test_what_is_stored_is_a_finished_full_study(name, tmp_path, monkeypatch):
    study = __import__(f"studies.{name.replace('-', '_')}", fromlist=["plan"])
    monkeypatch.setattr(study, "measure", pytest.fail)  # nothing is run again
    stored = ROOT / "studies/results" / name
    (tmp_path / f"{name}.csv").write_bytes((stored / f"{name}.csv").read_bytes())
    seeds = json.loads((stored / f"{name}.json").read_text())["seeds"]
    main([name, "--full", "--seeds", str(seeds), "--out", str(tmp_path)])
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


SHORT = {"seed": 0, "system": "Lorenz-63", "updates": 0, "steps": 300, "guess": "teacher"}


def test_the_way_in_leaves_table_figure_and_provenance(tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "plan", lambda full, seed: [{**SHORT, "alpha": alpha} for alpha in (0.0, 0.3)])
    main(["chaos", "--seeds", "1", "--out", str(tmp_path)])
    table, facts = pd.read_csv(tmp_path / "chaos.csv"), json.loads((tmp_path / "chaos.json").read_text())
    assert table.status.tolist()[1] == "CONVERGED"
    assert facts["command"].startswith("python -m studies chaos --seeds 1")
    assert facts["versions"]["jax"] == jax.__version__
    assert (tmp_path / "chaos.png").read_bytes().startswith(b"\x89PNG")


# --- chaos ---


def test_forcing_makes_the_map_contract_newton_converge_and_the_bound_from_parameters_is_the_loosest():
    free, forced = (chaos.measure(**SHORT, alpha=alpha) for alpha in (0.0, 0.3))
    assert free["exponent"] > 0 > forced["exponent"]
    assert forced["status"] == "CONVERGED"
    assert forced["iterations"] <= 6
    assert forced["error"] < 1e-4
    assert forced["exponent"] <= forced["norms"]
    assert 0 < forced["average"] < forced["geometric"] < forced["supremum"] < 0.3
    network = chaos.measure(**SHORT | {"system": chaos.UNTRAINED, "guess": "zeros"}, alpha=0.3)
    assert network["supremum"] < network["parameter"] < 1


# --- studies that train ---


def test_the_map_of_lorenz_63_moves_with_rank_two():
    sizes = {"parameters": 300, "length": 2000, "window": 20, "batch": 4, "learning_rate": 1e-2, "alpha": 0.02}
    run = {"seed": 0, "system": "Lorenz-63", "model": EXACT, **sizes, "validations": 0, "updates": 3}
    (exact,) = sweep(linear_vs_nonlinear.measure, [run], progress=False).itertuples()
    assert exact.share_1 > exact.share_2 > 0.1 > 0.01 > exact.share_3
    assert sum(getattr(exact, share) ** 2 for share in SHARES) == pytest.approx(1, abs=1e-4)
    assert 0.5 < exact.exponent < 1.3


def test_one_linear_layer_moves_in_twice_as_many_directions_as_columns_and_a_stack_in_more():
    def shares(family):
        model = build(family, 300, 3, seed=0)
        states = jax.random.normal(jax.random.key(0), (40, model.latent_dim))
        return np.asarray(jax.jit(partial(jacobian_movement, model.step))(states)[1])

    one, stack = shares("LRU, one layer"), shares("LRU")
    assert one[5] > 1e-4 > 1e-5 > one[6:].max()  # 2 N = 6; beyond it, rounding of float32
    assert stack[6] > 1e-3


def test_long_and_short_sequences_see_as_many_steps_and_are_measured():
    for full in (False, True):
        runs = pd.DataFrame(long_sequences.plan(full, 0))
        steps, longest = runs.window * runs.batch, runs.window.groupby(runs.setting).transform("max")
        total = long_sequences.STEPS if full else longest
        assert ((total - runs.window < steps) & (steps <= total)).all()  # as many whole windows as fit
        assert (runs.updates.groupby(runs.setting).nunique() == 1).all()
    sizes = {"window": 20, "batch": 2, "updates": 3, "polish": 0, "learning_rate": 1e-2, "validations": 0}
    sizes |= {"parameters": 60}
    run = {"seed": 0, "system": "Lorenz-63", "dt": 0.01, "setting": "3 free units", **sizes, "length": 2000}
    assert 0 < long_sequences.measure(**run)["floor_low_frequency"] < 0.5


def test_a_family_is_scored_and_probed_by_parallel_solvers():
    network = models.measure(0, "ClippedShallowPLRNN", 1e-2, 0, 3, 2500)
    assert network["parameters"] == 356
    assert network["newton_failed"] < 1 <= network["newton"]
    assert network["sweeps_failed"] < 1 <= network["sweeps"]
    assert set(models.measure(0, EXACT, 0.0, 0, 0, 2500)) == set(network)


def test_a_linear_setting_is_chosen_by_the_training_data_not_by_the_test():
    names = "seed", "model", "learning_rate", "width", "train_misfit", "D_stsp"
    rows = [(0, "S5", 1e-2, 32, 2.0, 0.1), (0, "S5", 1e-3, 32, 1.0, 5.0), (0, "S5", 3e-3, 32, None, 0.01)]
    assert models.choose_settings(pd.DataFrame(rows, columns=names)).D_stsp.tolist() == [5.0]


# --- benchmarks ---


def test_parallel_programs_give_the_gradient_of_the_scan():
    table = pd.DataFrame([{"latent_dim": 3, "steps": 128, **row} for row in speed.measure(0, 3, 4, 128)])
    assert table.program.tolist() == list(speed.ROLES)
    assert table.gradient_error.max() < 1e-4
    assert (table.seconds > 0).all()
    assert speed.draw(table).axes


SMALL = {
    "fed the data": (gd.models.LRU, {"latent_dim": 2, "width": 4, "depth": 1, "observed_dim": 3}, 1.0, "Sequential"),
    "by the book": (gd.models.ClippedShallowPLRNN, {"latent_dim": 2, "hidden_dim": 4}, 0.2, bench.TEXTBOOK),
}


@pytest.mark.parametrize(("kind", "sizes", "alpha", "solver"), SMALL.values(), ids=SMALL)
def test_a_model_and_its_baseline_compute_the_same(kind, sizes, alpha, solver):
    model = kind(**sizes, rngs=nnx.Rngs(0))
    arguments = nnx.split(model)[1], bench.sequences(12, 2, model.observed_dim)
    names = bench.BASELINE, solver
    losses = {name: bench.build_loss(model, alpha, name) for name in names}
    rows = bench.time_losses(losses, dict.fromkeys(names, arguments), repeats=1)
    assert [row["status"] for row in rows] == ["CONVERGED"] * 2
    assert rows[1]["error"] < 1e-5  # rounding of 12 steps in float32: about 1e-7 each
    assert rows[1]["gradient_error"] < 1e-4
    table = pd.DataFrame([{**bench.plan(False, 0)[0], **row} for row in rows])
    assert bench.draw(table).axes
    assert " ± " in bench.tabulate(table)


# --- peers, and the call for an accelerator ---


def test_forecast_and_exponent_of_a_known_map():
    """The doubling of a distance every step; an orbit of the logistic map."""
    logistic = peers.Peer(lambda rows: rows[:, -1], lambda z: 4 * z * (1 - z), lambda z: 4 * z * (1 - z), 0)
    assert peers.largest_exponent(logistic, np.array([[[0.3]]]), dt=0.5) == pytest.approx(2 * np.log(2), rel=0.03)
    found = peers.run_freely(logistic, np.array([[[0.3]], [[0.5]]]), 3)
    np.testing.assert_allclose(found[1, :, 0], [1, 0, 0])
    explosion = peers.Peer(logistic.warm, lambda z: 10 * z, lambda z: 10 * z, 0)
    run = peers.run_freely(explosion, np.ones((1, 1, 1)), 400)
    assert np.isfinite(run[0, 2])
    assert np.isnan(run[0, -1])


def test_the_call_for_an_accelerator_measures_its_precision():
    assert max(gpu.measure_precision().values()) < 1e-4  # float32 here; TF32 has 1e-3
