"""Every result that the README quotes stands in a committed file, and is quoted as it stands there."""

import json
import statistics
from pathlib import Path

from studies import find
from studies.conduct import read_rows
from studies.models import best
from studies.rows import quartiles, where

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "notebooks/results"
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def rows_of(name, **values):
    return where(read_rows(find(name), RESULTS / name), **values)


def quoted(words):
    assert words in README


def test_the_demo():
    found = json.loads((RESULTS / "demo/scores.json").read_text())["summary"]
    for column, name, digits in (
        ("D_stsp", "D_stsp, state space divergence", 2),
        ("D_H", "D_H, power spectrum error", 2),
        ("lambda_max", "largest Lyapunov exponent", 3),
    ):
        middle, worst = (f"{found[which][column]:.{digits}f}" for which in ("median", "worst"))
        quoted(f"| {name} | {middle} | {worst} |")


def test_the_solvers():
    rows = json.loads((RESULTS / "bench/solvers.json").read_text())["rows"]

    def gradient(*size):
        row = dict(zip(("latent_dim", "length", "batch"), size, strict=True))
        return f"{where(rows, solver='Shooting', alpha=0.2, **row)[0]['gradient_ratio']:.1f}"

    quoted(f"{gradient(3, 131_072, 1)} times as fast by `Shooting`; 16 sequences of 8,192 steps")
    quoted(f"16 sequences of 8,192 steps {gradient(3, 8192, 16)} times")
    quoted(f"30 latent units {gradient(30, 131_072, 1)} and {gradient(30, 8192, 16)} times")


def test_the_speed_of_long_sequences():
    rows = rows_of("speed", steps=524_288)

    def ratio(program, latent_dim):
        return f"{quartiles(where(rows, program=program, latent_dim=latent_dim), 'ratio')[1]:.1f}"

    quoted(f"{ratio('Shooting', 3)} times as fast by `Shooting` as by `lax.scan` at 3 latent units")
    quoted(f"{ratio('Shooting', 10)} times at 10; DEER {ratio('DEER', 3)} and {ratio('DEER', 10)} times")
    quoted(f"{ratio('short windows', 3)} and {ratio('short windows', 10)} times ([table](notebooks/results/speed)")


def test_the_slow_rhythms():
    rows = rows_of("long-sequences", system="bursting neuron")

    def errors(setting):
        return [f"{quartiles(where(rows, setting=setting, window=T), 'low_frequency')[1]:.2g}" for T in (100, 20_000)]

    free, linear, steady = map(errors, ("3 free units", "S5", "alpha 0.1"))
    quoted(f"from {free[0]} to {free[1]} where three units are not forced")
    quoted(f"from {linear[0]} to {linear[1]} for a linear S5")
    quoted(f"{steady[0]} and {steady[1]} with steady forcing of 0.1")


def test_linear_against_nonlinear():
    rows = rows_of("linear-vs-nonlinear")

    def score(system, model):
        return f"{statistics.median(row['D_stsp'] for row in where(rows, system=system, model=model)):.2g}"

    for system in ("Lorenz-63", "Lorenz-96"):
        quoted(f"{score(system, 'LRU, one layer')} against {score(system, 'shPLRNN')} on {system}")
    quoted(f"{score('bursting neuron', 'LRU, one layer')} against {score('bursting neuron', 'GRU')} on the neuron")


def test_the_families():
    medians = {
        own[0]["model"]: quartiles(own, "D_stsp")[1] for own in best(read_rows(find("models"), RESULTS / "models"))
    }
    nearest = sorted(medians, key=medians.get)
    assert nearest[:3] == ["LSTM", "GRU", "S5"]
    quoted(f"the best are LSTM (D_stsp {medians['LSTM']:.2g}), GRU and S5")
