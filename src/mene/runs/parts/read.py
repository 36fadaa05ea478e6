"""The verdicts of a folder of parts, in the order of the rows, for ``mene report`` and other readers of ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mene.errors import LedgerError
from mene.runs.parts.counting import apart, end_of
from mene.runs.parts.manifest import NAME, Manifest, load, parts_in
from mene.runs.parts.part import parse_part, read_lines_of
from mene.runs.parts.storage import joined
from mene.verdict import Verdict


@dataclass(frozen=True)
class Unfinished:
    """What a folder of an incomplete run lacks.

    Attributes:
        rows: rows whose verdicts count; ``missing``: those without, None where a table was not read to its end.
        parts: parts in the folder that do not count.
    """

    rows: int
    missing: int | None
    parts: int


def manifest_in(folder: str) -> Manifest:
    """Return the manifest of a folder of parts.

    Raises:
        LedgerError: not a folder of parts.
    """
    manifest = load(folder)
    if manifest is None:
        raise LedgerError(
            f"{folder} is a folder without {NAME}; give one that `mene judge --on ray` wrote, or a file of verdicts"
        )
    return manifest


def unfinished(folder: str, manifest: Manifest) -> Unfinished | None:
    """Return what an incomplete run lacks; None where it is complete."""
    if manifest.complete:
        return None
    own = list(apart(manifest.parts))
    rows, known = sum(part.rows for part in own), [n for n in manifest.rows if n is not None]
    whole = len(known) == len(manifest.rows)
    others = parts_in(folder).keys() - {part.name for part in own}
    return Unfinished(rows, max(sum(known) - rows, 0) if whole else None, len(others))


def read_parts(folder: str, manifest: Manifest | None = None) -> Iterator[Verdict]:
    """Yield each verdict that counts once. Rows of several tables are numbered consecutively, in the order of the manifest.

    Raises:
        LedgerError: not a folder of parts, or one part is damaged.
    """
    manifest = manifest or manifest_in(folder)
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
