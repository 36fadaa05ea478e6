"""Verdicts copied from other ledgers, so that the same request is never judged twice.

A verdict's key does not cover the calibration, or the names of judge and criterion. So a judge written by ``mene align`` has
the same keys as the judge that it was made from, and ``align`` the same as ``judge``. Their verdicts are copied; a copy gets
the current names and the current calibration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mene.runs.lines import read_lines
from mene.verdict import Verdict

_ERROR = re.compile(rb'"error": ?(null)?')
# Fields that depend on where a verdict is stored, and what a copy has instead.
NAMELESS: dict[str, Any] = {
    "id": "", "row": None, "content": "", "criterion": "", "question": "", "scale": "",
    "failing": [], "section": "", "columns": {}, "judge": "", "jury": "", "earlier": False, "revision": 0,
}  # fmt: skip
_KEY = re.compile(rb'"key": ?"([0-9a-f]{32})"')


class Lent:
    """Finds verdicts by key. Nothing is read before the first lookup, and nothing is locked.

    Args:
        paths: ledgers; a file that cannot be read, or is not a ledger, is ignored.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        # Key -> file, and offset of its last line.
        self._lines: dict[int, tuple[Path, int]] | None = None

    def find(self, key: str, names: dict[str, Any]) -> tuple[Verdict, tuple[Path, str]] | None:
        """Return a verdict with this key, with its file and judge; None if there is none.

        Args:
            names: fields that identify the row, judge and criterion here; the copy loses all others.
        """
        if self._lines is None:
            self._lines = {}
            for path in self._paths:
                self._read(path)
        place = self._lines.get(int(key, 16) if re.fullmatch(r"[0-9a-f]{32}", key) else -1)
        if place is None:
            return None
        path, offset = place
        try:
            with path.open("rb") as file:
                file.seek(offset)
                line = Verdict.model_validate_json(file.readline())
        except (OSError, ValueError):  # changed since, or never a ledger
            return None
        # A juror's verdict is a part of the jury's.
        fitting = (v for v in (line, *line.parts) if v.key == key and v.error is None)
        found = next((v for v in fitting if not v.mistake()), None)
        if found is None:
            return None
        return found.model_copy(update={**NAMELESS, **names}), (path, found.judge)

    def _read(self, path: Path) -> None:
        assert self._lines is not None
        try:
            for number, (offset, line) in enumerate(read_lines(path)):
                if number == 0 and not _is_verdict(line):
                    return
                # The first match is the verdict's own; its parts come after it.
                said = _ERROR.search(line)
                failed = said is not None and said[1] is None
                for found in _KEY.finditer(line):
                    key = int(found[1], 16)
                    # A later error does not replace a verdict.
                    if not failed or key not in self._lines:
                        self._lines[key] = path, offset
        except OSError:
            return


def _is_verdict(line: bytes) -> bool:
    try:
        return "key" in Verdict.model_validate_json(line).model_fields_set
    except ValueError:
        return False
