"""Lists of texts or messages that are stored as text, as in CSV."""

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

# The beginning of a list of texts or objects, and two texts in it without a comma between them.
LISTED = re.compile(r"""\[\s*['"{]""")
BESIDE = re.compile(r"""['"]\s+['"]""")
LONGEST = 1_000_000  # maximum characters of a list in Python's notation


def listed(text: str) -> list[Any] | None:
    """Return the list of documents or messages in a text, in JSON or Python notation; None where it is not one."""
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
    """Return whether two texts have no comma between them: NumPy's ``['a' 'b']``, which Python would join."""
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
    """Return a list of chat messages, also from text (CSV); else an empty list."""
    value = plain(value)
    if isinstance(value, str):
        value = listed(value)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, bytes) else []
