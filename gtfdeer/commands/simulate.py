"""`gtfdeer simulate`: a free run of a trained model, as a table."""

from __future__ import annotations

import io
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..training._files import write_whole
from .command import Command
from .files import require_writable
from .recordings import add_reading_options, read_as_trained

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from .. import Reconstruction


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="a model file written by gtfdeer fit")
    parser.add_argument("--steps", type=int, required=True, metavar="N", help="how many time steps to run")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .csv, with a time column, or a .npy, without",
    )
    parser.add_argument(
        "--start",
        metavar="FILE",
        help="a recording whose first complete row the run begins at; by default the first training sample",
    )
    add_reading_options(parser)


def run(options: Namespace) -> None:
    encode = _encoder(options.out)
    require_writable(options.out)
    from .. import load

    reconstruction = load(options.model)
    start = None if options.start is None else read_as_trained(options.start, reconstruction.dt, options)
    with warnings.catch_warnings():  # of an interrupt, which is told below
        warnings.filterwarnings("ignore", message="interrupted after")
        orbit = reconstruction.simulate(options.steps, start=start)
    write_whole(options.out, encode(orbit, reconstruction))
    print(
        f"{options.out}: {orbit.shape[0]:,} steps x {orbit.shape[1]} columns, dt {reconstruction.dt:g}, "
        f"of {reconstruction.name!r} running freely"
    )
    if len(orbit) < options.steps:
        raise KeyboardInterrupt(f"the first {len(orbit):,} of {options.steps:,} steps are in {options.out}")


def as_csv(orbit: Float[np.ndarray, "time observed"], reconstruction: Reconstruction) -> bytes:
    """A header, then a row a step: the time since the start (the first row is at dt) and the columns."""
    import numpy as np

    time = reconstruction.dt * np.arange(1, len(orbit) + 1)
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack([time, orbit]),
        fmt=["%.10g", *["%.9g"] * orbit.shape[1]],
        delimiter=",",
        header=",".join(["time", *column_names(reconstruction)]),
        comments="",
    )
    return text.getvalue().encode()


def as_npy(orbit: Float[np.ndarray, "time observed"], reconstruction: Reconstruction) -> bytes:
    """The columns alone, (T, N)."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, orbit, allow_pickle=False)
    return buffer.getvalue()


def column_names(reconstruction: Reconstruction) -> list[str]:
    """x1, x2, ...; of an embedded series x1_lag0, x1_lag7, ..., the numbers being time steps."""
    columns = reconstruction.model.observed_dim
    embedding = reconstruction.embedding
    if embedding is None:
        return [f"x{column + 1}" for column in range(columns)]
    original = columns // embedding.dimension
    return [
        f"x{column + 1}_lag{lag * embedding.delay}" for lag in range(embedding.dimension) for column in range(original)
    ]


def _encoder(path: Path):
    encoders = {".csv": as_csv, ".npy": as_npy}
    if path.suffix.lower() not in encoders:
        raise ValueError(f"--out {str(path)!r} does not say what to write; pass a name that ends in .csv or .npy")
    return encoders[path.suffix.lower()]


COMMAND = Command(
    name="simulate",
    summary="let a model run freely and write its orbit to a file",
    description=(
        "Let the model run on its own, in the units of the data. A .csv begins with a header and has the "
        "time since the\n"
        "start in its first column; the first row is one step after the start. Ctrl-C writes the steps that there are."
    ),
    example="  gtfdeer simulate heart.npz --steps 10000 --out orbit.csv",
    add_options=add_options,
    run=run,
)
