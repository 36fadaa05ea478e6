"""Lists of texts or messages that are written as text, as CSV has them."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from collections.abc import Sequence
from typing import Any

from mene.values.plain import plain

# How a list of texts or objects begins, and two texts in it with no comma between them.
LISTED = re.compile(r"""\[\s*['"{]""")
BESIDE = re.compile(r"""['"]\s+['"]""")
LONGEST = 1_000_000  # characters of a list as Python writes it


def listed(text: str) -> list[Any] | None:
    """The list of documents or messages that a text is, as JSON or as Python writes it; None where it is none."""
    bare = text.strip()
    if not (LISTED.match(bare) and bare.endswith("]")):
        return None
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        if len(bare) > LONGEST:
            return None
        try:
            with warnings.catch_warnings(action="ignore"):
                found = ast.literal_eval(bare)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
        if BESIDE.search(bare) and _has_neighbours(bare):
            return None
    if isinstance(found, list) and found and all(isinstance(v, str | dict) for v in found):
        return found
    return None


def _has_neighbours(text: str) -> bool:
    """Are there two texts with no comma between them? NumPy writes ``['a' 'b']``, which Python reads as one text."""
    before = tokenize.NL
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == before == tokenize.STRING:
                return True
            if token.type != tokenize.NL:
                before = token.type
    except (tokenize.TokenError, SyntaxError):
        return True
    return False


def messages_of(value: Any) -> list[Any]:
    """A list of chat messages, also where it is written as text (CSV); else an empty one."""
    value = plain(value)
    if isinstance(value, str):
        value = listed(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else []
