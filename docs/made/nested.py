"""What stands inside an item of a numbered list: GitHub wants it indented by three spaces, the site's Markdown by four."""

from __future__ import annotations

import re


def deepened(text: str) -> str:
    """A page whose numbered items have their lists and blocks one space further in."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"\d+\. ", line):
            inside = True
        elif line[:1] not in ("", " "):
            inside = False
        lines.append(f" {line}" if inside and line.startswith("   ") else line)
    return "\n".join(lines) + "\n"
