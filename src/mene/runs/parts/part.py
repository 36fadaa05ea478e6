"""One part: the verdicts on consecutive rows of a table, as Parquet or as lines of a ledger.

A Parquet part has columns for queries (``id``, ``label``, ``score``, ``confidence``, ``error``, …), and in ``verdict`` the
whole ledger line, which is what mene reads.
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
    """Write a part, completely or not at all; return its number of bytes."""
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
    """Return the lines of a part, one per verdict.

    Raises:
        LedgerError: the file is missing, truncated, or not a part.
    """
    content = _content(path)
    if path.endswith(".jsonl"):
        if content and not content.endswith(b"\n"):
            raise LedgerError(torn(path, "its last line has no end"))
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
    """Convert polars' errors about an invalid or truncated Parquet file."""
    import polars

    broken = (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, ValueError)
    try:
        yield
    except broken as error:
        raise LedgerError(torn(path, str(error).partition("\n")[0])) from None


def contents_in(path: str) -> list[str]:
    """Return the content hash (``Verdict.content``) of every line of a part; empty where the row failed.

    Raises:
        LedgerError: as for ``read_lines_of``.
    """
    if path.endswith(".jsonl"):
        verdicts = parse_part(path, read_lines_of(path))
        return [verdict.content if verdict.error is None else "" for verdict in verdicts]
    import polars

    with _damaged(path):
        # The verdicts are read too, although nobody asks for them here: damage is most often in them.
        columns = ["content", "error", "verdict"]
        frame = polars.read_parquet(io.BytesIO(_content(path)), columns=columns)
        rows = zip(frame["content"], frame["error"], strict=True)
        return [content or "" if error is None else "" for content, error in rows]
    raise AssertionError


def torn(path: str, why: str) -> str:
    """Return the message about a damaged part."""
    return f"{path}: this part is damaged ({why}); remove it and run the same `mene judge` again to make it anew"


def parse_part(path: str, lines: Sequence[bytes]) -> list[Verdict]:
    """Return the verdicts in a part's lines.

    Raises:
        LedgerError: a line is not a verdict.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(parse_verdict(line))
        except ValueError as error:
            raise LedgerError(torn(path, f"line {number} is no verdict: {error}")) from None
    return found
