"""`benchmark`: ratios turn by turn, errors relative to the reference, nothing compiled twice."""

import jax.numpy as jnp
import numpy as np
import pytest

from gtfdeer.solvers import Timing, benchmark

ANSWERS = {"right": 1.0, "ten percent off": 1.1, "blew up": jnp.nan}


def timing(seconds, result=0.0):
    return Timing(np.array(seconds), 0.0, None, jnp.asarray(result), lambda: None)


def test_programs_are_compared_with_a_reference():
    traced = []

    def program(factor):
        def run(x):
            traced.append(factor)
            return {"doubled": 2 * factor * x, "nothing": jnp.zeros(0)}

        return run

    found = benchmark({name: program(factor) for name, factor in ANSWERS.items()}, jnp.arange(4.0), repeats=2)
    assert [len(each.seconds) for each in found.values()] == [2, 2, 2]
    assert all(each.seconds.min() > 0 < each.compile_seconds for each in found.values())
    right = found["right"]
    assert right.error(right) == 0
    assert found["ten percent off"].error(right) == pytest.approx(0.1, rel=1e-5)  # float32
    assert np.isnan(found["blew up"].error(right))
    assert found["ten percent off"].error(right, lambda result: (result["doubled"][:1],)) == 0  # 0 times anything

    again = benchmark({"right": right}, jnp.full(4, 3.0), repeats=1)["right"]
    assert len(traced) == 3  # each was traced once
    assert again.compile_seconds == right.compile_seconds
    np.testing.assert_array_equal(again.result["doubled"], 6)


def test_the_speedup_is_taken_turn_by_turn():
    reference, twice = timing([1.0, 2.0, 30.0]), timing([0.5, 1.0, 10.0])
    assert twice.speedup(reference) == (2.0, 0.25)
    assert reference.speedup(reference) == (1, 0)


def test_three_turns_are_made_in_any_case():
    assert len(benchmark({"one": lambda x: x}, jnp.ones(1), repeats=9, limit=0.0)["one"].seconds) == 3
