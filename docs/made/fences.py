"""Blocks of code in Markdown: found, and told apart where they name no language (GitHub shows those as they are).

The site colours what is typed into a shell. The tests (tests/docs) run what these functions find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=ticks) *$",
    re.M | re.S,
)
PROGRAMS = "mene|pip|python3?|pytest|curl|cat|accelerate|docker|rm|twine|ray|RAY_ADDRESS=\\S+|MENE_\\w+=\\S+|ID=\\S+"
TYPED = re.compile(rf"^(?:\$ |(?:\.venv/bin/|/tmp/clean/bin/)?(?:{PROGRAMS})(?: |$))")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: of its first line of code in the page, from 1.
        language: as it is written, or ``console`` (commands behind ``$`` with what they print), ``sh``, or ``text``.
        code: without its indentation.
    """

    line: int
    language: str
    code: str


def blocks(text: str) -> Iterator[Block]:
    """All of a page, in their order."""
    for match in FENCE.finditer(text):
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.M)
        written = match["language"].strip()
        yield Block(text[: match.start()].count("\n") + 2, written or guessed(code), code)


def guessed(code: str) -> str:
    """The language of a block that names none, by its first lines."""
    lines = code.splitlines()
    if any(line.startswith("$ ") for line in lines[:2]):
        return "console"
    if code.startswith(">>> "):
        return "pycon"
    return "sh" if lines and TYPED.match(lines[0]) else "text"


def coloured(text: str) -> str:
    """A page with a language for each block, so that a site colours it."""

    def named(match: re.Match[str]) -> str:
        if match["language"].strip():
            return match[0]
        opening = f"{match['indent']}{match['ticks']}"
        return match[0].replace(
            opening, opening + guessed(re.sub(r"^ +", "", match["code"], flags=re.M)), 1
        )

    return FENCE.sub(named, text)
