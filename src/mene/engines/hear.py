"""Streaming a text to a listener while it is written.

The joined pieces equal the final text. So text that may still turn out otherwise is held back: the beginning of a cue, an
incomplete character, trailing white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# White space, and the placeholder of an incomplete character.
_LOOSE = re.compile(r"[\s\ufffd]+\Z")


class Hearing:
    """Passes a text on to a listener, piece by piece.

    Args:
        hear: called with every piece. If it raises, it is not called again; nothing else happens.
        texts: never passed on in part.

    Attributes:
        fault: what ``hear`` raised.
    """

    def __init__(self, hear: Callable[[str], None], texts: Iterable[str]) -> None:
        self.fault: Exception | None = None
        self._hear = hear
        self._texts = [text.casefold() for text in texts if text]
        self._heard = ""

    def so_far(self, text: str) -> None:
        """Pass on what is new, given the whole text so far; white space at both ends is left out."""
        self._pass(self._settled(text.lstrip()))

    def end(self, text: str | None) -> None:
        """Pass on the rest of the final text, which may differ from the text so far; nothing is passed on after it."""
        self._pass(text or "")

    @property
    def notes(self) -> list[str]:
        """Return the notes for the verdict."""
        if self.fault is None:
            return []
        return [f"streaming the critique stopped early: {type(self.fault).__name__}: {self.fault}"]

    def _settled(self, text: str) -> str:
        """Return ``text`` without an end that may still change."""
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
        # If the text no longer continues what was passed on, stop: pieces cannot be taken back.
        if self.fault is not None or not piece or not text.startswith(self._heard):
            return
        self._heard = text
        try:
            self._hear(piece)
        except Exception as error:
            self.fault = error


def begun(text: str, other: str, read: Callable[[str], str] = str) -> int:
    """Return where ``text`` ends with a beginning of ``other``, as ``read`` decodes it; the text's length if it does not."""
    for start in range(max(len(text) - len(other) + 1, 0), len(text)):
        if other.startswith(read(text[start:])):
            return start
    return len(text)
