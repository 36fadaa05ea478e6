"""One file of a Hugging Face repository. What another tool downloaded is found in the hub's own cache."""

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

WAIT = 3.0  # seconds in which the hub must answer at all
LOG_IN = CONNECT + ", or log in with `hf auth login` if the model is gated"


def cached_files(repo: str, pattern: str = "*", revision: str | None = None) -> list[Path]:
    """Files of a repository that are in the hub's cache, the shortest name first. Nothing is hashed or asked.

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
    """Find out within three seconds whether the hub answers at all.

    Its client would try for minutes, and a look-up of the name can hang for longer than any timeout of
    the connection: so the question is asked in a thread that nobody waits for.

    Raises:
        SourceError: it does not answer, or HF_HUB_OFFLINE is set.
    """
    import httpx

    if _offline():
        raise SourceError("HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    endpoint = _endpoint()
    try:
        how = {"timeout": WAIT, "verify": certificates()}  # read before the clock runs
        code = in_time(WAIT, lambda: httpx.head(endpoint, **how).status_code)
        reason = f"it answers {code}" if code >= 500 else ""
    except Exception as error:
        reason = first_line(error)
    if reason:
        raise SourceError(f"{bare_url(endpoint)} cannot be reached ({reason})", CONNECT)


def _token(endpoint: str) -> str | Literal[False] | None:
    """The key that is sent to the hub at ``endpoint``: None = the one that its client finds, False = none.

    The login that is kept on this machine is for huggingface.co alone. To another hub that HF_ENDPOINT names goes what
    HF_TOKEN says. Neither goes over a line that others can read.
    """
    url = urlsplit(endpoint)
    host = url.hostname or ""
    if url.scheme != "https" and host not in ("localhost", "127.0.0.1", "::1"):
        return False
    if host == "huggingface.co" or host.endswith(".huggingface.co"):
        return None
    return os.environ.get("HF_TOKEN") or False


def fetch_hub(repo: str, pattern: str, revision: str | None, job: Job) -> Path:
    """Get one file, by name or glob pattern (of several that match, the shortest name).

    Returns:
        Its path: ``job.target`` where its size and sum are known, else in the hub's cache.

    Raises:
        SourceError: offline, no such file, no access, or a file with another SHA-256. One that came
            just now is then removed.
        ModelError: no space.
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
            # Of large files the hub tells the SHA-256: a wrong one need not be downloaded to be known.
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
    except Exception as error:  # the hub's client raises many kinds, all meaning the same here
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
    """A file of known size and SHA-256, into mene's cache. The hub's client would begin anew after a kill."""
    from huggingface_hub.utils import build_hf_headers

    assert job.size
    coming = job.place.with_name(f"{job.place.name}.hub")
    part = coming.with_name(f"{coming.name}.part")
    have = begun(part)
    job.announce(job.size, f"the hub ({repo})", job.place.parent, have=min(have, job.size))
    # httpx sends them to the hub and not to the host with the bytes, which the hub leads to.
    headers = build_hf_headers(token=_token(_endpoint()))
    download(url, coming, job.sha256, job.size, job.progress, headers)
    coming.replace(job.place)
    return job.place


def _remove(path: Path) -> None:
    """Take a file out of the hub's cache, with its content where no other name leads to it."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    snapshots = next((p for p in path.parents if p.name == "snapshots"), path.parent)
    if not any(other.resolve() == content for other in snapshots.rglob("*")):
        content.unlink(missing_ok=True)


def _bar(client: Any, progress: Progress, size: int | None) -> dict[str, Any]:
    """The argument that hands the client's progress to ours; none where an old client lacks it."""
    import inspect

    if "tqdm_class" not in inspect.signature(client).parameters:
        return {}

    class Bar:
        """As much of tqdm as the hub's client calls."""

        format_dict: dict[str, Any] = {}  # noqa: RUF012 - tqdm's name, always empty

        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.n, self.total, self.shown = initial, total, 0

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            self.shown = max(self.shown, self.n)  # a retry from the start is no way back
            progress(self.shown, size or self.total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire, which compression makes fewer: not shown."""

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
    """Get a whole Hugging Face repository (weights, tokeniser, settings) into the hub's cache.

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
