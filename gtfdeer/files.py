"""Files are written whole or not at all: a draft beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` in one go; whatever stood there before stays until the new file is complete.

    Raises:
        OSError: if the folder is missing or not writable; nothing is left behind.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise type(error)(
            f"cannot write {str(target)!r} ({reason}); pass a path in a folder that exists and is yours"
        ) from error
    finally:
        if draft.parent.is_dir():
            draft.unlink(missing_ok=True)
