"""A line of a ledger, or of a part of a run on a cluster, as a verdict."""

from __future__ import annotations

from mene.runs.lines import parse_line
from mene.verdict import Verdict

KEYS = ("id", "criterion", "judge", "key")  # that every verdict's line has


def parse_verdict(line: bytes) -> Verdict:
    """A line of a ledger as a verdict.

    Raises:
        ValueError: names the field that is wrong, and why.
    """
    found = parse_line(Verdict, line, KEYS)
    if said := found.mistake():
        raise ValueError(said)
    return found
