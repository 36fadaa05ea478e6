"""The terminal: the only ways on which text gets there. Whatever is printed goes through ``visible``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from rich.console import Console
from rich.errors import MarkupError
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from mene.cli.plain_progress import PlainProgress
from mene.text.visible import to_stderr, visible

READER_GONE = 141  # what a shell says of any program whose pipe was closed (128 + SIGPIPE)


class ReaderGone(Exception):
    """Who read our standard output has closed it (``| head``): nothing more can be handed on."""


class Screen(Console):
    """A console on which text is data: no emoji codes, no highlighting, nothing that steers the terminal.

    A string may have rich's markup; text from elsewhere goes into it through ``plain``.
    """

    def __init__(
        self, *, stderr: bool = False, quiet: bool = False, width: int | None = None
    ) -> None:
        super().__init__(stderr=stderr, quiet=quiet, width=width, highlight=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:  # type: ignore[override]
        """See ``Console``; strings in tables and titles come here too."""
        text = visible(text, lines=True)
        try:
            return super().render_str(text, **how)
        except MarkupError:  # a text that nobody escaped
            return super().render_str(text, **{**how, "markup": False})

    def on_broken_pipe(self) -> None:
        """Go on in silence: what is on the screen is not the result."""
        let_go(self.file)


def plain(text: object) -> str:
    """Text from elsewhere on one line, as part of a string with markup."""
    return escape(visible(text))


def many(count: int, thing: str) -> str:
    """A number of things: ``1 vote``, ``2,000 votes``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def say(message: object) -> None:
    """One line on standard error, whatever stands in the message."""
    line = " ".join(str(message).splitlines())
    with suppress(BrokenPipeError):
        to_stderr(line)


def warner(console: Console) -> Callable[[str], None]:
    """A warning as a yellow line."""
    return lambda text: note(console, text)


def note(console: Console, text: object) -> None:
    """A yellow line; on a terminal broken between words."""
    console.print(plain(text), style="yellow", soft_wrap=not console.is_terminal)


def show(text: object) -> None:
    """Lines on standard output."""
    try:
        print(visible(text, lines=True))
    except BrokenPipeError:
        let_go(sys.stdout)


def show_json(value: Any, indent: int | None = None) -> None:
    """One value as JSON on standard output."""
    show(json.dumps(value, ensure_ascii=False, indent=indent))


def hand_on(line: str) -> None:
    """A line of JSON for the next program, at once.

    Raises:
        ReaderGone: there is no next program any more.
    """
    try:
        sys.stdout.write(visible(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        let_go(sys.stdout)
        raise ReaderGone from None


def let_go(stream: IO[str]) -> None:
    """Send what is still written to a stream whose reader has gone to nowhere."""
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
    """A bar on a terminal; elsewhere plain lines, since a bar's last frame would stand in a file as if something were going on.

    Args:
        hidden: neither is wanted (``--quiet``).
        lines: False where the command has lines of its own.
        stuck, amount: see ``PlainProgress``.
    """
    if hidden or console.is_interactive or not lines:
        unseen = hidden or not console.is_interactive
        return Progress(*columns, console=console, disable=unseen, **how)
    return PlainProgress(console=console, stuck=stuck, amount=amount, **how)


def words(text: str = "{task.description}") -> TextColumn:
    """A column of a progress bar; what stands in it is text and no markup."""
    return TextColumn(text, markup=False)


def spinner() -> ProgressColumn:
    """A spinner that the terminal's encoding has characters for."""
    utf = (getattr(sys.stderr, "encoding", None) or "").lower().startswith("utf")
    return SpinnerColumn("dots" if utf else "line")
