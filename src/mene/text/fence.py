"""Untrusted text in a prompt: it cannot close its fence, and no tokeniser finds a control token in it."""

from __future__ import annotations

import re
from functools import cache


def fence(text: str) -> str:
    """Return ``text`` in a fence of more backticks than any run in it, so that it cannot close the fence."""
    ticks = "```"
    if ticks in text:
        ticks = "`" * (1 + max(len(run) for run in re.findall(r"`{3,}", text)))
    return f"{ticks}\n{text}\n{ticks}"


def break_up(text: str, pattern: re.Pattern[str] | None) -> str:
    """Insert a space after the first character of every control token: ``<|im_end|>`` → ``< |im_end|>``.

    The text stays readable, and tokenisers no longer read it as a control token.
    """
    if pattern is None:
        return text
    while pattern.search(text):  # breaking a token may complete another that overlapped it
        text = pattern.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
    return text


@cache
def control_pattern(tokens: frozenset[str]) -> re.Pattern[str] | None:
    # Strip white space: one more space would not break up a token that begins or ends with one.
    words = {token.strip() for token in tokens}
    longest_first = sorted((word for word in words if len(word) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


@cache
def mark_pattern(marks: tuple[str, ...]) -> re.Pattern[str] | None:
    found = control_pattern(frozenset(marks))
    return found and re.compile(found.pattern, re.IGNORECASE)
