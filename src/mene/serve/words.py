"""The library's error messages for clients of the server, who write keys of a body, not options of a command."""

from __future__ import annotations

import re

# Advice in a message -> the same for a client. Other advice is for the operator of the server.
SAID = [
    (re.compile(pattern), said)
    for pattern, said in (
        (r", or say which column it is with --map FIELD=COLUMN \(in Python: columns=\)", ""),
        (r"with --truncate context\b", 'with "truncate": "context" (/v1/judge)'),
        (r"--(mode|compare) (\w+)", r'"\1": "\2"'),
        (r"--samples (\d+)", r'"draws": \1'),
        (r"--(critique|thought)-tokens\b", r'"\1_tokens"'),
    )
]


def told(error: Exception) -> str:
    """Return the message of an error for a client."""
    text = str(error)
    if "--" in text:
        for pattern, said in SAID:
            text = pattern.sub(said, text)
    return text
