"""A folder of parts whose files do not hold what the manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mene.errors import LedgerError
from mene.runs.parts.manifest import Manifest, Part, save
from mene.runs.parts.part import write_part
from mene.runs.parts.read import read_parts
from mene.verdict import Verdict


def test_a_part_that_was_cut_between_two_lines_is_damaged(tmp_path: Path) -> None:
    said = [Verdict(id=str(n), row=n, criterion="c", judge="j", key="k", error="e") for n in (1, 2)]
    path = tmp_path / "part-0.jsonl"
    size = write_part(str(path), said, "jsonl")
    part = Part(name=path.name, file=0, first=0, rows=2, mark="m", size=size)
    whole = Manifest(
        mene="1", judge="j", criteria={"c": ""}, run="r", files=["t"], rows=[2], parts=[part]
    )
    save(str(tmp_path), whole)
    assert len(list(read_parts(str(tmp_path)))) == 2
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(LedgerError, match="1 verdicts, and manifest.json says 2"):
        list(read_parts(str(tmp_path)))
