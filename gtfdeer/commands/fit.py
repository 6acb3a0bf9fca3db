"""`gtfdeer fit`: from recordings to a trained model in one file.

read -> hold out the end -> delay-embed -> train -> save -> score on what was held out
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command import Command, Failure
from .files import require_writable
from .networks import add_model, build, exported
from .preparation import add_preparation, prepare
from .recordings import add_reading_options, describe

if TYPE_CHECKING:
    from .. import Reconstruction
    from ..forcing import Schedule
    from ..models import Model


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "recordings", nargs="*", metavar="recording", help="one file, or several of the same quantities"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the model file to write, a .npz")
    parser.add_argument(
        "--dt",
        type=float,
        help="time between two rows, in any unit; by default that of the file's time column, else 1",
    )
    add_reading_options(parser)
    add_preparation(parser)
    add_model(parser)
    _add_training(parser)
    _add_checkpoints(parser)
    _add_devices(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_training(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("training (by default as gtfdeer.fit does)")
    group.add_argument("--window", type=int, metavar="T", help="time steps of a training sequence")
    group.add_argument("--batch", type=int, metavar="B", help="sequences in an update")
    group.add_argument("--updates", type=int, metavar="U", help="how many updates")
    group.add_argument(
        "--forcing",
        choices=("annealed", "adaptive", "constant"),
        default="annealed",
        help="teacher forcing (annealed)",
    )
    group.add_argument(
        "--alpha", type=float, help="last strength of annealed forcing (0.03), or the strength of constant forcing"
    )
    group.add_argument("--solver", default="Auto", metavar="NAME", help="its class in gtfdeer.solvers (Auto)")
    group.add_argument("--learning-rate", type=float, metavar="R", help="first learning rate")
    group.add_argument(
        "--noise",
        type=float,
        metavar="S",
        help="noise added to the model's input, in standard deviations of the data",
    )
    group.add_argument(
        "--allow-missing",
        action="store_true",
        default=None,
        help="also take sequences with missing rows, where nothing is forced",
    )
    group.add_argument("--seed", type=int, default=0, help="of first parameters, windows and noise (0)")


def _add_checkpoints(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("long runs")
    group.add_argument(
        "--checkpoint", type=Path, metavar="RUN.npz", help="keep a recent state of the run here, to go on after a crash"
    )
    group.add_argument("--every", type=int, metavar="U", help="updates between two checkpoints (1000)")
    group.add_argument(
        "--resume",
        type=Path,
        metavar="RUN.npz",
        help="go on with the run kept here, in place of recordings and options",
    )


def _add_devices(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("several devices")
    group.add_argument("--devices", type=int, metavar="D", help="devices that share each batch (JAX's default device)")
    group.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes of a job (SLURM, Open MPI) that train together on all their devices",
    )


def run(options: Namespace) -> None:
    require_writable(options.out)
    if options.distributed:
        _join(options)
    if options.resume is not None:
        return _resume(options)
    if not options.recordings:
        raise ValueError("no recording came; pass the file of one, or --resume with a checkpoint")
    if options.every is not None and options.checkpoint is None:
        raise ValueError("--every came without --checkpoint; pass --checkpoint run.npz, or leave --every out")
    say = _silent if options.quiet else print
    import jax

    import gtfdeer

    settings = _settings(options)
    train, held_out = prepare(options)
    for series in train:
        say(f"train  {describe(series)}")
    for series in held_out:
        say(f"test   {describe(series)}")
    model = build(options, train[0].columns)
    say(f"model  {_described(model)}")
    key = jax.random.key(options.seed)
    reconstruction = gtfdeer.fit(model, train, key=key, progress=not options.quiet, **settings)
    _save(reconstruction, options.out, say)
    for series in held_out:
        say(f"\nfree run against the held-out end of {series.name}:\n{reconstruction.score(series)}")
    _require_success(reconstruction, options.out)


def _join(options: Namespace) -> None:
    """Join the other processes of the job; only the first one talks, and only it writes."""
    import jax

    jax.distributed.initialize()
    if options.devices is None:
        options.devices = jax.device_count()
    options.quiet = options.quiet or jax.process_index() > 0


def _resume(options: Namespace) -> None:
    """Go on with a run; its checkpoint holds everything but where the model goes."""
    parser = ArgumentParser()
    add_options(parser)
    unset = vars(parser.parse_args(["--out", "x"]))
    own = {"out", "resume", "devices", "distributed", "quiet", "debug", "run"}
    extra = [name for name, value in vars(options).items() if name not in own and value != unset[name]]
    if extra:
        named = ", ".join("recordings" if name == "recordings" else f"--{name.replace('_', '-')}" for name in extra)
        raise ValueError(f"--resume came with {named}, which the checkpoint holds already; leave that out")
    import gtfdeer

    reconstruction = gtfdeer.resume(options.resume, devices=options.devices, progress=not options.quiet)
    _save(reconstruction, options.out, _silent if options.quiet else print)
    _require_success(reconstruction, options.out)


def _save(reconstruction: Reconstruction, path: Path, say: Callable[[str], None]) -> None:
    if not reconstruction.history["loss"].size:
        raise KeyboardInterrupt
    import jax

    if jax.process_index():
        return
    reconstruction.save(path)
    say(f"training {_told(reconstruction)}")
    say(f"saved  {path}")


def _settings(options: Namespace) -> dict[str, Any]:
    """The keywords of `gtfdeer.fit` that the user gave; the others keep their defaults."""
    from .. import solvers

    names = ("window", "batch", "updates", "learning_rate", "noise", "allow_missing", "checkpoint", "every", "devices")
    given = {name: getattr(options, name) for name in names}
    chosen = {name: value for name, value in given.items() if value is not None}
    solver = exported(solvers, solvers.Solver, options.solver, "solver")
    return {**chosen, "forcing": _forcing(options), "solver": solver()}


def _forcing(options: Namespace) -> Schedule:
    from ..forcing import DEFAULT, Adaptive, Annealed, Constant

    if options.forcing == "adaptive":
        if options.alpha is not None:
            raise ValueError(
                "--alpha has no meaning with --forcing adaptive, which finds its own; pass --forcing constant"
            )
        return Adaptive()
    if options.forcing == "annealed":
        return DEFAULT if options.alpha is None else Annealed(last=options.alpha)
    return Constant() if options.alpha is None else Constant(options.alpha)


def _described(model: Model) -> str:
    from ..training._storage import flat_parameters

    sizes = {name: size for name, size in model.config().items() if name.endswith("_dim") and size}
    count = sum(array.size for array in flat_parameters(model).values())
    return f"{type(model).__name__}({', '.join(f'{k}={v}' for k, v in sizes.items())}), {count:,} parameters"


def _told(reconstruction: Reconstruction) -> str:
    """How training ended, in a line."""
    import numpy as np

    history = reconstruction.history
    last = history["loss"][-max(1, history["loss"].size // 20) :]
    text = (
        f"{reconstruction.ending} after {history['loss'].size:,} updates, which took {history['seconds'].sum():.1f} "
        f"s, compiling included, without looks at free runs: loss {np.median(last):.3g} (median of the last 5%), alpha "
        f"{history['alpha'][-1]:.3f}, solver iterations {np.median(history['iterations']):.0f} (median)"
    )
    for name, meaning in (
        ("damped", "tried again damped"),
        ("sequential", "solved again step by step"),
        ("skipped", "not applied, because not finite"),
    ):
        if total := int(history[name].sum()):
            text += f", {total:,} updates {meaning}"
    return text


def _require_success(reconstruction: Reconstruction, path: Path) -> None:
    """After everything is saved and told: leave with a failure where training did not reach its end."""
    if reconstruction.ending == "interrupted":
        raise KeyboardInterrupt(f"what was learned until then is in {path}")
    if reconstruction.ending != "finished":
        raise Failure(f"training {reconstruction.ending}; what was learned until then is in {path}")


def _silent(text: str) -> None:
    """Print nothing."""


COMMAND = Command(
    name="fit",
    summary="learn a model from recordings of your own",
    description=(
        "Train a model on a recording by Generalized Teacher Forcing and write it to one file. Ctrl-C ends "
        "training early\n"
        "and keeps what was learned. Values are standardised for training; everything is reported in data "
        "units."
    ),
    example=(
        "  gtfdeer fit recording.csv --dt 0.004 --delay-embed 5 --test-fraction 0.2 --out heart.npz\n"
        "  gtfdeer fit --resume run.npz --out heart.npz    # begun with --checkpoint run.npz\n"
        "  gtfdeer fit monday.npy tuesday.npy --dt 0.01 --model ClippedShallowPLRNN --hidden-dim 100 --out "
        "two.npz"
    ),
    add_options=add_options,
    run=run,
)
