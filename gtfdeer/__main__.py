"""The command line: `gtfdeer demo | fit | resume | simulate | score | report | info`.

Options are the keywords of the Python functions with dashes, their help is the functions' own. Leaves with 0 when all
went well, 1 and one sentence when something did not, 2 for a command that cannot be understood, 130 after Ctrl-C or
SIGTERM (a batch system at its time limit); what was learned by then is kept.
"""

from __future__ import annotations

import ast
import base64
import builtins
import importlib.util
import inspect
import io
import json
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import traceback
import warnings
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

import gtfdeer as gd

_SIZES = ("latent_dim", "hidden_dim", "width", "depth", "relu_units")
_HIDDEN_UNITS = 50  # of a model that needs a number: the published Lorenz-63 model (arXiv 2306.04406)
_MANY_COLUMNS = 10  # above which a network has fewer units than columns
_TOLD = ("loss", "alpha", "iterations")
_SHORTEST_TEST = 100  # steps without a gap that scores need
_EXAMPLES = """examples:
  gtfdeer demo --seeds 3 --out out/three
  gtfdeer fit recording.csv --dt 0.004 --delay-embed 5 --test-fraction 0.2 --out heart.npz
  gtfdeer report heart.npz test.csv --out report.html

Every command explains itself: gtfdeer fit --help"""


class Failure(Exception):
    """A command did not succeed, for a reason that its one sentence says; what it had made is kept."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; options that are not understood leave by SystemExit(2)."""
    options = _build_parser().parse_args(arguments)
    plain, warnings.formatwarning = warnings.formatwarning, lambda words, *_, **__: f"gtfdeer: warning: {words}\n"
    terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
        return 0
    except KeyboardInterrupt as stopped:
        print(f"gtfdeer: interrupted: {stopped if stopped.args else 'nothing was written'}", file=sys.stderr)
        return 130
    except Exception as error:
        if "debug" in options:
            raise
        print(f"gtfdeer: error: {_describe_error(error)}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, terminated)
        warnings.formatwarning = plain


# --- commands ---


def fit(options: Namespace) -> None:
    """Learn a model from recordings of your own: read, hold out the end, delay-embed, train, save, score."""
    _require_writable(options.out)
    if "every" in options and "checkpoint" not in options:
        raise ValueError("--every came without --checkpoint; pass --checkpoint run.npz, or leave --every out")
    if options.distributed:
        jax.distributed.initialize()
        options.devices = getattr(options, "devices", jax.device_count())
    settings = _pick(options, gd.fit)
    for name, room, base in (("forcing", gd.forcing, gd.forcing.Schedule), ("solver", gd.solvers, gd.solvers.Solver)):
        if name in settings:
            settings[name] = _build(settings[name], room, base)
    train, held_out = _prepare(options)
    model = _build_model(options, train[0].columns)
    quiet = options.quiet or jax.process_index() > 0
    if not quiet:
        count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
        sizes = ", ".join(f"{k}={v}" for k, v in model.config().items() if k.endswith("_dim") and v)
        print("\n".join([*(f"train {s}" for s in train), *(f"test  {s}" for s in held_out)]))
        print(f"model {type(model).__name__}({sizes}), {count:,} parameters", flush=True)
    rec = gd.fit(model, train, key=jax.random.key(options.seed), progress=not quiet, **settings)
    _finish(rec, options, held_out)


def resume(options: Namespace) -> None:
    """Go on with a run that `gtfdeer fit --checkpoint` began, to the very result that it would have had."""
    _require_writable(options.out)
    rec = gd.resume(options.path, progress=not options.quiet, **_pick(options, gd.resume))
    _finish(rec, options)


def simulate(options: Namespace) -> None:
    """Let a model run freely and write its orbit, in data units, to a .csv (with a time column) or a .npy."""
    _require_writable(options.out, ".csv", ".npy")
    rec = gd.load(options.model)
    start = None if options.start is None else _read_as_trained(options.start, rec, options)
    orbit = rec.simulate(options.steps, start=start)
    dimension, delay = (rec.embedding.dimension, rec.embedding.delay) if rec.embedding else (1, 0)
    raw = _name_columns(rec, orbit.shape[1] // dimension)
    names = [f"{name}_lag{lag * delay}" if delay else name for lag in range(dimension) for name in raw]
    _write_rows(options.out, orbit, names, rec.dt * np.arange(1, len(orbit) + 1))
    print(f"{options.out}: {len(orbit):,} steps x {orbit.shape[1]} columns, dt {rec.dt:g}, of {rec.name!r} on its own")
    if len(orbit) < options.steps:
        raise KeyboardInterrupt(f"the first {len(orbit):,} of {options.steps:,} steps are in {options.out}")


def forecast(options: Namespace) -> None:
    """Go on from the last row of a recording: a .csv (with a time column, of which 0 is the last row) or a .npy."""
    _require_writable(options.out, ".csv", ".npy")
    if options.figure is not None:
        _require_writable(options.figure, ".png")
    rec = gd.load(options.model)
    known = _read_as_trained(options.recording, rec, options)
    ahead = rec.forecast(known, options.steps)
    names = _name_columns(rec, ahead.shape[1])
    _write_rows(options.out, ahead, names, rec.dt * np.arange(1, len(ahead) + 1))
    if options.figure is not None:
        sheet = gd.plots.forecast(known.unscaled().values, ahead, rec.dt, names=names)
        gd.training.write_whole(options.figure, gd.plots.png(sheet))
    print(f"{options.out}: {len(ahead):,} steps x {ahead.shape[1]} columns, dt {rec.dt:g}, after {known.name!r}")


def _name_columns(rec: gd.Reconstruction, count: int) -> list[str]:
    return list(rec.column_names) or [f"x{k}" for k in range(1, count + 1)]


def _write_rows(path: Path, rows: np.ndarray, names: list[str], times: np.ndarray) -> None:
    content = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(content, rows, allow_pickle=False)
    else:
        header = ",".join(["time", *names])
        np.savetxt(content, np.column_stack([times, rows]), fmt="%.9g", delimiter=",", header=header, comments="")
    gd.training.write_whole(path, content.getvalue())


def score(options: Namespace) -> None:
    """Judge a model on a recording that it was not trained on, beside the floor that a perfect model would get."""
    rec = gd.load(options.model)
    test = _read_as_trained(options.recording, rec, options)
    floor = None if options.floor is None else _read_as_trained(options.floor, rec, options)
    scores = rec.score(test, floor=floor, **_pick(options, gd.Reconstruction.score, leave="floor"))
    about = {"model": options.model, "recording": options.recording, "dt": test.dt, "gtfdeer": gd.__version__}
    about = json.dumps({**about, **scores.as_dict()}, indent=2, allow_nan=False)
    print(about if options.json else f"test  {test}\n{scores}")


def report(options: Namespace) -> None:
    """Make one page that shows how well a model did: a .html, or the same as a notebook (.ipynb) to go on with."""
    _require_writable(options.out, ".html", ".ipynb")
    _require_notebook()
    rec = gd.load(options.model)
    test = _read_as_trained(options.recording, rec, options)
    rec.standardised(test)  # refuses what does not fit before a kernel is started
    page = _run_notebook(
        model=os.path.abspath(options.model),
        test=os.path.abspath(options.recording),
        floor=options.floor and os.path.abspath(options.floor),
        reading={**_pick(options, gd.data.read_series), "dt": test.dt / max(1, options.coarsen)},
        steps=getattr(options, "steps", 20),
        coarsen=options.coarsen,
        truth=options.truth,
    )
    content = _export(page) if options.out.suffix == ".html" else json.dumps(page, indent=1).encode()
    gd.training.write_whole(options.out, content)
    print(options.out)


def info(options: Namespace) -> None:
    """Show versions, device and memory, to paste into a bug report, and which device to choose."""
    print(json.dumps(gd.info(), indent=2) if options.json else gd.info())


# --- the demo: Lorenz-63, for which everything is known ---

_DT, _NOISE = 0.01, 0.05  # of the training run; the noise in standard deviations
_EXPONENTS = (0.9056, 0.0, -14.572)
_TRUTH = "D. Viswanath, thesis, Cornell University, 1998; J. C. Sprott, Chaos and Time-Series Analysis, 2003"
_PUBLISHED = {
    "D_stsp": [0.23, 0.26],
    "D_H": [0.08, 0.09],
    "floor": {"D_stsp": 0.12, "D_H": 0.06},  # exact runs against the authors' test file, measured by us
    "source": "shallow PLRNN with generalized teacher forcing on Lorenz-63: F. Hess, Z. Monfared, M. Brenner, D. "
    "Durstewitz, ICML 2023, arXiv 2306.04406, and the authors' tutorial CNS-2023",
}


def demo(options: Namespace) -> None:
    """Learn Lorenz-63 from a noisy run, judge it against runs that it never saw, leave model, scores and a report."""
    _require_notebook()
    if options.seeds < 1 or options.length < 1000:
        raise ValueError(f"seeds is {options.seeds} and length is {options.length}; pass at least 1 and at least 1000")
    began = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)
    _require_writable(options.out / "scores.json")
    runs = []
    for seed in range(options.seed, options.seed + options.seeds):
        runs.append(_repeat(seed, options, began))
        if runs[-1][0].ending != "finished":
            break
    rec, series, record = sorted(runs, key=lambda run: run[2]["D_stsp"] or np.inf)[(len(runs) - 1) // 2]
    _say(began, f"drawing seed {record['seed']} and writing the report")
    given = {name: getattr(options, name) for name in ("out", "seed", "seeds", "length", "updates") if name in options}
    facts = {
        **{name: record[name] for name in record if name not in ("updates", "ending", "alpha", "seconds")},
        "truth": {"lambda_max": _EXPONENTS[0], "source": f"Lyapunov exponents of Lorenz-63: {_TRUTH}"},
        "published": _PUBLISHED,
        "seeds": [record for _, _, record in runs],
        "summary": _summarise([record for _, _, record in runs]),
        **{"length": options.length, "dt": _DT, "noise": _NOISE, "seconds": round(time.perf_counter() - began, 1)},
        "command": shlex.join(["gtfdeer", "demo", *(word for k, v in given.items() for word in (f"--{k}", str(v)))]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        **{name: gd.info()[name] for name in ("device", "versions")},
    }
    rec.save(options.out / "lorenz63.npz")
    gd.training.write_whole(options.out / "scores.json", json.dumps(facts, indent=2, allow_nan=False).encode())
    with tempfile.TemporaryDirectory() as folder:
        for name, recording in series.items():
            np.save(Path(folder) / f"{name}.npy", recording.values, allow_pickle=False)
        page = _run_notebook(
            **{name: f"{folder}/{name}.npy" for name in series},
            model=str(options.out.absolute() / "lorenz63.npz"),
            reading={"dt": _DT},
            truth=_EXPONENTS,
            record=str(options.out.absolute() / "scores.json"),
        )
    files = {"report.html": _export(page)}
    for cell in page.cells:
        pictures = [output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.data]
        files |= {f"{cell.id}.png": base64.b64decode(picture) for picture in pictures}
    _say(began, "done. Look at the report first; model and scores are beside it:")
    for name, content in files.items():
        gd.training.write_whole(options.out / name, content)
        print(f"  {options.out / name}")


def _repeat(seed: int, options: Namespace, began: float) -> tuple[gd.Reconstruction, dict[str, Any], dict[str, Any]]:
    """Simulate, train, run freely, score; everything follows from the seed."""
    times = [time.perf_counter()]
    _say(began, f"seed {seed}: simulating Lorenz-63, three independent runs of {options.length:,} steps of {_DT:g}")
    keys = jax.random.split(jax.random.key(seed), 5)
    runs = [gd.data.simulate(gd.data.Lorenz63(), length=options.length, dt=_DT, key=key) for key in keys[:3]]
    times.append(time.perf_counter())
    _say(began, f"seed {seed}: training a ShallowPLRNN on one run with {_NOISE:.0%} noise, by DEER")
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=_HIDDEN_UNITS, rngs=nnx.Rngs(seed))
    # DEER, because the demo is to show it; the default, Auto, finds the same states at this length on a CPU sooner
    settings = {"solver": gd.solvers.DEER(), "key": keys[4], **_pick(options, gd.fit)}
    rec = gd.fit(model, runs[0].with_noise(_NOISE, key=keys[3]), **settings)
    if not rec.history["loss"].size:
        raise KeyboardInterrupt
    times.append(time.perf_counter())
    _say(began, f"seed {seed}: training {rec.ending}; scoring against the test run, with the third run as the floor")
    scores = rec.score(runs[1], floor=runs[2])
    print(scores, flush=True)
    times.append(time.perf_counter())
    ended = {"updates": int(rec.history["loss"].size), "ending": rec.ending, "alpha": float(rec.history["alpha"][-1])}
    seconds = dict(zip(("simulate", "train", "score"), np.diff(times).round(2).tolist(), strict=True))
    return rec, {"test": runs[1], "floor": runs[2]}, {"seed": seed, **scores.as_dict(), **ended, "seconds": seconds}


def _summarise(records: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Median, best and worst of every measure over the seeds; an exponent is best nearest to the truth."""
    table: dict[str, dict[str, float | None]] = {"median": {}, "best": {}, "worst": {}}
    for name, ideal in {"D_stsp": 0.0, "D_H": 0.0, "PE": 0.0, "lambda_max": _EXPONENTS[0]}.items():
        values = [np.inf if record[name] is None else record[name] for record in records]
        values.sort(key=lambda value: abs(value - ideal))
        for kind, value in zip(table, (float(np.median(values)), values[0], values[-1]), strict=True):
            table[kind][name] = value if np.isfinite(value) else None
    return table


def _say(began: float, text: str) -> None:
    print(f"[{time.perf_counter() - began:6.1f} s] {text}", flush=True)


# --- the notebook that is the report ---


def _require_notebook() -> None:
    """Refuse, before the work, a report that could not be made after it."""
    missing = [name for name in ("nbclient", "nbconvert", "ipykernel") if not importlib.util.find_spec(name)]
    if missing:
        raise Failure(f"a report needs {' and '.join(missing)}; type: pip install {' '.join(missing)}")


def _run_notebook(**parameters: Any) -> Any:
    """Execute report.ipynb with these parameters in its first cell; what the package refuses there is raised here."""
    import nbclient
    import nbformat
    from nbclient.exceptions import CellExecutionError

    page = nbformat.read(Path(__file__).with_name("report.ipynb"), as_version=4)
    page.cells[0].source += "\n\n" + "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    kernel = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # shares a GPU; is quiet
    client = nbclient.NotebookClient(page, timeout=None, extra_arguments=["--log-level=ERROR"])
    try:
        client.execute(env={**os.environ, **kernel})
    except CellExecutionError as error:
        raise Failure(error.evalue) from error
    return page


def _export(page: Any) -> bytes:
    """The executed notebook as one self-contained page of HTML: what was drawn and told, without code."""
    import nbconvert

    page.metadata.pop("widgets", None)
    kept = {"text/markdown", "image/png"}  # not warnings and progress bars
    for cell in page.cells:
        cell.outputs = [output for output in cell.get("outputs", []) if kept & {*output.get("data", {})}]
    body, _ = nbconvert.HTMLExporter(template_name="basic", exclude_input=True).from_notebook_node(page)
    title = re.search(r"<h1[^>]*>([^<]*)", body)
    head = '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    head += f"<title>{title[1] if title else 'gtfdeer'}</title>"
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'.encode()


# --- files ---


def _read(path: str, options: Namespace, **settings: Any) -> list[gd.data.Series]:
    """The recordings in a file, usually one."""
    given = _pick(options, gd.data.read_series)
    if "columns" in given:
        given["columns"] = [int(column) if column.isdecimal() else column for column in given["columns"]]
    found = gd.data.read_series(path, **{**settings, **given})
    return [series.coarsen(options.coarsen) for series in (found if isinstance(found, list) else [found])]


def _read_as_trained(path: str, rec: gd.Reconstruction, options: Namespace) -> gd.data.Series:
    """A recording sampled as the training data were, unless it, or --dt, says otherwise; then `rec` refuses it."""
    try:
        found = _read(path, options, dt=rec.dt / max(rec.coarsened, options.coarsen))
    except ValueError:  # its own clock contradicts
        found = _read(path, options)
    if len(found) > 1:
        raise ValueError(f"{path} holds {len(found)} recordings; pass a file with one")
    return found[0]


def _prepare(options: Namespace) -> tuple[list[gd.data.Series], list[gd.data.Series]]:
    """The series to train on and the ends held out, embedded after the cut: no row knows both parts."""
    fraction = options.test_fraction
    if options.delay is not None and options.delay_embed is None:
        raise ValueError("--delay came without --delay-embed; pass --delay-embed 5, or leave --delay out")
    whole = [series for path in options.recordings for series in _read(path, options)]
    parts = [series.split(1 - fraction) for series in whole] if fraction else []
    train, held_out = [part[0] for part in parts] or whole, [part[1] for part in parts]
    if options.delay_embed is not None:
        train[0] = train[0].delay_embed(options.delay_embed, options.delay)
        embedding = train[0].embedding
        assert embedding is not None
        lags = embedding.dimension, embedding.delay
        train[1:], held_out = [s.delay_embed(*lags) for s in train[1:]], [s.delay_embed(*lags) for s in held_out]
    for series in held_out:
        if (longest := len(series.longest_segment())) < _SHORTEST_TEST:
            short = f"test-fraction {fraction:g} holds out {longest} steps of {series.name} without a gap"
            raise ValueError(f"{short}, but scores need {_SHORTEST_TEST}; pass a larger fraction")
    return train, held_out


def _finish(rec: gd.Reconstruction, options: Namespace, held_out: Sequence[gd.data.Series] = ()) -> None:
    """Save, tell how training went, score; leave with a failure where training did not reach its end."""
    history = rec.history
    if not history["loss"].size:
        raise KeyboardInterrupt
    if not jax.process_index():
        rec.save(options.out)
    if not options.quiet and not jax.process_index():
        told = f"{rec.ending} after {history['loss'].size:,} updates in {history['seconds'].sum():.1f} s with compiling"
        medians = {name: np.median(history[name][-max(1, history[name].size // 20) :]) for name in _TOLD}
        last = ", ".join(f"{name} {value:.3g}" for name, value in medians.items())
        print(f"training {told}; medians of the last 5%: {last}\nsaved {options.out}")
        for series in held_out:
            print(f"\nfree run against the held-out end of {series.name}:\n{rec.score(series)}")
    kept = f"what was learned until then is in {options.out}"
    if rec.ending == "interrupted":
        raise KeyboardInterrupt(kept)
    if rec.ending != "finished":
        raise Failure(f"training {rec.ending}; {kept}")


def _require_writable(path: Path, *endings: str) -> None:
    """Refuse, before the work, a path that cannot be written; asking for permissions would not do for root."""
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {str(path)!r}, which is a folder; pass the name of a file in it")
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"out is {str(path)!r}; pass a name that ends in {' or '.join(endings)}")
    tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.").close()


# --- options from signatures ---


def _pick(options: Namespace, function: Callable[..., Any], leave: str = "") -> dict[str, Any]:
    """The keywords of a function that the user gave; the others keep their defaults."""
    named = {name for name, each in inspect.signature(function).parameters.items() if each.default is not each.empty}
    return {name: value for name, value in vars(options).items() if name in named and name != leave}


def _build(text: str, room: Any, base: type, **more: Any) -> Any:
    """An object from the name of its class, with or without keywords, such as "DEER" or "Annealed(last=0.1)"."""
    name, _, rest = text.partition("(")
    kind = _classes(room, base).get(name.lower())
    if kind is None:
        names = ", ".join(sorted(each.__name__ for each in _classes(room, base).values()))
        raise ValueError(f"there is no {base.__name__.lower()} {name!r}; pass one of {names}")
    value = r"(\w+)\s*=\s*([-+]?[.\d][-+.\de]*|True|False|None)"
    if not re.fullmatch(rf"(?:\s*{value}\s*,?)*\)", rest or ")"):
        raise ValueError(f"{text!r} is not understood; pass a name and keywords, such as '{name}(keyword=0.1)'")
    return kind(**{k: ast.literal_eval(v) for k, v in re.findall(value, rest)}, **more)


def _classes(room: Any, base: type) -> dict[str, type]:
    """The concrete classes of a room, by name in lower case."""
    known = [getattr(room, name) for name in room.__all__]
    known = [each for each in known if isinstance(each, type) and issubclass(each, base)]
    return {each.__name__.lower(): each for each in known if not inspect.isabstract(each)}


def _build_model(options: Namespace, columns: int) -> Any:
    """The model named, with as many latent units as the data have columns where nothing else is said.

    Nonlinear networks of many columns have fewer units and an affine readout: one unit a column runs away.
    """
    kind = _classes(gd.models, gd.models.Model).get(options.model.lower(), gd.models.ShallowPLRNN)
    wanted, chosen = inspect.signature(kind.__init__).parameters, vars(options)
    for name in (*_SIZES, "observation"):
        if name in chosen and name not in wanted:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} is {chosen[name]}, but {options.model} has none; leave {option} out")
    sizes = {name: chosen[name] for name in _SIZES if name in chosen}
    unsaid = not chosen.keys() & {"latent_dim", "observation"}
    if unsaid and columns > _MANY_COLUMNS and "observation" in wanted:
        sizes |= {"latent_dim": min(16, max(_MANY_COLUMNS, columns // 4)), "observation": gd.models.AffineObservation}
    if wanted["latent_dim"].default is inspect.Parameter.empty or wanted["latent_dim"].default < columns:
        sizes.setdefault("latent_dim", columns)
    if "hidden_dim" in wanted:
        sizes.setdefault("hidden_dim", _HIDDEN_UNITS)
    if "observation" in options:
        sizes["observation"] = _classes(gd.models, gd.models.Observation)[f"{options.observation}observation"]
    return _build(options.model, gd.models, gd.models.Model, observed_dim=columns, rngs=nnx.Rngs(options.seed), **sizes)


def _add_keywords(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """One option for each keyword of a function that holds a number, a text or a switch; unset unless given."""
    text = inspect.getdoc(function) or ""
    for name, parameter in inspect.signature(function).parameters.items():
        kind = re.match(r"int|float|bool|str", str(parameter.annotation))
        if kind is None or name == "progress" or (parameter.default is parameter.empty):
            continue
        found = re.search(rf"^ *(?:\w+, )*{name}(?:, \w+)*: (.*(?:\n +(?![\w, ]+: ).*)*)", text, re.MULTILINE)
        words = " ".join(found[1].split()).replace("%", "%%") if found else ""
        more: dict[str, Any] = {"type": getattr(builtins, kind[0])}
        if kind[0] == "bool":
            more = {"action": BooleanOptionalAction}
        parser.add_argument(f"--{name.replace('_', '-')}", default=SUPPRESS, help=words, **more)


def _build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="gtfdeer", formatter_class=RawDescriptionHelpFormatter)
    parser.description, parser.epilog = "Learn the rules of a chaotic system from a recording.", _EXAMPLES
    parser.add_argument("--version", action="version", version=f"gtfdeer {gd.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    made: dict[str, ArgumentParser] = {}
    for run in (demo, fit, resume, simulate, forecast, score, report, info):
        words = inspect.getdoc(run)
        each = commands.add_parser(run.__name__, help=words, description=words)
        each.add_argument("--debug", action="store_true", default=SUPPRESS, help="show the traceback of an error")
        each.set_defaults(run=run)
        made[run.__name__] = each

    add = made["demo"].add_argument
    add("--out", type=Path, default=Path("out/demo"), metavar="FOLDER", help="where the files go (out/demo)")
    add("--seed", type=int, default=0, help="of data, noise, first parameters and windows (0)")
    add("--seeds", type=int, default=1, help="repeat with so many seeds; the one with the median D_stsp is shown (1)")
    add("--updates", type=int, default=SUPPRESS, help="training updates; by default those of gtfdeer.fit")
    add("--length", type=int, default=100_000, help="time steps of each run (100000)")

    add = made["fit"].add_argument
    add("recordings", nargs="+", metavar="recording", help="one file or several: .csv, .npy, .edf, .mat ...")
    add("--delay-embed", type=int, help="replace each column by so many copies, each later in the past")
    add("--delay", type=int, help="time steps between two copies; chosen from the data by default")
    add("--test-fraction", type=float, default=0.0, help="hold out this share at the end and score on it (0)")
    add("--model", default="ShallowPLRNN", help="a class of gtfdeer.models (ShallowPLRNN)")
    for size in _SIZES:
        add(f"--{size.replace('_', '-')}", type=int, default=SUPPRESS, help="of the model, where it has one")
    add("--observation", choices=("identity", "scaled", "affine"), default=SUPPRESS, help="how units become data")
    add("--forcing", default=SUPPRESS, help="a class of gtfdeer.forcing, such as Adaptive or 'Annealed(last=0.1)'")
    add("--solver", default=SUPPRESS, help="a class of gtfdeer.solvers, such as DEER or 'DEER(max_iterations=20)'")
    add("--seed", type=int, default=0, help="of first parameters, windows and noise (0)")
    add("--distributed", action="store_true", help="one of several processes (SLURM, Open MPI) that train together")
    made["resume"].add_argument("path", help="a checkpoint, written by gtfdeer fit --checkpoint")
    for name in ("simulate", "forecast", "score", "report"):
        made[name].add_argument("model", help="a model file, written by gtfdeer fit")
    for name in ("score", "report"):
        made[name].add_argument("recording", help="the test recording, in data units, sampled as for training")
        made[name].add_argument("--floor", metavar="FILE", help="another recording of the same system; else two halves")
    add = made["simulate"].add_argument
    add("--steps", type=int, required=True, help="how many time steps to run")
    add("--start", metavar="FILE", help="a recording at whose first row to begin; by default at the training data's")
    add = made["forecast"].add_argument
    add("recording", help="what is known; the forecast goes on from its last row")
    add("--steps", type=int, required=True, help="how many time steps to forecast")
    add("--figure", type=Path, metavar="FILE.png", help="also draw the end of the recording and the forecast")
    made["report"].add_argument("--truth", type=float, nargs="+", help="known Lyapunov exponents per unit of time")

    calls = {"fit": gd.fit, "resume": gd.resume, "score": gd.Reconstruction.score, "report": gd.Reconstruction.score}
    for name, function in calls.items():
        _add_keywords(made[name], function)
    for name in ("fit", "simulate", "forecast", "score", "report"):
        _add_keywords(made[name], gd.data.read_series)
        made[name].add_argument("--columns", nargs="+", default=SUPPRESS, help="names, or numbers from 0")
        made[name].add_argument("--coarsen", type=int, default=1, help="take means of so many rows at a time (1)")
    for name in ("fit", "resume"):
        made[name].add_argument("--quiet", action="store_true", help="print nothing but errors")
    endings = {"fit": ".npz", "resume": ".npz", "simulate": ".csv|.npy", "forecast": ".csv|.npy"}
    for name, ending in {**endings, "report": ".html|.ipynb"}.items():
        made[name].add_argument("--out", type=Path, required=True, metavar=f"FILE{ending}", help="what to write")
    for name in ("score", "info"):
        made[name].add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _describe_error(error: Exception) -> str:
    """The error in one line: its own words if gtfdeer or the system refused, else a request to report."""
    words = " ".join(str(error).split()) or type(error).__name__
    if "RESOURCE_EXHAUSTED" in words:  # XLA's word for memory of a device, under no class of its own
        return f"the device ran out of memory ({words}); pass a smaller --batch or --window"
    ours = Path(__file__).parent in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parents
    if isinstance(error, OSError) and error.errno:  # the system's own words
        return f"{words}; pass a path in a folder that exists and is yours, on a disk with space"
    if isinstance(error, OSError | Failure) or (
        ours and isinstance(error, ImportError | MemoryError | TypeError | ValueError)
    ):
        return words
    return f"unexpected {type(error).__name__} ({words}); please report it, with what --debug and info print"


if __name__ == "__main__":
    sys.exit(main())
