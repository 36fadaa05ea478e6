"""The text of one turn of a transcript, so that nothing in it can pass for another turn, a call or a result.

The judged model chooses its words, and also the names and arguments of tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache

from mene.text.visible import escaped

# Where Python, and possibly a reader, sees a new line; and what nobody sees before a word.
BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
UNSEEN = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
BREAK = re.compile(f"[{BREAKS}]")
INDENT = "    "
ROLES = ("user", "assistant", "system", "developer", "tool")


def one_line(text: str) -> str:
    """Return the text with its line breaks written as in JSON."""
    return BREAK.sub(lambda found: _written(found[0]), text)


def _written(character: str) -> str:
    # JSON leaves breaks beyond ASCII as they are.
    return json.dumps(character)[1:-1] if character.isascii() else escaped(character)


def speakers_name(name: str) -> str:
    """Return a name for brackets after a role, quoted if it would end them: ``Tool (a): b (c): …``."""
    return one_line(_quoted(name) if "):" in name else name)


def call_words(name: str, arguments: str) -> str:
    """Return ``[calls get_weather({"city": "Paris"})]`` on one line. A name with brackets is quoted."""
    name = _quoted(name) if re.search(r"[()\[\]]", name) else name
    return one_line(f"[calls {name}({arguments})]")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def one_turn(text: str, roles: Iterable[str]) -> str:
    """Return the text of a turn; lines after its first that begin like a turn are indented.

    Args:
        roles: of the transcript, beside the usual ones.
    """
    if ":" not in text or not BREAK.search(text):
        return text
    return _beginning(frozenset((*ROLES, *roles))).sub(lambda found: found[1] + INDENT, text)


@lru_cache(64)
def _beginning(roles: frozenset[str]) -> re.Pattern[str]:
    names = "|".join(sorted(re.escape(role.capitalize()) for role in roles if role))
    return re.compile(rf"([{BREAKS}])(?=[{UNSEEN}]*(?:{names})(?: \([^{BREAKS}]*\))?:)")
