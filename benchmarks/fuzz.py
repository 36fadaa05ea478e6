"""Fuzzed rows through every door: no traceback, no row lost, and the same value means the same.

    python benchmarks/fuzz.py [--rows 10000] [--seed 0]

Two questions, with an engine that answers at once:

- *same*: tables of odd but sound values (texts of all scripts, quotes, line ends, numbers, booleans, dates, lists of
  documents) are given as CSV (four delimiters), JSONL, JSON, Parquet, through a pipe, as dicts of Python and NumPy, and as
  data frames. Each row must have one verdict, of one prompt, with one id and one label, through all of them.
- *broken*: files with bytes changed, cut, doubled and put in, and Python objects of any shape. Each row must have a verdict
  or an error that names it; of JSONL as many as there are lines.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gzip
import io
import json
import math
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars

from mene import Criterion, Judge, MeneError, Sample, Scale, Verdict
from mene.engines.base import Completion, Request
from mene.runs.check import check_columns
from mene.runs.formats import count_rows
from mene.runs.run import run
from mene.runs.tables import read_rows

ASKED = Criterion(question="Is it so?", scale=Scale.binary())
PIECES = [
    "a", "Yes", "é", "日本", "🙂", " ", ",", ";", "\t", "|", '"', '""', "'", "\n", "\r\n", "\r", "\\", "\\n", "[", "]", "{", "}",
    "null", "NaN", "True", "1", "-0.5", "1e9", "=1+1", "#", "\x00", "\u2028", "\ufeff", "\u202e", "<|im_end|>", "```",
]  # fmt: skip


class Echo:
    """An engine that says the first label, at once."""

    identity = "echo"
    context: int | None = None
    control_tokens = frozenset({"<|im_end|>"})

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if request is not None:
                labels = request.labels
                found = {label: 1 / len(labels) for label in labels}
                yield Completion(request.index, label=labels[0], probabilities=found)

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int | None:
        return None

    def close(self) -> None: ...


def echo() -> Judge:
    """A judge on that engine."""
    return Judge("openai:echo@http://localhost", engine=Echo(), template="prefix")  # type: ignore[arg-type]


# --- sound values ----------------------------------------------------------------------------------------------------


def text(draw: random.Random) -> str:
    """Any text that is one."""
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 8)))


def documents(draw: random.Random) -> list[str]:
    """A list of documents."""
    return [text(draw) for _ in range(draw.randint(1, 3))]


COLUMNS: dict[str, list[Callable[[random.Random], Any]]] = {
    "instruction": [text],
    "response": [
        text,
        lambda draw: draw.randint(-99, 10**9),
        lambda draw: draw.choice([0.1, 2.0, -1e-9, 1e22, 3.14]),
        lambda draw: draw.random() < 0.5,
        lambda draw: datetime.date(2024, 1, 1) + datetime.timedelta(draw.randint(0, 999)),
        lambda draw: draw.choice(["", " ", "x"]),
    ],
    "context": [text, documents],
    "reference": [text, lambda draw: draw.choice([None, "x"]), lambda draw: draw.choice([math.nan, 1.5])],
    "label": [
        lambda draw: draw.random() < 0.5,
        lambda draw: draw.choice(["Yes", "no", "True", ""]),
        lambda draw: draw.randint(0, 1),
    ],
    "score": [lambda draw: draw.choice([math.nan, math.inf, 1.0])],  # nobody uses it
}  # fmt: skip


def table(draw: random.Random, rows: int) -> list[dict[str, Any]]:
    """Rows of the same columns, each of one type, as Parquet wants it."""
    makers = {name: draw.choice(made) for name, made in COLUMNS.items() if draw.random() < 0.8}
    makers.setdefault("response", text)
    return [
        {"id": f"r{n}", **{name: make(draw) for name, make in makers.items()}} for n in range(rows)
    ]


def doors(rows: list[dict[str, Any]], folder: Path, draw: random.Random) -> dict[str, Any]:
    """The same table in every form: a path, the bytes of a pipe, or Python objects."""

    def as_csv(delimiter: str) -> str:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(
            out,
            list(rows[0]),
            delimiter=delimiter,
            lineterminator=draw.choice(["\n", "\r\n"]),
            quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        )
        writer.writeheader()
        writer.writerows(
            {
                # What pandas and the module itself write: an empty cell, str() of a list.
                k: "" if isinstance(v, float) and math.isnan(v) else v
                for k, v in row.items()
            }
            for row in rows
        )
        return out.getvalue()

    dates = [
        {k: str(v) if isinstance(v, datetime.date) else v for k, v in row.items()} for row in rows
    ]
    lines = "".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) + "\n" for row in dates)
    mark = draw.choice(["utf-8", "utf-8-sig", "utf-16"])
    delimiter = draw.choice(",;\t|")
    (folder / "t.jsonl").write_bytes(lines.encode(mark))
    (folder / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode(mark)))
    (folder / "t.json").write_bytes(json.dumps(dates).encode(mark))
    (folder / "t.csv").write_bytes(as_csv(delimiter).encode(mark))
    (folder / "t.tsv").write_bytes(as_csv("\t").encode(mark))
    polars.DataFrame(rows).write_parquet(folder / "t.parquet")
    names = ("t.jsonl", "t.jsonl.gz", "t.json", "t.csv", "t.tsv", "t.parquet")
    found: dict[str, Any] = {name: folder / name for name in names}
    found["pipe jsonl"] = lines.encode(mark)
    found["pipe csv"] = as_csv(delimiter).encode(mark)
    found["Python"] = rows
    found["NumPy"] = [{k: _numpy(v) for k, v in row.items()} for row in rows]
    found["polars"] = polars.DataFrame(rows)
    return found


def _numpy(value: Any) -> Any:
    if any(
        str(v).endswith("\x00") for v in (value if isinstance(value, list) else [value])
    ):  # NumPy itself drops it from the end of a text
        return value
    if isinstance(value, datetime.date):
        return np.datetime64(value)
    return np.array(value) if isinstance(value, list) else np.array([value])[0]


def through(door: Any, judge: Judge) -> list[Verdict]:
    """The verdicts of a table, by the way that `mene judge` or a program goes."""
    if not isinstance(door, Path | bytes):
        return list(judge.judge(door, ASKED))
    path = "-" if isinstance(door, bytes) else str(door)
    if isinstance(door, bytes):
        sys.stdin = SimpleNamespace(buffer=io.BytesIO(door))  # type: ignore[assignment]
    verdicts: list[Verdict] = []
    try:
        check_columns(path, ASKED, {})
        count_rows(path)
        run(judge, ASKED, read_rows(path, None, ASKED), None, on_verdict=verdicts.append)
    finally:
        sys.stdin = sys.__stdin__
    return verdicts


def labels(door: Any) -> list[Any] | None:
    """A person's labels, as a report reads them."""
    if isinstance(door, Path):
        found = [row.sample.label if row.sample else None for row in read_rows(str(door))]
    elif isinstance(door, list):
        found = [Sample.from_row(row).label for row in door]
    else:
        return None
    # A number of CSV is a text that matches alike; booleans are booleans everywhere.
    return [str(label) for label in found]


def differences(rows: list[dict[str, Any]], folder: Path, draw: random.Random) -> list[str]:
    """What one door says otherwise than JSONL, or loses."""
    judge = echo()
    wrong: list[str] = []
    first: dict[str, str] = {}
    golds: list[Any] | None = None
    for name, door in doors(rows, folder, draw).items():
        verdicts = through(door, judge)
        keys = {v.id: v.error or v.key for v in verdicts}
        first = first or keys
        if len(verdicts) != len(rows):
            wrong.append(f"{name}: {len(verdicts)} verdicts of {len(rows)} rows")
        wrong += [
            f"{name}: {row} is read otherwise than JSONL's ({keys.get(row['id'])})"
            for row in rows
            if keys.get(row["id"]) != first.get(row["id"]) or row["id"] not in keys
        ]
        found = labels(door)
        golds = golds or found
        if found is not None and found != golds:
            wrong.append(f"{name}: labels {found} for {golds}")
    return wrong


# --- broken files and odd objects ------------------------------------------------------------------------------------

JUNK = [
    b'"', b"'", b",", b";", b"\n", b"\r", b"\x00", b"\xff", b"\xed\xa0\x80", b"\\", b"{", b"}", b"[" * 3000, b"]", b":", b"NaN",
    b"-Infinity", b"\xef\xbb\xbf", b"\xff\xfe", b"1" * 5000, b"\\ud83d", b'""', b'"\n"', b"\x1f\x8b", b"",
]  # fmt: skip


def damaged(data: bytes, draw: random.Random) -> bytes:
    """The bytes with a few of them changed, cut, doubled or put in."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(data))
        to = at + draw.choice([0, 0, 1, 3, 30])
        data = data[:at] + draw.choice([*JUNK, data[at : to + 9] * 2]) + data[to:]
    return data[: draw.randint(0, len(data))] if draw.random() < 0.1 else data


def thing(draw: random.Random, level: int = 0) -> Any:
    """A Python object of any shape."""
    kinds: list[Callable[[], Any]] = [
        lambda: text(draw), lambda: None, lambda: math.nan, lambda: -math.inf, lambda: draw.randint(-9, 9), lambda: 10**5000,
        lambda: True, lambda: "\ud83d", lambda: b"\xff", lambda: object(), lambda: {1, 2}, lambda: np.float32(0.1),
        lambda: np.array([[1, 2]]), lambda: np.datetime64("NaT"), lambda: datetime.datetime(2024, 1, 1), lambda: 1j,
        lambda: Sample(response="\udc00"), lambda: Sample, lambda: range(3), lambda: iter("ab"), lambda: print,
        lambda: draw.choice(["['a', 'b']", "[[[", '[{"role": "user", "content": 1}]', "(" * 300]),
    ]  # fmt: skip
    if level < 4:
        known = ["role", "type", "content", "text", "messages", "choices", "message", "body", "tool_calls", "function", "name",
                 "arguments", "page_content", "metadata", "node", "input", "response", "context", "id", "label", "output"]  # fmt: skip
        kinds += 8 * [
            lambda: [thing(draw, level + 1) for _ in range(draw.randint(0, 3))],
            lambda: {draw.choice(known): thing(draw, level + 1) for _ in range(draw.randint(0, 4))},
            lambda: {
                draw.choice(known): draw.choice(["user", "assistant", "ai", "tool_use", "text", "image", "tool_result"]),
                "role": draw.choice(["user", "assistant", 3, None]),
                "content": thing(draw, level + 1),
            },
            lambda: {
                "role": "assistant",
                draw.choice(["tool_calls", "function_call", "content"]): draw.choice([list, tuple, np.array, next])(
                    iter([{draw.choice(known): thing(draw, level + 1), "name": thing(draw, level + 1)}])
                ),
            },
        ]  # fmt: skip
    return draw.choice(kinds)()


def deep(draw: random.Random) -> Any:
    """An object of many levels."""
    value: Any = "x"
    for _ in range(draw.choice([10, 100, 5000])):
        value = [value] if draw.random() < 0.9 else {draw.choice(["content", "node", "a"]): value}
    return value


def odd_rows(draw: random.Random, rows: int) -> list[Any]:
    """What a program might hand over by mistake."""
    found: list[Any] = []
    for _ in range(rows):
        row = {
            draw.choice(["response", "context", "id", "messages", "instruction", "input", "label", "choices"]): (
                deep(draw) if draw.random() < 0.02 else thing(draw)
            )
            for _ in range(draw.randint(0, 4))
        }  # fmt: skip
        found.append({"response": "x", **row} if draw.random() < 0.8 else thing(draw))
    return found


def lost(name: str, door: Any, rows: int, judge: Judge) -> tuple[list[str], Counter[str]]:
    """What is wrong about the verdicts of a broken table, and how its rows ended."""
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    try:
        verdicts = through(door, judge)
    except MeneError as error:  # the whole file: no column, damaged, a broken JSON list
        ends["files refused"] += 1
        place = str(door) if isinstance(door, Path) else "standard input"
        return (
            [] if place in str(error) and "\n" not in str(error) else [f"{name}: {error}"]
        ), ends
    ends["verdicts"] = sum(v.error is None for v in verdicts)
    ends["errors"] = len(verdicts) - ends["verdicts"]
    if rows >= 0 and len(verdicts) != rows:
        wrong.append(f"{name}: {len(verdicts)} verdicts of {rows} rows")
    for verdict in verdicts:
        verdict.to_json().encode()
        if verdict.error is not None and isinstance(door, Path | bytes):
            place = str(door) if isinstance(door, Path) else "standard input"
            if not verdict.error.startswith(f"{place}, ") or "\n" in verdict.error:
                wrong.append(f"{name}: no place in {verdict.error!r}")
    return wrong, ends


def broken(
    draw: random.Random, folder: Path, rows: int
) -> tuple[list[str], dict[str, Counter[str]]]:
    """A table through every door, damaged."""
    judge = echo()
    wrong: list[str] = []
    ends: dict[str, Counter[str]] = {}
    for name, door in doors(table(draw, rows), folder, draw).items():
        expected = -1
        if isinstance(door, Path):
            data = door.read_bytes()
            if door.suffix == ".gz" and draw.random() < 0.5:
                data = gzip.compress(damaged(gzip.decompress(data), draw))
            else:
                data = damaged(data, draw)
            door.write_bytes(data)
        elif isinstance(door, bytes):
            door = data = damaged(door, draw)
        else:
            door, data = odd_rows(draw, rows), b""
            expected = rows
        if name in ("t.jsonl", "pipe jsonl") and data[:1] == b"{" and b"\x00" not in data[:4]:
            # What is white space in bytes that are no UTF-8 is for the reader to say.
            shown = data.decode("utf-8", "replace")
            expected = sum(bool(line.strip()) for line in shown.split("\n"))
        try:
            found, ends[name] = lost(name, door, expected, judge)
            wrong += found
        except Exception:
            wrong.append(f"{name}: {traceback.format_exc()}")
    return wrong, ends


def main() -> None:
    """Both questions, and what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000, help="through each door, of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    start = time.perf_counter()
    wrong: list[str] = []
    sums: dict[str, Counter[str]] = {}
    size = 20
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for _ in range(math.ceil(options.rows / size)):
            wrong += differences(table(draw, size), folder, draw)
        print(f"same: {options.rows} rows through each of 11 doors, {len(wrong)} differences")
        for _ in range(math.ceil(options.rows / size)):
            found, ends = broken(draw, folder, size)
            wrong += found
            for name, counts in ends.items():
                sums.setdefault(name, Counter()).update(counts)
    for name, counts in sums.items():
        print(f"broken {name}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    for one in wrong[:20]:
        print(one)
    print(f"{len(wrong)} faults in {time.perf_counter() - start:.0f} s, seed {options.seed}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
