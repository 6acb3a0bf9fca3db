"""NumPy's own files, .npy and .npz, opened without trust.

    promised bytes = product of the shape x bytes per number  must equal  the bytes that are there

The header is checked before memory is asked for, and nothing is ever unpickled. An .npz file is a Zip archive of .npy
files, in which a few bytes may promise a great many (a "zip bomb"). Format: `numpy.lib.format`.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

MOST_BYTES = 4 * 2**30  # unpacked, of one array in an .npz file (ours)
MOST_INFLATION = 200  # unpacked bytes per packed byte, above LARGE bytes; recordings reach about 10 (ours)
LARGE = 64 * 2**20
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, UnicodeDecodeError)


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an .npy file.

    Raises: ValueError if it is no .npy file, was cut short, or holds Python objects or records.
    """
    with path.open("rb") as file:
        _check_header(file, path.stat().st_size, path.name)
    return np.load(path, allow_pickle=False)


def read_npz(path: Path, field: str | None = None) -> np.ndarray:
    """Return the only array of an .npz file, or the one called `field`.

    Raises: ValueError if it is no .npz file, holds several arrays and `field` names none of them, would
    unpack to over 4 GiB or is packed suspiciously well, or was damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = _choose_member(archive, path.name, field)
            where = f"{member.filename.removesuffix('.npy')!r} in {path.name!r}"
            _refuse_bombs(member.file_size, min(member.compress_size, path.stat().st_size), where)
            with archive.open(member) as file:
                _check_header(file, member.file_size, where)
            with archive.open(member) as file:
                return npy.read_array(file, allow_pickle=False)
    except DAMAGED as problem:
        raise ValueError(
            f"{path.name!r} is not a whole .npz file ({problem}); save it again with "
            "numpy.savez_compressed(path, values=...)"
        ) from problem


def _choose_member(archive: zipfile.ZipFile, file_name: str, field: str | None) -> zipfile.ZipInfo:
    members = {
        each.filename.removesuffix(".npy"): each for each in archive.infolist() if each.filename.endswith(".npy")
    }
    if not members:
        raise ValueError(f"{file_name!r} holds no array; save it with numpy.savez_compressed(path, values=...)")
    chosen = next(iter(members)) if field is None and len(members) == 1 else field
    if chosen not in members:
        what = f"{len(members)} arrays" if field is None else f"no array {field!r}"
        raise ValueError(f"{file_name!r} holds {what}; pass field= one of {', '.join(map(repr, members))}")
    return members[chosen]


def _refuse_bombs(unpacked: int, packed: int, where: str) -> None:
    """Refuse what the archive says is large, or larger than `packed` bytes can be, before a byte is unpacked."""
    if unpacked > MOST_BYTES:
        raise ValueError(
            f"{where} unpacks to {unpacked / 2**30:.1f} GiB, over the limit of 4 GiB; if you trust "
            "it, load it with numpy.load and pass a part of the array"
        )
    if unpacked > LARGE and unpacked > MOST_INFLATION * packed:
        raise ValueError(
            f"{where} unpacks {packed} bytes to {unpacked}, which no recording does; "
            "if you trust it, load it with numpy.load and pass the array"
        )


def _check_header(file: IO[bytes], total_bytes: int, where: str) -> None:
    """Refuse an .npy stream whose header promises other than the numbers that follow it."""
    start = file.read(len(npy.MAGIC_PREFIX) + 2)
    if not start.startswith(npy.MAGIC_PREFIX) or len(start) < len(npy.MAGIC_PREFIX) + 2:
        raise ValueError(
            f"{where} is not a NumPy array file: it begins with {start!r}; save it with numpy.save(path, values)"
        )
    reader = READERS.get((start[-2], start[-1]))
    if reader is None:
        raise ValueError(f"{where} holds records with named fields; pass one of them as a plain array, values['name']")
    try:
        shape, _, dtype = reader(file)
    except (ValueError, TypeError, SyntaxError, TokenError) as problem:
        raise ValueError(f"{where} has a damaged header ({problem}); copy or save the file again") from problem
    if dtype.hasobject:
        raise ValueError(
            f"{where} holds Python objects, which are never unpickled; save numpy.asarray(values, dtype=float)"
        )
    if dtype.names is not None:
        raise ValueError(
            f"{where} holds records with fields {list(dtype.names)}; pass one as a plain array, values['name']"
        )
    promised, there = math.prod(shape) * dtype.itemsize, total_bytes - file.tell()
    if promised != there or not all(0 <= size < 2**62 for size in shape):
        raise ValueError(
            f"{where} promises {promised} bytes of {dtype} in shape {shape} but holds {there}; copy or save "
            "the file again"
        )
