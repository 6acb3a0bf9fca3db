"""Arrays in one `.npz` file with a seal: any byte that changes, and any that is missing, shows.

    file = body + SHA-256(body) in 64 hexadecimal digits

The digits are the end of the Zip archive's comment, so NumPy and every unpacker read the file as any other `.npz`. A
seal guards against accidents, not against people; what a stranger may have written is checked by
`gtfdeer.data._numpy_files` besides: no pickle, nothing unpacked on the word of a header.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from ..data._numpy_files import read_archive

__all__ = ["Broken", "pack", "unpack"]

_MARK = b"sha256:"
_DIGITS = 64
_BLOCK = 2**20


class Broken(ValueError):
    """The file is not what was written: cut short, changed, or something else altogether."""


def pack(arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> bytes:
    """The sealed file of these arrays; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: a file tells what is in it, not when it was written
            member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        archive.comment = _MARK + b"0" * _DIGITS
    with buffer.getbuffer() as content:  # sealed where it lies: a long run's checkpoint is not copied
        content[-_DIGITS:] = hashlib.sha256(content[:-_DIGITS]).hexdigest().encode()
    return buffer.getvalue()


def unpack(path: Path, *, most: int, unsealed: bool = False) -> dict[str, np.ndarray]:
    """The arrays of a file, its seal checked first.

    Args:
        path: of a file.
        most: bytes that the arrays may take; a file that promises more is refused unread.
        unsealed: whether a file without a seal will do.

    Raises:
        Broken: with the reason, in words that follow "the file is broken:".
    """
    with path.open("rb") as file:
        _check_seal(file, unsealed)
        try:
            return read_archive(file, path.name, most)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, MemoryError) as error:
            raise Broken(str(error)) from error


def _check_seal(file: IO[bytes], unsealed: bool) -> None:
    size = file.seek(0, io.SEEK_END)
    length = len(_MARK) + _DIGITS
    file.seek(max(0, size - length))
    end = file.read()
    if not end.startswith(_MARK) or len(end) < length:
        if unsealed:
            return
        raise Broken("its checksum is missing, as in a file cut short")
    file.seek(0)
    digest, left = hashlib.sha256(), size - _DIGITS
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    if digest.hexdigest().encode() != end[len(_MARK) :]:
        raise Broken("its checksum does not fit its content")
