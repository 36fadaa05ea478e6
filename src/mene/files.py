"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mene.errors import UsageError


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file that replaces ``path`` when the block ends without an error.

    After an error or a kill, the old file is unchanged. A symbolic link stays one: its target is replaced and keeps its
    permissions. Devices and pipes are written to directly.

    Raises:
        OSError: the folder, the permissions or the disk do not allow it.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    there = target.stat().st_mode if target.exists() else None
    if there is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    part = target.with_name(f".{target.name}.part")
    # Remove a partial file of a killed run. A link planted under that name goes too, so its target is never written to.
    part.unlink(missing_ok=True)
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(number, "wb") as file:
            if there is not None:
                os.chmod(part, there & 0o7777)
            yield file
            file.flush()
            os.fsync(number)
            if not part.exists() or part.stat().st_ino != os.fstat(number).st_ino:
                raise OSError(errno.EBUSY, "another process is writing it", str(path))
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text like ``whole`` does, in UTF-8."""
    with whole(path) as file:
        file.write(text.encode("utf-8"))


def make_folder(folder: Path) -> None:
    """Create the folder for results before any work is done.

    Raises:
        UsageError: the folder cannot be created, or is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot write here: {error.strerror}; choose another folder with --output"
        ) from None
