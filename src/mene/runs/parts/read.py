"""The verdicts of a folder of parts, in the order of the rows, for ``mene report`` and other readers of ledgers."""

from __future__ import annotations

from collections.abc import Iterator

from mene.errors import LedgerError
from mene.runs.parts.counting import apart, end_of
from mene.runs.parts.manifest import NAME, Manifest, load
from mene.runs.parts.part import parse_part, read_lines_of
from mene.runs.parts.storage import joined
from mene.verdict import Verdict


def read_parts(folder: str) -> Iterator[Verdict]:
    """Yield each verdict that counts once. Rows of several tables are numbered consecutively, in the order of the manifest.

    Raises:
        LedgerError: not a folder of parts, or one part is damaged.
    """
    manifest = load(folder)
    if manifest is None:
        raise LedgerError(
            f"{folder} is a folder without {NAME}; give one that `mene judge --on ray` wrote, or a file of verdicts"
        )
    starts = starts_of(manifest)
    for part in apart(manifest.parts):
        path = joined(folder, part.name)
        lines = read_lines_of(path)
        # A part of an earlier run, not yet replaced, may have fewer criteria.
        wanted = part.rows * len(part.summaries or manifest.criteria)
        if len(lines) != wanted:
            raise LedgerError(
                f"{path}: this part is damaged ({len(lines)} verdicts, and {NAME} says {wanted}); remove it and run the same "
                "`mene judge` again to make it anew"
            )
        for verdict in parse_part(path, lines):
            if verdict.row is not None and (start := starts[part.file]):
                verdict.say(row=verdict.row + start)
            yield verdict


def starts_of(manifest: Manifest) -> list[int]:
    """Return the number of rows before each table. A table that was not read to its end counts the rows with verdicts."""
    ends = [0] * len(manifest.files)
    for part in manifest.parts:
        ends[part.file] = max(ends[part.file], end_of(part))
    starts, before = [], 0
    for rows, end in zip(manifest.rows, ends, strict=True):
        starts.append(before)
        before += end if rows is None else rows
    return starts
