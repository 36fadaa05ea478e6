"""Getting one file of a Hugging Face repository, also from the hub's own cache."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mene.errors import ModelError
from mene.text.redact import bare_url
from mene.weights.cache import begun, known_sha256
from mene.weights.download import certificates, download, in_time
from mene.weights.job import CONNECT, Job, Progress, SourceError, first_line
from mene.weights.pypi import wrong_sum
from mene.weights.source import is_repo

WAIT = 3.0  # seconds for the hub's first answer
LOG_IN = CONNECT + ", or log in with `hf auth login` if the model is gated"


def cached_files(repo: str, pattern: str = "*", revision: str | None = None) -> list[Path]:
    """Return a repository's files in the hub's cache, the shortest name first, without hashing or network.

    Args:
        pattern: name or glob pattern of the path in the repository.
        revision: a commit, branch or tag; None = any.
    """
    if not is_repo(repo):
        return []
    folder = _hub_cache() / f"models--{repo.replace('/', '--')}"
    found = []
    for snapshot in _snapshots(folder, revision):
        for file in snapshot.rglob("*"):
            name = file.relative_to(snapshot).as_posix()
            if fnmatchcase(name, pattern) and file.is_file():
                found.append((len(name), name, file))
    return [file for _, _, file in sorted(found)]


def _snapshots(folder: Path, revision: str | None) -> Iterator[Path]:
    wanted = {revision}
    if revision and re.fullmatch(r"[\w./-]+", revision) and ".." not in revision:
        with contextlib.suppress(OSError, ValueError):
            wanted.add((folder / "refs" / revision).read_text("utf-8").strip())
    try:
        for snapshot in (folder / "snapshots").iterdir():
            if revision is None or snapshot.name in wanted:
                yield snapshot
    except OSError:
        return


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _endpoint() -> str:
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _offline() -> bool:
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return constants.HF_HUB_OFFLINE or said.upper() in ("1", "ON", "YES", "TRUE")


def check_reached() -> None:
    """Check within three seconds whether the hub answers.

    Its client would retry for minutes, and a name look-up may hang longer than any connection time-out, so the check runs in a
    thread that can be abandoned.

    Raises:
        SourceError: it does not answer, or HF_HUB_OFFLINE is set.
    """
    import httpx

    if _offline():
        raise SourceError("HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    endpoint = _endpoint()
    try:
        how = {"timeout": WAIT, "verify": certificates()}  # loaded before the time-out starts
        code = in_time(WAIT, lambda: httpx.head(endpoint, **how).status_code)
        reason = f"it answers {code}" if code >= 500 else ""
    except Exception as error:
        reason = first_line(error)
    if reason:
        raise SourceError(f"{bare_url(endpoint)} cannot be reached ({reason})", CONNECT)


def _token(endpoint: str) -> str | Literal[False] | None:
    """Return the key to send to the hub at ``endpoint``: None = the one that its client finds, False = none.

    The login stored on this machine is only for huggingface.co. Another hub, set by HF_ENDPOINT, gets HF_TOKEN. Neither is sent
    unencrypted.
    """
    url = urlsplit(endpoint)
    host = url.hostname or ""
    if url.scheme != "https" and host not in ("localhost", "127.0.0.1", "::1"):
        return False
    if host == "huggingface.co" or host.endswith(".huggingface.co"):
        return None
    return os.environ.get("HF_TOKEN") or False


def fetch_hub(repo: str, pattern: str, revision: str | None, job: Job) -> Path:
    """Get one file, by name or glob pattern (of several matches, the shortest name).

    Returns:
        Its path: ``job.target`` where size and checksum are known, else in the hub's cache.

    Raises:
        SourceError: offline, no such file, no access, or a wrong SHA-256; a file downloaded just now is then removed.
        ModelError: the disk is full.
    """
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url

    check_reached()
    endpoint, cache = _endpoint(), _hub_cache()
    token = _token(endpoint)
    try:
        name = pattern
        if glob.has_magic(pattern):
            api = HfApi(endpoint=endpoint, token=token)
            names = [
                n for n in api.list_repo_files(repo, revision=revision) if fnmatchcase(n, pattern)
            ]
            if not names:
                raise SourceError(
                    f"{repo} has no file {pattern}", f"look at https://huggingface.co/{repo}"
                )
            name = min(names, key=len)
        there = get_hf_file_metadata(
            hf_hub_url(repo, name, revision=revision, endpoint=endpoint), token=token
        )
        before = cached_files(repo, glob.escape(name), there.commit_hash)
        if not before:
            # For large files the hub states the SHA-256, so that a wrong one is detected before downloading.
            told = there.etag if re.fullmatch("[0-9a-f]{64}", there.etag or "") else None
            if job.sha256 and told and told != job.sha256:
                raise SourceError(
                    f"{name} is a different file there (SHA-256 {told[:12]}…, expected "
                    f"{job.sha256[:12]}…)",
                    "check sha256 in the preset",
                )
            if job.size and there.size and there.size != job.size:
                raise SourceError(
                    f"{name} is a different file there ({there.size} bytes, expected {job.size})",
                    "check size in the preset",
                )
            if job.target is not None:
                return _resumed(
                    repo, hf_hub_url(repo, name, revision=there.commit_hash, endpoint=endpoint), job
                )
            job.announce(job.size or there.size or 0, f"the hub ({repo})", cache, setting="HF_HOME")
        path = Path(
            hf_hub_download(
                repo,
                name,
                revision=there.commit_hash or revision,
                cache_dir=cache,
                endpoint=endpoint,
                token=token,
                **_bar(hf_hub_download, job.progress, job.size or there.size),
            )
        )
    except ModelError:
        raise
    except Exception as error:  # the hub's client raises many types, all with this meaning
        what = f"{repo} ({pattern}) cannot be fetched ({first_line(error)})"
        raise SourceError(what, LOG_IN) from None
    found = known_sha256(path) if job.sha256 else ""
    if found != job.sha256:
        if before:
            raise SourceError(
                f"{path} is a different file (SHA-256 {found[:12]}…, expected {job.sha256[:12]}…)",
                f"remove {path}",
            )
        _remove(path)
        raise wrong_sum(f"{repo}/{name}", found, job.sha256)
    return path


def _resumed(repo: str, url: str, job: Job) -> Path:
    """Download a file of known size and SHA-256 into mene's cache. The hub's client would start again after a kill."""
    from huggingface_hub.utils import build_hf_headers

    assert job.size
    coming = job.place.with_name(f"{job.place.name}.hub")
    part = coming.with_name(f"{coming.name}.part")
    have = begun(part)
    job.announce(job.size, f"the hub ({repo})", job.place.parent, have=min(have, job.size))
    # httpx sends them to the hub only, not to the host that it redirects to.
    headers = build_hf_headers(token=_token(_endpoint()))
    download(url, coming, job.sha256, job.size, job.progress, headers)
    coming.replace(job.place)
    return job.place


def _remove(path: Path) -> None:
    """Remove a file from the hub's cache, and its content if nothing else refers to it."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    snapshots = next((p for p in path.parents if p.name == "snapshots"), path.parent)
    if not any(other.resolve() == content for other in snapshots.rglob("*")):
        content.unlink(missing_ok=True)


def _bar(client: Any, progress: Progress, size: int | None) -> dict[str, Any]:
    """Return the argument that forwards the client's progress; empty where an old client lacks it."""
    import inspect

    if "tqdm_class" not in inspect.signature(client).parameters:
        return {}

    class Bar:
        """The part of tqdm's interface that the hub's client uses."""

        format_dict: dict[str, Any] = {}  # noqa: RUF012 - tqdm's name, always empty

        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.n, self.total, self.shown = initial, total, 0

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            self.shown = max(self.shown, self.n)  # a retry from the start does not move back
            progress(self.shown, size or self.total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Ignore transferred bytes, which are fewer with compression."""

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def close(self, *_: Any, **__: Any) -> None:
            pass

        refresh = reset = clear = set_description = set_description_str = close
        set_postfix = set_postfix_str = close

    return {"tqdm_class": Bar}


def fetch_hub_folder(repo: str, revision: str | None = None) -> Path:
    """Download a whole Hugging Face repository (weights, tokeniser, settings) into the hub's cache.

    Raises:
        ModelError: offline and not cached, or no access.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, token=_token(_endpoint())))
    except Exception as error:  # see fetch_hub
        raise ModelError(
            f"{repo} is not in the cache and cannot be fetched ({first_line(error)}); connect and run "
            "`mene pull`, log in with `hf auth login` if the model is gated, or give a file you have: "
            "--judge llamacpp:FILE.gguf"
        ) from None
