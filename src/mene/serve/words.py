"""Advice of the library in the words of a client of the server, who has keys of a body where a terminal has options."""

from __future__ import annotations

import re

# Advice -> the same for a client. What is not here is for whoever runs the server.
SAID = [
    (re.compile(pattern), said)
    for pattern, said in (
        (r", or say which column it is with --map FIELD=COLUMN", ""),
        (r"with --truncate context\b", 'with "truncate": "context" (/v1/judge)'),
        (r"--(mode|compare) (\w+)", r'"\1": "\2"'),
        (r"--samples (\d+)", r'"draws": \1'),
        (r"--(critique|thought)-tokens\b", r'"\1_tokens"'),
    )
]


def told(error: Exception) -> str:
    """What a client is told of an error."""
    text = str(error)
    if "--" in text:
        for pattern, said in SAID:
            text = pattern.sub(said, text)
    return text
