"""What a race reports: the ratio's direction, the status, the error; who is let in; and that the tasks are the same."""

import json
import math
from dataclasses import asdict, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gtfdeer import Status, models
from gtfdeer.solvers import Sequential
from studies.benchmarks import BASELINE, SolverCase, compare, model_cases, solver_cases, table
from studies.benchmarks.models import MODELS
from studies.benchmarks.race import Case, Outcome, Race
from studies.benchmarks.solvers import SOLVERS, candidates, room
from studies.benchmarks.task import apart, sequences, step_by_step, taught

MEGABYTE, GIGABYTE = 2**20, 2**30


class ByHand(Case):
    """Programs whose answers are known: the loss is the sum of a times x."""

    def race(self):
        programs = {
            "right": partial(self._program, 1.0, Status.CONVERGED),
            "ten percent off": partial(self._program, 1.1, Status.CONVERGED),
            "gave up": partial(self._program, 1.0, Status.OUT_OF_ITERATIONS),
            "blew up, says nothing": partial(self._program, jnp.inf, Status.CONVERGED),
        }
        return Race(programs, jnp.array([2.0]), jnp.ones((1, 3, 1)), {"gave up": 7})

    def as_row(self):
        return {"task": "by hand"}

    def __str__(self):
        return "by hand"

    @staticmethod
    def _program(factor, code, a, x):
        predicted = factor * a * x
        return jnp.sum(predicted), Outcome(predicted, jnp.asarray(3), jnp.asarray(int(code)), jnp.asarray(False))


@pytest.fixture(scope="module")
def by_hand():
    return {row.solver: row for row in compare(ByHand(), turns=2)}


def test_a_program_is_as_fast_as_itself(by_hand):
    row = by_hand["right"]
    assert (row.value_ratio, row.gradient_ratio, row.ratio_spread) == (1, 1, 0)
    assert (row.error, row.gradient_error) == (0, 0)
    assert row.turns == 2


def test_errors_are_relative_to_the_baseline(by_hand):
    row = by_hand["ten percent off"]
    assert row.error == pytest.approx(0.1, rel=1e-5)  # float32
    assert row.gradient_error == pytest.approx(0.1, rel=1e-5)


def test_how_a_solve_ended_is_said(by_hand):
    assert by_hand["gave up"].status == "OUT_OF_ITERATIONS"
    assert by_hand["blew up, says nothing"].status == "NONFINITE"
    assert [name for name, row in by_hand.items() if not row.converged] == ["gave up", "blew up, says nothing"]
    lines = {line[:15].strip(): line for line in table(list(by_hand.values())).splitlines()}
    assert lines["right"].endswith("  converged")
    assert lines["gave up"].endswith("  out of iterations")


def test_a_rescue_step_by_step_is_said(by_hand):
    rescued = replace(by_hand["right"], fallback=True)
    assert table([rescued]).endswith("  converged, step by step")
    assert rescued.as_row()["fallback"] is True


def test_rows_are_json_whatever_was_found(by_hand):
    text = json.dumps([row.as_row() for row in by_hand.values()], allow_nan=False)
    right, _, gave_up, blew_up = json.loads(text)
    assert right["task"] == "by hand"
    assert (right["estimated"], gave_up["estimated"]) == (None, 7)
    assert (gave_up["status"], blew_up["error"]) == ("OUT_OF_ITERATIONS", None)


def test_the_table_shows_the_estimate_beside_the_memory_of_xla(by_hand):
    row = replace(by_hand["right"], temporary=40 * MEGABYTE, estimated=50 * MEGABYTE)
    head, line = table([row]).splitlines()[1:]
    assert head.index("memory") < head.index("estimate")
    assert line.index("40MB") < line.index("50MB")


def test_fewer_turns_than_one_are_refused():
    with pytest.raises(ValueError, match="turns is 0"):
        compare(ByHand(), turns=0)


def test_a_solver_that_needs_more_than_the_room_is_left_out():
    case = SolverCase(30, 200, 131_072, 1, 0.2)
    assert "DEER" not in candidates(case, room("cpu", 64 * GIGABYTE))
    assert "Shooting" in candidates(case, room("cpu", 64 * GIGABYTE))
    assert list(candidates(case, room("gpu", 80 * GIGABYTE))) == list(SOLVERS)
    assert candidates(case, room("cpu", MEGABYTE)) == {}
    assert room("gpu", None) == math.inf


def test_a_gpu_races_deer_over_a_million_steps_up_to_30_units():
    longest = [case for case in solver_cases(full=True, platform="gpu") if case.length == 1_000_000]
    assert [case.latent_dim for case in longest] == [3, 10, 30]
    assert all(list(candidates(case, room("gpu", 80 * GIGABYTE))) == ["Auto", "Shooting", "DEER"] for case in longest)


def test_the_full_grid_has_the_rows_that_results_are_quoted_for():
    cases = solver_cases(full=True, platform="cpu")
    rows = {tuple(list(asdict(case).values())[:5]) for case in cases}
    assert len(rows) == len(cases)
    quoted = {(3, 50, 131_072, 1), (30, 200, 131_072, 1), (3, 50, 8192, 16), (30, 200, 8192, 16), (3, 50, 200, 16)}
    newton = {(3, 50, 16_384, 1), (10, 100, 16_384, 1)}
    turning = {(3, 50, 1024, 1), (3, 50, 2049, 1), (3, 50, 513, 16)}
    assert {(*size, 0.2) for size in quoted | newton | turning | {(3, 50, 1_000_000, 1)}} <= rows
    assert (3, 50, 8192, 16, 0.05) in rows
    assert set(solver_cases(full=False, platform="cpu")) <= set(cases)


def test_every_model_is_raced():
    concrete = {name for name in models.__all__ if name in MODELS}
    families = {
        name
        for name, kind in vars(models).items()
        if isinstance(kind, type) and issubclass(kind, models.Model) and not kind.__abstractmethods__
    }
    assert {case.model for case in model_cases()} == concrete == families


SMALL = {
    "partly forced": lambda **keywords: models.VanillaRNN(latent_dim=4, **keywords),
    "fed the data": lambda **keywords: models.LRU(latent_dim=2, width=4, depth=1, **keywords),
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_a_model_and_its_baseline_compute_the_same(make):
    build, parameters = apart(make(observed_dim=3, rngs=nnx.Rngs(0)))
    x = sequences(12, 2, 3)
    (_, ours), gradient = value_and_gradient(partial(taught, build, 1.0, Sequential()), parameters, x)
    (_, theirs), reference = value_and_gradient(partial(step_by_step, build, 1.0), parameters, x)
    # rounding of 12 steps in float32: about 1e-7 each
    np.testing.assert_allclose(ours.predicted, theirs.predicted, atol=1e-5)
    for found, expected in zip(jax.tree.leaves(gradient), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def value_and_gradient(program, parameters, x):
    return jax.jit(jax.value_and_grad(program, has_aux=True))(parameters, x)


def test_the_textbook_solves_the_same_task_as_the_baseline():
    race = SolverCase(2, 4, 12, 2, 0.2, ("textbook DEER",)).race()
    assert list(race.programs) == [BASELINE, "textbook DEER"]
    (_, theirs), (_, book) = (jax.jit(program)(race.parameters, race.x) for program in race.programs.values())
    assert (int(book.code), int(book.iterations) > 1) == (Status.CONVERGED, True)
    np.testing.assert_allclose(book.predicted, theirs.predicted, atol=1e-5)  # as above
    assert race.estimates["textbook DEER"] > 0
