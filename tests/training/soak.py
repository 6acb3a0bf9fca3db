"""An hour of training with checkpoints and a live view that is told: `make soak`.

    python tests/training/soak.py [seconds] [file.json]

Writes, anew every few seconds, samples of memory, of programs compiled since the start, and of updates a second; then
says whether memory was flat within 5%, nothing was compiled late, and the end was as fast as the start. "cpu" is the
speed for each second of this process's CPU time, which does not depend on what else the machine does.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

import gtfdeer as gd
from gtfdeer import explorables

PAUSE = 5.0  # seconds between two samples


def memory() -> int:
    """Bytes of this process in the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Recorder:
    """A callback that samples the process every few seconds and stops it in the end."""

    def __init__(self, seconds: float, out: Path) -> None:
        self.seconds, self.out = seconds, out
        self.began = self.last = time.perf_counter()
        self.samples: list[dict[str, float]] = []
        self.compiled = 0
        jax.monitoring.register_event_duration_secs_listener(self._count)

    def _count(self, event: str, duration: float, **_: Any) -> None:
        self.compiled += event.endswith("backend_compile_duration")

    def __call__(self, moment: Any) -> None:
        now = time.perf_counter()
        if now - self.last >= min(PAUSE, self.seconds / 40):
            self.last = now
            sample = {"seconds": now - self.began, "cpu": time.process_time(), "update": moment.update}
            self.samples.append(sample | {"bytes": memory(), "compiled": self.compiled})
            self.out.write_text(json.dumps({"verdict": verdict(self.samples), "samples": self.samples}))
        if now - self.began >= self.seconds:
            moment.stop()


def verdict(samples: list[dict[str, float]]) -> dict[str, Any]:
    """The last tenth against the tenth after the first, in which programs are compiled and buffers grow."""
    tenth = len(samples) // 10
    if tenth < 2:
        return {}
    first, last = samples[tenth : 2 * tenth], samples[-tenth:]

    def mean(part: list[dict[str, float]], name: str) -> float:
        return float(np.mean([sample[name] for sample in part]))

    def speed(part: list[dict[str, float]], per: str) -> float:
        return (part[-1]["update"] - part[0]["update"]) / (part[-1][per] - part[0][per])

    return {
        "hours": samples[-1]["seconds"] / 3600,
        "updates": samples[-1]["update"],
        "memory, last to first": mean(last, "bytes") / mean(first, "bytes"),
        "programs compiled since the first tenth": last[-1]["compiled"] - first[0]["compiled"],
        "updates a second, last to first": speed(last, "seconds") / speed(first, "seconds"),
        "updates a second of CPU, last to first": speed(last, "cpu") / speed(first, "cpu"),
    }


def soak(seconds: float, out: Path) -> dict[str, Any]:
    """Train for so long on sequences of 2000 steps, as a run of an hour would, with a checkpoint every 1000 updates and
    a view that is told. (The history takes 32 bytes an update, in memory and in every checkpoint.)"""
    series = gd.data.simulate(gd.data.Lorenz63(), length=20_000, dt=0.01, key=jax.random.key(0))
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=50, rngs=nnx.Rngs(0))
    recorder = Recorder(seconds, out)
    with tempfile.TemporaryDirectory() as folder:
        run = {"window": 2000, "checkpoint": Path(folder) / "run.npz", "every": 1000}
        told = [recorder, explorables.LiveView(series.standardise())]
        gd.fit(model, series, updates=100_000_000, validations=0, progress=False, callbacks=told, **run)
    return verdict(recorder.samples)


def main(seconds: str = "3600", out: str = "soak.json") -> None:
    sys.stdout.write(json.dumps(soak(float(seconds), Path(out)), indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
