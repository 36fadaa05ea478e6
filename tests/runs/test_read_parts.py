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


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([5], "2 rows count, and 3 have no verdict yet (1 part in it left out); run the same"),
        ([None], "2 rows count, and its tables were not read to their ends (1 part in it"),
        ([2], "every row counts, some perhaps with the verdict of an earlier run (1 part"),
    ],
)
def test_every_reader_says_that_a_run_is_incomplete(tmp_path, here, rows, said) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    made = [
        Verdict(
            id=str(n), row=n, criterion="tone", judge="j", key=f"{n}", label="Yes",
            probabilities={"Yes": 0.75, "No": 0.25}, confidence=0.75,
        )
        for n in (1, 2)
    ]  # fmt: skip
    size = write_part(str(folder / "part-0.jsonl"), made, "jsonl")
    write_part(str(folder / "part-1.jsonl"), made, "jsonl")
    part = Part(name="part-0.jsonl", file=0, first=0, rows=2, mark="m", size=size)
    known = {"mene": "1", "judge": "j", "criteria": {"tone": ""}, "run": "r", "files": ["t"]}
    other = tmp_path / "other.jsonl"
    write_part(str(other), made, "jsonl")
    for complete in (False, True):
        save(str(folder), Manifest(**known, rows=rows, parts=[part], complete=complete))
        for words in (
            ("report", folder), ("table", folder), ("compare", folder, other), ("gate", folder, "--rule", "tone: share(Yes) >= 0"),
        ):  # fmt: skip
            done = here(*words)
            assert (f"{folder}: the run is incomplete: {said}" in done.stderr) is not complete, done
