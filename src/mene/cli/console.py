"""The terminal: all functions that print. All text passes through ``visible``, and on GitHub through ``harmless``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console
from rich.errors import MarkupError
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from mene.cli.plain_progress import PlainProgress
from mene.text.commands import Harmless, harmless, is_read
from mene.text.visible import to_stderr, visible

READER_GONE = 141  # a shell's exit code for a program whose pipe was closed (128 + SIGPIPE)


class ReaderGone(Exception):
    """The reader of standard output has closed it (``| head``): no more output is possible."""


class Screen(Console):
    """A console that treats text as data: no emoji codes, no highlighting, no control sequences.

    A string may contain rich's markup; text from other sources must be escaped by ``plain``.
    """

    def __init__(
        self, *, stderr: bool = False, quiet: bool = False, width: int | None = None
    ) -> None:
        super().__init__(stderr=stderr, quiet=quiet, width=width, highlight=False, emoji=False)

    @property
    def file(self) -> IO[str]:
        """See ``Console``. Lines are known only after wrapping, so what is written is made harmless here."""
        stream = super().file
        return cast("IO[str]", Harmless(stream)) if is_read() else stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **how: Any) -> Text:  # type: ignore[override]
        """See ``Console``; strings in tables and titles come here too."""
        text = visible(text, lines=True)
        try:
            return super().render_str(text, **how)
        except MarkupError:  # a text that nobody escaped
            return super().render_str(text, **{**how, "markup": False})

    def on_broken_pipe(self) -> None:
        """Continue silently: the screen is not the result."""
        let_go(self.file)


def plain(text: object) -> str:
    """Return text from other sources on one line, escaped for a string with markup."""
    return escape(visible(text))


def many(count: int, thing: str) -> str:
    """A number of things: ``1 vote``, ``2,000 votes``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def say(message: object) -> None:
    """Print one line on standard error, even if the message has several. It begins with mene's own words."""
    line = " ".join(str(message).splitlines())
    with suppress(BrokenPipeError):
        to_stderr(line, ours=True)


def warner(console: Console) -> Callable[[str], None]:
    """Return a function that prints a warning as a yellow line."""
    return lambda text: note(console, text)


def note(console: Console, text: object) -> None:
    """Print a yellow line; on a terminal it is wrapped between words."""
    console.print(plain(text), style="yellow", soft_wrap=not console.is_terminal)


def show(text: object, *, ours: bool = True) -> None:
    """Print lines on standard output.

    Args:
        ours: they begin with mene's own words; see ``harmless``.
    """
    try:
        print(harmless(visible(text, lines=True), ours=ours))
    except BrokenPipeError:
        let_go(sys.stdout)


def show_json(value: Any, indent: int | None = None) -> None:
    """Print one value as JSON on standard output."""
    show(json.dumps(value, ensure_ascii=False, indent=indent))


def hand_on(line: str) -> None:
    """Print a line of JSON, or of another table, for the next program, without buffering.

    Raises:
        ReaderGone: the next program has ended.
    """
    try:
        line = visible(line)
        sys.stdout.write((harmless(line) if line.startswith("{") else line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        let_go(sys.stdout)
        raise ReaderGone from None


def let_go(stream: IO[str]) -> None:
    """Discard further output to a stream whose reader has ended."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def progress_bar(
    *columns: ProgressColumn,
    console: Console,
    hidden: bool = False,
    lines: bool = True,
    stuck: Callable[[], str] = lambda: "",
    amount: Callable[[Task], str] | None = None,
    **how: Any,
) -> Progress:
    """Return a bar for a terminal; elsewhere plain lines, since a bar's last frame in a file looks like work in progress.

    Args:
        hidden: show neither (``--quiet``).
        lines: False if the command prints its own lines.
        stuck, amount: see ``PlainProgress``.
    """
    if hidden or console.is_interactive or not lines:
        unseen = hidden or not console.is_interactive
        return Progress(*columns, console=console, disable=unseen, **how)
    return PlainProgress(console=console, stuck=stuck, amount=amount, **how)


def words(text: str = "{task.description}") -> TextColumn:
    """Return a column of a progress bar; its content is text, not markup."""
    return TextColumn(text, markup=False)


def spinner() -> ProgressColumn:
    """Return a spinner whose characters the terminal's encoding has."""
    utf = (getattr(sys.stderr, "encoding", None) or "").lower().startswith("utf")
    return SpinnerColumn("dots" if utf else "line")
