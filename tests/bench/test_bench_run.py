"""How the rows of a set are sent to a judge."""

from __future__ import annotations

import json
from itertools import pairwise

from mene import Judge
from mene.bench.data import Item
from mene.bench.run import SetResult, collect, slug, write_summary
from mene.bench.score import Score
from mene.bench.sets import all_sets
from mene.criterion import load_criterion
from mene.runs.summary import Summary
from mene.sample import Sample
from mene.stats.agreement import Figure
from mene.verdict import Usage, Verdict


def figures(count: int, judged: int) -> SetResult:
    verdicts = {
        str(n): Verdict(id=str(n), label="Yes", usage=Usage(prompt_tokens=10, cached_tokens=4))
        for n in range(count)
    }
    summary = Summary()
    summary.judged, summary.seconds = judged, 2.0
    value = Figure(0.5, 0.4, 0.6, count)
    return SetResult(Score("felm", count, 0, count, value), verdicts, summary, 0)


def test_a_lesser_run_does_not_take_the_place_of_the_whole(tmp_path, toy) -> None:
    one = all_sets()["felm"]

    def said(result: SetResult) -> dict:
        write_summary(tmp_path, judge, one, result, 10)
        whole = json.loads((tmp_path / slug(judge.name) / "summary.json").read_text())
        return whole["runs"]["verdict"]["felm"]

    with Judge("llamacpp:toy.gguf", engine=toy, mode="verdict") as judge:
        (tmp_path / slug(judge.name)).mkdir()
        assert said(figures(4, 4))["complete"] is False
        first = said(figures(10, 10))
        assert (first["complete"], first["tokens_read"], first["rows_per_second"]) == (True, 60, 5)
        assert said(figures(4, 4)) == first  # a sample after the whole
        assert said(figures(10, 1)) == first  # one row was mended: cost and speed are of all
        toy.identity = "toy:2"
        assert said(figures(4, 4))["rows"] == 4  # of another engine


def test_rows_that_share_a_context_are_judged_side_by_side_and_kept_in_order(tmp_path, toy) -> None:
    # More rows than a window holds, the documents taking turns.
    criterion = load_criterion("faithfulness")
    items = [
        Item(
            Sample(id=str(n), context=f"Document {n % 7}.", response=f"Claim {n}."),
            criterion,
            "Yes",
            str(n % 7),
            "Yes",
            "part",
        )
        for n in range(600)
    ]
    ledger = tmp_path / "set.verdict.jsonl"
    with Judge("llamacpp:toy.gguf", engine=toy, mode="verdict") as judge:
        verdicts, _ = collect(judge, "set", items, ledger)
    assert len(verdicts) == 600
    texts = [request.messages[-1].content for request in toy.seen]
    documents = [text.split("Document ")[1][0] for text in texts]
    assert sum(a != b for a, b in pairwise(documents)) == 6
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [line["id"] for line in lines] == [str(n) for n in range(600)]
    assert {(line["criterion"], line["section"]) for line in lines} == {("faithfulness", "set")}


def test_a_ledger_whose_criterion_is_the_name_of_its_set_is_used(tmp_path, toy) -> None:
    """So ledgers were written before a section was a field of its own."""
    tone, short = load_criterion("tone"), load_criterion("Is it short?")
    items = [
        Item(Sample(id=str(n), response=f"Text {n}."), one, "1", str(n), "1", "part")
        for n, one in enumerate([tone, short, tone])
    ]
    ledger = tmp_path / "set.verdict.jsonl"
    with Judge("llamacpp:toy.gguf", engine=toy, mode="verdict") as judge:
        collect(judge, "set", items, ledger)
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        assert [line["criterion"] for line in lines] == ["tone", "is-it-short", "tone"]
        old = [{**line, "criterion": line.pop("section")} for line in lines]
        ledger.write_text("".join(json.dumps(line) + "\n" for line in old))
        _, summary = collect(judge, "set", items, ledger)
    assert (summary.judged, summary.reused, len(toy.seen)) == (0, 3, 3)
    again = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(line["criterion"], line["section"]) for line in again] == [
        ("tone", "set"),
        ("is-it-short", "set"),
        ("tone", "set"),
    ]
