"""What a voter agrees to: the page of terms, the owner's additions, and a version of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mene.errors import UsageError
from mene.verdict import hash_of

PAGE = Path(__file__).parent / "pages" / "terms.html"
LONGEST = 20_000  # characters of the owner's additions


@dataclass(frozen=True)
class Terms:
    """The terms.

    Attributes:
        more: paragraphs of the arena's owner, plain text, an empty line between two: who runs it, where, and how to reach them.
    """

    more: str = ""

    @cached_property
    def version(self) -> str:
        """Return the version of all terms; after a change, voters must agree again."""
        return hash_of([PAGE.read_text("utf-8"), self.more])[:12]

    @classmethod
    def read(cls, path: Path) -> Terms:
        """Return terms with the paragraphs of a file.

        Raises:
            UsageError: it cannot be read, or is too long.
        """
        try:
            text = path.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"{path}: cannot read the terms: {why}") from None
        if len(text) > LONGEST:
            raise UsageError(f"{path}: longer than {LONGEST:,} characters; shorten it")
        return cls(text)
