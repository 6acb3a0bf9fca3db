"""Files that a command is to leave are refused before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["require_writable", "require_writable_folder"]


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written at `path`, whose folder has to exist. Writes nothing."""
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {str(path)!r}, which is a folder; pass the name of a file in it")
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"cannot write {str(path)!r}, because there is no folder {str(path.parent)!r}; make it first, or "
            "pass another path"
        )
    _require_access(path, path.parent)


def require_writable_folder(folder: Path) -> None:
    """Raise OSError unless `folder` is there to be written in, or can be made. Makes nothing."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(
            f"cannot write into {str(folder)!r}, because {str(existing)!r} is a file; pass a folder of your own"
        )
    _require_access(folder, existing)


def _require_access(wanted: Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"cannot write {str(wanted)!r}: {str(folder)!r} is read-only for you; pass a path of your own"
        )
