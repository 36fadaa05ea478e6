"""Untrusted text in the log of GitHub Actions: the runner reads commands from what a step prints, on both streams.

A line is a command if it begins, behind white space, with ``::error …::`` or the like, or has ``##[error …]`` anywhere
(``ActionCommand.cs`` of actions/runner). An id or a critique could so set annotations, or hide what follows in the log.
"""

from __future__ import annotations

import os
import re
from typing import IO, Any

# The runner compares as .NET does, which skips the two joiners that `visible` leaves.
_UNSEEN = "\u200c\u200d"
_START = re.compile(rf"^((?:[^\S\n]|[{_UNSEEN}])*):(?=[{_UNSEEN}]*:)", re.MULTILINE)
_ANYWHERE = re.compile(rf"(#[{_UNSEEN}]*#[{_UNSEEN}]*)\[")


def is_read() -> bool:
    """Return whether GitHub Actions reads what is printed."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def harmless(text: str, *, ours: bool = False) -> str:
    """Return the text without commands: the character that makes one is written as in JSON, where it means the same.

    Args:
        ours: the first line begins with mene's own words, possibly with a command.
    """
    if not is_read():
        return text
    text = _ANYWHERE.sub(r"\1\\u005b", text)
    first, rest = ("", text)
    if ours:
        first, line_break, rest = text.partition("\n")
        first += line_break
    return first + _START.sub(r"\1\\u003a", rest)


class Harmless:
    """A stream for writing whose lines are made harmless."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """See ``TextIO``. Every write counts as the beginning of a line."""
        return self._stream.write(harmless(text))
