"""How the rows of a set are sent to a judge."""

from __future__ import annotations

import json
from itertools import pairwise

from mene import Judge
from mene.bench.data import Item
from mene.bench.run import collect
from mene.criterion import load_criterion
from mene.sample import Sample


def test_rows_that_share_a_context_are_judged_side_by_side_and_kept_in_order(tmp_path, toy) -> None:
    # More rows than a window holds, the documents taking turns.
    criterion = load_criterion("faithfulness")
    items = [
        Item(
            Sample(id=str(n), context=f"Document {n % 7}.", response=f"Claim {n}."),
            criterion,
            "Yes",
            "Yes",
            "part",
            "",
            str(n % 7),
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
    lines = [json.loads(line)["id"] for line in ledger.read_text().splitlines()]
    assert lines == [str(n) for n in range(600)]
