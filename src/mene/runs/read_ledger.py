"""Reading the verdicts of a ledger that count, even while it is being written or after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mene.errors import LedgerError
from mene.runs.known import Known, digest
from mene.runs.lines import not_one, read_lines
from mene.runs.parse import parse_verdict
from mene.runs.parts.read import Unfinished, manifest_in, read_parts, unfinished
from mene.verdict import Verdict


@dataclass
class LeftOut:
    """Lines of a ledger that do not count.

    Attributes:
        earlier: verdicts that the last run of their judge and criterion did not ask for.
        mixed: (criterion or section, judge) of interrupted runs with changed settings: some rows have new verdicts, the others
            count with their old ones.
        cut: whether the last line is incomplete.
        unfinished: of a folder of parts, what an incomplete run lacks.
    """

    earlier: int = 0
    cut: bool = False
    mixed: Counter[tuple[str, str]] = field(default_factory=Counter)
    unfinished: Unfinished | None = None


def read_verdicts(path: Path, left_out: LeftOut | None = None) -> Iterator[Verdict]:
    """Yield each verdict of a ledger that counts once, even while it is being written or after a kill.

    A folder of parts (``mene judge --on ray``) is read as one ledger.

    Args:
        left_out: filled in with what does not count.

    Raises:
        LedgerError: no such file, or a line is not a verdict (names the line and the field).
    """
    if path.is_dir():
        yield from _read_folder(str(path), left_out)
        return
    left_out = left_out or LeftOut()
    try:
        skipped, none = _skipped(path, left_out), True
        for number, (offset, line) in enumerate(read_lines(path), start=1):
            if offset in skipped or line.isspace():
                none = none and line.isspace()
                continue
            try:
                verdict = parse_verdict(line)
            except ValueError as error:
                if not line.endswith(b"\n") and number > 1:
                    left_out.cut = True  # after a kill, or it is still being written
                    return
                raise LedgerError(not_one(path, number, "verdict", error, none)) from None
            none = False
            yield verdict
    except OSError as error:
        raise LedgerError(f"{path}: cannot read: {error.strerror}") from None


def _read_folder(folder: str, left_out: LeftOut | None) -> Iterator[Verdict]:
    manifest = manifest_in(folder)
    if left_out is not None:
        left_out.unfinished = unfinished(folder, manifest)
    yield from read_parts(folder, manifest)


def _skipped(path: Path, left_out: LeftOut) -> set[int]:
    """Return the offsets of lines that do not count: those that a later line for the same row replaces."""
    skipped: set[int] = set()

    def skip(replaced: int | None) -> None:
        if replaced is not None:
            skipped.add(replaced)

    # Row -> offset of its last line, and the digest of its key.
    last: dict[int, tuple[int, int]] = {}
    failed: dict[int, int] = {}  # row -> offset of its last line, where that is an error
    rowless: dict[
        str, Known
    ] = {}  # scope and judge -> lines of an earlier version, without row numbers
    for offset, line in read_lines(path):
        try:
            found = parse_verdict(line)
        except ValueError:
            continue  # reported when it is read
        of = f"{found.scope}\0{found.judge}"
        if found.jury or found.earlier:
            left_out.earlier += found.earlier
            skipped.add(offset)
            if found.row and not found.jury:  # the row has new text
                replaced = last.pop(digest(of, str(found.row), found.content), None)
                skip(replaced and replaced[0])
        elif not found.row:
            if found.error is None:
                skip(rowless.setdefault(of, Known()).add(offset, found))
        else:
            # An error is not a verdict: any later line of its row replaces it.
            row = digest(of, str(found.row))
            skip(failed.pop(row, None))
            if found.error is not None:
                failed[row] = offset
            place = digest(of, str(found.row), found.content)
            key = digest(found.key) if found.error is None else 0
            if place in last:
                old, known_key = last[place]
                skipped.add(old)
                if key and known_key and key != known_key:
                    left_out.mixed[found.scope, found.judge] += 1
            elif found.revision and of in rowless:
                skip(rowless[of].add(offset, found))
            last[place] = offset, key
    return skipped
