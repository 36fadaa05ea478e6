"""What is written in the pages: blocks of code, and the commands in them. For the tests beside it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.made import api
from docs.made.fences import Block, blocks, guessed

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "examples/*.md", "runs/*.md", "docs/**/*.md")
ENDS = re.compile(r"[;&|]+")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Written:
    """A block and the page it is on; ``str`` says where, as a test is named."""

    page: str
    block: Block

    def __str__(self) -> str:
        return f"{self.page}:{self.block.line}"


@dataclass(frozen=True)
class Command:
    """One command of a line typed into a shell, without its pipes and variables."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where} {shlex.join(self.words)}"


@cache
def pages() -> dict[str, str]:
    """Every page's text by its path."""
    found = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(found)}
    return texts | {"docs/made/api.py": api.HEAD}


@cache
def written() -> list[Written]:
    """Every block of code of every page."""
    return [Written(page, block) for page, text in pages().items() for block in blocks(text)]


def typed(block: Block) -> Iterator[tuple[int, str]]:
    """Lines of a block that a person types, each with all that its quotes and backslashes run over, and where it begins."""
    lines = block.code.splitlines()
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if block.language == "console":
            if not line.startswith("$ "):
                continue
            line = line[2:]
        while at < len(lines) and (line.endswith("\\") or is_open(line)):
            line = f"{line.removesuffix(chr(92))}\n{lines[at]}"
            at += 1
        yield block.line + start, line


def is_open(line: str) -> bool:
    """Does a quote in it run on?"""
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return True
    return False


def commands_of(line: str, where: str) -> Iterator[Command]:
    """The commands of a line: what stands between pipes and the like, without variables before it and what comes after ``>``."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    skip = False
    for word in [*lexer, ";"]:
        if skip:
            skip = False
        elif word in (">", "<", ">>"):
            skip = True
        elif ENDS.fullmatch(word):
            while words and re.match(r"\w+=", words[0]):
                words = words[1:]
            if words:
                yield Command(where, tuple(words))
            words = []
        else:
            words.append(word)


@cache
def commands() -> list[Command]:
    """Every command of every block that is typed into a shell."""
    return [
        command
        for one in written()
        if one.block.language in ("sh", "console", "bash")
        for number, line in typed(one.block)
        for command in commands_of(line, f"{one.page}:{number}")
    ]


@cache
def named_commands() -> list[Command]:
    """Commands of mene that stand elsewhere: between backticks in the text, and in files and outputs that are shown."""
    found = []
    for page, text in pages().items():
        for number, line in enumerate(text.splitlines(), start=1):
            for code in INLINE.findall(line):
                if code.startswith("mene ") or (" mene " in code and guessed(code) == "sh"):
                    found += list(commands_of(code, f"{page}:{number}"))
    for one in written():
        if one.block.language == "text":
            for number, line in enumerate(one.block.code.splitlines()):
                shown = re.search(r"(?:^next +|^(?:RUN|ExecStart=\S*/?)\s*)(mene .*)", line)
                if shown:
                    found += list(commands_of(shown[1], f"{one.page}:{one.block.line + number}"))
    return found


def of_mene(command: Command) -> tuple[str, ...] | None:
    """What is given to mene: ``mene …``, ``.venv/bin/mene …``, ``accelerate launch … -m mene …``; else None."""
    words = command.words
    for at, word in enumerate(words):
        if word in ("mene", ".venv/bin/mene", "/tmp/clean/bin/mene") and (
            at == 0 or words[at - 1] == "-m"
        ):
            return words[at + 1 :]
    return None
