"""The ledger: one JSON line per verdict, appended as it comes, so that a killed run can go on.

A file may hold the verdicts of several judges and criteria. A run appends; when it is through, it
puts its own lines into the order of the rows, so that the file is the same however often the run was
killed on the way. Lines of the same judge and criterion that this run did not ask for (another
model file, prompt or decoding; rows that are gone) are moved to ``NAME.stale.jsonl``, never reused
and never deleted. A verdict that was added to (a critique came, the calibration is another one) is appended again; of the lines of
one verdict the last counts, and the others go at the end of the run.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mene.errors import LedgerError
from mene.lines import Lines, entry, read_lines
from mene.verdict import Verdict

KEYS = ("id", "criterion", "judge", "key")  # that every verdict's line has


class Ledger:
    """An open ledger. Use as a context manager; it holds a lock on the file.

    Args:
        path: the file; made if it is not there.
        judge: name of the judge whose verdicts are written.
        criterion: name of the criterion.
        warn: told about repairs.

    Raises:
        LedgerError: in use by another process, not writable, or not a file of verdicts.
    """

    def __init__(
        self, path: Path, judge: str, criterion: str, warn: Callable[[str], None] = print
    ) -> None:
        self.path, self.judge, self.criterion, self.warn = path, judge, criterion, warn
        self._kept = Revisions()  # verdicts of this judge and criterion
        self._lines = array("q")  # position of a row -> offset of its line + 1; 0 = none
        self._file = Lines(path, "verdict", KEYS, self._index, warn)

    def _index(self, offset: int, found: dict[str, Any]) -> None:
        if self._is_own(found) and found.get("error") is None:
            self._kept.add(offset, found)

    def _is_own(self, entry: dict[str, Any]) -> bool:
        return entry["judge"] == self.judge and entry["criterion"] == self.criterion

    def take(self, position: int, sample_id: str, key: str) -> Verdict | None:
        """The verdict that is there already for this row; it need not be made again."""
        offset = self._kept.take(sample_id, key)
        if offset is None:
            return None
        self._place(position, offset)
        return Verdict.model_validate_json(self._file.at(offset))

    def append(self, position: int, verdict: Verdict) -> None:
        """Write one verdict; it survives a kill from here on. A second one of a row takes the place of the first.

        Raises:
            LedgerError: the disk is full or gone. What was written before is whole.
        """
        self._place(position, self._file.append(verdict.to_json()))

    def _place(self, position: int, offset: int) -> None:
        if position >= len(self._lines):
            self._lines.extend([0] * (position + 1 - len(self._lines)))
        if mark := self._lines[position]:
            self._kept.replaced.add(mark - 1)
        self._lines[position] = offset + 1

    def finish(self, whole: bool = True) -> None:
        """Put this run's lines in the order of the rows; move stale ones aside.

        Args:
            whole: this run asked for all rows; otherwise verdicts it did not ask for stay, before
                its own.
        """
        mine = [mark - 1 for mark in self._lines if mark]
        listed = set(mine)
        settled = mine == sorted(mine) and not self._kept.replaced
        if settled and all(o in listed or not own for o, own in self._owners()):
            return
        part = self.path.with_name(f".{self.path.name}.part")
        stale = self.path.with_name(f"{self.path.stem}.stale.jsonl")
        replaced = 0
        try:
            with self.path.open("rb") as old, part.open("wb") as new, stale.open("ab") as aside:
                for offset, own in self._owners():
                    if offset in self._kept.replaced:
                        continue
                    if not own or offset not in listed:
                        old.seek(offset)
                        line = old.readline()
                        good = (entry(line, KEYS) or {}).get("error") is None
                        if not own or (good and not whole):
                            new.write(line)
                        elif good:
                            aside.write(line)
                            replaced += 1
                for offset in mine:
                    old.seek(offset)
                    new.write(old.readline())
                new.flush()
                os.fsync(new.fileno())
            part.replace(self.path)
            if not stale.stat().st_size:
                stale.unlink()
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LedgerError(
                f"{self.path}: cannot put the lines in order: {error.strerror}; all verdicts are "
                "there, run the same command again when there is room"
            ) from None
        if replaced:
            self.warn(
                f"{replaced} stale verdicts (other model, prompt, settings or rows) → {stale}"
            )

    def _owners(self) -> Iterator[tuple[int, bool]]:
        for offset, line in read_lines(self.path):
            found = entry(line, KEYS)
            yield offset, found is not None and self._is_own(found)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Revisions:
    """Which lines of a ledger count: of those of one verdict the one that was added to last.

    Rows that are alike have a line each, and a line with a higher revision takes the place of one of them.

    Attributes:
        replaced: offsets of the lines that do not count.
    """

    def __init__(self) -> None:
        self._lines: dict[int, list[tuple[int, int]]] = {}  # digest -> offsets and revisions
        self.replaced: set[int] = set()

    def add(self, offset: int, found: dict[str, Any], *, of: str = "") -> None:
        """Take a line in; ``of`` keeps apart what is not of one judge and criterion."""
        lines = self._lines.setdefault(_digest(found["id"], found["key"], of), [])
        revision = found.get("revision") or 0
        for place, (earlier, known) in enumerate(lines):
            if known < revision:
                self.replaced.add(earlier)
                lines[place] = offset, revision
                return
        lines.append((offset, revision))

    def take(self, sample_id: str, key: str) -> int | None:
        """The offset of the next line that counts for a row; every line is taken once."""
        lines = self._lines.get(_digest(sample_id, key, ""))
        return lines.pop(0)[0] if lines else None


def _superseded(path: Path) -> set[int]:
    """Offsets of lines that a later one takes the place of. A run that came to its end leaves none."""
    known = Revisions()
    if not any(b'"revision"' in line for _, line in read_lines(path)):
        return known.replaced
    for offset, line in read_lines(path):
        found = entry(line, KEYS)
        if found is not None and found.get("error") is None:
            known.add(offset, found, of=f"{found['judge']}\0{found['criterion']}")
    return known.replaced


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """Stream a ledger's verdicts, also while it is being written or after a kill: each verdict once.

    Raises:
        LedgerError: no such file, or a line is not a verdict (names it).
    """
    try:
        superseded = _superseded(path)
        for number, (offset, line) in enumerate(read_lines(path), start=1):
            if line.isspace() or offset in superseded:
                continue
            try:
                yield Verdict.model_validate_json(line)
            except ValueError:
                raise LedgerError(
                    f"{path}, line {number}: not a verdict; give a file that `mene judge` wrote"
                ) from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot read: {error.strerror}") from None


def _digest(sample_id: str, key: str, of: str) -> int:
    raw = hashlib.blake2b(
        f"{sample_id}\0{key}\0{of}".encode("utf-8", "surrogatepass"), digest_size=8
    )
    return int.from_bytes(raw.digest(), "big")
