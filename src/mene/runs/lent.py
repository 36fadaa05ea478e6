"""Verdicts that ledgers have already under another name: what was asked once is not asked again.

What a calibration makes of a verdict, and what its judge and criterion are called, is no part of its key. So a judge that
``mene align`` wrote asks just what the judge asked that it was made from, and ``align`` what ``judge`` did. Their verdicts are
copied; the copy has the names of those who ask now, and is what their calibration makes of it.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from mene.runs.lines import read_lines
from mene.runs.tables import STDIN
from mene.verdict import Verdict

_ENDINGS = (".gz", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq")
_ERROR = re.compile(rb'"error": ?(null)?')
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

    def find(self, key: str) -> tuple[Verdict, Path] | None:
        """A verdict with this key, as it stands there, and the file."""
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
        return next(((v, path) for v in fitting if not v.mistake()), None)

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


def stem(table: str) -> Path:
    """A table's path without the endings of its form, which the names of its ledgers begin with."""
    path = Path(table)
    for ending in reversed(path.suffixes):
        if ending.lower() in _ENDINGS:
            path = path.with_suffix("")
    return path


def ledgers_beside(table: str, *outputs: Path | None) -> list[Path]:
    """Files of a table that may hold verdicts on it: JSON lines whose names begin with its own, in its folder and in those
    of ``outputs``."""
    if table == STDIN:
        return []
    own = stem(table)
    folders = dict.fromkeys([own.parent, *(path.parent for path in outputs if path is not None)])
    found = (p for f in folders for p in sorted(f.glob(f"{glob.escape(own.name)}.*jsonl")))
    return [path for path in found if path.is_file() and not path.samefile(table)]
