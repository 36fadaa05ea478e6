"""The ledger: one JSON line per verdict, appended as soon as it is made, so that a killed run can continue.

One file may hold the verdicts of several judges and criteria, and, for one judge and criterion, of several models, prompts
and selections of rows. No valid verdict is ever removed. The verdicts that count are those that the last run of that judge
and criterion asked for. (Where every row has its own criterion, the section takes the criterion's place: ``Verdict.scope``.)
At its end, a run sorts these lines by row and puts them last in the file, so that the file is the same however often the
run was killed. The remaining lines get ``"earlier": true``: reports ignore them until a run asks for them again.

A verdict is found by its key, the hash of the whole request. Identical rows have one line each, distinguished by their
position in the table. Ids are for people: a row that got another position or id keeps its verdict.

A changed verdict (a critique was added, the calibration is new) is appended again; the last line counts, and the end of the
run removes the older ones. A failed row has no verdict, and the end of the run removes its older error lines too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any

from mene.criterion_name import FREE
from mene.errors import LedgerError
from mene.runs.known import Known
from mene.runs.lent import Lent
from mene.runs.lines import Lines, read_lines
from mene.runs.parse import KEYS, parse_verdict
from mene.text.visible import to_stderr
from mene.verdict import Verdict

PIECE = 50_000  # numbers sorted at once


class Ledger:
    """An open ledger. Use it as a context manager; it holds a lock on the file.

    Args:
        path: the file; created if it does not exist.
        judge: name of the judge whose verdicts are written.
        scopes: the names of the run's criteria, or its section.
        warn: called with messages about repairs.
        overwrite: do not use existing verdicts; this judge's verdicts under these scopes are removed once there is a
            first new one.
        others: further files to copy verdicts with the same key from, as is done with the other judges' verdicts here.

    A run asks one question per row and scope. The position of a question is the row's place in the table, times the number of
    scopes, plus the index of its scope.

    Raises:
        LedgerError: the file is in use by another process, not writable, or not a file of verdicts.
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
        self._known = Known()  # this judge's verdicts under these scopes that no row has taken yet
        self._jurors = Known()  # jurors' verdicts on rows that not all jurors have judged
        self._gone: set[int] = set()  # offsets of lines that no longer count
        self._lines = array("q")  # position -> offset of its line + 1; 0 = none
        self._names: dict[int, dict[str, Any]] = {}  # position -> names to be written into its line
        self._stands: dict[int, int] = {}  # position -> offset of the verdict that counts there
        self._moved: set[int] = set()  # offsets of lines taken by a row in another position
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
        # Questions in words all had one name in earlier versions, so lines under it may belong to this run: the key decides.
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
        """Return the existing verdict for this question, or None.

        Args:
            position: of the question; see the class.
            names: fields that identify the row and the criterion (``id``, ``row``, ``content``, ``criterion``, ``question``,
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
        """Return another judge's verdict with this key, or this judge's in another file, renamed to this row, judge and
        criterion,
        with its file and judge; None if there is none. The verdict is not yet written to this ledger.

        Args:
            names: as for ``take``, which must be called first.
        """
        return self._lent.find(key, {**names, "judge": self.judge})

    def append(self, position: int, verdict: Verdict) -> None:
        """Write one verdict; from here on it survives a kill. A second one for a row replaces the first.

        Raises:
            LedgerError: the disk is full or unavailable. Earlier lines are intact.
        """
        written = verdict
        if names := self._names.get(position):
            # During the run, a replacing line keeps the names of the one that it replaces. With the names of a moved row, it
            # would
            # be unclear after a kill which line it replaces, and both would count.
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
        """Mark a row's old verdict as earlier where the row's text has changed: a run that is killed does not sort the file,
        and both
        verdicts would count. An old verdict that another row has taken has only moved, and stays."""
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
        """Return the row, from 1, and the scope of a position."""
        row, scope = divmod(position, len(self.scopes))
        return row + 1, self.scopes[scope]

    def juror(self, position: int, juror: str, key: str) -> Verdict | None:
        """Return a juror's verdict on a row from a run that was stopped before the jury had its verdict; None if absent."""
        row, scope = self._question(position)
        offset = self._jurors.find(key, row, "", juror)
        if offset is not None:
            return parse_verdict(self._file.at(offset))
        lent = self._lent.find(key, {"judge": juror, "criterion": scope})
        return None if lent is None else lent[0]

    def append_juror(self, position: int, verdict: Verdict) -> None:
        """Store a juror's verdict until the jury has its own, which then contains it.

        Raises:
            LedgerError: as for ``append``.
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
        """Drop the verdicts that ``overwrite`` gives up, now that there is a new one."""
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
        """Return whether ``overwrite`` drops a line from before this run."""
        if line.isspace():
            return True
        found = parse_verdict(line)
        return found.scope in self.scopes and self.judge == (found.jury or found.judge)

    def finish(self) -> bool:
        """Sort this run's lines by row, and mark the lines that it did not ask for as earlier.

        Returns:
            Whether the file keeps what this run wrote.

        Raises:
            LedgerError: the disk is full. All verdicts are still in the file.
        """
        if self._old_end:
            # This run wrote only errors, which would hide the older verdicts of the same rows.
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
        )  # offsets are in the order of the file
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
        """Release the file."""
        self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def ascending(numbers: array[int]) -> Iterator[int]:
    """Yield the numbers in ascending order; the array is sorted in place, piece by piece. A list would take 40 bytes per
    number."""
    starts = range(0, len(numbers), PIECE)
    for start in starts:
        numbers[start : start + PIECE] = array("q", sorted(numbers[start : start + PIECE]))
    whole = memoryview(numbers)
    return merge(*(whole[start : start + PIECE] for start in starts))


def _changed(line: bytes, changes: dict[str, Any]) -> bytes:
    verdict = parse_verdict(line).model_copy(update=changes)
    return verdict.to_json().encode() + b"\n"
