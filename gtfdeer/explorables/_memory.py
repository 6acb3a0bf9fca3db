"""Memory that compiling used is given back."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system: glibc keeps the 100 MB or more that compiling needed for a moment.

    First, programs that made room for others go: they refer to themselves, and wait for the garbage collector.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
