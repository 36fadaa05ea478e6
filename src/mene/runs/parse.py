"""Parsing a line of a ledger, or of a part of a cluster run, as a verdict."""

from __future__ import annotations

from mene.runs.lines import parse_line
from mene.verdict import Verdict

KEYS = ("id", "criterion", "judge", "key")  # required in every verdict's line


def parse_verdict(line: bytes) -> Verdict:
    """Return the verdict in a line of a ledger.

    Raises:
        ValueError: names the field that is wrong, and why.
    """
    found = parse_line(Verdict, line, KEYS)
    if said := found.mistake():
        raise ValueError(said)
    return found
