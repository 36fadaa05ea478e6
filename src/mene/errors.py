"""The exceptions a caller of mene may catch. Every message ends with what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class MeneError(Exception):
    """Base of all errors that mene raises on purpose."""


class UsageError(MeneError):
    """The request itself is wrong: an unknown name, a bad option, a malformed YAML file."""


class SampleError(MeneError):
    """One row cannot be judged. Other rows go on."""


class ContextOverflow(SampleError):
    """The rendered prompt does not fit into the model's context window."""


class ModelError(MeneError):
    """Weights are missing, damaged, or cannot be loaded."""


class EngineError(MeneError):
    """An engine failed on one request, after its retries."""


class LedgerError(MeneError):
    """The output file is locked, read-only, full, or not a ledger of verdicts (or answers)."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the closest known word, or ``''`` if none is close."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{match[0]}"?' if match else ""


def nearest_file(path: str | Path) -> str:
    """``nearest`` for a file that is not there, among those of its folder: the hint, or ``''``.

    Names alone are compared, without what likely all of them share: the folder and the ending.
    """
    path = Path(path)
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_file()]
    except (OSError, ValueError):  # no such folder, or none that may be read; a NUL in the name
        return ""
    close = difflib.get_close_matches(path.stem, sorted({Path(n).stem for n in names}), n=1)
    like = [name for name in names if Path(name).stem in close]
    match = difflib.get_close_matches(path.name, like, n=1, cutoff=0.0)
    return f'; did you mean "{path.with_name(match[0])}"?' if match else ""
