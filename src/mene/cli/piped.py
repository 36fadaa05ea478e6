"""Verdicts from a file, or from a pipe by way of a temporary file."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mene.cli.verdicts_here import address_of, verdicts_here
from mene.errors import LedgerError, UsageError, nearest_file
from mene.runs.source import STDIN, shown


@contextmanager
def ledger_file(given: str) -> Iterator[Path]:
    """Yield the file with the verdicts. A ledger is read twice, so standard input is copied to a temporary file.

    Raises:
        UsageError: there is no such file.
        LedgerError: raised in the block; its message has the name that the user knows.
    """
    if given != STDIN:
        path = Path(given)
        if address_of(given):
            with verdicts_here(path) as copy:
                yield copy
            return
        if not path.exists():
            near = nearest_file(path, (".jsonl",))
            raise UsageError(
                f"{path}: cannot read: no such file; give one that `mene judge` wrote{near}"
            )
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "verdicts.jsonl"
        with kept.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield kept
        except (LedgerError, UsageError) as error:
            raise type(error)(str(error).replace(str(kept), shown(STDIN))) from None
