"""Untrusted text made safe for a terminal: characters that would control it are written out.

Ids, errors, column names, critiques and model names come from other people. They may contain escape sequences that set a title,
write to the clipboard or clear the screen, characters that change the writing direction, and lone surrogates, which cannot be
encoded. All are written as in JSON (``\\u001b``), so that a line of JSON keeps its meaning.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import textwrap

from mene.text.commands import harmless

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control characters (C0, C1), format characters (bidi, tags, zero width; but not the two joiners needed for Persian, Indic
# scripts and emoji), line separators, lone surrogates.
STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)


def visible(text: object, *, lines: bool = False) -> str:
    """Return the text without anything that a terminal interprets.

    Args:
        text: anything that can be converted to text.
        lines: keep line breaks and tabs; else they are written out too, so that a value stays on one line.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n")

    def shown(match: re.Match[str]) -> str:
        one = match[0]
        return one if lines and one in "\n\t" else SHORT.get(one) or escaped(one)

    return STEERING.sub(shown, text)


def escaped(text: str) -> str:
    """Return every character as JSON's ``\\uXXXX``; beyond U+FFFF as two of them."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _write_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escaped(error.object[error.start : error.end]), error.end


# For streams: characters that the encoding lacks are written out, which is valid in JSON too.
codecs.register_error("visible", _write_out)


def to_stderr(text: object, *, ours: bool = False) -> None:
    """Write to standard error; if it is closed, drop the text rather than mix it with results.

    Args:
        ours: see ``harmless``.
    """
    if sys.stderr is not None:
        print(_wrapped(harmless(visible(text), ours=ours)), file=sys.stderr)


def _wrapped(line: str) -> str:
    """Return the line wrapped between words where a terminal would break it inside one; elsewhere unchanged."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return line
    if not width or len(line) <= width:
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
