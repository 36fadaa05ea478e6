"""The ledger: nothing judged twice, nothing lost, nothing stale reused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.errors import LedgerError
from mene.ledger import Ledger, read_verdicts
from mene.verdict import Verdict


def verdict(number: int, key: str = "k", **more) -> Verdict:
    return Verdict(
        id=str(number), criterion="c", judge="j", key=f"{key}{number}", label="Yes", **more
    )


def session(
    path: Path, rows: int, stop_after: int | None, order: random.Random, key: str = "k"
) -> int:
    """One run over ``rows`` rows that is killed after ``stop_after`` new verdicts; returns the new."""
    made = 0
    ledger = Ledger(path, "j", "c", warn=lambda text: None)
    try:
        todo = [n for n in range(rows) if ledger.take(n, str(n), f"{key}{n}") is None]
        order.shuffle(todo)
        for number in todo:
            if made == stop_after:
                return made
            ledger.append(number, verdict(number, key))
            made += 1
        ledger.finish()
    finally:
        ledger.close()
    return made


@settings(max_examples=50)
@given(
    rows=st.integers(1, 30),
    kills=st.lists(st.integers(0, 10), max_size=6),
    torn=st.lists(st.integers(0, 200), max_size=6),
    seed=st.integers(0, 1000),
)
def test_killed_runs_end_in_the_same_file(tmp_path_factory, rows, kills, torn, seed) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    whole, broken = folder / "whole.jsonl", folder / "broken.jsonl"
    session(whole, rows, None, random.Random(0))
    order = random.Random(seed)
    made = 0
    for number, stop in enumerate(kills):
        made += session(broken, rows, stop, order)
        data = broken.read_bytes()
        if number < len(torn) and data:
            # A kill in the middle of a write: some bytes of the last line are there.
            lines = data.splitlines(keepends=True)
            cut = lines[-1][: torn[number] % len(lines[-1])]
            broken.write_bytes(b"".join(lines[:-1]) + cut)
            made -= 1
    made += session(broken, rows, None, order)
    assert broken.read_bytes() == whole.read_bytes()
    assert made == rows


def test_a_verdict_that_was_added_to_takes_the_place_of_the_first(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", warn=lambda text: None) as ledger:
        for number in range(3):
            ledger.append(number, verdict(number))
        ledger.append(
            1, verdict(1, critique="why", revision=1)
        )  # and then a kill: finish() is not reached
    with Ledger(path, "j", "c", warn=lambda text: None) as ledger:
        found = [ledger.take(n, str(n), f"k{n}") for n in range(3)]
        assert [v.critique for v in found if v] == [None, "why", None]
        assert ledger.take(3, "1", "k1") is None
        ledger.append(2, verdict(2, critique="too", revision=1))
        ledger.finish()
    assert [(v.id, v.critique) for v in read_verdicts(path)] == [
        ("0", None),
        ("1", "why"),
        ("2", "too"),
    ]
    assert not (tmp_path / "out.stale.jsonl").exists()
    before = path.read_bytes()
    with Ledger(path, "j", "c", warn=lambda text: None) as ledger:
        assert [ledger.take(n, str(n), f"k{n}") is not None for n in range(3)] == [True] * 3
        ledger.finish()
    assert path.read_bytes() == before


def test_rows_that_are_alike_keep_a_line_each(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c", warn=lambda text: None) as ledger:
        for position in range(3):
            ledger.append(position, verdict(7))
        ledger.append(0, verdict(7, critique="why", revision=1))
        ledger.finish()
    for _ in range(2):
        with Ledger(path, "j", "c", warn=lambda text: None) as ledger:
            found = [ledger.take(position, "7", "k7") for position in range(3)]
            assert [v.critique for v in found if v] == ["why", None, None]
            assert ledger.take(3, "7", "k7") is None
            ledger.finish()


def test_stale_verdicts_are_not_reused_and_not_lost(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 5, None, random.Random(1), key="old")
    assert session(path, 5, None, random.Random(1), key="new") == 5
    assert [v.key for v in read_verdicts(path)] == [f"new{i}" for i in range(5)]
    assert sorted(v.key for v in read_verdicts(tmp_path / "out.stale.jsonl")) == [
        f"old{i}" for i in range(5)
    ]


def test_verdicts_of_other_criteria_stay(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    session(path, 3, None, random.Random(1))
    with Ledger(path, "j", "other") as ledger:
        ledger.append(1, verdict(9).model_copy(update={"criterion": "other"}))
        ledger.append(0, verdict(8).model_copy(update={"criterion": "other"}))
        ledger.finish()
    assert [v.id for v in read_verdicts(path)] == ["0", "1", "2", "8", "9"]


def test_failed_rows_are_tried_again(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c") as ledger:
        ledger.append(0, Verdict(id="0", criterion="c", judge="j", key="k0", error="no"))
    assert session(path, 1, None, random.Random(0)) == 1
    assert [v.error for v in read_verdicts(path)] == [None]


def test_equal_rows_each_get_a_line(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    for expected_new in (2, 0):
        with Ledger(path, "j", "c") as ledger:
            new = [n for n in range(2) if ledger.take(n, "same", "k0") is None]
            assert len(new) == expected_new
            for n in new:
                ledger.append(n, verdict(0).model_copy(update={"id": "same"}))
            ledger.finish()
    assert len(list(read_verdicts(path))) == 2


def test_a_second_writer_is_refused(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c"), pytest.raises(LedgerError, match="another mene process"):
        Ledger(path, "j", "c")
    Ledger(path, "j", "c").close()


@pytest.mark.parametrize(
    "content", ["hello\n", '{"a": 1}\n', "[1]\n", "name,age\nx,1", '{"id": 1}\n']
)
def test_other_files_are_not_touched(tmp_path, content) -> None:
    path = tmp_path / "precious.txt"
    path.write_text(content)
    with pytest.raises(LedgerError, match="not a verdict"):
        Ledger(path, "j", "c")
    assert path.read_text() == content


def test_a_full_disk_keeps_whole_lines(tmp_path, monkeypatch) -> None:
    import os

    path = tmp_path / "out.jsonl"
    real = os.write
    with Ledger(path, "j", "c") as ledger:
        ledger.append(0, verdict(0))

        def full(file: int, data: bytes) -> int:
            real(file, bytes(data)[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.append(1, verdict(1))
        monkeypatch.undo()
    assert [v.id for v in read_verdicts(path)] == ["0"]


def test_a_line_has_every_field_users_were_promised() -> None:
    line = json.loads(verdict(1).to_json())
    promised = (
        "id criterion judge label score probabilities confidence critique error usage latency_s key"
    )
    assert list(line)[:12] == promised.split()


def test_a_run_over_some_rows_leaves_the_others(tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    with Ledger(path, "j", "c") as ledger:
        for position in range(4):
            ledger.append(position, verdict(str(position)))
        ledger.finish()
    with Ledger(path, "j", "c") as ledger:
        assert ledger.take(0, "2", verdict("2").key)
        ledger.finish(whole=False)
    assert sorted(v.id for v in read_verdicts(path)) == ["0", "1", "2", "3"]
    assert not (tmp_path / "out.stale.jsonl").exists()


@pytest.mark.parametrize("name", ["nowhere/out.jsonl", "/proc/out.jsonl"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name: str) -> None:
    with pytest.raises(LedgerError, match=r"no folder|cannot write"):
        Ledger(tmp_path / name, "j", "c")
