"""Thoughts in a model's text: where they begin and end, and whether one is open. Functions without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

# Pairs of marks that open and close a thought.
MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<antThinking>", "</antThinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<unused94>", "<unused95>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)
# The last pair without control tokens, as written by servers that drop them.
_BARE = (r"\Aanalysis(?=[A-Z])", "assistantfinal")


def split_thought(text: str, own: str = "") -> tuple[str, str, bool]:
    """Return the thought in a text, the text after it, and whether a thought is still open at the end.

    The opening mark may be missing, if the chat template wrote it. Text after an opening mark that is not closed, or closed by
    another kind's mark, does not count as an answer.
    """
    opened: _Mark | None = None
    end = 0
    for mark in _marks(text, own):
        if opened is None and not mark.closes:
            opened = mark
        elif mark.closes and (opened is None or opened.pair == mark.pair):
            end, opened = mark.end, None
    thought = _pattern(own).sub("", text[:end])
    if opened is None:
        return thought, text[end:], False
    return thought + text[opened.end :], text[end : opened.start], True


def end_of_thought(text: str) -> int:
    """Return where the last thought in a text ends; 0 where there is none."""
    return max((mark.end for mark in _marks(text) if mark.closes), default=0)


def closing(text: str) -> str:
    """Return the mark that closes the thought open at the end of ``text``; empty where none is open."""
    opened: _Mark | None = None
    for mark in _marks(text):
        if opened is None and not mark.closes:
            opened = mark
        elif opened is not None and mark.closes and mark.pair == opened.pair:
            opened = None
    if opened is None:
        return ""
    return MARKS[min(opened.pair, len(MARKS) - 1)][1]


def closed(prompt: str) -> str:
    """Return a prompt with the thought closed that its chat template opens at the end.

    Only the end is checked: judged text may contain such marks.
    """
    bare = prompt.rstrip()
    for begin, end in MARKS:
        if bare.endswith(begin):
            return f"{bare}\n\n{end}\n\n"
    return prompt


class _Mark(NamedTuple):
    start: int
    end: int
    pair: int
    closes: bool


def _marks(text: str, own: str = "") -> Iterator[_Mark]:
    for found in _pattern(own).finditer(text):
        group = (found.lastindex or 1) - 1
        yield _Mark(found.start(), found.end(), group // 2, bool(group % 2))


@cache
def _pattern(own: str) -> re.Pattern[str]:
    """Return a pattern for marks: group 2i+1 opens a thought of kind i, group 2i+2 closes it."""
    kept = [pair for pair in MARKS if not any(mark.casefold() in own.casefold() for mark in pair)]
    pairs = [(re.escape(begin), re.escape(end)) for begin, end in kept] + [_BARE]
    return re.compile("|".join(f"({a})|({b})" for a, b in pairs), re.I)
