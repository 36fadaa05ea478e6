"""Rows for `benchmarks/gate`: faithful responses of real rows, and the same rows with responses that are not.

    python benchmarks/gate/make.py DATA FOLDER

writes three tables into FOLDER: `good.jsonl` has rows of training sets that people found faithful, `swapped.jsonl` rows of
them with the response of another row, and `broken.jsonl` those in which one number or name could be changed to one that the
context does not have, or a statement be denied. The verdicts beside this file were made from them with

    mene judge FOLDER/good.jsonl -c faithfulness -j nano --explain none -o benchmarks/gate/good.jsonl
    mene judge FOLDER/swapped.jsonl -c faithfulness -j nano --explain none -o benchmarks/gate/swapped.jsonl
    mene judge FOLDER/broken.jsonl -c faithfulness -j nano --explain none -o benchmarks/gate/broken.jsonl

The first run was stopped after 334 rows, the second after 68.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mene.curate.make import edits
from mene.curate.mix import rank

SETS = ("q2_wow_consistency", "begin_dev", "wice_train", "factcg_cg2c")
FAITHFUL = ("yes", "fully_attributable", "supported")
GOOD, SWAPPED = 400, 200  # rows
LONGEST = 1600  # characters of a context
FIELDS = ("id", "instruction", "context", "response")


def main(data: Path, folder: Path) -> None:
    rows = sorted(_faithful(data), key=lambda row: rank("gate", row["id"]))
    donors = [name for row in rows for name in edits.names(row["context"])]
    changed = {row["id"]: text for row in rows if (text := _changed(row, donors))}
    # All that could be changed come first, so that half of the rows have a broken twin.
    rows.sort(key=lambda row: row["id"] not in changed)
    rows = rows[: GOOD // 2] + [row for row in rows if row["id"] not in changed][: GOOD // 2]
    rows.sort(key=lambda row: rank("order", row["id"]))
    _write(folder / "good.jsonl", rows)
    broken = [row | {"response": changed[row["id"]]} for row in rows if row["id"] in changed]
    _write(folder / "broken.jsonl", broken)
    _write(folder / "swapped.jsonl", [_swapped(rows, at) for at in range(SWAPPED)])
    print(f"{len(rows)} rows, {len(broken)} with a changed fact, {SWAPPED} with another's response")


def _faithful(data: Path) -> Iterator[dict[str, Any]]:
    for name in SETS:
        with gzip.open(data / "train" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["label"] in FAITHFUL and len(row["context"]) < LONGEST:
                    yield {field: row[field] for field in FIELDS}


def _swapped(rows: list[dict[str, Any]], at: int) -> dict[str, Any]:
    """The row with the response of the next one of its set, or of all where it is the only one."""
    row = rows[at]
    name = row["id"].rpartition("-")[0]
    behind = (*rows[at + 1 :], *rows)
    others = [r for r in behind if r["context"] != row["context"]]
    other = next((r for r in others if r["id"].startswith(name)), others[0])
    return row | {"response": other["response"]}


def _changed(row: dict[str, Any], donors: list[str]) -> str | None:
    draw = partial(rank, "gate", row["id"])
    text, source = row["response"], row["context"]
    return (
        edits.change_number(text, source, draw, row["instruction"])
        or edits.change_name(text, source, donors, draw)
        or edits.negate(text)
    )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
