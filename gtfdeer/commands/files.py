"""Files that a command is to leave are refused before the work, not after it: one is begun there, and removed.

Asking for permissions would not do: root is told yes everywhere, even where nothing can be written.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from ..training._files import refusal

__all__ = ["require_writable", "require_writable_folder"]


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written at `path`, whose folder has to exist. Leaves nothing behind."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"cannot write {str(path)!r}, which is a folder; pass the name of a file in it")
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"cannot write {str(path)!r}, because there is no folder {str(path.parent)!r}; make it first, or "
            "pass another path"
        )
    try:
        NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.").close()  # as long a name as a draft's
    except OSError as error:
        raise refusal(path, error) from error


def require_writable_folder(folder: Path) -> None:
    """Raise OSError unless `folder` can be written in, being made where it is missing. Leaves nothing behind."""
    existing = folder.absolute()
    while not os.path.exists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(
            f"cannot write into {str(folder)!r}, because {str(existing)!r} is a file; pass a folder of your own"
        )
    try:
        with TemporaryDirectory(dir=existing, prefix=".") as draft:  # the missing folders are made in there, not here
            made = draft / folder.absolute().relative_to(existing)
            made.mkdir(parents=True, exist_ok=True)
            NamedTemporaryFile(dir=made).close()
    except OSError as error:
        raise refusal(folder, error) from error
