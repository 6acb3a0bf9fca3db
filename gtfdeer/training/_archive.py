"""Arrays as one `.npz` file and back, no pickle, every CRC-32 checked; files that are written whole or not at all."""

from __future__ import annotations

import errno
import io
import math
import os
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from numpy.lib import format as npy

from .._checks import file_path

LARGEST = 2**32  # bytes of arrays in a file
_LARGE, _MAX_RATIO = 2**26, 200  # bytes, and unpacked bytes per packed byte, beyond which a file is a Zip bomb
_ADVICE = {
    errno.ENOSPC: "free some space on that disk, or pass a path on another one",
    errno.EDQUOT: "free some of your quota on that disk, or pass a path on another one",
    errno.ENAMETOOLONG: "pass a shorter name",
}


def write_whole(path: str | os.PathLike[str], content: bytes, previous: Path | None = None) -> None:
    """Write `content` to `path` at once; what stood there stays until the new file is complete, or moves to `previous`.

    Raises:
        OSError: if the folder is missing or not writable, or the disk full; nothing is left behind.
    """
    target = file_path(path)
    with _write_draft(target, content) as draft:
        if previous is not None:
            with suppress(FileNotFoundError):  # the first one, or another writer was faster
                os.replace(target, previous)
        os.replace(draft, target)


def require_writable(path: Path) -> None:
    """Refuse, before the work, a path that cannot be written; asking for permissions would not do for root."""
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {str(path)!r}, which is a folder; pass the name of a file in it")
    with _write_draft(path, b""):
        pass


@contextmanager
def _write_draft(target: Path, content: bytes) -> Iterator[Path]:
    """Write a file beside the target, flushed to disk, which is gone in the end; errors name the target."""
    draft = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        advice = _ADVICE.get(error.errno or 0, "pass a path in a folder that exists and is yours")
        raise type(error)(f"cannot write {str(target)!r} ({reason}); {advice}") from error
    finally:
        with suppress(OSError):  # renamed, or in a folder where nothing can be removed
            draft.unlink()


def remove_drafts(path: Path) -> None:
    """Remove what killed writers of `path` left unfinished: drafts of processes that no longer exist."""
    draft = re.compile(rf"\.{re.escape(path.name)}\.(\d+)-[0-9a-f]{{8}}")
    for other in path.parent.iterdir():
        if (found := draft.fullmatch(other.name)) and not psutil.pid_exists(int(found[1])):
            other.unlink(missing_ok=True)


def pack(arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> bytes:
    """Return an `.npz` file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            npy.write_array(content, np.asarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            member.compress_type = archive.compression
            archive.writestr(member, content.getbuffer())
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file; ValueError or one of `zipfile`: for anything but whole arrays of numbers."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        promised = sum(member.file_size for member in members)
        if promised > min(LARGEST, max(_LARGE, _MAX_RATIO * len(content))):
            raise ValueError(f"it would unpack to {promised / 2**30:.1f} GiB")
        listed = int.from_bytes(content[-12:-10], "little")  # by the end record; a flipped length can hide members
        if content[-22:-18] != b"PK\5\6" or listed != len(members):
            raise ValueError(f"its directory lists {len(members)} arrays but says {listed}")
        if len({member.filename for member in members}) < len(members):
            raise ValueError("it holds two arrays of one name")
        return {member.filename.removesuffix(".npy"): _parse_array(archive.read(member)) for member in members}


def _parse_array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array has the format {version}")
    shape, fortran_order, dtype = npy.read_array_header_1_0(file)
    size = math.prod(shape)
    if dtype.kind not in "fiub" or min(shape, default=0) < 0 or size * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"an array promises {dtype}{list(shape)} but holds {len(content) - file.tell()} bytes")
    flat = np.frombuffer(content, dtype, size, file.tell()) if size else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C").copy()
