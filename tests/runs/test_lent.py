"""What was asked once is not asked again for a judge, a criterion or a file of another name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mene import Judge, Sample
from mene.criterion import load_criterion
from mene.events import nowhere
from mene.judge.calibration import Calibration
from mene.judge.explaining import Explaining
from mene.judge.jury import Jury
from mene.judge.preset import load_preset
from mene.runs.beside import ledgers_beside
from mene.runs.lent import Lent
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.tables import Row
from mene.verdict import Verdict

FAITHFUL = load_criterion("faithfulness")
PRESET = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})
TABLE = [Row(n, f"line {n + 1}", Sample(context="c", response=t)) for n, t in enumerate("abcdefgh")]


def judge_of(toy, name: str, *, bias: float | None = None, **more) -> Judge:
    changes: dict = {"name": name}
    if bias is not None:
        learned = Calibration(
            criterion="faithfulness",
            labels=FAITHFUL.scale.labels,
            mode="verdict",
            method="bias",
            bias={"Yes": bias},
        )
        changes["calibrations"] = (learned,)
    return Judge(PRESET.model_copy(update=changes), engine=toy, **more)


def go(judge, path: Path, table=TABLE, **more):
    return run(judge, FAITHFUL, table, path, events=nowhere, **more)


@pytest.mark.parametrize("same_file", [True, False])
def test_an_aligned_judge_asks_nothing_that_was_asked(toy, tmp_path, same_file) -> None:
    base = tmp_path / "rag.verdicts.jsonl"
    mine = base if same_file else tmp_path / "mine.jsonl"
    go(judge_of(toy, "nano"), base, TABLE[:7])
    asked = len(toy.seen)
    first = base.read_text()
    summary = go(judge_of(toy, "mine", bias=2.0), mine, others=[base, tmp_path / "none.jsonl"])
    assert len(toy.seen) == asked + 1
    assert (summary.judged, summary.reused) == (1, 7)
    assert dict(summary.taken) == {(base, "nano"): 7}
    assert base.read_text().startswith(first)  # what was lent stays
    old = {v.row: v for v in read_verdicts(base) if v.judge == "nano"}
    new = [v for v in read_verdicts(mine) if v.judge == "mine"]
    assert [v.row for v in new] == list(range(1, 9))
    for v in new[:7]:
        assert v.key == old[v.row].key
        assert v.uncalibrated == old[v.row].probabilities
        assert v.probabilities is not None and v.uncalibrated is not None
        assert v.probabilities["Yes"] > v.uncalibrated["Yes"]
    # Another time they are its own, and the first judge has what it had.
    again = go(judge_of(toy, "mine", bias=2.0), mine, others=[base])
    assert (again.reused, again.taken.total()) == (8, 0)
    assert go(judge_of(toy, "nano"), base, TABLE[:7]).taken.total() == 0
    assert len(toy.seen) == asked + 1


def test_what_is_lent_is_what_was_asked_and_not_to_be_judged_anew(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    go(judge_of(toy, "nano"), path)
    toy.identity = "toy:2"  # another model
    assert go(judge_of(toy, "other"), path).taken.total() == 0
    toy.identity = "toy:1"
    assert (
        go(judge_of(toy, "mine"), tmp_path / "m.jsonl", others=[path], overwrite=True).judged == 8
    )
    toy.fail_on = "c"
    assert go(judge_of(toy, "third"), tmp_path / "e.jsonl").errors == 8
    toy.fail_on = None  # what failed is no verdict
    assert (
        go(judge_of(toy, "fourth"), tmp_path / "f.jsonl", others=[tmp_path / "e.jsonl"]).judged == 8
    )


def test_critiques_are_taken_over_and_what_was_read_behind_them_only_if_asked(
    toy, tmp_path
) -> None:
    path = tmp_path / "v.jsonl"
    preset = PRESET.model_copy(update={"writes": True})
    nano, mine, plain = (
        Judge(preset.model_copy(update={"name": name}), engine=toy)
        for name in ("nano", "mine", "plain")
    )
    again = Explaining("all", tokens=20, reconsider=True)
    go(nano, path, explaining=again)
    asked = len(toy.seen)
    go(mine, path, explaining=again)
    assert len(toy.seen) == asked
    assert go(plain, path).taken.total() == 8
    by = {
        name: [v for v in read_verdicts(path) if v.judge == name]
        for name in ("nano", "mine", "plain")
    }
    assert all(v.first and v.critique for v in by["mine"])
    assert [v.label for v in by["mine"]] == [v.label for v in by["nano"]]
    assert [v.label for v in by["plain"]] == [v.first.label for v in by["nano"] if v.first]
    assert not any(v.first or v.critique for v in by["plain"])


def test_a_juror_asks_nothing_that_was_asked_and_lends_what_it_said(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    go(judge_of(toy, "nano"), path)
    asked = len(toy.seen)
    one, two = judge_of(toy, "one", bias=1.0), judge_of(toy, "two", template="prefix")
    assert go(Jury([one, two]), path).judged == 8
    assert len(toy.seen) == asked + 8  # of the second alone
    whole = [v for v in read_verdicts(path) if v.judge.startswith("jury")]
    assert [[p.judge for p in v.parts] for v in whole] == [["one", "two"]] * 8
    assert all(p.id == v.id for v in whole for p in v.parts)
    assert go(judge_of(toy, "three", template="prefix"), path).taken.total() == 8


def test_what_is_no_ledger_or_changed_meanwhile_lends_nothing(toy, tmp_path) -> None:
    path, notes = tmp_path / "v.jsonl", tmp_path / "notes.jsonl"
    go(judge_of(toy, "nano"), path)
    line = path.read_text().splitlines()[0]
    key = json.loads(line)["key"]
    notes.write_text(f'{{"id": 1}}\n{line}\n')
    assert Lent([notes, tmp_path]).find(key, {}) is None
    lent = Lent([path])
    assert lent.find("", {}) is None
    assert lent.find(key, {}) is not None
    path.write_text("x" * 9000)
    assert lent.find(key, {}) is None
    path.unlink()
    assert lent.find(key, {}) is None


def test_ledgers_of_a_table_are_known_by_its_name(tmp_path) -> None:
    for name in ("rag[1].csv", "rag[1].verdicts.jsonl", "rag[1].csv.nano.aligned.jsonl", "rag[1]x.jsonl",
                 "rag1.verdicts.jsonl", "rag[1].jsonl"):  # fmt: skip
        (tmp_path / name).write_text("{}\n")
    found = ledgers_beside(str(tmp_path / "rag[1].csv"), tmp_path / "out.jsonl")
    assert [p.name for p in found] == [
        "rag[1].csv.nano.aligned.jsonl",
        "rag[1].jsonl",
        "rag[1].verdicts.jsonl",
    ]
    table = str(tmp_path / "rag[1].jsonl")
    assert "rag[1].jsonl" not in [p.name for p in ledgers_beside(table)]
    assert ledgers_beside("-", tmp_path / "out.jsonl") == []


def test_an_error_that_came_later_takes_no_verdicts_place(tmp_path: Path) -> None:
    good = Verdict(judge="first", label="Yes", probabilities={"Yes": 1.0}, key="a" * 32)
    bad = Verdict(judge="second", error="no answer", key="a" * 32)
    ledger = tmp_path / "rows.verdicts.jsonl"
    ledger.write_text(good.to_json() + "\n" + bad.to_json() + "\n")
    found = Lent([ledger]).find("a" * 32, {})
    assert found is not None
    assert found[1][1] == "first"
