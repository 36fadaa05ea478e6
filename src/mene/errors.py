"""The exceptions a caller of mene may catch. Every message ends with what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

# Similarity, 0 to 1, below which a name is not taken for a typo: one letter in four, and more in a short word, where two
# that changed places count for much.
CLOSE, CLOSE_SHORT = 0.75, 0.6
SHORT = 5  # letters
PART = 4  # letters from which a part of a name stands for it: "relevance" for "answer-relevance"


class MeneError(Exception):
    """Base of all errors that mene raises on purpose."""


class UsageError(MeneError):
    """The request is wrong: an unknown name, a bad option, a malformed YAML file."""


class SampleError(MeneError):
    """One row cannot be judged. The other rows are not affected."""


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
    listed = list(known)
    match = get_close_matches(word, listed, n=1, cutoff=_close(word))
    if not match and len(word) >= PART:
        match = get_close_matches(word, [name for name in listed if word in name], n=1, cutoff=0.0)
    return f'; did you mean "{match[0]}"?' if match else ""


def _close(word: str) -> float:
    return CLOSE_SHORT if len(word) <= SHORT else CLOSE


def nearest_file(path: Path, endings: tuple[str, ...] = ("",)) -> str:
    """Return ``'; did you mean "x"?'`` for a missing file: the closest name in its folder, or the same name with another
    ending.

    Only stems are compared, so a shared folder or ending does not make two names similar.

    Args:
        endings: file name endings to consider.
    """
    stems: dict[str, list[Path]] = {}
    try:
        if path.exists():
            return ""
        for file in sorted(path.parent.iterdir()):
            if file.name.endswith(endings):
                stems.setdefault(file.name.split(".")[0], []).append(file)
    except (OSError, ValueError):  # no such folder, or a NUL in the name
        return ""
    name = path.name.split(".")[0]
    for stem in get_close_matches(name, stems, n=3, cutoff=_close(name)):
        if files := [file for file in stems[stem] if file.is_file()]:
            likely = max(
                files, key=lambda file: SequenceMatcher(None, path.name, file.name).ratio()
            )
            return f'; did you mean "{likely}"?'
    return ""
