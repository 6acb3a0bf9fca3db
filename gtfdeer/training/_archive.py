"""Arrays in one `.npz` file and back: no pickle, every CRC-32 checked, nothing unpacked before its size is known."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy

__all__ = ["LARGEST", "pack", "unpack"]

LARGEST = 2**32  # bytes of arrays in a file
_LARGE, _MAX_RATIO = 2**26, 200  # bytes, and unpacked bytes per packed byte, beyond which a file is a Zip bomb


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
    """Return the arrays of an `.npz` file; every CRC-32 is checked.

    Raises:
        ValueError and those of `zipfile`: for anything but whole arrays of numbers.
    """
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
