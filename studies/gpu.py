"""All that concerns speed on an accelerator, in one call: `python studies/gpu.py --minutes 8 --out DIR`.

    tests       exactness of the solvers, in another process
    precision   error of a float32 matrix product as this device makes it (about 1e-3: TF32), and of a solve by DEER
    speed       loss and gradient against `lax.scan`, every solver, T to `--longest`; error beside speed
    training    Lorenz-63 with windows of a tenth of that, and its scores

What is done when time is up is kept: gpu.csv the speed table, gpu.json everything else, gpu.png both beside the stored
CPU results. On a CPU pass `--longest 10000`. A machine with CUDA and JAX alone lacks the wheels of: flax (with
msgpack, orbax-checkpoint, rich, tensorstore, treescope, PyYAML), optax (with chex, absl-py), matplotlib, pandas,
joblib, psutil, tqdm, and for the tests pytest, pytest-xdist, hypothesis, jaxtyping, scipy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a file
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the tests' process needs memory, too

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx

import gtfdeer as gd
from studies import bench
from studies.common import record
from studies.sweep import sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TESTS = ("tests/solvers/test_exactness.py", "tests/solvers/test_gradients.py", "tests/test_forcing.py")


def main(arguments: list[str] | None = None) -> None:
    """Measure until time is up."""
    parser = ArgumentParser(prog="studies/gpu.py", description="Speed and one training on this device.")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--longest", type=int, default=1_000_000, help="time steps of the longest sequence")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * options.minutes

    def left() -> float:
        return ends - time.monotonic()

    facts: dict[str, Any] = {**gd.info(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "seeds": 1}
    facts["command"] = " ".join(["python studies/gpu.py", *(sys.argv[1:] if arguments is None else arguments)])

    def keep(name: str, value: Any) -> None:
        facts[name] = value
        (options.out / "gpu.json").write_text(json.dumps(facts, indent=1) + "\n")
        print(f"{name}: {value}", flush=True)

    keep("tests", run_tests(0.2 * left()))
    keep("precision", measure_precision())
    for_training = 0.15 * left()
    for run in plan(options.longest):
        if left() < 2 * for_training:  # one may take that long
            break
        repeats = 7 if run["length"] <= 100_000 else 1
        rows = sweep(measure, [{**run, "repeats": repeats}], options.out / "gpu.csv", progress=False)
        keep("speed", f"up to T {run['length']:,}, M {run['latent_dim']}: {len(rows)} programs")
    keep("training", train_long(max(options.longest // 10, 100), 0.9 * left()))
    if (options.out / "gpu.csv").exists():
        table = pd.read_csv(options.out / "gpu.csv")
        keep("times as fast as lax.scan at the longest T", compare_longest(table))
        (options.out / "gpu.png").write_bytes(gd.plots.png(draw(table, facts["device"])))


def plan(longest: int) -> list[dict[str, Any]]:
    """3 and 30 units, the lengths up to the longest, a factor 10 apart; what matters most comes first."""
    sizes = [(3, 50, 100_000), (3, 50, 1_000_000), (30, 200, 100_000), (3, 50, 10_000), (30, 200, 10_000)]
    sizes = [size for size in sizes if size[-1] <= longest]
    names = "seed", "model", "latent_dim", "hidden_dim", "length", "batch", "alpha"
    return [dict(zip(names, (0, bench.SOLVED, M, H, T, 1, 0.2), strict=True)) for M, H, T in sizes]


def measure(**settings: Any) -> list[dict[str, Any]]:
    """The rows of `studies.bench`."""
    return bench.measure(**settings)


def compare_longest(table: pd.DataFrame) -> dict[str, float]:
    """Loss and gradient of 3 units."""
    own = table[table.latent_dim == 3]
    longest = own[own.length == own.length.max()]
    return dict(zip(longest.solver, longest.gradient_ratio, strict=True))


def run_tests(seconds: float) -> str:
    """The last line of a test run, which is given this long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "6", "-p", "no:cacheprovider", *TESTS]
    as_users = {**os.environ, "XLA_FLAGS": ""}  # not the compiler in a hurry of tests/conftest.py
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False, env=as_users
        )
    except subprocess.TimeoutExpired as stopped:
        output = stopped.stdout or b""
        return f"stopped after {seconds:.0f} s at {output.decode().strip()[-80:]!r}"
    return (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]


def measure_precision() -> dict[str, float]:
    """Relative errors against float64 on the host: of a matrix product by default, and of a solve by DEER."""
    A, B = np.random.default_rng(0).normal(size=(2, 256, 256)).astype(np.float32)
    exact = A.astype(float) @ B.astype(float)
    product = np.abs(np.asarray(jnp.asarray(A) @ jnp.asarray(B)) - exact).max() / np.abs(exact).max()
    W, u = A[:30, :30] / 20, B[:200, :30]
    W64, z, states = W.astype(float), np.zeros(30), []
    for row in u.astype(float):
        z = np.tanh(W64 @ z + row)
        states.append(z)

    def step(z: jax.Array, u: jax.Array) -> jax.Array:
        return jnp.tanh(jnp.dot(W, z, precision="highest") + u)

    solution = gd.solve(step, jnp.zeros(30), jnp.asarray(u), solver=gd.solvers.DEER())
    return {"matrix product": float(product), "DEER": float(np.abs(np.asarray(solution.states) - states).max())}


def train_long(window: int, seconds: float) -> dict[str, Any]:
    """Train on long windows for this long, and score."""
    runs = record(gd.data.Lorenz63(), max(100_000, 2 * window), 0.01, 0)
    model = gd.models.GRU(observed_dim=3, rngs=nnx.Rngs(0))
    ends = time.monotonic() + 0.8 * seconds

    def stop_in_time(progress: gd.training.Progress) -> None:
        if time.monotonic() > ends:
            progress.stop()

    updates = {"updates": 5000, "window": window, "batch": 1, "validations": 1, "polish": 0}  # free runs are slow there
    rec = gd.fit(model, runs.train, **updates, callbacks=[stop_in_time], progress=False, key=jax.random.key(0))
    taken = np.asarray(rec.history["seconds"])
    common = {
        "window": window,
        "updates": len(taken),
        "seconds an update": float(np.median(taken)),
    }
    return {**common, "scores": rec.score(runs.test).as_dict()}


def draw(table: pd.DataFrame, device: str) -> Figure:
    """Time of loss and gradient over T, here and in the stored study on a CPU, for every number of units."""
    stored = pd.read_csv(ROOT / "studies/results/speed/speed.csv")
    sizes = list(table.latent_dim.unique())
    sheet = gd.plots.figure(6.5 * len(sizes), 4.6)
    for ax, size in zip(sheet.subplots(1, len(sizes), squeeze=False)[0], sizes, strict=True):
        here = table[(table.latent_dim == size) & (table.status == "CONVERGED")]
        for name, rows in here.sort_values("length").groupby("solver", sort=False):
            ax.plot(rows.length, rows.gradient, marker="o", markersize=4, label=name)
        for name, rows in stored[(stored.latent_dim == size) & stored.program.isin(here.solver)].groupby("program"):
            seconds = rows[rows.steps >= here.length.min() / 2].groupby("steps").seconds.median()
            ax.plot(seconds.index, seconds, color="#777777", linewidth=0.8, linestyle="--")
            end = seconds.index[-1], seconds.iloc[-1]
            ax.annotate(f"{name}, 2 CPU cores", end, (4, -3), "data", "offset points", fontsize=7, color="#555555")
        ax.set(xscale="log", yscale="log", xlabel="time steps T", ylabel="loss and gradient (s)")
        ax.set_xlim(right=8 * ax.dataLim.x1)  # for the words
        ax.set_title(f"{device}; M = {size}")
        ax.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return sheet


if __name__ == "__main__":
    main()
