"""Files that are written whole or not at all, wherever their name leads."""

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
    """Write a file that takes the place of ``path`` when the block comes to its end, and not before.

    An error or a kill in between leaves what was there. A link stays a link: the file that it names is replaced, with
    the rights that it had. A device or a pipe is written to as it is.

    Raises:
        OSError: the folder, the rights or the disk do not allow it.
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
    # A part that an earlier kill left goes. So does a link that somebody put there: what it names is not written to.
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
    """``whole`` for a text, in UTF-8."""
    with whole(path) as file:
        file.write(text.encode("utf-8"))


def make_folder(folder: Path) -> None:
    """Make the folder for results, before any time is spent on them.

    Raises:
        UsageError: it cannot be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot write here: {error.strerror}; choose another folder with --output"
        ) from None
