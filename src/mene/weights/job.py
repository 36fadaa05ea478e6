"""What is wanted from a source, and the error of a source that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mene.errors import ModelError
from mene.text.redact import bare_url
from mene.weights.cache import need_space

# Called with (bytes so far, total bytes or None).
Progress = Callable[[int, int | None], None]
# Called with one line about slow work.
Tell = Callable[[str], None]


class SourceError(ModelError):
    """One source failed; the next one may succeed.

    Attributes:
        step: what the user can do; ``{pull}`` stands for the command that tries again.
    """

    def __init__(self, reason: str, step: str) -> None:
        super().__init__(reason)
        self.step = step


CONNECT = "connect and {pull}"
AGAIN = "{pull} again"


@dataclass(frozen=True)
class Job:
    """A file that is wanted.

    Attributes:
        name: of the judge, for messages.
        target: where to put it; None = in the cache of the hub's client.
        sha256: of the file, or "" where unknown.
        size: of the file in bytes, or None.
        convert: whether a copy in another number format will be written beside it.
    """

    name: str
    target: Path | None
    sha256: str
    size: int | None
    convert: bool
    progress: Progress
    tell: Tell

    @property
    def place(self) -> Path:
        """The target, for sources that require one."""
        assert self.target is not None
        return self.target

    def announce(
        self,
        size: int,
        whence: str,
        folder: Path,
        extra: int = 0,
        have: int = 0,
        setting: str = "MENE_CACHE",
    ) -> None:
        """Announce a download, and check that there is space for it.

        Args:
            size: of the file, in bytes.
            extra: bytes needed temporarily.
            have: bytes already downloaded.
            setting: environment variable that moves the folder.

        Raises:
            ModelError: the disk is too full.
        """
        # The space that `convert.rewrite` needs, checked before the download.
        copy = 3 * size if self.convert else 0
        need_space(folder, size - have + extra + copy, self.name, setting)
        self.tell(f"{self.name}: {_human(size)} from {whence}, to {folder}; once")


def _human(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return bare_url(next(iter(str(error).strip().splitlines()), "")) or type(error).__name__
