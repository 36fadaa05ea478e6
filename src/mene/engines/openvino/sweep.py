"""Removing prepared models from the cache whenever a new one is written: those no longer useful, and the oldest beyond a limit.

A prepared model is found by the checksums of its sources. When a model file is replaced, or the format changes, the old one
would stay for ever, at the size of the model. So a list beside each records the paths that it was requested with; its time is
that of the last use.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from mene.errors import UsageError
from mene.weights.cache import is_own

PATHS, WEIGHTS = "paths.json", "model.bin"
LIMIT = 30.0  # GB of prepared models that are kept; MENE_PREPARED_GB changes it
# Seconds for which a model that was asked for is not removed for the limit: a process may be opening it.
OPENING = 600.0
# Endings of folders being written and being removed; only a kill leaves them behind.
PART, GONE = ".part", ".gone"
_NAME = re.compile(r".*?-(?P<sums>[0-9a-f]{16}(-[0-9a-f]{16})*)-(?P<form>\d+)")
Paths = list[str]  # absolute, of the model and of its adapters


class Freed(NamedTuple):
    """Number of prepared models removed, their bytes, and whether some of them were useful, but beyond the limit."""

    models: int
    size: int
    beyond: bool = False


def asked_for(path: Path, adapters: Sequence[Path] = ()) -> Paths:
    """Return the paths under which a model and its adapters are recorded."""
    return [str(one.resolve()) for one in (path, *adapters)]


def note_asked(folder: Path, paths: Paths) -> None:
    """Record that a prepared model was used now, with these paths. Without effect where the cache is not writable."""
    known = _asked(folder)
    with suppress(OSError):
        if paths in known:
            os.utime(folder / PATHS)
            return
        part = folder / f"{PATHS}.{os.getpid()}"
        part.write_text(json.dumps([*known, paths]), "utf-8")
        part.replace(folder / PATHS)


def sweep(kept: Path, paths: Paths) -> Freed:
    """Remove what ``kept``, just written for ``paths``, makes obsolete, and incomplete folders of killed processes.

    Removed are: older formats of the same model file; prepared models of which every path has different content now, as
    ``kept`` shows; and incomplete ones that no process is writing. A missing path proves nothing: another machine or
    container may share the cache and have the file. Then the models that were not used for longest go, until all together are
    within ``limit``; but none that was asked for in the last minutes.

    Raises:
        UsageError: ``MENE_PREPARED_GB`` is no size.
    """
    others = [
        folder
        for folder in sorted(kept.parent.iterdir())
        if folder != kept and folder.suffix != ".lock" and _is_ours(folder)
    ]
    useless = [
        folder
        for folder in others
        if folder.suffix in (PART, GONE) or _is_useless(folder, kept, paths)
    ]
    freed = [_free(folder) for folder in useless]
    left = sorted((folder for folder in others if folder not in useless), key=_last_use)
    size = _size(kept) + _compiled_size(kept) + sum(map(_size, left))
    beyond = False
    for folder in left:
        if size <= limit() or time.time() - _last_use(folder) < OPENING:
            break
        freed.append(_free(folder))
        size -= freed[-1]
        beyond = beyond or freed[-1] > 0
    return Freed(sum(size > 0 for size in freed), sum(freed), beyond)


def _compiled_size(folder: Path) -> int:
    """Return about the bytes that OpenVINO will add to a model just made: as many as its weights."""
    with suppress(OSError):
        return (folder / WEIGHTS).stat().st_size
    return 0


def limit() -> float:
    """Return the bytes of prepared models that are kept.

    Raises:
        UsageError: ``MENE_PREPARED_GB`` is no size.
    """
    said = os.environ.get("MENE_PREPARED_GB") or str(LIMIT)
    try:
        size = float(said)
    except ValueError:
        size = -1.0
    if not 0 <= size < math.inf:
        raise UsageError(f"MENE_PREPARED_GB: {said!r} is no number of gigabytes, such as {LIMIT:g}")
    return size * 1e9


def _last_use(folder: Path) -> float:
    for path in (folder / PATHS, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _free(folder: Path) -> int:
    """Remove a folder unless a process is writing it, and return the bytes freed."""
    with _alone(folder) as alone:
        if not alone or not folder.exists():
            return 0
        size = _size(folder)
        return size if _remove(folder) else 0


def _is_ours(folder: Path) -> bool:
    """Return whether a folder belongs to this user and has the name of a prepared model."""
    name = folder.name.removesuffix(GONE).removesuffix(PART)
    try:
        return _NAME.fullmatch(name) is not None and is_own(folder)
    except OSError:  # removed meanwhile
        return False


def _is_useless(folder: Path, kept: Path, paths: Paths) -> bool:
    mine, own = _NAME.fullmatch(folder.name), _NAME.fullmatch(kept.name)
    if mine is None or own is None:
        return False
    same = mine["sums"][:16] == own["sums"][:16]  # the model's part; those of adapters follow
    if int(mine["form"]) != int(own["form"]):  # a newer format belongs to a newer mene
        return same and int(mine["form"]) < int(own["form"])
    asked = _asked(folder)
    return (
        mine["sums"] != own["sums"]
        and bool(asked)
        and all(one == paths or (one[:1] == paths[:1] and not same) for one in asked)
    )


def _asked(folder: Path) -> list[Paths]:
    try:
        found = json.loads((folder / PATHS).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    return [
        one for one in found if isinstance(one, list) and all(isinstance(path, str) for path in one)
    ]


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Yield whether no process is writing this folder, or the one that it is a part of.

    The lock file is left in place: other processes may be waiting for it.
    """
    name = folder.name.removesuffix(GONE).removesuffix(PART)
    lock = FileLock(folder.with_name(f"{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _remove(folder: Path) -> bool:
    """Remove a folder; rename it first, since a half-removed one would be taken for a damaged one."""
    gone = folder if folder.suffix == GONE else folder.with_name(f"{folder.name}{GONE}")
    try:
        if gone != folder:
            folder.replace(gone)  # fails on Windows where its files are in use
        shutil.rmtree(gone)
    except OSError:
        return False
    return True


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    return 0
