"""Files are written whole or not at all: a draft beside the target, flushed to disk, then renamed.

At every moment, killed or cut from power, `path` holds the old content or the new one. With `kept`, the old one stays
under that name: it is linked there first, so that neither name is ever without a whole file.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where two runs on one path are not told of each other
    fcntl = None

__all__ = ["alone_with", "as_path", "refusal", "remove_drafts", "write_whole"]

_ADVICE = {
    errno.ENOSPC: "free some space on that disk, or pass a path on another one",
    errno.EDQUOT: "free some of your quota on that disk, or pass a path on another one",
    errno.ENAMETOOLONG: "pass a shorter name",
}


def as_path(path: object, example: str) -> Path:
    """The path, or a sentence about what is none.

    >>> as_path(None, "model.npz")
    Traceback (most recent call last):
    TypeError: path is None; pass the path of a file, such as 'model.npz'
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path is {path!r}; pass the path of a file, such as {example!r}")
    return Path(path)


def write_whole(path: str | os.PathLike[str], content: bytes, kept: Path | None = None) -> None:
    """Write `content` to `path` in one go; whatever stood there before stays until the new file is complete.

    Args:
        path: where to.
        content: all of it.
        kept: where the file that stood at `path` is kept; None keeps none.

    Raises:
        OSError: if the folder is missing or not writable, or the disk full; nothing is left behind.
    """
    target = Path(path)
    draft, old = _draft(target), _draft(target)
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if kept is not None and target.exists():
            _link(target, old)
            os.replace(old, kept)
        os.replace(draft, target)
        _flush_folder(target.parent)
    except OSError as error:
        raise refusal(target, error) from error
    finally:
        _remove(draft)
        _remove(old)


def refusal(path: Path, error: OSError) -> OSError:
    """The same error as one sentence: what cannot be written, why, and what to pass."""
    reason = (error.strerror or str(error)).lower()
    advice = _ADVICE.get(error.errno or 0, "pass a path in a folder that exists and is yours")
    return type(error)(f"cannot write {str(path)!r} ({reason}); {advice}")


def remove_drafts(path: Path) -> None:
    """Remove what a writer of `path` that was killed left unfinished; only for who is `alone_with` it."""
    own = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    for other in path.parent.iterdir():
        if own.fullmatch(other.name):
            other.unlink(missing_ok=True)


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold `path` for one writer, a thread or a process, until the block ends or the process does, however it does.

    The system's lock on a hidden file beside `path`, which goes at the end (Linux and macOS).

    Raises:
        BlockingIOError: if another run holds it.
        OSError: if nothing can be written there.
    """
    if fcntl is None:
        yield
        return
    beside = path.with_name(f".{path.name}.lock")
    handle = _locked(path, beside)
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)  # before the lock goes: who opened it meanwhile sees that it is gone
        os.close(handle)


def _locked(path: Path, beside: Path) -> int:
    """An open handle of the lock file, locked."""
    while True:
        try:
            handle = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise refusal(path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # pyright: ignore[reportOptionalMemberAccess]
        except BlockingIOError as error:
            os.close(handle)
            raise BlockingIOError(
                f"another run is writing {str(path)!r} now; pass another path, or stop that run first"
            ) from error
        if _is_same(handle, beside):
            return handle
        os.close(handle)  # the run before removed the file between our opening and our locking it


def _is_same(handle: int, beside: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(beside))
    except FileNotFoundError:
        return False


def _draft(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


def _remove(draft: Path) -> None:
    """Remove a draft, if it is there; in a folder that cannot be written the system refuses even to look."""
    with suppress(OSError):
        draft.unlink()


def _link(source: Path, link: Path) -> None:
    """A second name for the same file, or a copy where the file system knows no links."""
    try:
        os.link(source, link)
    except OSError:
        with open(source, "rb") as old, open(link, "xb") as copy:
            shutil.copyfileobj(old, copy)
            copy.flush()
            os.fsync(copy.fileno())


def _flush_folder(folder: Path) -> None:
    """Have the disk know the new names, which a power cut could undo; not all systems can (Windows, some networks')."""
    if os.name == "nt" or not os.access(folder, os.R_OK):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
