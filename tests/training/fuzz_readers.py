"""Fuzz the readers with atheris, which follows what code its inputs reach: `make fuzz-readers`.

    python tests/training/fuzz_readers.py TARGET [options of libFuzzer] [a folder to keep inputs in]

TARGET is text, arrays, models or checkpoints. An input is read, or refused by a ValueError, TypeError or MemoryError
that our own code raised; all else is a finding, kept as a file `crash-*` in the working directory. Files with checksums
are put together from the fuzzer's bytes, so that they reach what comes after it. atheris is not in the
lock: `pip install atheris` (Linux, Python 3.11 to 3.13).
"""

from __future__ import annotations

import io
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris
import jax
import numpy as np
from flax import nnx

READERS = [f"gtfdeer.{part}" for part in ("data", "training")]
with atheris.instrument_imports(include=READERS):
    import gtfdeer as gd
    from gtfdeer.training._archive import pack, unpack
    from gtfdeer.training._files import load_run

PACKAGE = Path(gd.__file__).parent
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
Build = Callable[[bytes], bytes]


def small_model() -> gd.models.Model:
    return gd.models.ClippedShallowPLRNN(latent_dim=3, hidden_dim=4, rngs=nnx.Rngs(0))


def saved() -> Path:
    path = FOLDER / "saved.npz"
    gd.Reconstruction(small_model(), None, dt=0.01, first=np.zeros(3, np.float32)).save(path)
    return path


def begun() -> Path:
    path = FOLDER / "begun.npz"
    series = gd.data.simulate(gd.data.Lorenz63(), length=200, dt=0.01, key=jax.random.key(0))
    gd.fit(small_model(), series, window=10, batch=1, updates=2, validations=0, checkpoint=path, progress=False)
    return path


def archive(content: bytes) -> bytes:
    """An archive of one or two members, split where the first byte says."""
    cut = content[0] * len(content) // 256 if content else 0
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x.npy", content[1 : 1 + cut])
        file.writestr("y.npy", content[1 + cut :])
    return buffer.getvalue()


def rewritten(path: Path) -> Build:
    """The file at `path` with its header, or the bytes of one array, replaced; which one, the first byte says."""
    arrays = unpack(path.read_bytes())
    names = ["header", *sorted(arrays.keys() - {"header"})]

    def build(content: bytes) -> bytes:
        name = names[content[0] % (2 * len(names)) % len(names)] if content and content[0] % 2 else "header"
        array, content = arrays[name], content[1:]
        if name == "header":
            return pack({**arrays, "header": np.frombuffer(content, np.uint8)}, compress=False)
        changed = np.resize(np.frombuffer(content.ljust(1), np.uint8), array.nbytes).view(array.dtype)
        return pack({**arrays, name: changed.reshape(array.shape)}, compress=False)

    return build


def as_it_is(content: bytes) -> bytes:
    return content


def doors(target: str) -> list[tuple[Callable[[Path], object], str, Build]]:
    """What reads, the name that it reads from, and how its file is made of the fuzzer's bytes."""
    series = gd.data.read_series
    if target == "text":
        return [(series, "x.csv", as_it_is), (series, "x.txt", as_it_is)]
    if target == "arrays":
        return [(series, "x.npy", as_it_is), (series, "x.npz", as_it_is), (series, "x.npz", archive)]
    if target == "models":
        return [(gd.load, "x.npz", as_it_is), (gd.load, "x.npz", rewritten(saved()))]
    if target == "checkpoints":
        return [(load_run, "x.npz", rewritten(begun()))]
    raise SystemExit(f"{target!r} is none of text, arrays, models, checkpoints")


def seeds(target: str, folder: Path) -> None:
    """What to begin with: a few good inputs, each behind the byte that chooses a door."""
    folder.mkdir(parents=True, exist_ok=True)
    table = io.BytesIO()
    np.save(table, np.arange(6.0).reshape(3, 2))
    texts = [
        b"t,x,y\n0,1,2\n1,3,4\n2,5,6\n",
        b"1;2,5\n3;4,5\n",
        b"# a\n1 2\n3 nan\n5 6\n",
        "é,µ\n1,2\n3,4\n".encode("utf-16"),
    ]
    known = {"text": texts, "arrays": [table.getvalue(), archive(b"\x80" + table.getvalue())]}
    if target == "models":
        known["models"] = [saved().read_bytes(), b"\0" + unpack(saved().read_bytes())["header"].tobytes()]
    if target == "checkpoints":
        known["checkpoints"] = [b"\0" + unpack(begun().read_bytes())["header"].tobytes()]
    for k, content in enumerate(known[target]):
        for door in range(len(doors(target))):
            (folder / f"seed-{k}-{door}").write_bytes(bytes([door]) + content)


def main(target: str, *options: str) -> None:
    warnings.simplefilter("ignore")
    folders = [Path(option) for option in options if not option.startswith("-")]
    seeds(target, folders[0] if folders else FOLDER / "inputs")
    choices = doors(target)

    def one(content: bytes) -> None:
        read, name, build = choices[content[0] % len(choices)] if content else choices[0]
        path = FOLDER / name
        path.write_bytes(build(content[1:]))
        try:
            read(path)
        except (ValueError, TypeError, MemoryError) as error:
            last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            if PACKAGE not in last.parents:
                raise

    atheris.Setup([sys.argv[0], *options, *([] if folders else [str(FOLDER / "inputs")])], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
