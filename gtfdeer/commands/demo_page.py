"""The page of the demo: five figures and what each says, with every number taken from the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import measures, plots
from ..report import Paragraph, Part, Picture, Report, Section, Table
from ..training._storage import flat_parameters
from . import demo_run
from .demo_run import PUBLISHED, PUBLISHED_FLOOR, TRUE_EXPONENTS, Run

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Listing", "figures", "report"]

_DRAWN = 10_000  # steps of an attractor; more of them fill the page with ink
_SHOWN = 2_500  # steps of the time series
_GOOD = {"D_stsp": 0.5, "D_H": 0.10, "lambda_max": 0.05}  # issue 2: what the defaults have to reach


@dataclass(frozen=True)
class Listing(Part):
    """Lines to type, in a fixed-width font."""

    text: str

    def html(self) -> str:
        return f'<pre style="overflow-x: auto; font-size: 0.875rem"><code>{escape(self.text)}</code></pre>'


def figures(run: Run) -> dict[str, Picture]:
    """The pictures by file name, without those that a model at rest or out of all bounds has none of."""
    drawings: dict[str, Callable[[Run], Picture]] = {
        "attractors": _attractors,
        "time_series": _time_series,
        "training": _training,
    }
    if _moves(run.free):
        drawings["spectra"] = _spectra
    if run.exponents is not None:
        drawings["exponents"] = _exponents
    return {name: draw(run) for name, draw in drawings.items()}


def report(run: Run, runs: Sequence[Run], pictures: Mapping[str, Picture], facts: Mapping[str, Any]) -> Report:
    """The whole page."""
    shown = {name: [pictures[name]] if name in pictures else [_missing(run)] for name in ("spectra", "exponents")}
    sections = [
        Section("How good is it?", [_scores_table(run), *([_seeds_table(runs)] if len(runs) > 1 else [])]),
        Section("In time", [pictures["time_series"]]),
        Section("In frequency", shown["spectra"]),
        Section("How fast it forgets", shown["exponents"]),
        Section("How it was trained", [pictures["training"]]),
        Section("What was done", [_account(run, facts)]),
        Section("Your own recording", _next_steps()),
        Section(
            "Sources",
            [Paragraph(f"{source}.") for source in (demo_run.TRUTH_SOURCE, demo_run.PUBLISHED_SOURCE)],
        ),
    ]
    return Report(
        title="Lorenz-63, learned from a noisy recording",
        summary=_verdict(run),
        sections=sections,
        headline=pictures["attractors"],
        footer=(
            f"gtfdeer {facts['versions']['gtfdeer']}, seed {run.seed}, {facts['date']}, {facts['device']}, "
            f"{facts['seconds']:.0f} s. Made by: {facts['command']}"
        ),
    )


# --- figures ---


def _attractors(run: Run) -> Picture:
    drawn = min(_DRAWN, run.test.length)
    picture = plots.attractors(run.test.values[:drawn], _undo(run, run.free[:drawn]))
    caption = (
        f"Left, {drawn * run.test.dt:g} time units of the true system, without noise, not seen in training. "
        f"Right, the trained network on its own for as long, without ever looking at data. How differently "
        f"the two fill space: D_stsp is {run.scores.D_stsp:.2g}; a second run of the true system gets "
        f"{run.scores.floor_D_stsp:.2g}."
    )
    return _picture(picture, caption, "Two orbits in space side by side: the true Lorenz attractor and the model's.")


def _time_series(run: Run) -> Picture:
    shown = min(_SHOWN, run.test.length - 1)
    model = run.reconstruction.rollout(shown, run.reconstruction.standardised(run.test).values[0])
    truth = run.reconstruction.standardised(run.test).values[1 : shown + 1]
    together = _time_together(truth, model) * run.test.dt
    figure = plots.time_series(_undo(run, truth), _undo(run, model), run.test.dt)
    caption = (
        f"From the same start, truth and network stay within one standard deviation of each other for "
        f"{together:.3g} time units, {together * TRUE_EXPONENTS[0]:.2g} times the "
        f"{1 / TRUE_EXPONENTS[0]:.2f} in which Lorenz-63 multiplies an error by e. After that, no forecast "
        "holds; what counts is whether the movement stays of the same kind."
    )
    return _picture(figure, caption, "Three panels: the columns of data and model against time, together at first.")


def _spectra(run: Run) -> Picture:
    reference = run.reconstruction.standardised(run.test).values
    frequencies = np.fft.rfftfreq(len(reference), run.test.dt)
    powers = measures.power_spectrum(reference), measures.power_spectrum(run.free)
    caption = (
        f"The power spectra of truth and network: their distance D_H is {run.scores.D_H:.2g}, between 0 "
        f"(equal) and 1; a second run of the true system gets {run.scores.floor_D_H:.2g}."
    )
    return _picture(
        plots.spectra(frequencies, *powers),
        caption,
        "Power against frequency, data and model, a panel a column.",
    )


def _exponents(run: Run) -> Picture:
    found = run.exponents
    assert found is not None
    rows = np.unique(np.geomspace(50, len(found.times), 2000).astype(int) - 1)
    picture = plots.exponents(found.times[rows], found.history[rows], truth=TRUE_EXPONENTS)
    pairs = [f"{value:.3g} ({truth:g})" for value, truth in zip(found.exponents, TRUE_EXPONENTS, strict=True)]
    caption = (
        f"The network's Lyapunov exponents as they settle, and in parentheses the true ones: "
        f"{', '.join(pairs)}. A first one above zero means chaos; dashed lines are the truth. "
        "The last, how fast orbits fall onto the attractor, is the hardest to learn from data that lie on it."
    )
    return _picture(picture, caption, "Estimates of three exponents against time, settling near dashed lines.")


def _training(run: Run) -> Picture:
    history = run.reconstruction.history
    tenth = max(1, history["loss"].size // 10)
    caption = (
        f"Over {history['loss'].size:,} updates the loss fell from {history['loss'][0]:.2g} to "
        f"{np.median(history['loss'][-tenth:]):.2g} squared standard deviations (median of the last tenth; "
        f"the noise alone would leave about {demo_run.NOISE**2:.2g}), while forcing alpha went from "
        f"{history['alpha'][0]:.2g} to {history['alpha'][-1]:.2g}. {_passes(history['iterations'])}"
    )
    return _picture(plots.training(history), caption, "Loss, forcing strength and solver iterations against updates.")


# --- words and tables ---


def _verdict(run: Run) -> str:
    """What came out, in words that its numbers allow."""
    scores = run.scores
    if scores.lambda_max is None:
        return "The network did not learn the system: left alone, it leaves all bounds. Train it for longer."
    off = _off_truth(scores.lambda_max)
    reached = {"D_stsp": scores.D_stsp, "D_H": scores.D_H, "lambda_max": abs(off)}
    if all(value <= _GOOD[name] for name, value in reached.items()):
        return (
            "Left to itself, the network moves as the system does that it was trained on: its orbit fills "
            f"space alike (D_stsp {scores.D_stsp:.2g}, floor {scores.floor_D_stsp:.2g}), at like frequencies "
            f"(D_H {scores.D_H:.2g}, floor {scores.floor_D_H:.2g}), and errors grow in it at a rate of "
            f"{scores.lambda_max:.3g} per time unit, {abs(off):.1%} {'above' if off > 0 else 'below'} the "
            f"true {TRUE_EXPONENTS[0]:g}."
        )
    return (
        f"The network has not learned the system as well as it should: D_stsp is {scores.D_stsp:.2g} (at "
        f"most {_GOOD['D_stsp']:g} is expected of the defaults), D_H {scores.D_H:.2g} (at most "
        f"{_GOOD['D_H']:g}), the largest Lyapunov exponent {scores.lambda_max:.3g}, "
        f"{abs(off):.1%} {'above' if off > 0 else 'below'} the true {TRUE_EXPONENTS[0]:g} (at most "
        f"{_GOOD['lambda_max']:.0%})."
    )


def _scores_table(run: Run) -> Table:
    scores = run.scores
    exponent = "largest Lyapunov exponent: the rate at which errors grow, per time unit"
    if scores.lambda_max is not None:
        exponent += f"; {_off_truth(scores.lambda_max):+.1%} off"
    return Table(
        ("measure", "model", "floor", "published or truth", "what it says"),
        [
            (
                "D_stsp",
                scores.D_stsp,
                scores.floor_D_stsp,
                _interval("D_stsp"),
                "how differently the orbits fill space; 0 is alike",
            ),
            (
                "D_H",
                scores.D_H,
                scores.floor_D_H,
                _interval("D_H"),
                "how differently power spreads over frequencies, 0 to 1",
            ),
            ("lambda_max", scores.lambda_max, None, f"{TRUE_EXPONENTS[0]:g} (truth)", exponent),
            (
                f"PE({scores.steps})",
                scores.PE,
                0,
                None,
                f"squared error {scores.steps} steps ahead; the forecast 'nothing changes' has "
                f"{scores.PE_persistence:.3g}",
            ),
            ("outside", scores.outside, 0, None, "share of the free run outside the range of the data"),
        ],
        caption=(
            "The floor is what a second, independent run of the true system gets against the same test run: "
            f"nobody can expect less. The published models were judged on the authors' test file, where an "
            f"exact run gets a D_stsp of {PUBLISHED_FLOOR['D_stsp']:g} and a D_H of "
            f"{PUBLISHED_FLOOR['D_H']:g} (measured for this project), so compare distances from the floor. "
            "Sources stand below."
        ),
    )


def _seeds_table(runs: Sequence[Run]) -> Table:
    names = ("D_stsp", "D_H", "PE", "lambda_max")
    rows: list[tuple] = [
        (
            f"seed {run.seed}",
            *(getattr(run.scores, name) for name in names),
            round(sum(run.seconds.values()), 1),
        )
        for run in runs
    ]
    rows += [(kind, *(values[name] for name in names), None) for kind, values in demo_run.summary(runs).items()]
    return Table(
        ("", "D_stsp", "D_H", f"PE({runs[0].scores.steps})", "lambda_max", "seconds"),
        rows,
        caption=(
            f"Every one of {len(runs)} seeds, none left out: data, noise and network are drawn anew each "
            f"time. Median, best and worst are taken measure by measure. Figures and model file are of seed "
            f"{demo_run.middle(runs).seed}, the one in the middle by D_stsp."
        ),
    )


def _passes(iterations: Float[np.ndarray, " updates"]) -> str:
    """What the solver did, in a sentence."""
    return (
        f"DEER solved every sequence at once by Newton's method, in {np.median(iterations):.0f} iterations a batch "
        f"(median) and at most {iterations.max():.0f}."
    )


def _account(run: Run, facts: Mapping[str, Any]) -> Paragraph:
    fitted, history, model = run.reconstruction, run.reconstruction.history, run.reconstruction.model
    parameters = sum(array.size for array in flat_parameters(model).values())
    retried, skipped = int(history["retried"].sum()), int(history["skipped"].sum())
    return Paragraph(
        f"Lorenz-63 was simulated three times for {run.train.length:,} steps of {run.train.dt:g} time units, "
        f"from independent starts. Noise of {demo_run.NOISE:.0%} of the standard deviation was added to the "
        f"first run; a {type(model).__name__} with {model.latent_dim} latent units and {parameters} "
        f"parameters was trained on it, with the defaults of gtfdeer.fit, for {history['loss'].size:,} "
        f"updates in {history['seconds'].sum():.0f} s on {facts['device']}, compiling included (training "
        f"{fitted.ending}; {retried} updates were solved again step by step, {skipped} were not applied). It "
        f"was then run freely from the first sample of the second run for "
        f"{run.test.length + run.test.length // 4:,} steps, of which the first {run.test.length // 4:,} were "
        f"dropped, and compared with that run; the third run gave the floors. Everything but speed follows "
        f"from seed {run.seed}."
    )


def _next_steps() -> list[Part]:
    return [
        Paragraph(
            "One row a time step, one column a channel. A single channel is embedded: five delayed copies of "
            "it stand for the states that were not recorded."
        ),
        Listing(
            "gtfdeer fit recording.csv --dt 0.004 --delay-embed 5 --test-fraction 0.2 --out heart.npz\n"
            "gtfdeer score heart.npz test.csv\n"
            "gtfdeer simulate heart.npz --steps 10000 --out orbit.csv"
        ),
        Paragraph("Each of them explains itself with --help. The notebooks (make lab) show the same in Python."),
    ]


def _missing(run: Run) -> Paragraph:
    finite = np.isfinite(run.free).all()
    return Paragraph(
        f"There is nothing to draw: left alone, the model {'stands still' if finite else 'leaves all bounds'}."
    )


# --- helpers ---


def _picture(drawing: Figure | Axes, caption: str, alt: str) -> Picture:
    return Picture(plots.png(drawing), caption, alt)


def _undo(run: Run, values: Float[np.ndarray, "time columns"]) -> Float[np.ndarray, "time columns"]:
    """Standardised values in data units."""
    scaling = run.reconstruction.scaling
    return values if scaling is None else scaling.undo(values)


def _moves(values: Float[np.ndarray, "time columns"]) -> bool:
    """Whether an orbit has a spectrum: finite, and not at rest but for rounding."""
    return bool(np.isfinite(values).all() and np.ptp(values, axis=0).min() > 1e-4)


def _time_together(truth: Float[np.ndarray, "time columns"], model: Float[np.ndarray, "time columns"]) -> int:
    """Steps until the distance, as a root mean square over columns, first exceeds one standard deviation."""
    apart = ~(np.sqrt(np.mean((truth - model) ** 2, axis=1)) <= 1)
    return int(apart.argmax()) if apart.any() else len(truth)


def _off_truth(exponent: float) -> float:
    return exponent / TRUE_EXPONENTS[0] - 1


def _interval(name: str) -> str:
    low, high = PUBLISHED[name]
    return f"{low:g} to {high:g} (published)"
