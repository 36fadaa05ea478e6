"""What is wanted of a source, and how a source says that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mene.errors import ModelError
from mene.text.redact import bare_url
from mene.weights.cache import need_space

# Called with (bytes so far, bytes in all or None).
Progress = Callable[[int, int | None], None]
# Called with one line about long work.
Tell = Callable[[str], None]


class SourceError(ModelError):
    """One source failed; the next one may have it.

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
        target: where it shall lie; None = in the cache of the hub's client.
        sha256: of the file, or "" where nobody said.
        size: of the file in bytes, or None.
        convert: will a copy in another number format be written beside it?
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
        """The target, for sources that are only asked where there is one."""
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
        """Say what will be downloaded, and that there is room for it.

        Args:
            size: of the file, in bytes.
            extra: bytes that are needed beside it for a while.
            have: bytes of it that are here.
            setting: the environment variable that puts the folder elsewhere.

        Raises:
            ModelError: the disk is too full.
        """
        # What `convert.rewrite` asks for, said before the download and not after it.
        copy = 3 * size if self.convert else 0
        need_space(folder, size - have + extra + copy, self.name, setting)
        self.tell(f"{self.name}: {_human(size)} from {whence}, to {folder}; once")


def _human(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return bare_url(next(iter(str(error).strip().splitlines()), "")) or type(error).__name__
