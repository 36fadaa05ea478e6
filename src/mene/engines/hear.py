"""A text is heard while it is written.

What was heard, joined, is the text that is written in the end. So whatever may still turn out to be something else is held
back: the beginning of a cue, half a character, white space at an end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# White space, and what stands for half a character until the other half is there.
_LOOSE = re.compile(r"[\s\ufffd]+\Z")


class Hearing:
    """Passes a text on, piece by piece.

    Args:
        hear: called with every piece. What it raises ends the hearing, and nothing else.
        texts: none of these is ever passed on in part.

    Attributes:
        fault: what ``hear`` raised.
    """

    def __init__(self, hear: Callable[[str], None], texts: Iterable[str]) -> None:
        self.fault: Exception | None = None
        self._hear = hear
        self._texts = [text.casefold() for text in texts if text]
        self._heard = ""

    def so_far(self, text: str) -> None:
        """Say what is written by now, all of it; white space at both ends is left out."""
        self._pass(self._settled(text.lstrip()))

    def end(self, text: str | None) -> None:
        """Say what was written in the end, which may lie far from what it seemed to become; then no more is heard."""
        self._pass(text or "")

    @property
    def notes(self) -> list[str]:
        """What a verdict says of this."""
        if self.fault is None:
            return []
        return [f"streaming the critique stopped early: {type(self.fault).__name__}: {self.fault}"]

    def _settled(self, text: str) -> str:
        """``text`` without what may still become something else."""
        while True:
            end = min(
                [
                    len(_LOOSE.sub("", text)),
                    *(begun(text, one, str.casefold) for one in self._texts),
                ]
            )
            if end == len(text):
                return text
            text = text[:end]

    def _pass(self, text: str) -> None:
        piece = text[len(self._heard) :]
        # A text that became another one cannot be unsaid; what follows would make no sense behind it.
        if self.fault is not None or not piece or not text.startswith(self._heard):
            return
        self._heard = text
        try:
            self._hear(piece)
        except Exception as error:
            self.fault = error


def begun(text: str, other: str, read: Callable[[str], str] = str) -> int:
    """Where an unfinished ``other`` begins at the end of ``text``, as ``read`` reads it; its length where none does."""
    for start in range(max(len(text) - len(other) + 1, 0), len(text)):
        if other.startswith(read(text[start:])):
            return start
    return len(text)
