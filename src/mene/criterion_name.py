"""The name of a question that has none: made from its words, always the same."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from mene.library.load import CRITERIA, built_in
from mene.verdict import hash_of

# The name of every question in words in earlier versions; now each has its own, see ``named``.
FREE = "custom"
LONGEST = 40  # characters of a name made from a question, without the hash behind it


def named(question: str) -> str:
    """Return a name for a question, made from its words. It is always the same, and different for different questions.

    >>> named("Is the reply polite?")
    'is-the-reply-polite'
    >>> named("Is the reply polite, and short?")  # the words alone do not say where the comma is
    'is-the-reply-polite-and-short-cad255'
    """
    # Long questions are not cached: a server's clients send arbitrary ones.
    return (_named if len(question) <= 4096 else _named.__wrapped__)(question)


@lru_cache(256)
def _named(question: str) -> str:
    kept = (
        c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in question.casefold()
    )
    words = "".join(kept).split()
    name = "-".join(words)
    plain = len(words) > 1 and question == f"{' '.join(words).capitalize()}?"
    if plain and len(name) <= LONGEST and not built_in(CRITERIA, name):
        return name
    del words[LONGEST:]  # else a question of a million words takes hours
    name = "-".join(words)
    while len(name) > LONGEST and len(words) > 1:
        words.pop()
        name = "-".join(words)
    return f"{name[:LONGEST]}-{hash_of(question)[:6]}".lstrip("-")
