"""The cache folder, its free space, and cached checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, BinaryIO

from mene.errors import ModelError

# File endings that belong to a model or an adapter in a folder.
MODEL_FILES = {".json", ".jinja", ".safetensors", ".bin", ".model", ".txt"}


def cache_folder() -> Path:
    """Return ``MENE_CACHE``, or the user's cache folder on this system."""
    if chosen := os.environ.get("MENE_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("mene", appauthor=False)


def make_folder(folder: Path) -> None:
    """Make a folder of the cache.

    Raises:
        ModelError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot make the cache folder: {error.strerror}; "
            "set MENE_CACHE to a folder you can write to"
        ) from None


def is_own(folder: Path) -> bool:
    """Return whether the current user created a folder. Files that others put into a shared cache must not be run."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not hasattr(os, "geteuid") or found.st_uid in (0, os.geteuid())


def free_space(folder: Path) -> int:
    """Return the free bytes on the disk where ``folder`` is or will be."""
    there = next(f for f in (folder, *folder.absolute().parents) if f.exists())
    return shutil.disk_usage(there).free


def need_space(folder: Path, size: int, name: str, setting: str = "MENE_CACHE") -> None:
    """Check that ``size`` bytes are free on the disk where ``folder`` is or will be.

    Args:
        name: what needs them, for messages.
        setting: environment variable that moves the folder.

    Raises:
        ModelError: they are not.
    """
    free = free_space(folder)
    if free < size:
        raise ModelError(
            f"{name} needs {size / 1e6:.0f} MB in {folder}, and {free / 1e6:.0f} MB are free; "
            f"make room, or set {setting} to another disk"
        )


def begun(path: Path) -> int:
    """Return the bytes of a partial file left by an earlier try.

    A link, or a file with a second name, is removed: continuing it would write to another file.

    Raises:
        OSError: it exists and cannot be removed.
    """
    try:
        there = path.lstat()
    except FileNotFoundError:
        return 0
    if stat.S_ISREG(there.st_mode) and there.st_nlink == 1:
        return there.st_size
    path.unlink()
    return 0


def open_part(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a partial file for writing, without following links.

    Args:
        append: continue the existing content; otherwise it is replaced.
    """
    if not append or not begun(path):
        path.unlink(missing_ok=True)
    kind = os.O_APPEND if path.exists() else os.O_EXCL
    # Not available on every system.
    plain = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | kind | plain, 0o666), "ab")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; cached by size and time of change.

    Hashing 8 GB takes half a minute, and every run needs the result.
    """
    path = path.resolve()
    found = _read_json(_store()).get(_key(path))
    # Earlier versions stored only 16 digits.
    if not isinstance(found, str) or len(found) != 64:
        found = sha256(path)
        remember_sha256(path, found)
    return found


def remember_sha256(path: Path, digest: str) -> None:
    """Store a known SHA-256 for ``known_sha256``."""
    path, store = path.resolve(), _store()
    known = {**_read_json(store), _key(path): digest}
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        part = store.with_name(f"{store.name}.{os.getpid()}")
        with open_part(part) as file:
            file.write(json.dumps(known).encode())
        part.replace(store)
    except OSError:
        pass  # a read-only cache costs time, not correctness


def file_identity(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256, which identify weights under any file name."""
    return known_sha256(path)[:16]


def folder_identity(folder: Path) -> str:
    """Return ``name:first 16 hex digits`` of the SHA-256 over names and contents of a model's files."""
    files = sorted(f for f in folder.iterdir() if f.suffix in MODEL_FILES and f.is_file())
    parts = [f"{file.name}={file_identity(file)}" for file in files]
    name = folder.resolve().name
    return f"{name}:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


def _store() -> Path:
    return cache_folder() / "hashes.json"


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path}|{stat.st_size}|{stat.st_mtime_ns}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
