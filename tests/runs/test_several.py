"""Runs by several criteria: one line per row and criterion, each on its own."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pytest
from hashed import HashedModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mene import Judge, Sample
from mene.criteria_set import load_criteria
from mene.engines.in_process.engine import InProcessEngine
from mene.errors import SampleError, UsageError
from mene.events import nowhere
from mene.judge.explaining import Explaining
from mene.judge.jury import Jury
from mene.judge.many import judged
from mene.judge.preset import load_preset
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.runs.run import run
from mene.runs.summary import Summary, as_json
from mene.runs.tables import Row, read_rows
from mene.verdict import Verdict

PRESET = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})
ASKED = load_criteria(["faithfulness", "tone", "Is the reply polite?"])
NAMES = [criterion.name for criterion in ASKED]


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def judge_of(toy, name: str = "toy", **more) -> Judge:
    return Judge(PRESET.model_copy(update={"name": name}), engine=toy, **more)


def table(folder: Path, count: int = 8) -> str:
    path = folder / "t.jsonl"
    lines = [
        {"id": f"r{n}", "context": f"Fact {n}.", "response": f"It is {n}."} for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def go(toy, path: str, out: Path | None, asked=ASKED, **more) -> dict[str, Summary]:
    summaries: dict[str, Summary] = {}
    rows = read_rows(path, None, asked)
    run(judge_of(toy), asked, rows, out, events=nowhere, summaries=summaries, **more)
    return summaries


def keys(verdicts) -> list[tuple[int | None, str]]:
    return [(v.row, v.criterion) for v in verdicts]


def test_every_row_has_a_line_for_each_criterion(toy, tmp_path) -> None:
    out = tmp_path / "v.jsonl"
    found = go(toy, table(tmp_path), out)
    verdicts = list(read_verdicts(out))
    assert keys(verdicts) == [(row, name) for row in range(1, 9) for name in NAMES]
    assert [v.question for v in verdicts[:3]] == ["", "", "Is the reply polite?"]
    assert {name: (s.rows, s.judged) for name, s in found.items()} == dict.fromkeys(NAMES, (8, 8))
    # What a single run by each of them says is the same, and is all there.
    for criterion in ASKED:
        alone = go(toy, table(tmp_path), tmp_path / "alone.jsonl", load_criteria(criterion))
        assert alone[criterion.name].judged == 8
    by_key = {v.key: v for v in read_verdicts(tmp_path / "alone.jsonl")}
    assert all(by_key[v.key].probabilities == v.probabilities for v in verdicts)


def test_a_stopped_run_asks_nothing_twice_and_ends_the_same(toy, tmp_path) -> None:
    whole, broken, path = tmp_path / "w.jsonl", tmp_path / "b.jsonl", table(tmp_path, 20)
    go(toy, path, whole)
    asked = len(toy.seen)

    class Stops(Exception):
        pass

    told: list[Verdict] = []

    def stop(verdict: Verdict) -> None:
        told.append(verdict)
        if len(told) % 9 == 0:
            raise Stops

    for _ in range(20):
        try:
            go(toy, path, broken, on_verdict=stop)
        except Stops:
            continue
        break
    assert len(toy.seen) - asked <= asked + 8 * 7  # those read ahead when it was stopped
    said = [
        [v.model_copy(update={"latency_s": 0}) for v in read_verdicts(p)] for p in (whole, broken)
    ]
    assert said[0] == said[1]


@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from(NAMES), min_size=1),
            st.none() | st.integers(1, 6),  # only the first rows
            st.none() | st.integers(1, 12),  # stopped after so many verdicts
            st.sampled_from(["", "edit", "swap"]),
        ),
        max_size=5,
    )
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_run_before_all_criteria_end_as_in_a_new_file(
    toy, tmp_path_factory, runs
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    out, texts = folder / "v.jsonl", [f"text {n}" for n in range(6)]

    class Stops(Exception):
        pass

    def judged(path: Path, asked, limit=None, stop=None) -> None:
        rows = [
            Row(n, "", Sample(id=f"r{n}", context="c", response=t)) for n, t in enumerate(texts)
        ]
        told: list[Verdict] = []

        def take(verdict: Verdict) -> None:
            told.append(verdict)
            if len(told) == stop:
                raise Stops

        with suppress(Stops):
            run(judge_of(toy), asked, rows, path, limit=limit, on_verdict=take, events=nowhere)

    for names, limit, stop, change in runs:
        judged(out, [one for one in ASKED if one.name in names], limit, stop)
        if change == "edit":
            texts[1] += "!"
        elif change == "swap":
            texts[0], texts[2] = texts[2], texts[0]
    judged(out, ASKED)
    judged(folder / "new.jsonl", ASKED)
    told = []
    for path in (out, folder / "new.jsonl"):
        left = LeftOut()
        told.append(
            [
                v.model_copy(update={"latency_s": 0, "revision": 0})
                for v in read_verdicts(path, left)
            ]
        )
        assert not left.mixed
    assert told[0] == told[1]


def test_a_criterion_is_asked_again_alone_and_the_others_stay(toy, tmp_path) -> None:
    out, path = tmp_path / "v.jsonl", table(tmp_path)
    go(toy, path, out)
    before = out.read_bytes()
    assert go(toy, path, out)["tone"].reused == 8
    assert out.read_bytes() == before  # nothing to put in order
    tone = load_criteria("tone")
    assert go(toy, path, out, tone, overwrite=True)["tone"].judged == 8
    assert go(toy, path, out, limit=3)["faithfulness"].reused == 3
    left = LeftOut()
    assert len(list(read_verdicts(out, left))) == 9
    assert left.earlier == 15
    assert len(toy.seen) == 32
    assert {name: s.reused for name, s in go(toy, path, out).items()} == dict.fromkeys(NAMES, 8)
    go(toy, path, out, load_criteria("tone", "1-3"))  # another scale: the others are as they were
    found = sorted(read_verdicts(out), key=lambda v: v.criterion)
    assert {c: len(list(vs)) for c, vs in groupby(found, lambda v: v.criterion)} == dict.fromkeys(
        NAMES, 8
    )
    assert go(toy, path, out)["tone"].reused == 8


def test_lines_of_an_earlier_version_are_told_their_scale(toy, tmp_path) -> None:
    path, ledger, asked = table(tmp_path, 2), tmp_path / "v.jsonl", load_criteria(["Is it short?"])
    go(toy, path, ledger, asked)
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(v["scale"], v["failing"]) for v in lines] == [("Yes/No", ["No"])] * 2
    for v in lines:
        del v["scale"], v["failing"]
    ledger.write_text("".join(json.dumps(v) + "\n" for v in lines))
    (sums,) = go(toy, path, ledger, asked).values()
    assert (sums.judged, sums.reused) == (0, 2)
    assert {v.scale for v in read_verdicts(ledger)} == {"Yes/No"}
    go(toy, path, ledger, load_criteria("faithfulness"))
    assert [v.scale for v in read_verdicts(ledger) if v.criterion == "faithfulness"] == ["", ""]


def test_a_row_fails_for_the_criterion_that_cannot_judge_it(toy, tmp_path) -> None:
    path, out = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    rows = [{"response": "a", "context": "x"}, {"response": "b"}, {"context": "x"}, "broken"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = load_criteria(["faithfulness", "tone"])
    found = go(toy, str(path), out, asked)
    said = {(v.row, v.criterion): v.error for v in read_verdicts(out)}
    assert [key for key, error in said.items() if error is None] == [
        (1, "faithfulness"),
        (1, "tone"),
        (2, "tone"),
    ]
    assert 'field "context" is missing' in str(said[2, "faithfulness"])
    assert "faithfulness needs it" in str(said[2, "faithfulness"])
    assert 'field "response" is missing' in str(said[3, "tone"])
    assert {name: (s.judged, s.errors) for name, s in found.items()} == {
        "faithfulness": (1, 3),
        "tone": (2, 2),
    }
    # Mended, only what failed is asked.
    rows[1]["context"] = "y"  # type: ignore[index]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked_before = len(toy.seen)
    assert go(toy, str(path), out, asked)["faithfulness"].judged == 1
    assert len(toy.seen) - asked_before == 1


def test_without_a_file_verdicts_come_row_by_row(toy, tmp_path) -> None:
    out: list[Verdict] = []
    go(toy, table(tmp_path), None, on_verdict=out.append)
    assert keys(out) == [(row, name) for row in range(1, 9) for name in NAMES]


def test_the_limit_of_reasons_is_of_each_criterion(toy, tmp_path) -> None:
    out, told = tmp_path / "v.jsonl", []
    found = go(toy, table(tmp_path), out, explaining=Explaining("all", 2), on_explained=told.append)
    assert sorted(keys(told)) == sorted((row, name) for row in (1, 2) for name in NAMES)
    assert all((s.explained, s.unexplained) == (2, 6) for s in found.values())
    assert sum(v.critique is not None for v in read_verdicts(out)) == 6
    asked = len(toy.seen)
    again = go(toy, table(tmp_path), out, explaining=Explaining("all", 2))
    assert len(toy.seen) == asked
    assert all((s.explained, s.written) == (2, 0) for s in again.values())


def test_a_jury_speaks_on_each_criterion(toy, tmp_path) -> None:
    class Other(type(toy)):
        identity = "toy:2"

    out, path = tmp_path / "v.jsonl", table(tmp_path, 3)
    for reused in (0, 3):
        jury = Jury([judge_of(toy, "one"), judge_of(Other(), "two")])
        summaries: dict[str, Summary] = {}
        run(jury, ASKED, read_rows(path, None, ASKED), out, events=nowhere, summaries=summaries)
        assert [s.reused for s in summaries.values()] == [reused] * 3
    assert keys(read_verdicts(out)) == [(row, name) for row in (1, 2, 3) for name in NAMES]
    assert all(len(v.parts) == 2 for v in read_verdicts(out))


def test_rows_that_say_no_criterion_are_judged_by_all(toy) -> None:
    out: list[Verdict] = []
    rows = [Row(n, "", Sample(id=str(n), response="x", context="y")) for n in range(2)]
    run(judge_of(toy), ASKED, rows, None, on_verdict=out.append)
    assert keys(out) == [(row, name) for row in (1, 2) for name in NAMES]


def test_prompts_that_begin_alike_are_asked_side_by_side(toy, tmp_path) -> None:
    """A template that shows the sample first reads it once; one that shows the criterion first reads that once."""
    both = load_criteria(["faithfulness", "Is the reply polite?", "Is the reply short?"])

    def changes(template: str) -> tuple[int, int]:
        toy.seen.clear()
        judge, path = judge_of(toy, template=template), table(tmp_path, 12)
        run(judge, both, read_rows(path, None, both), None)
        texts = [request.messages[-1].content for request in toy.seen]
        samples = [text.split("It is ")[1].split(".")[0] for text in texts]
        criteria = [next(c.name for c in both if c.question in text) for text in texts]
        return len(list(groupby(samples))), len(list(groupby(criteria)))

    samples, _ = changes("state")
    assert samples <= 12 + 2  # a window may end inside a sample
    _, criteria = changes("prefix")
    assert criteria <= 3 * 3  # three windows


def test_the_sums_of_several_criteria_are_told_one_by_one_and_together(toy, tmp_path) -> None:
    found = go(toy, table(tmp_path), None)
    said = as_json(found)
    assert (said["rows"], said["judged"]) == (8, 24)
    assert set(said["criteria"]) == set(NAMES)
    assert said["criteria"]["tone"]["mean_score"] == found["tone"].mean_score
    assert "labels" not in said  # of several criteria they say nothing together
    assert "seconds" not in said["criteria"]["tone"]
    one = as_json({"tone": found["tone"]})
    assert one["labels"] == one["criteria"]["tone"]["labels"]


def test_python_asks_by_several_criteria(toy, tmp_path) -> None:
    judge = judge_of(toy)
    several = judge("Hello.", criterion=["tone", "Is the reply polite?"])
    assert [v.criterion for v in several] == ["tone", "is-the-reply-polite"]
    assert judge({"response": "Hello."}, criterion="tone") == several[0]
    found = list(judge.judge(["a", {"response": "b", "context": "c"}], ["faithfulness", "tone"]))
    assert [(v.id, v.criterion, v.error is None) for v in found] == [
        ("1", "faithfulness", False), ("1", "tone", True), ("2", "faithfulness", True), ("2", "tone", True),
    ]  # fmt: skip
    with pytest.raises(SampleError, match='"context" is missing'):
        judge("a", criterion=["tone", "faithfulness"])
    with pytest.raises(UsageError, match="given twice"):
        judge("a", criterion=["tone", "tone"])
    path = tmp_path / "set.yaml"
    path.write_text("criteria: [tone, toxicity]\n")
    assert [v.criterion for v in judge("a", criterion=[str(path)])] == ["tone", "toxicity"]
    assert len(list(judge.judge(["a"], str(path)))) == 2
    for ask in (
        lambda: judge("a", criterion=str(path)),
        lambda: judge_of(toy, criterion=str(path)),
    ):
        with pytest.raises(UsageError, match="a set of 2 criteria, but only one is allowed here"):
            ask()


class Reads(HashedModel):
    """A model whose tokens are letters. Those that it has none for are all the same one."""

    def chat(self, messages: list[dict[str, str]]) -> str:
        return "".join(message["content"] for message in messages)

    def ids(self, text: str) -> list[int]:
        return super().ids(known(text))

    def tokenize(self, text: str) -> list[int]:
        return super().tokenize(known(text))


def known(text: str) -> str:
    return "".join(char if char in "abdeghinorstuy 01.:\n" else "o" for char in text)


def test_a_sample_that_stands_first_is_read_once_for_all_criteria() -> None:
    asked = load_criteria(["Is the reply polite?", "Is the reply short?", "Does it answer?"])
    rows = [
        {"context": f"{n} says: {'it rains. ' * 50}", "response": f"It rains on {n}."} for n in "ab"
    ]

    def read(template: str, *sets) -> int:
        judge = judge_of(InProcessEngine(Reads()), template=template)
        used = [v.usage for one in sets for v in judged(judge, rows, one)]
        return sum(usage.prompt_tokens - usage.cached_tokens for usage in used)

    alone = [load_criteria(one) for one in asked]
    assert read("state", asked) < read("state", *alone) / 2
    # Where the criterion stands first, the samples share it, whoever asks.
    assert read("prefix", asked) == pytest.approx(read("prefix", *alone), rel=0.05)
