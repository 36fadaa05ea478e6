"""Text that comes from elsewhere, made visible: what would steer a terminal is written out instead.

Ids, errors, names of columns, critiques and names of models are other people's text. In it may stand escape sequences that
set a title, write to the clipboard or clear the screen, characters that turn the direction of writing, and halves
of characters that no stream can encode. All of them are shown as JSON writes them (``\\u001b``), so that this
serves for a line of JSON too: it means the same before and after.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import textwrap

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Controls (C0, C1), formats (bidi, tags, zero width; not the two joiners, with which Persian, Indic scripts and emoji are
# written), separators of lines, halves of characters.
STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)


def visible(text: object, *, lines: bool = False) -> str:
    """The text with nothing in it that a terminal obeys.

    Args:
        text: anything that can be written as text.
        lines: keep line breaks and tabs; else they are written out too, so that a value stays on its line.
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
    """Every character as JSON's ``\\uXXXX``; beyond U+FFFF as two of them."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _write_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escaped(error.object[error.start : error.end]), error.end


# For streams: what the encoding has no place for is written out, which is valid in JSON, too.
codecs.register_error("visible", _write_out)


def to_stderr(text: object) -> None:
    """Say something on standard error. Nobody hears it where that was closed; it is never put among the results."""
    if sys.stderr is not None:
        print(_wrapped(visible(text)), file=sys.stderr)


def _wrapped(line: str) -> str:
    """The line broken between words where a terminal would break it within one; anywhere else as it is."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return line
    if not width or len(line) <= width:
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
