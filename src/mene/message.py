"""A chat message: what a template writes and a model reads."""

from __future__ import annotations

from typing import NamedTuple

# What stands between a critique and the cue, and between the cue and the label, where a template does not say otherwise.
GAP, JOINT = "\n\n", " "


class Message(NamedTuple):
    """One chat turn; ``role`` is system, user or assistant."""

    role: str
    content: str
