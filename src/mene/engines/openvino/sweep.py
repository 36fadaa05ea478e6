"""Prepared models that nobody will use again, removed from the cache when a new one of the same file is written.

A prepared model is found by the sums of what went into it. When a model file is replaced, or the form counts up, the
old one would stay for ever, at the size of the model. Beside each lies a list of the paths that it was asked for with,
so that it is known whose it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from mene.weights.cache import is_own

PATHS = "paths.json"
# What is being written, and what is being removed; each is left behind by a kill only.
PART, GONE = ".part", ".gone"
_NAME = re.compile(r".*?-(?P<sums>[0-9a-f]{16}(-[0-9a-f]{16})?)-(?P<form>\d+)")
Paths = list[str]  # of the model, and of its adapter if it has one; absolute


class Freed(NamedTuple):
    """What was removed: how many prepared models, and bytes."""

    models: int
    size: int


def asked_for(path: Path, adapter: Path | None) -> Paths:
    """The names under which a model and its adapter are remembered."""
    return [str(one.resolve()) for one in (path, adapter) if one is not None]


def note_asked(folder: Path, paths: Paths) -> None:
    """Remember that a prepared model was asked for with these paths. Where the cache cannot be written, nothing happens."""
    known = _asked(folder)
    if paths in known:
        return
    with suppress(OSError):
        part = folder / f"{PATHS}.{os.getpid()}"
        part.write_text(json.dumps([*known, paths]), "utf-8")
        part.replace(folder / PATHS)


def sweep(kept: Path, paths: Paths) -> Freed:
    """Remove what ``kept``, just written for ``paths``, makes useless, and what others left half-written.

    These go: older forms of the same model file; forms of which every path has another content by now, as ``kept``
    shows; halves that nobody is writing. A path that is not there says nothing: another machine or container may share
    the cache, and have it.
    """
    count = size = 0
    for folder in sorted(kept.parent.iterdir()):
        if folder == kept or folder.suffix == ".lock" or not _is_ours(folder):
            continue
        if folder.suffix not in (PART, GONE) and not _is_useless(folder, kept, paths):
            continue
        with _alone(folder) as alone:
            if alone and folder.exists():
                freed = _size(folder)
                if _remove(folder):
                    count, size = count + 1, size + freed
    return Freed(count, size)


def _is_ours(folder: Path) -> bool:
    """Whether this is a folder of this user, with a name as prepared models have it."""
    name = folder.name.removesuffix(GONE).removesuffix(PART)
    try:
        return _NAME.fullmatch(name) is not None and is_own(folder)
    except OSError:  # meanwhile it went
        return False


def _is_useless(folder: Path, kept: Path, paths: Paths) -> bool:
    mine, own = _NAME.fullmatch(folder.name), _NAME.fullmatch(kept.name)
    if mine is None or own is None:
        return False
    same = mine["sums"][:16] == own["sums"][:16]  # the model; an adapter's come behind
    if int(mine["form"]) != int(own["form"]):  # a later one is that of a later mene
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
    """Whether nobody is writing this one, or the one that it is part of.

    The lock's empty file stays: others may be waiting at it.
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
    """Remove it whole or not at all: under its name, half of one would be taken for a damaged one."""
    gone = folder if folder.suffix == GONE else folder.with_name(f"{folder.name}{GONE}")
    try:
        if gone != folder:
            folder.replace(gone)  # where its files are in use, Windows refuses
        shutil.rmtree(gone)
    except OSError:
        return False
    return True


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    return 0
