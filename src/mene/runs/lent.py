"""Verdicts that ledgers have already under another name: what was asked once is not asked again.

What a calibration makes of a verdict, and what its judge and criterion are called, is no part of its key. So a judge that
``mene align`` wrote asks just what the judge asked that it was made from, and ``align`` what ``judge`` did. Their verdicts are
copied; the copy has the names of those who ask now, and is what their calibration makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mene.runs.lines import read_lines
from mene.verdict import Verdict

_ERROR = re.compile(rb'"error": ?(null)?')
# What a verdict is called where it stands, and what became of it there.
NAMELESS: dict[str, Any] = {
    "id": "", "row": None, "content": "", "criterion": "", "question": "", "scale": "",
    "failing": [], "section": "", "columns": {}, "judge": "", "jury": "", "earlier": False, "revision": 0,
}  # fmt: skip
_KEY = re.compile(rb'"key": ?"([0-9a-f]{32})"')


class Lent:
    """Finds verdicts by their key. Nothing is read before the first is looked for, and nothing locked.

    Args:
        paths: ledgers. What is no ledger, or cannot be read, lends nothing.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        # Key -> file, and offset of its last line.
        self._lines: dict[int, tuple[Path, int]] | None = None

    def find(self, key: str, names: dict[str, Any]) -> tuple[Verdict, tuple[Path, str]] | None:
        """A verdict with this key, and the file and the judge that it is from.

        Args:
            names: what its row, judge and criterion are called here; what they do not say it loses.
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
        except (OSError, ValueError):  # it has another content by now, or never was a ledger
            return None
        # What a juror said stands in the jury's verdict.
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
                # The first is the verdict's own; those of its parts come later.
                said = _ERROR.search(line)
                failed = said is not None and said[1] is None
                for found in _KEY.finditer(line):
                    key = int(found[1], 16)
                    # One that failed later takes no verdict's place.
                    if not failed or key not in self._lines:
                        self._lines[key] = path, offset
        except OSError:
            return


def _is_verdict(line: bytes) -> bool:
    try:
        return "key" in Verdict.model_validate_json(line).model_fields_set
    except ValueError:
        return False
