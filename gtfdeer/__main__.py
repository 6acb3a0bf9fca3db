"""The command line: `gtfdeer demo | fit | resume | simulate | forecast | score | report | info`.

Options are the keywords of the Python functions with dashes, their help is the functions' own. Leaves with 0; with 1
and one sentence where something failed; with 2 for what is not understood; with 130 after Ctrl-C or SIGTERM, work kept.
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
import time
import warnings
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

import gtfdeer as gd

_MANY_COLUMNS = 10  # above which a network has fewer units than columns
_SHORTEST_TEST = 100  # steps without a gap that scores need
_DT, _NOISE = 0.01, 0.05  # of the demo, Lorenz-63; the noise in standard deviations
_EXPONENTS = (0.9056, 0.0, -14.572)  # of `gtfdeer.data.Lorenz63`, with their source


class Failure(Exception):
    """A command did not succeed, for a reason that its one sentence says; what it had made is kept."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; options that are not understood leave by SystemExit(2)."""
    typed = sys.argv[1:] if arguments is None else list(arguments)
    options = _build_parser().parse_args(typed, Namespace(command=shlex.join(["gtfdeer", *typed])))
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


def fit(options: Namespace) -> None:
    """Learn a model from recordings of your own: read, hold out a part, delay-embed, train, save, score."""
    _require_writable(options.out)
    if "every" in options and "checkpoint" not in options:
        raise ValueError("--every came without --checkpoint; pass --checkpoint run.npz, or leave --every out")
    if options.distributed:
        jax.distributed.initialize()
        options.devices = getattr(options, "devices", jax.device_count())
    settings = _pick(options, gd.fit)
    for name, room, base in (("forcing", gd.forcing, gd.forcing.Schedule), ("solver", gd.solvers, gd.solvers.Solver)):
        settings |= {name: _build(settings[name], room, base)} if name in settings else {}
    train, held_out = _prepare(options)
    model = _build_model(options, train[0].columns)
    options.quiet |= jax.process_index() > 0
    if not options.quiet:
        sizes = ", ".join(f"{k}={v}" for k, v in model.config().items() if k.endswith("_dim") and v)
        print("\n".join([*(f"train {s}" for s in train), *(f"test  {s}" for s in held_out)]))
        print(f"model {type(model).__name__}({sizes}), {gd.models.parameter_count(model):,} parameters", flush=True)
    rec = gd.fit(model, train, key=jax.random.key(options.seed), progress=not options.quiet, **settings)
    _finish(rec, options, held_out)


def resume(options: Namespace) -> None:
    """Go on with a run that `gtfdeer fit --checkpoint` began, to the very result that it would have had."""
    _require_writable(options.out)
    _finish(gd.resume(options.path, progress=not options.quiet, **_pick(options, gd.resume)), options)


def simulate(options: Namespace) -> None:
    """Let a model run freely and write its orbit, in data units, to a .csv (with a time column) or a .npy."""
    _require_writable(options.out, ".csv", ".npy")
    rec = gd.load(options.model)
    start = None if options.start is None else _read_as_trained(options.start, rec, options)[0]
    orbit = rec.simulate(options.steps, start=start)
    _write_orbit(options.out, orbit, rec, f"of {rec.name!r} on its own")
    if len(orbit) < options.steps:
        raise KeyboardInterrupt(f"the first {len(orbit):,} of {options.steps:,} steps are in {options.out}")


def forecast(options: Namespace) -> None:
    """Go on from the last row of a recording: a .csv (with a time column, of which 0 is the last row) or a .npy."""
    _require_writable(options.out, ".csv", ".npy")
    if options.figure is not None:
        _require_writable(options.figure, ".png")
    rec = gd.load(options.model)
    known = _read_as_trained(options.recording, rec, options)[0]
    ahead = rec.forecast(known, options.steps)
    names = _write_orbit(options.out, ahead, rec, f"after {known.name!r}")
    if options.figure is not None:
        sheet = gd.plots.forecast(known.unscaled().values, ahead, rec.dt, names=names)
        gd.training.write_whole(options.figure, gd.plots.png(sheet))


def _write_orbit(path: Path, rows: np.ndarray, rec: gd.Reconstruction, of_what: str) -> list[str]:
    """Write an orbit, all columns of the model or those before an embedding, and return their names."""
    names, content = list(rec.column_names), io.BytesIO()
    if rec.embedding is not None and rows.shape[1] == rec.model.observed_dim:
        raw = names or [f"x{k}" for k in range(1, rows.shape[1] // rec.embedding.dimension + 1)]
        names = [f"{x}_lag{k * rec.embedding.delay}" for k in range(rec.embedding.dimension) for x in raw]
    names = names or [f"x{k}" for k in range(1, rows.shape[1] + 1)]
    if path.suffix.lower() == ".npy":
        np.save(content, rows, allow_pickle=False)
    else:
        table = np.column_stack([rec.dt * np.arange(1, len(rows) + 1), rows])
        np.savetxt(content, table, fmt="%.9g", delimiter=",", header=",".join(["time", *names]), comments="")
    gd.training.write_whole(path, content.getvalue())
    print(f"{path}: {len(rows):,} steps x {rows.shape[1]} columns, dt {rec.dt:g}, {of_what}")
    return names


def score(options: Namespace) -> None:
    """Judge a model on recordings that it was not trained on, beside the floor that a perfect model would get."""
    rec = gd.load(options.model)
    tests = [series for path in options.recordings for series in _read_as_trained(path, rec, options, many=True)]
    floor = None if options.floor is None else _read_as_trained(options.floor, rec, options, many=True)
    scores = rec.score(tests, **{**_pick(options, gd.Reconstruction.score), "floor": floor})
    about = {"model": options.model, "recordings": options.recordings, "dt": rec.dt, "gtfdeer": gd.__version__}
    about = json.dumps(about | scores.as_dict(), indent=2, allow_nan=False)
    print(about if options.json else "\n".join([*(f"test  {test}" for test in tests), str(scores)]))


def report(options: Namespace) -> None:
    """Make one page that shows how well a model did: a .html, or the same as a notebook (.ipynb) to go on with."""
    _require_writable(options.out, ".html", ".ipynb")
    _require_notebook()
    rec = gd.load(options.model)
    test = _read_as_trained(options.recording, rec, options)[0]
    rec.standardised(test)  # refuses what does not fit before a kernel is started
    files = {"model": options.model, "test": options.recording, "floor": options.floor}
    paths = {name: file and str(gd.training.file_path(file).absolute()) for name, file in files.items()}
    reading = {**_pick(options, gd.data.read_series), "dt": test.dt}
    page = _run_notebook(**paths, reading=reading, steps=getattr(options, "steps", 20), truth=options.truth)
    content = _export(page) if options.out.suffix == ".html" else json.dumps(page, indent=1).encode()
    gd.training.write_whole(options.out, content)
    print(options.out)


def info(options: Namespace) -> None:
    """Show versions, device and memory, to paste into a bug report, and which device to choose."""
    print(json.dumps(gd.info(), indent=2) if options.json else gd.info())


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
        runs.append(_repeat(seed, options))
        if runs[-1][0].ending != "finished":
            break
    rec, test, floor, record = sorted(runs, key=lambda run: run[-1]["D_stsp"] or np.inf)[(len(runs) - 1) // 2]
    print(f"drawing seed {record['seed']} and writing the report", flush=True)
    facts = {
        **record,
        "seeds": [run[-1] for run in runs],
        **{"length": options.length, "dt": _DT, "noise": _NOISE, "seconds": round(time.perf_counter() - began, 1)},
        "command": options.command,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        **{name: gd.info()[name] for name in ("device", "versions")},
    }
    rec.save(options.out / "lorenz63.npz")
    np.save(options.out / "test.npy", test.values, allow_pickle=False)
    np.save(options.out / "floor.npy", floor.values, allow_pickle=False)
    gd.training.write_whole(options.out / "scores.json", json.dumps(facts, indent=2, allow_nan=False).encode())
    names = {"model": "lorenz63.npz", "test": "test.npy", "floor": "floor.npy", "record": "scores.json"}
    paths = {name: os.path.abspath(options.out / file) for name, file in names.items()}
    page = _run_notebook(**paths, reading={"dt": _DT}, truth=_EXPONENTS)
    files = {"report.html": _export(page)}
    for cell in page.cells:
        pictures = [output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.data]
        files |= {f"{cell.id}.png": base64.b64decode(picture) for picture in pictures}
    print("done. Look at the report first; model and scores are beside it:")
    for name, content in files.items():
        gd.training.write_whole(options.out / name, content)
        print(f"  {options.out / name}")


def _repeat(seed: int, options: Namespace) -> tuple[gd.Reconstruction, gd.data.Series, gd.data.Series, dict[str, Any]]:
    """Simulate, train, run freely, score; everything follows from the seed."""
    print(f"seed {seed}: simulating Lorenz-63 three times, {options.length:,} steps of {_DT:g} each", flush=True)
    keys = jax.random.split(jax.random.key(seed), 5)
    runs = [gd.data.simulate(gd.data.Lorenz63(), length=options.length, dt=_DT, key=key) for key in keys[:3]]
    print(f"seed {seed}: training a GRU on one of them with {_NOISE:.0%} noise", flush=True)
    model = gd.models.GRU(rngs=nnx.Rngs(seed))
    rec = gd.fit(model, runs[0].with_noise(_NOISE, key=keys[3]), key=keys[4], **_pick(options, gd.fit))
    if not (updates := rec.history["loss"].size):
        raise KeyboardInterrupt
    print(f"seed {seed}: training {rec.ending}; scoring against the test run, with the third as the floor", flush=True)
    scores = rec.score(runs[1], floor=runs[2])
    print(scores, flush=True)
    ended = {"updates": updates, "ending": rec.ending, "training_seconds": float(rec.history["seconds"].sum())}
    return rec, runs[1], runs[2], {"seed": seed, **scores.as_dict(), **ended}


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
    head = '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>'
    head = f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}{title[1] if title else "gtfdeer"}</title>\n</head>\n'
    return f"{head}<body>\n{body}\n</body>\n</html>\n".encode()


def _read_as_trained(path: str, rec: gd.Reconstruction, options: Namespace, many: bool = False) -> list[gd.data.Series]:
    """Recordings sampled as those of the training, unless they, or --dt, say otherwise; then `rec` refuses them."""
    given = _pick(options, gd.data.read_series)
    try:
        found = gd.data.read_series(path, **{"dt": rec.dt / rec.coarsened, **given})
    except ValueError:  # their own clock contradicts
        found = gd.data.read_series(path, **given)
    if isinstance(found, list) and not many:
        raise ValueError(f"{path} holds {len(found)} recordings; pass a file with one")
    return found if isinstance(found, list) else [found]


def _prepare(options: Namespace) -> tuple[list[gd.data.Series], list[gd.data.Series]]:
    """The series to train on and those held out, embedded after the cut: no row knows both parts."""
    fraction = options.test_fraction
    if options.delay is not None and options.delay_embed is None:
        raise ValueError("--delay came without --delay-embed; pass --delay-embed 5, or leave --delay out")
    found = [gd.data.read_series(path, **_pick(options, gd.data.read_series)) for path in options.recordings]
    whole = [s.coarsen(options.coarsen) for each in found for s in (each if isinstance(each, list) else [each])]
    ends = whole[0].split(1 - fraction) if fraction else ()  # refuses what is no fraction
    if len(whole) > 1:  # whole trials, the last ones
        count = min(round(fraction * len(whole)) or fraction > 0, len(whole) - 1)
        train, held_out = whole[: len(whole) - count], whole[len(whole) - count :]
    else:
        train, held_out = ([part] for part in ends) if fraction else (whole, [])
    if options.delay_embed is not None:
        first = train[0].delay_embed(options.delay_embed, options.delay)
        delay = first.embedding.delay if first.embedding else 1
        train, held_out = ([s.delay_embed(options.delay_embed, delay) for s in part] for part in (train, held_out))
    longest = max((len(series.longest_segment()) for series in held_out), default=_SHORTEST_TEST)
    if longest < _SHORTEST_TEST:
        raise ValueError(f"test-fraction {fraction:g} holds out {longest} steps without a gap; pass a larger fraction")
    return train, held_out


def _finish(rec: gd.Reconstruction, options: Namespace, held_out: Sequence[gd.data.Series] = ()) -> None:
    """Save, tell how training went, score; leave with a failure where training did not reach its end."""
    updates, seconds = rec.history["loss"].size, rec.history["seconds"].sum()
    if not updates:
        raise KeyboardInterrupt
    if not jax.process_index():
        rec.save(options.out)
    if not options.quiet:
        loss = np.median(rec.history["loss"][-max(1, updates // 20) :])
        told = f"training {rec.ending} after {updates:,} updates, which took {seconds:.1f} s"
        print(f"{told}, median loss of the last 5 % {loss:.3g}\nsaved {options.out}")
        if held_out:
            names = ", ".join(series.name for series in held_out)
            print(f"\nfree runs against what was held out of {names}:\n{rec.score(held_out)}")
    kept = f"what was learned until then is in {options.out}"
    if rec.ending == "interrupted":
        raise KeyboardInterrupt(kept)
    if rec.ending != "finished":
        raise Failure(f"training {rec.ending}; {kept}")


def _require_writable(path: Path, *endings: str) -> None:
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"out is {str(path)!r}; pass a name that ends in {' or '.join(endings)}")
    gd.training.require_writable(path)


def _pick(options: Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """The keywords of a function that the user gave; the others keep their defaults."""
    named = inspect.signature(function).parameters
    return {k: v for k, v in vars(options).items() if k in named and named[k].default is not inspect.Parameter.empty}


def _build(text: str, room: Any, base: type, **defaults: Any) -> Any:
    """An object from the name of its class, with or without keywords, such as "DEER" or "Annealed(last=0.1)"."""
    name, _, rest = text.partition("(")
    kind, value = _find_class(name, room, base), r"(\w+)\s*=\s*([-+]?[.\d][-+.\de]*|True|False|None|\w+Observation)"
    if not re.fullmatch(rf"(?:\s*{value}\s*,?)*\)", rest or ")"):
        raise ValueError(f"{text!r} is not understood; pass a name and keywords, such as '{name}(keyword=0.1)'")
    given = defaults | {k: getattr(room, v, None) or ast.literal_eval(v) for k, v in re.findall(value, rest)}
    for word in given.keys() - (known := inspect.signature(kind.__init__).parameters).keys():
        raise ValueError(f"{kind.__name__} takes no {word}; it takes {', '.join([*known][1:])}")
    return kind(**given)


def _find_class(name: str, room: Any, base: type) -> Any:
    """The concrete class of a room with this name, in upper or lower case."""
    known = [each for each in vars(room).values() if isinstance(each, type) and issubclass(each, base)]
    found = {each.__name__.lower(): each for each in known if not inspect.isabstract(each)}
    if name.lower() not in found:
        names = ", ".join(sorted(each.__name__ for each in found.values()))
        raise ValueError(f"there is no {base.__name__.lower()} {name!r}; pass one of {names}")
    return found[name.lower()]


def _build_model(options: Namespace, columns: int) -> Any:
    """The model named, else a GRU; of many columns, or with a hidden dimension, a shallow PLRNN.

    A network of many columns has fewer units and an affine readout: one unit a column runs away.
    """
    sizes: dict[str, Any] = {name: getattr(options, name) for name in ("latent_dim", "hidden_dim") if name in options}
    text = options.model or ("ShallowPLRNN" if "hidden_dim" in sizes or columns > _MANY_COLUMNS else "GRU")
    name, _, keywords = text.partition("(")
    wanted = inspect.signature(_find_class(name, gd.models, gd.models.Model).__init__).parameters
    if columns > _MANY_COLUMNS and "observation" in wanted and not (sizes or keywords):
        sizes |= {"latent_dim": min(16, max(_MANY_COLUMNS, columns // 4)), "observation": gd.models.AffineObservation}
    if wanted["latent_dim"].default in {inspect.Parameter.empty, *range(columns)}:
        sizes.setdefault("latent_dim", columns)
    if "hidden_dim" in wanted:
        sizes.setdefault("hidden_dim", 50)  # the published Lorenz-63 model (arXiv 2306.04406)
    return _build(text, gd.models, gd.models.Model, observed_dim=columns, rngs=nnx.Rngs(options.seed), **sizes)


def _add_keywords(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """One option for each keyword of a function that holds a number, a text or a switch; unset unless given."""
    text = inspect.getdoc(function) or ""
    for name, parameter in inspect.signature(function).parameters.items():
        kind = re.match(r"int|float|bool|str", str(parameter.annotation))
        if kind is None or name == "progress" or (parameter.default is parameter.empty):
            continue
        found = re.search(rf"^ *(?:\w+, )*{name}(?:, \w+)*: (.*(?:\n +(?![\w, ]+: ).*)*)", text, re.MULTILINE)
        words = " ".join(found[1].split()).replace("%", "%%") if found else ""
        more: Any = {"action": BooleanOptionalAction} if kind[0] == "bool" else {"type": getattr(builtins, kind[0])}
        parser.add_argument(f"--{name.replace('_', '-')}", default=SUPPRESS, help=words, **more)


def _build_parser() -> ArgumentParser:
    parser = ArgumentParser(prog="gtfdeer", epilog="Every command explains itself: gtfdeer fit --help")
    parser.description = "Learn the rules of a chaotic system from a recording."
    parser.add_argument("--version", action="version", version=f"gtfdeer {gd.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    made: dict[str, ArgumentParser] = {}
    for run in (demo, fit, resume, simulate, forecast, score, report, info):
        made[run.__name__] = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        made[run.__name__].set_defaults(run=run)

    def add(names: str, *words: str, help: str, **more: Any) -> None:
        for name in names.split():
            made[name].add_argument(*words, help=help, **more)

    add("demo", "--out", type=gd.training.file_path, default=Path("out/demo"), help="folder for the files (out/demo)")
    add("demo", "--seeds", type=int, default=1, help="repeat with so many seeds, show the median one (1)")
    add("demo", "--updates", type=int, default=3000, help="training updates (3000); Gauss-Newton steps follow")
    add("demo", "--length", type=int, default=100_000, help="time steps of each run (100000)")
    add("demo fit", "--seed", type=int, default=0, help="of first parameters, windows and noise, in a demo of data (0)")
    add("fit", "recordings", nargs="+", metavar="recording", help="one file or several: .csv, .npy, .edf, .mat ...")
    add("fit", "--delay-embed", type=int, help="replace each column by so many copies, each later in the past")
    add("fit", "--delay", type=int, help="time steps between two copies; chosen from the data by default")
    add("fit", "--test-fraction", type=float, default=0.0, help="share to score on: whole trials, or an end (0)")
    add("fit", "--coarsen", type=int, default=1, help="take means of so many rows at a time (1)")
    add("fit", "--model", help="a class of gtfdeer.models: AlmostLinearRNN, 'S5(width=16)' ...; by default a GRU")
    for size in ("--latent-dim", "--hidden-dim"):
        add("fit", size, type=int, default=SUPPRESS, help="of the model, where it has one")
    add("fit", "--forcing", default=SUPPRESS, help="a class of gtfdeer.forcing: Adaptive, 'Annealed(last=0.1)' ...")
    add("fit", "--solver", default=SUPPRESS, help="a class of gtfdeer.solvers: DEER, 'DEER(max_iterations=20)' ...")
    add("fit", "--distributed", action="store_true", help="one of several processes (SLURM, Open MPI) of one run")
    add("resume", "path", help="a checkpoint, written by gtfdeer fit --checkpoint")
    add("simulate forecast score report", "model", help="a model file, written by gtfdeer fit")
    add("forecast report", "recording", help="a recording in data units, sampled as for training")
    add("score", "recordings", nargs="+", metavar="recording", help="one file or several, sampled as for training")
    add("simulate forecast", "--steps", type=int, required=True, help="how many time steps")
    add("simulate", "--start", metavar="FILE", help="begin at its first row, by default at the training data's")
    add("forecast", "--figure", type=gd.training.file_path, metavar="FILE.png", help="also draw recording and forecast")
    add("score report", "--floor", metavar="FILE", help="another recording of the same system; else two halves")
    add("report", "--truth", type=float, nargs="+", help="known Lyapunov exponents per unit of time")
    judge = gd.Reconstruction.score
    for name, function in {"fit": gd.fit, "resume": gd.resume, "score": judge, "report": judge}.items():
        _add_keywords(made[name], function)
    column: Any = {"nargs": "+", "type": lambda text: int(text) if text.isdecimal() else text, "default": SUPPRESS}
    for name in ("fit", "simulate", "forecast", "score", "report"):
        _add_keywords(made[name], gd.data.read_series)
        add(name, "--columns", help="names, or numbers from 0", **column)
    add("fit resume", "--quiet", action="store_true", help="print nothing but errors")
    for names, ending in {"fit resume": ".npz", "simulate forecast": ".csv|.npy", "report": ".html|.ipynb"}.items():
        add(names, "--out", type=gd.training.file_path, required=True, metavar=f"FILE{ending}", help="what to write")
    add("score info", "--json", action="store_true", help="print JSON instead of a table")
    add(" ".join(made), "--debug", action="store_true", default=SUPPRESS, help="show the traceback of an error")
    return parser


def _describe_error(error: Exception) -> str:
    """The error in one line, in its own words; what no input can cause is a fault of ours."""
    words = " ".join(str(error).split()) or type(error).__name__
    if "RESOURCE_EXHAUSTED" in words:  # XLA's word for memory of a device, under no class of its own
        return f"the device ran out of memory ({words}); pass a smaller --batch or --window"
    if isinstance(error, Failure | ImportError | MemoryError | OSError | TypeError | ValueError):
        return words
    return f"unexpected {type(error).__name__} ({words}); please report it, with what --debug and info print"


if __name__ == "__main__":
    sys.exit(main())
