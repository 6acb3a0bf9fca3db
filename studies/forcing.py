"""Which forcing is the default? Settings times seeds of several systems, trained side by side in one program.

    python studies/forcing.py --hidden 50 --systems lorenz clean published --out studies/results/forcing

Every run is a clipped shallow PLRNN with as many units as columns under the loss and the windows of `gd.fit`, solved by
DEER; an update whose solve fails is left out and counted, where `gd.fit` would solve it again. `jax.vmap` over all runs
makes one program of them, which a GPU computes in about the time of one: 255 runs of 20,000 updates in three minutes
on an H200. Ten times in the second half each model runs freely from eight filtered states of the TRAINING data; the
worst D_stsp + D_H, with noise of the size of its one-step errors added, chooses the moment that is kept: `validation`,
by which settings are to be compared. The other columns are those of the kept model on a clean run of its own.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from flax import nnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file

import gtfdeer as gd
from studies.common import record

if TYPE_CHECKING:
    from jaxtyping import Array, Float

SYSTEMS: dict[str, tuple[gd.data.System, float, float]] = {
    "lorenz": (gd.data.Lorenz63(), 0.01, 0.05),
    "clean": (gd.data.Lorenz63(), 0.01, 0.0),
    "neuron": (gd.data.BurstingNeuron(), 0.1, 0.05),
    "published": (gd.data.BurstingNeuron(), 0.5, 0.1),
}
"""System, sampling step, noise in training: the last one as in arXiv 2306.04406."""
SOLVER = gd.solvers.DEER(max_iterations=30)
OPTIMISER: Any = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())  # as `gd.fit`, but for the rate
VALIDATIONS, STARTS, WARMUP = 10, 8, 1000


class Setting(NamedTuple):
    """alpha from 1 to `last` (gain False), or K learned under |K| <= a, a from 1 to `last`, until share `learn`.

    With `then` K is bounded by 1 only, and s falls from 1 to `then` once it is frozen.
    """

    gain: bool = True
    last: float = 0.15
    learn: float = 1.0
    then: float | None = None
    noise: float = 0.0
    rate: float = 1e-2

    def schedules(self, updates: int) -> tuple[np.ndarray, ...]:
        """s, the bound a, whether K is learned, the learning rate: each `(updates,)`."""
        done = np.arange(updates) / max(updates - 1, 1)
        falling, learns = self.last**done, (done < self.learn) & self.gain
        rate = 1e-5 + 0.5 * (self.rate - 1e-5) * (1 + np.cos(np.pi * done))
        if not self.gain:
            return falling, np.ones(updates), learns, rate
        if self.then is None:
            return np.ones(updates), falling, learns, rate
        rest = np.clip((done - self.learn) / (1 - self.learn), 0, 1)
        return self.then**rest, np.ones(updates), learns, rate


SETTINGS = [
    *(Setting(gain=False, last=last) for last in (0.03, 0.015, 0.1)),
    *(Setting(last=last) for last in (1.0, 0.05, 0.15)),
    *(Setting(last=last, learn=0.5) for last in (0.05, 0.02)),
    *(Setting(last=1.0, learn=learn, then=then) for learn, then in ((0.5, 0.5), (0.5, 0.2), (0.5, 0.05), (0.3, 0.2))),
    *(Setting(last=1.0, noise=noise) for noise in (0.02, 0.05)),
    *(Setting(last=0.05, learn=0.5, rate=rate) for rate in (3e-3, 2e-2)),
]


class Run(NamedTuple):
    """One of the runs side by side: model and gain, the optimiser's state, and the update's number."""

    parameters: Any
    optimiser: Any
    update: Array


def main(arguments: list[str] | None = None) -> None:
    """Train all settings and seeds of the systems, and write one row a run."""
    parser = ArgumentParser(prog="studies/forcing.py", description="Settings of the forcing, side by side.")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=["lorenz", "clean", "published"])
    parser.add_argument("--hidden", type=int, default=50)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="only the first so many")
    parser.add_argument("--out", type=Path, default=Path("out/studies/forcing"))
    options = parser.parse_args(arguments)
    settings = SETTINGS[: options.settings]
    sets = [(name, seed) for name in options.systems for seed in range(options.seeds)]
    train, test = (np.stack(rows) for rows in zip(*(load(*each, options.length) for each in sets), strict=True))
    runs = [(setting, k) for setting in settings for k in range(len(sets))]
    found = train_together(settings, train, test, [seed for _, seed in sets], options.hidden, options.updates)
    rows = []
    for at, (setting, k) in enumerate(runs):
        name, seed = sets[k]
        found_here = {column: values[at].item() for column, values in found.items()}
        common = {"system": name, "hidden": options.hidden, "updates": options.updates}
        per_step = {"valid_time": found_here["valid_time"] * SYSTEMS[name][1]}
        per_step["lambda_max"] = found_here["lambda_max"] / SYSTEMS[name][1]
        rows.append({**common, **setting._asdict(), "seed": seed, **found_here, **per_step})
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / f"forcing-{options.hidden}.csv", index=False)
    facts = {**gd.info(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "seeds": options.seeds}
    facts["command"] = " ".join(["python studies/forcing.py", *(sys.argv[1:] if arguments is None else arguments)])
    (options.out / f"forcing-{options.hidden}.json").write_text(json.dumps(facts, indent=1) + "\n")
    by = ["system", *Setting._fields]
    print(table.groupby(by, sort=False, dropna=False)[list(found)].median().round(4).to_string())


def load(system: str, seed: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy run and a clean one, in standard deviations of the first."""
    kind, dt, noise = SYSTEMS[system]
    runs = record(kind, length, dt, seed, None, noise)
    noisy = runs.train.standardise()
    return noisy.values, runs.test.scaled_by(noisy.scaling).values


def train_together(
    settings: list[Setting], train: np.ndarray, test: np.ndarray, seeds: list[int], hidden: int, updates: int
) -> dict[str, np.ndarray]:
    """Every setting on every recording, one run after the other in the arrays that come back."""
    units, number = train.shape[2], len(settings) * len(train)
    models = [gd.models.ClippedShallowPLRNN(latent_dim=units, hidden_dim=hidden, rngs=nnx.Rngs(s)) for s in seeds]
    graph, _, rest = nnx.split(models[0], nnx.Param, ...)
    first = [nnx.split(model, nnx.Param, ...)[1] for model in models]
    own = jnp.tile(jnp.arange(len(train)), len(settings))
    gains = jnp.repeat(jnp.asarray([0.5 if each.gain else 1.0 for each in settings]), len(train))
    parameters = jax.tree.map(lambda *each: jnp.stack(each)[own], *first), gains[:, None, None] * jnp.eye(units)
    state = Run(parameters, jax.vmap(OPTIMISER.init)(parameters), jnp.zeros(number, jnp.int32))
    columns = zip(*(each.schedules(updates) for each in settings), strict=True)
    s, bound, learns, rate = (jnp.asarray(np.repeat(np.stack(each), len(train), 0)) for each in columns)
    moments = (s.astype(jnp.float32), bound.astype(jnp.float32), learns, rate.astype(jnp.float32))
    noise = jnp.repeat(jnp.asarray([each.noise for each in settings]), len(train))
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds) + 1000)[own]
    x, clean = jnp.asarray(train, jnp.float32), jnp.asarray(test, jnp.float32)
    filters = jnp.repeat(jnp.asarray([1.0 if each.gain else 0.2 for each in settings]), len(train))

    @jax.jit
    def advance(state: Run, moments: tuple) -> tuple[Run, Array]:
        step = jax.vmap(lambda state, moment, noise, key, k: update(graph, rest, x[k], noise, key, state, moment))
        state, skipped = jax.lax.scan(lambda s, m: step(s, m, noise, keys, own), state, moments)
        return state, skipped.sum(axis=0)

    misfits = jax.jit(jax.vmap(lambda p, s, k: validate(graph, rest, p, s, x[k])))
    scores = jax.jit(jax.vmap(lambda p, s, k: judge(graph, rest, p, s, clean[k])))
    best, low, skipped = parameters, jnp.full(number, jnp.inf), np.zeros(number, int)
    kept, piece = np.zeros(number, int), max(1, updates // (2 * VALIDATIONS))
    for begun in range(0, updates, piece):
        state, failed = advance(state, tuple(each[:, begun : begun + piece].T for each in moments))
        skipped += np.asarray(failed)
        if begun + piece > updates // 2:
            misfit = misfits(state.parameters, filters, own)
            better = misfit < low
            low, kept = jnp.minimum(low, misfit), np.where(better, begun + piece, kept)
            best = jax.tree.map(partial(_choose, better), state.parameters, best)
        print(f"{time.strftime('%H:%M:%S')} {begun + piece} of {updates}: {jnp.median(low):.3f}", file=sys.stderr)
    found = {name: np.asarray(values) for name, values in scores(best, filters, own).items()}
    return {"validation": np.asarray(low), "kept": kept, "skipped": skipped, **found}


def update(graph: Any, rest: Any, series: Array, noise: Array, key: Array, state: Run, moment: tuple) -> tuple:
    """One update; K is shortened to its bound."""
    s, bound, learns, rate = moment
    window, batch = 200, 16
    chosen, drawn = jax.random.split(jax.random.fold_in(key, state.update))
    starts = jax.random.randint(chosen, (batch,), 0, len(series) - window + 1)
    x = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(series, at, window))(starts)
    x_in = x + noise * jax.random.normal(drawn, x.shape)
    s = s * jnp.where(learns, 1.0, jnp.minimum(1.0, bound / _size(state.parameters[1])))

    def loss(parameters: tuple) -> tuple[Array, Array]:
        model = nnx.merge(graph, parameters[0], rest)
        predicted, solution = jax.vmap(lambda x: model.teacher_forced(x, s, SOLVER, gain=parameters[1]))(x_in)
        return jnp.mean((predicted - x[:, 1:]) ** 2), jnp.all(solution.code == gd.Status.CONVERGED)

    (value, solved), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
    gradient = gradient[0], jnp.where(learns, gradient[1], 0)
    moves, optimiser = OPTIMISER.update(gradient, state.optimiser)
    model, gain = jax.tree.map(lambda p, move: p - rate * move, state.parameters, moves)
    gain = jnp.where(learns, gain * jnp.minimum(1.0, bound / _size(gain)), state.parameters[1])
    good = solved & jnp.isfinite(value) & jnp.isfinite(optax.global_norm(gradient))
    before, after = (state.parameters, state.optimiser), ((model, gain), optimiser)
    return Run(*jax.tree.map(partial(_choose, good), after, before), state.update + 1), ~good


def validate(graph: Any, rest: Any, parameters: tuple, s: Array, x: Float[Array, "time observed"]) -> Array:
    """The worst D_stsp + D_H of free runs from filtered states against the training data, noise of their size added."""
    steps = min(20_000, len(x))
    starts = jnp.linspace(0, len(x) - WARMUP, STARTS).astype(int)
    rows = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(x, at, WARMUP))(starts)
    states, errors = jax.vmap(partial(_filter, graph, rest, parameters, s))(rows)
    runs = jax.vmap(partial(_run, graph, rest, parameters[0], steps=steps))(states)
    size = jnp.median(jnp.std(errors[:, WARMUP // 10 :], axis=1), axis=0)
    noisy = runs + size * jax.random.normal(jax.random.key(5), runs.shape)
    return jnp.max(jax.lax.map(lambda run: sum(compare(x, run)), noisy))


def judge(graph: Any, rest: Any, parameters: tuple, s: Array, x: Float[Array, "time observed"]) -> dict[str, Array]:
    """D_stsp, D_H, exponent (a step) and valid time (steps, clean starts) of a model on a clean run."""
    model = nnx.merge(graph, parameters[0], rest)
    z, _ = _filter(graph, rest, parameters, s, x[:WARMUP])
    orbit = _run(graph, rest, parameters[0], z, len(x) + len(x) // 4)[len(x) // 4 :]
    divergence, distance = compare(x, orbit)
    ahead = min(1500, len(x) // 4)
    starts = jnp.linspace(0, len(x) - ahead - 2, 100).astype(int)

    def time_ahead(at: Array) -> Array:
        forecast = _run(graph, rest, parameters[0], x[at], ahead)
        error = jnp.sqrt(jnp.mean((forecast - jax.lax.dynamic_slice_in_dim(x, at + 1, ahead)) ** 2, axis=1))
        return jnp.argmax(jnp.append(~(error < 0.4), True))

    def stretch(carry: tuple, _: None) -> tuple:
        z, v = jax.jvp(model.step, (carry[0],), (carry[1],))
        return (z, v / jnp.linalg.norm(v)), jnp.log(jnp.linalg.norm(v))

    _, growth = jax.lax.scan(stretch, (z, jnp.ones_like(z) / jnp.sqrt(len(z))), None, length=len(x) // 2)
    valid = jnp.median(jax.vmap(time_ahead)(starts).astype(jnp.float32))
    return {"D_stsp": divergence, "D_H": distance, "valid_time": valid, "lambda_max": jnp.mean(growth[1000:])}


def compare(reference: Float[Array, "time observed"], run: Float[Array, "steps observed"]) -> tuple[Array, Array]:
    """D_stsp and D_H as `gd.measures` has them, in JAX; infinite for a run that is not finite."""
    margin, bins, columns = 0.1 * reference.std(axis=0, ddof=1), 30, reference.shape[1]
    low, high = reference.min(axis=0) - margin, reference.max(axis=0) + margin

    def histogram(x: Array) -> Array:
        place = jnp.floor(bins * (x - low) / (high - low))
        cell = jnp.clip(place, 0, bins - 1).astype(int) @ bins ** jnp.arange(columns)
        inside = jnp.all((place >= 0) & (place < bins), axis=1)
        counts = jnp.zeros(bins**columns + 1).at[jnp.where(inside, cell, bins**columns)].add(1.0)[:-1] + 1e-5
        return counts / counts.sum()

    def spectrum(x: Array) -> Array:
        power = jnp.abs(jnp.fft.rfft((x - x.mean(axis=0)) / jnp.maximum(x.std(axis=0), 1e-6), axis=0)) ** 2
        kernel = jnp.exp(-0.5 * (jnp.arange(-80, 81) / 20) ** 2)
        padded = jnp.pad(power, ((80, 80), (0, 0)), mode="symmetric")
        smoothed = jax.vmap(partial(jnp.convolve, mode="valid"), (1, None), 1)(padded, kernel)
        smoothed = jnp.maximum(smoothed, 0)  # a convolution by Fourier transforms rounds to below it
        return smoothed / smoothed.sum(axis=0)

    p, q = histogram(reference), histogram(run)
    f, g = spectrum(reference[: len(run)]), spectrum(run)
    distance = jnp.mean(jnp.sqrt(0.5 * jnp.sum((jnp.sqrt(f) - jnp.sqrt(g)) ** 2, axis=0)))
    finite, moves = jnp.all(jnp.isfinite(run)), jnp.all(run.std(axis=0) > 1e-6)
    return jnp.where(finite, jnp.sum(p * jnp.log(p / q)), jnp.inf), jnp.where(finite & moves, distance, 1.0)


def _run(graph: Any, rest: Any, parameters: Any, z: Array, steps: int) -> Array:
    model = nnx.merge(graph, parameters, rest)
    return jax.lax.scan(lambda z, _: (model.step(z),) * 2, z, None, length=steps)[1]


def _filter(graph: Any, rest: Any, parameters: tuple, s: Array, x: Array) -> tuple[Array, Array]:
    model = nnx.merge(graph, parameters[0], rest)

    def step(z: Array, row: Array) -> tuple[Array, Array]:
        z = model.step(z)
        return z + s * jnp.dot(parameters[1], row - z, precision="highest"), row - z

    return jax.lax.scan(step, x[0], x[1:])


def _size(gain: Array) -> Array:
    return jnp.sqrt(jnp.linalg.eigvalsh(jnp.dot(gain.T, gain, precision="highest"))[-1])


def _choose(chosen: Array, new: Array, old: Array) -> Array:
    return jnp.where(chosen.reshape(chosen.shape + (1,) * (new.ndim - chosen.ndim)), new, old)


if __name__ == "__main__":
    main()
