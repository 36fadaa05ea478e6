"""What a run tells: begin, advance, stop, warn."""

from __future__ import annotations

from collections import Counter

import pytest

from mene.criterion import load_criterion
from mene.errors import EngineError
from mene.events import Advance, Begin, Event, Stop, Warn, begin_work, on_stderr
from mene.judge.judge import Judge
from mene.runs.run import run
from mene.runs.tables import Row
from mene.sample import Sample

TONE = load_criterion("tone")
ROWS = [Row(n, f"row {n}", Sample(id=str(n), response=f"text {n}")) for n in range(4)]


def test_a_run_advances_with_rows_that_are_new_and_that_were_there(toy, tmp_path) -> None:
    for _ in range(2):  # judged, then found in the ledger
        told: list[Event] = []
        judge = Judge("nano", mode="verdict", engine=toy)
        run(judge, TONE, ROWS, tmp_path / "v.jsonl", events=told.append, total=4)
        assert told[0] == Begin("tone", 4) and told[-1] == Stop("tone")
        assert Counter(told)[Advance("tone")] == 4 == len(told) - 2


def test_a_run_that_breaks_has_stopped(toy, tmp_path) -> None:
    def broken(requests, stop=None):
        raise EngineError("gone; start it again")
        yield

    toy.run = broken
    told: list[Event] = []
    with pytest.raises(EngineError):
        run(
            Judge("nano", mode="verdict", engine=toy), TONE, ROWS, tmp_path / "v.jsonl",
            events=told.append,
        )  # fmt: skip
    assert told == [Begin("tone"), Stop("tone")]


def test_where_nobody_listens_warnings_are_lines_on_standard_error(capsys) -> None:
    step = begin_work(on_stderr, "reading", 2)
    step()
    on_stderr(Warn("the disk is slow"))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "the disk is slow\n")
