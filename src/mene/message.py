"""A chat message: what a template writes and a model reads."""

from __future__ import annotations

from typing import NamedTuple

# Text between a critique and the cue, and between the cue and the label, unless a template sets its own.
GAP, JOINT = "\n\n", " "


class Message(NamedTuple):
    """One chat turn; ``role`` is system, user or assistant."""

    role: str
    content: str
