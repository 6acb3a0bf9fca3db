"""Tiny versions of the studies that train and of the one that times: they run, and say what their table shows."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from gtfdeer.models import parameter_count
from studies import conduct, directions, linear_vs_nonlinear, long_sequences, models, speed
from studies.linear_vs_nonlinear import EXACT
from studies.training import ONE_LAYER, build

FAMILIES = {
    *("ShallowPLRNN", "ClippedShallowPLRNN", "AlmostLinearRNN", "VanillaRNN", "GRU", "LSTM"),
    *("LRU", "S5", "Mamba"),
}


def tiny(module, plan, folder):
    return conduct(replace(module.STUDY, plan=plan), folder, seeds=1, progress=False)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    def plan(full, seed):
        size = (300, 2000, 20, 4, 1e-2, 0.02, 0, 3)
        return [linear_vs_nonlinear.Run(seed, "Lorenz-63", kind, *size) for kind in (EXACT, ONE_LAYER)]

    return tiny(linear_vs_nonlinear, plan, tmp_path_factory.mktemp("families"))


def test_the_map_of_lorenz_63_moves_with_rank_two(families):
    exact = families.rows[0]
    assert exact["share_1"] > exact["share_2"] > 0.1 > 0.01 > exact["share_3"]
    shares = [exact[f"share_{k}"] for k in range(1, 9)]
    assert np.sum(np.square(shares)) == pytest.approx(1, abs=1e-4)
    assert 0.5 < exact["exponent"] < 1.3
    assert "truth 2, LRU, one layer" in families.caption


def family(seed, model, score, *, moves=True, last_share=0.0):
    """A row of a table, whose Jacobian moves in three directions, the third a little."""
    shares = dict.fromkeys(directions.SHARES, 0.0)
    known = {**shares, "share_1": 0.8, "share_2": 0.6 - last_share, "share_3": (0.36 - (0.6 - last_share) ** 2) ** 0.5}
    common = {"seed": seed, "system": "Lorenz-63", "model": model, "parameters": 9, "window": 9, "alpha": 0.1}
    found = {"seconds": 1.0, "D_stsp": score, "D_H": 0.1, "exponent": 1.0, "movement": 1.0 if moves else None}
    return {**common, **found, **(known if moves else dict.fromkeys(known))}


def test_directions_are_counted_run_by_run_and_lost_runs_do_not_count():
    rows = [
        *(family(seed, EXACT, 0.1) for seed in range(3)),
        *(family(seed, "GRU", 0.3, last_share=0.3 * (seed == 0)) for seed in range(3)),
        family(0, "LRU", 0.2, last_share=0.3),
        family(1, "LRU", 2e7),
        family(2, "LRU", 15.0, moves=False),
    ]
    told = linear_vs_nonlinear.caption(rows)
    assert "truth 2, GRU 2, LRU 3;" in told
    assert "GRU 0 of 3, LRU 2 of 3" in told
    assert "nonlinear family comes nearer to the attractor than the best linear one on 1 of 1 systems" in told


def test_nobody_has_learned_what_a_run_at_rest_does_as_well():
    rows = [family(0, EXACT, 5.0), family(0, "GRU", 8.0), family(0, "LRU", 8.0, moves=False)]
    assert "none is better than a run at rest on Lorenz-63" in linear_vs_nonlinear.caption(rows)


def test_one_linear_layer_moves_in_twice_as_many_directions_as_columns_and_a_stack_in_more():
    def shares(kind):
        model = build(kind, 300, 3, seed=0)
        states = jax.random.normal(jax.random.key(0), (40, model.latent_dim))
        return np.asarray(jax.jit(partial(directions.movement, model.step))(states)[1])

    one, stack = shares(ONE_LAYER), shares("LRU")
    assert one[5] > 1e-4 > 1e-5 > one[6:].max()  # 2 N = 6; beyond it, rounding of float32
    assert stack[6] > 1e-3


@pytest.mark.parametrize("kind", ["clipped + 3 units", "AL-RNN", "Mamba"])
def test_models_are_of_equal_size(kind):
    model = build(kind, 800, 3, seed=0)
    assert parameter_count(model) == pytest.approx(800, rel=0.2)  # one channel of Mamba more or less
    assert model.observed_dim == 3


def long_plan(full, seed):
    common = ("Lorenz-63", 0.01, "3 free units", "clipped", "annealed to 0.02", 20, 2, 3, 1e-2, 0, 60, 2000)
    return [long_sequences.Run(seed, *common)]


def test_a_study_that_trains_gives_the_same_table_again(tmp_path):
    tables = [tiny(long_sequences, long_plan, tmp_path / name) for name in ("once", "again")]
    assert tables[0].files[0].read_bytes() == tables[1].files[0].read_bytes()
    assert 0 < tables[0].rows[0]["floor_low_frequency"] < 0.5


@pytest.mark.parametrize("full", [False, True])
def test_long_and_short_sequences_see_as_many_steps(full):
    runs = long_sequences.plan(full, 0)
    assert len({run.window * run.batch * run.updates for run in runs}) == 1
    assert {run.system for run in runs} >= {"bursting neuron", "Lorenz-63"}
    assert all(run.forcing in long_sequences.FORCINGS for run in runs)


def test_a_family_leaves_scores_and_a_picture_and_is_probed_by_parallel_solvers(tmp_path):
    def plan(full, seed):
        return [models.Run(seed, model, 1e-2, 0, 3, 2500) for model in ("truth", "ClippedShallowPLRNN")]

    found = tiny(models, plan, tmp_path)
    network = found.rows[1]
    assert network["parameters"] > 100
    assert network["picture"] is None or (tmp_path / network["picture"]).read_bytes().startswith(b"\x89PNG")
    assert network["newton_failed"] < 1 <= network["newton"]
    assert network["sweeps_failed"] < 1 <= network["sweeps"]
    assert network["newton_failed_start"] == network["newton_failed_middle"] == 0
    assert network["newton_start"] == 1 <= network["newton_middle"]  # alpha is 1 at first: the teacher is the answer


@pytest.mark.parametrize("full", [False, True])
def test_the_study_of_families_plans_all_of_them(full):
    kinds = {run.model for run in models.plan(full, 0)}
    assert kinds == {models.EXACT, *FAMILIES}


def test_a_linear_setting_is_chosen_by_the_training_data_not_by_the_test():
    def row(rate, train, test):
        return {"seed": 0, "model": "S5", "learning_rate": rate, "width": 32, "train_misfit": train, "D_stsp": test}

    rows = [row(1e-2, 2.0, 0.1), row(1e-3, 1.0, 5.0), row(3e-3, None, 0.01)]
    (chosen,) = models.best(rows)
    assert chosen == [rows[1]]


def test_parallel_programs_give_the_gradient_of_the_scan():
    rows = speed.measure(speed.Run(0, 3, 8, 128))
    assert [row["program"] for row in rows] == [*speed.ROLES]
    assert all(row["gradient_error"] < 1e-4 for row in rows if row["gradient_error"] is not None)
    assert all(row["seconds"] > 0 for row in rows)


def test_the_caption_finds_the_crossover_in_the_table():
    def row(program, steps, seconds):
        ratio = steps / 1000 / seconds
        common = {"seed": 0, "latent_dim": 3, "device": "a test", "gradient_error": None}
        return {**common, "program": program, "steps": steps, "seconds": seconds, "ratio": ratio}

    rows = [row(speed.BASELINE, steps, steps / 1000) for steps in (100, 1000, 10_000)]
    rows += [row(name, steps, 0.5) for name in ("DEER", "Shooting", speed.SHORT) for steps in (100, 1000, 10_000)]
    rows[0]["gradient_error"] = 0.0
    told = speed.caption(rows)
    assert "DEER faster from T = 1,000, x 20 at T = 10,000" in told
    assert "power lax.scan 1.00, DEER 0.00" in told
