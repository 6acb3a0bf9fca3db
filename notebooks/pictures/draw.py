"""The picture under each notebook's promise, made from the package itself: one PNG each, below 60 kB.

python notebooks/pictures/draw.py            all ten; some minutes, since it trains a model
python notebooks/pictures/draw.py 03 04      these two

Only 10 depends on the machine (it is a measurement); the others follow from fixed seeds.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import gtfdeer as gd

FOLDER = Path(__file__).parent
LARGEST = 60_000  # bytes
COLOURS = 64
TRAINED = 8_000  # updates
ROUNDS = 30  # of measuring


@cache
def trained() -> gd.explorables.TrainingPanel:
    panel = gd.explorables.TrainingPanel(strict=True)
    panel.updates = TRAINED
    panel.start()
    panel.wait()
    return panel


def lorenz(length: int, seed: int) -> gd.data.Series:
    return gd.data.simulate(gd.data.Lorenz63(), length=length, dt=0.01, key=jax.random.key(seed))


def quickstart() -> bytes:
    rec = trained().reconstruction
    assert rec is not None
    test = lorenz(4_000, seed=5)
    return gd.plots.png(gd.plots.attractors(test.values, rec.simulate(4_000, start=test)), dpi=100)


def adding_in_a_tree() -> bytes:
    sheet = gd.plots.figure(8, 4)
    ax = sheet.add_subplot()
    steps = 8
    arrow = {"arrowstyle": "->", "color": "#333333", "shrinkA": 9, "shrinkB": 9}
    chain = gd.plots.DATA.colour
    ax.plot(range(steps), np.full(steps, 5), "o", markersize=14, color=chain)
    for t in range(steps - 1):
        ax.annotate("", (t + 1, 5), (t, 5), arrowprops=arrow)
    ax.text(steps, 5, "a chain: 7 rounds", va="center", fontsize=11, color=chain)
    places = np.arange(steps, dtype=float)
    for level in range(4):
        y = 3.4 - 1.1 * level
        ax.plot(places, np.full(len(places), y), "s", markersize=14, color=gd.plots.MODEL.colour)
        label = "a tree: the maps of single steps" if level == 0 else f"round {level}: of {2**level} steps"
        ax.text(steps, y, label, va="center", fontsize=11, color=gd.plots.MODEL.colour)
        above, places = places, (places[0::2] + places[1::2]) / 2 if level < 3 else places
        for k, x in enumerate(places if level < 3 else ()):
            for start in above[2 * k : 2 * k + 2]:
                ax.annotate("", (x, y - 1.1), (start, y), arrowprops=arrow)
    ax.set(xlim=(-0.5, 12), ylim=(-0.6, 5.6))
    ax.set_axis_off()
    return gd.plots.png(sheet, dpi=100)


def deer_from_scratch() -> bytes:
    panel = gd.explorables.NewtonMicroscope(strict=True)
    panel.prepare()  # all alphas
    panel.iteration = panel.iterations // 2
    return panel.png


def chaos_breaks_newton() -> bytes:
    dial = gd.explorables.ForcingDial(strict=True)
    dial.prepare()  # all alphas
    return dial.png


def training_live() -> bytes:
    return trained().png


def how_good() -> bytes:
    truth = lorenz(60_000, seed=0).standardise().values
    spectrum = np.fft.rfft(truth, axis=0)
    phases = np.asarray(jax.random.uniform(jax.random.key(2), spectrum.shape, maxval=2 * np.pi))
    surrogate = np.fft.irfft(np.abs(spectrum) * np.exp(1j * phases), n=len(truth), axis=0)
    return gd.plots.png(gd.plots.attractors(truth[:3_000], surrogate[:3_000], unit="s.d."), dpi=90)


def linear_against_nonlinear() -> bytes:
    units, read = 24, 3
    key_w, key_b, key_c, key_z = jax.random.split(jax.random.key(0), 4)
    W = jax.random.normal(key_w, (units, units)) / np.sqrt(units)
    B = jax.random.normal(key_b, (units, read))
    C = jax.random.normal(key_c, (read, units)) / np.sqrt(units)
    states = jax.random.normal(key_z, (300, units))
    ax = gd.plots.figure(7.5, 3.6).add_subplot()
    for name, step, role in (
        ("nonlinear throughout", lambda h: jnp.tanh(W @ h), gd.plots.DATA),
        ("linear memory, three numbers read out and fed back", lambda h: B @ jnp.tanh(C @ h), gd.plots.MODEL),
    ):
        J = jax.lax.map(jax.jacfwd(step), states)
        sigma = np.linalg.svd(np.asarray(J - J.mean(axis=0), np.float64), compute_uv=False)
        share = np.sqrt(np.mean(sigma**2, axis=0))
        share = np.where(share > 1e-5 * share[0], share / np.linalg.norm(share), np.nan)
        ax.plot(np.arange(1, units + 1), share, marker=role.marker, **{**role.line(), "label": name})
    ax.set(
        yscale="log",
        ylim=(1e-4, 2),
        xlabel="direction (singular value, in order)",
        ylabel="share of the movement of $J$",
    )
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.05, 0.02))
    return gd.plots.png(ax, dpi=100)


def slow_rhythms() -> bytes:
    values = (
        gd.data.simulate(gd.data.BurstingNeuron(), length=2_000, dt=0.5, key=jax.random.key(0)).standardise().values
    )
    sheet = gd.plots.figure(9, 3.8)
    voltage, slow = sheet.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for ax, column, label in ((voltage, 0, "voltage (s.d.)"), (slow, 2, "slow current (s.d.)")):
        ax.plot(values[:, column], color=gd.plots.DATA.colour, linewidth=0.8)
        ax.set_ylabel(label)
        ax.spines[["top", "right"]].set_visible(False)
    top = values[:, 0].max()
    for length, height, role in ((100, 0.4, gd.plots.ERROR), (1_600, 1.3, gd.plots.MODEL)):
        voltage.plot((200, 200 + length), (top + height,) * 2, color=role.colour, linewidth=5, solid_capstyle="butt")
        voltage.text(215 + length, top + height, f"T = {length:,}", va="center", color=role.colour)
    slow.set(xlabel="time step (0.5 ms)", xlim=(0, len(values)))
    return gd.plots.png(sheet, dpi=90)


def a_real_heart() -> bytes:
    heart = gd.data.electrocardiogram()
    embedded = heart.standardise().delay_embed(5, 6)
    sheet = gd.plots.figure(9.5, 3.4)
    time, loops = sheet.subplots(1, 2, width_ratios=(1.7, 1))
    first, last = int(22.5 * 360), int(27.5 * 360)
    time.plot(np.arange(first, last) * heart.dt, heart.values[first:last], color=gd.plots.DATA.colour, linewidth=1)
    time.set(xlabel="time (s)", ylabel="voltage (mV)")
    loops.plot(*embedded.values[first:last, :2].T, color=gd.plots.DATA.colour, linewidth=0.5)
    loops.set(xlabel="voltage now (s.d.)", ylabel="voltage 6 samples earlier (s.d.)")
    for ax in (time, loops):
        ax.spines[["top", "right"]].set_visible(False)
    return gd.plots.png(sheet, dpi=90)


def speed_honestly() -> bytes:
    lab = gd.explorables.SpeedLab(strict=True)
    lab.longest = 10_000
    best: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):  # the shortest of many: whatever else the machine does only makes them longer
        lab.measure()
        lab.wait()
        best |= {(t.solver, t.length): min(t.seconds, best.get((t.solver, t.length), t.seconds)) for t in lab.timings}
    ax = gd.plots.figure(8, 3.6).add_subplot()
    for name, role in (("Sequential", gd.plots.DATA), ("DEER", gd.plots.ERROR), ("Shooting", gd.plots.MODEL)):
        lengths = sorted(length for solver, length in best if solver == name)
        look = {**role.line(), "label": name, "marker": role.marker}
        ax.loglog(lengths, [1e3 * best[name, length] for length in lengths], **look)
    ax.set(xlabel="length $T$ (samples)", ylabel="time of one solve (ms)")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return gd.plots.png(ax, dpi=100)


PICTURES = {
    "01_quickstart": quickstart,
    "02_adding_in_a_tree": adding_in_a_tree,
    "03_deer_from_scratch": deer_from_scratch,
    "04_chaos_breaks_newton": chaos_breaks_newton,
    "05_training_live": training_live,
    "06_how_good": how_good,
    "07_linear_against_nonlinear": linear_against_nonlinear,
    "08_slow_rhythms": slow_rhythms,
    "09_a_real_heart": a_real_heart,
    "10_speed_honestly": speed_honestly,
}


def small(picture: bytes) -> bytes:
    """The same in few colours; lines and labels need no more."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def main(wanted: list[str]) -> None:
    for name, draw in PICTURES.items():
        if wanted and name[:2] not in wanted:
            continue
        content = small(draw())
        if len(content) > LARGEST:
            raise ValueError(f"{name}.png has {len(content)} bytes, more than {LARGEST}; draw less, or at a lower dpi")
        (FOLDER / f"{name}.png").write_bytes(content)
        sys.stdout.write(f"{name}.png: {len(content) / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
