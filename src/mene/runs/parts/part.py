"""One part: the verdicts on some rows of a table that stand side by side, as Parquet or as lines of a ledger.

A Parquet part has columns for those who query it (``id``, ``label``, ``score``, ``confidence``, ``error``, …), and in
``verdict`` the whole line that a ledger would have, which is what mene reads.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mene.errors import LedgerError
from mene.runs.parse import parse_verdict
from mene.runs.parts.manifest import Form
from mene.runs.parts.storage import read_bytes, write_bytes
from mene.verdict import Verdict

COLUMNS = ("id", "row", "label", "score", "confidence", "error", "critique", "content", "key")


def write_part(path: str, verdicts: Sequence[Verdict], form: Form) -> int:
    """Write a part, whole or not at all; its bytes."""
    lines = [verdict.to_json() for verdict in verdicts]
    if form == "jsonl":
        content = "".join(f"{line}\n" for line in lines).encode()
        write_bytes(path, content)
        return len(content)
    import polars

    data = {name: [getattr(verdict, name) for verdict in verdicts] for name in COLUMNS}
    kinds = dict.fromkeys(COLUMNS, polars.String()) | {
        "row": polars.Int64(), "score": polars.Float64(), "confidence": polars.Float64(),
    }  # fmt: skip
    frame = polars.DataFrame({**data, "verdict": lines}, {**kinds, "verdict": polars.String()})
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())
    return buffer.tell()


def read_lines_of(path: str) -> list[bytes]:
    """The lines of a part, one a verdict.

    Raises:
        LedgerError: it is gone, torn, or no part.
    """
    content = _content(path)
    if path.endswith(".jsonl"):
        if content and not content.endswith(b"\n"):
            raise LedgerError(_torn(path, "its last line has no end"))
        return content.splitlines()
    import polars

    with _damaged(path):
        column = polars.read_parquet(io.BytesIO(content), columns=["verdict"])["verdict"]
        return [line.encode() for line in column]
    raise AssertionError


def _content(path: str) -> bytes:
    content = read_bytes(path)
    if content is None:
        raise LedgerError(f"{path}: this part is gone; run the same `mene judge` again to make it")
    return content


@contextmanager
def _damaged(path: str) -> Iterator[None]:
    """What polars says of a file that is no Parquet, or was cut."""
    import polars

    broken = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, ValueError)
    try:
        yield
    except broken as error:
        raise LedgerError(_torn(path, str(error).partition("\n")[0])) from None


def contents_in(path: str) -> list[str]:
    """Of every line of a part what its verdict is on (``Verdict.content``); empty where it failed.

    Raises:
        LedgerError: as of ``read_lines_of``.
    """
    if path.endswith(".jsonl"):
        verdicts = parse_part(path, read_lines_of(path))
        return [verdict.content if verdict.error is None else "" for verdict in verdicts]
    import polars

    with _damaged(path):
        frame = polars.read_parquet(io.BytesIO(_content(path)), columns=["content", "error"])
        rows = zip(frame["content"], frame["error"], strict=True)
        return [content or "" if error is None else "" for content, error in rows]
    raise AssertionError


def _torn(path: str, why: str) -> str:
    return f"{path}: this part is damaged ({why}); remove it and run the same `mene judge` again to make it anew"


def parse_part(path: str, lines: Sequence[bytes]) -> list[Verdict]:
    """The verdicts of a part's lines.

    Raises:
        LedgerError: a line is none.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(parse_verdict(line))
        except ValueError as error:
            raise LedgerError(_torn(path, f"line {number} is no verdict: {error}")) from None
    return found
