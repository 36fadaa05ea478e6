"""The ledger: one JSON line per verdict, appended as it comes, so that a killed run can go on.

A file may hold the verdicts of several judges and criteria, and of one judge on one criterion those of several models,
prompts and choices of rows: none that is valid is ever taken out. What counts is what the last run of that judge on that
criterion asked for. (Where every row has a criterion of its own, a section stands in its place: ``Verdict.scope``.) When a
run is through, it puts these lines into the order of the rows, behind all others, so that the file is the same however often
the run was killed on the way; those that it did not ask for get ``"earlier": true``, are used again as soon as a run asks
for them, and are left out of reports until then.

A verdict is found by its key, the hash of all that was asked. Of rows that are alike each has a line of its own, told
apart by its place in the table. Ids are for people: a row that got another place or id keeps its verdict.

A verdict that was added to (a critique came, the calibration is another one) is appended again; of the lines of one
verdict the last counts, and the others go at the end of the run. What failed is no verdict, and goes too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any

from mene.criterion import FREE
from mene.errors import LedgerError
from mene.runs.known import Known
from mene.runs.lent import Lent
from mene.runs.lines import Lines, read_lines
from mene.runs.parse import KEYS, parse_verdict
from mene.text.visible import to_stderr
from mene.verdict import Verdict

PIECE = 50_000  # numbers that are sorted at once


class Ledger:
    """An open ledger. Use as a context manager; it holds a lock on the file.

    Args:
        path: the file; made if it is not there.
        judge: name of the judge whose verdicts are written.
        scopes: names of the criteria, or of the section, of its run.
        warn: told about repairs.
        overwrite: nothing that is there is used, and what this judge said under these scopes goes as soon as there is a
            verdict to take its place.
        others: files that lend verdicts with a key that is asked for, as this one does those of other judges.

    A run asks about every row once per scope. Each of these questions has a position: its row's place in the table, times
    the number of scopes, plus the place of its scope.

    Raises:
        LedgerError: in use by another process, not writable, or not a file of verdicts.
    """

    def __init__(
        self,
        path: Path,
        judge: str,
        scopes: str | Sequence[str],
        warn: Callable[[str], None] = to_stderr,
        overwrite: bool = False,
        others: Iterable[Path] = (),
    ) -> None:
        self.path, self.judge, self.warn = path, judge, warn
        self.scopes = (scopes,) if isinstance(scopes, str) else tuple(scopes)
        self._known = Known()  # verdicts of this judge and these scopes that no row has taken yet
        self._jurors = Known()  # what single jurors said of rows that the others have not spoken on
        self._gone: set[int] = set()  # offsets of lines that no longer count
        self._lines = array("q")  # position -> offset of its line + 1; 0 = none
        self._names: dict[int, dict[str, Any]] = {}  # position -> names that its line has not yet
        self._stands: dict[int, int] = {}  # position -> offset of the verdict that counts there
        self._moved: set[int] = set()  # offsets of those that a row in another place has taken
        self._failed: str = ""  # the first error
        self._anew = overwrite
        self._lent = Lent(() if overwrite else (path, *others))
        self._file = Lines(path, "verdict", f'{{"{KEYS[0]}":', parse_verdict, self._add, warn)
        self._old_end = self._file.end if overwrite else 0

    def _add(self, offset: int, found: Verdict) -> None:
        if self._anew:
            return
        own = found.scope in self.scopes
        if found.jury:
            if own and found.jury == self.judge:
                self._jurors.add(offset, found, found.judge)
            return
        # Questions that users write had all one name once, so those under it may be of this run: the key tells.
        if found.judge != self.judge or not (own or found.criterion == FREE):
            return
        if found.error is not None:
            if own:
                self._gone.add(offset)
            return
        replaced = self._known.add(offset, found, found.scope, settled=found.earlier or not own)
        if replaced is not None:
            self._gone.add(replaced)
        if not own or not found.row:
            return
        position = (found.row - 1) * len(self.scopes) + self.scopes.index(found.scope)
        if not found.earlier:
            self._stands[position] = offset
        elif self._stands.get(position) == replaced:
            self._stands.pop(position, None)

    def take(self, position: int, names: dict[str, Any], key: str) -> Verdict | None:
        """The verdict that is there already for this question; it need not be made again.

        Args:
            position: of the question; see the class.
            names: what the row and the criterion are called (``id``, ``row``, ``content``, ``criterion``, ``question``,
                ``section``, ``columns``).
        """
        scope = names.get("section") or names["criterion"]
        offset = self._known.take(key, names["row"], names["id"], scope)
        if offset is None:
            offset = self._known.take(key, names["row"], names["id"], FREE)
        if offset is None:
            return None
        found = parse_verdict(self._file.at(offset))
        self._place(position, offset)
        if found.row != names["row"]:
            self._moved.add(offset)
        if found.earlier or any(getattr(found, name) != said for name, said in names.items()):
            self._names[position] = names
            found = found.model_copy(update={**names, "earlier": False})
        self._drop_jurors(found)
        return found

    def borrow(self, names: dict[str, Any], key: str) -> tuple[Verdict, tuple[Path, str]] | None:
        """A verdict that another judge has, or this one in another file, under the names of this row, judge and criterion;
        and from which file and judge. It is not yet written down here.

        Args:
            names: as of ``take``, which comes first.
        """
        return self._lent.find(key, {**names, "judge": self.judge})

    def append(self, position: int, verdict: Verdict) -> None:
        """Write one verdict; it survives a kill from here on. A second one of a row takes the place of the first.

        Raises:
            LedgerError: the disk is full or gone. What was written before is whole.
        """
        written = verdict
        if names := self._names.get(position):
            # Until the run is through, a line keeps the names of the one that it replaces. Under those of a row that moved,
            # nobody could tell after a kill which line that was, and both would count.
            old = parse_verdict(self._file.at(self._lines[position] - 1))
            written = verdict.model_copy(update={name: getattr(old, name) for name in names})
        self._retire(position, verdict)
        self._place(position, self._file.append(written.to_json()))
        if verdict.error is None:
            self._drop_jurors(verdict)
            self._begin_anew()
        elif not self._failed:
            self._failed = verdict.error

    def _retire(self, position: int, verdict: Verdict) -> None:
        """Where a row has another text now, say of its old verdict that it does not count: a run that is stopped puts nothing
        in order, and both would. One that another row has taken has only moved."""
        offset = self._stands.pop(position, None)
        own = position < len(self._lines) and self._lines[position] - 1 == offset
        if offset is None or offset in self._moved or own:
            return
        old = parse_verdict(self._file.at(offset))
        if old.content in ("", verdict.content):
            return
        old = old.model_copy(update={"earlier": True, "revision": old.revision + 1})
        replaced = self._known.add(self._file.append(old.to_json()), old, old.scope, settled=True)
        if replaced is not None:
            self._gone.add(replaced)

    def _question(self, position: int) -> tuple[int, str]:
        """The row, from 1, and the scope of a position."""
        row, scope = divmod(position, len(self.scopes))
        return row + 1, self.scopes[scope]

    def juror(self, position: int, juror: str, key: str) -> Verdict | None:
        """What a juror said of a row in a run that was stopped before the jury had its verdict."""
        row, scope = self._question(position)
        offset = self._jurors.find(key, row, "", juror)
        if offset is not None:
            return parse_verdict(self._file.at(offset))
        lent = self._lent.find(key, {"judge": juror, "criterion": scope})
        return None if lent is None else lent[0]

    def append_juror(self, position: int, verdict: Verdict) -> None:
        """Keep what a juror said until the jury has its verdict, which then holds it.

        Raises:
            LedgerError: as of ``append``.
        """
        row, scope = self._question(position)
        section = "" if scope == verdict.criterion else scope
        kept = verdict.model_copy(update={"jury": self.judge, "section": section, "row": row})
        offset = self._file.append(kept.to_json())
        self._jurors.add(offset, kept, kept.judge)
        self._begin_anew()

    def _drop_jurors(self, whole: Verdict) -> None:
        for part in whole.parts:
            offset = self._jurors.take(part.key, whole.row or 0, "", part.judge)
            if offset is not None:
                self._gone.add(offset)

    def _place(self, position: int, offset: int) -> None:
        if position >= len(self._lines):
            self._lines.extend([0] * (position + 1 - len(self._lines)))
        if mark := self._lines[position]:
            self._gone.add(mark - 1)
        self._lines[position] = offset + 1

    def _begin_anew(self) -> None:
        """Let go of what was there before, now that there is a verdict to take its place."""
        if not self._old_end:
            return
        start, self._old_end = self._old_end, 0
        end = self._file.end
        self._rewrite(
            line
            for offset, line in read_lines(self.path)
            if offset >= start or not self._is_replaced(line)
        )
        gone = end - self._file.end
        self._lines = array("q", (mark and mark - gone for mark in self._lines))
        self._gone = {offset - gone for offset in self._gone}
        self._jurors.shift(gone)

    def _is_replaced(self, line: bytes) -> bool:
        """Is a line from before this run one that ``overwrite`` gives up?"""
        if line.isspace():
            return True
        found = parse_verdict(line)
        return found.scope in self.scopes and self.judge == (found.jury or found.judge)

    def finish(self) -> bool:
        """Put this run's lines in the order of the rows, and mark those that it did not ask for.

        Returns:
            Whether what this run wrote is in the file.

        Raises:
            LedgerError: there is no room. All verdicts are there all the same.
        """
        if self._old_end:
            # What this run wrote are errors: those would hide the verdicts of their rows.
            self._rewrite(line for offset, line in read_lines(self.path) if offset < self._old_end)
            self.warn(
                f"{self.path}: no row got a verdict, so the earlier ones stay, without the errors of this run; the first: "
                f"{self._failed or 'there was no row'}"
            )
            return False
        unasked = self._known.unsettled()
        gone = self._gone.difference(mark - 1 for mark in self._lines)
        marks = pairwise(mark for mark in self._lines if mark)
        if self._names or unasked or gone or any(a > b for a, b in marks):
            self._rewrite(self._ordered(unasked, gone))
        return True

    def _ordered(self, unasked: set[int], gone: set[int]) -> Iterator[bytes]:
        marks, listed = (
            ascending(array("q", self._lines)),
            -1,
        )  # offsets come in order, as in the file
        for offset, line in read_lines(self.path):
            while listed < offset:
                listed = next(marks, self._file.end + 1) - 1
            if offset in unasked:
                yield _changed(line, {"earlier": True})
            elif offset not in gone and offset != listed:
                yield line
        for position, mark in enumerate(self._lines):
            if not mark:
                continue
            line, names = self._file.at(mark - 1), self._names.get(position)
            yield line if names is None else _changed(line, {**names, "earlier": False})

    def _rewrite(self, lines: Iterator[bytes]) -> None:
        try:
            self._file.rewrite(lines)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot put the lines in order: {error.strerror}; all verdicts are "
                "saved; free disk space and run the same command again"
            ) from None

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def ascending(numbers: array[int]) -> Iterator[int]:
    """The same numbers in order; the array itself is put in order piece by piece. A list of many would take 40 bytes for each."""
    starts = range(0, len(numbers), PIECE)
    for start in starts:
        numbers[start : start + PIECE] = array("q", sorted(numbers[start : start + PIECE]))
    whole = memoryview(numbers)
    return merge(*(whole[start : start + PIECE] for start in starts))


def _changed(line: bytes, changes: dict[str, Any]) -> bytes:
    verdict = parse_verdict(line).model_copy(update=changes)
    return verdict.to_json().encode() + b"\n"
