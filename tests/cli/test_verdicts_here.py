"""A folder of verdicts in a store is read like one on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from mene.cli.verdicts_here import address_of
from mene.runs.parts.manifest import Manifest, Part, save
from mene.runs.parts.part import write_part
from mene.runs.parts.storage import joined
from mene.verdict import Verdict


def write_folder(folder: str, labels: str) -> None:
    made = [
        Verdict(
            id=str(n), row=n, criterion="tone", judge="j", key=f"{n}", label=label,
            probabilities={"Y": 0.5, "N": 0.5}, confidence=0.5,
        )
        for n, label in enumerate(labels, 1)
    ]  # fmt: skip
    for name in ("part-0.jsonl", "part-1.jsonl"):
        size = write_part(joined(folder, name), made, "jsonl")
    part = Part(name="part-0.jsonl", file=0, first=0, rows=len(made), mark="m", size=size)
    known = {"mene": "1", "judge": "j", "criteria": {"tone": ""}, "run": "r", "files": ["t"]}
    save(folder, Manifest(**known, rows=[5], parts=[part]))


def test_every_reader_reads_a_store(here, tmp_path, monkeypatch) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    a, b = f"memory://{tmp_path.name}/a/out", f"memory://{tmp_path.name}/b/out/"
    write_folder(a, "YYN")
    write_folder(b, "YNN")
    note = "the run is incomplete: 3 rows count, and 2 have no verdict yet (1 part in it left out)"
    for words in (
        ("report", a), ("table", a), ("gate", a, "--rule", "tone: share(Y) >= 0.01"), ("compare", a, b),
    ):  # fmt: skip
        done = here(*words)
        assert f"{a}: {note}" in done.stderr, words
        assert done.stdout, words
    assert f"{b.rstrip('/')}: {note}" in done.stderr
    assert a in done.stdout  # both are called "out"
    assert Path("out.html").exists()
    none = f"memory://{tmp_path.name}/none"
    for command in ("report", "table"):
        done = here(command, none)
        assert f"mene: {none} is a folder without manifest.json; give" in done.stderr


def test_an_address_is_known_with_one_slash_too(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address_of(Path("s3://b/out/")) == address_of("s3://b/out/") == "s3://b/out"
    assert address_of("out/x") is address_of(Path("/s3:/x")) is address_of("C:/x") is None
    (tmp_path / "s3:" / "b").mkdir(parents=True)
    assert address_of(Path("s3:/b")) is None
