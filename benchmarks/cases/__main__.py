"""Questions of your own, and agents: 200 rows that no judge of mene has seen in its training.

They were written one by one, not from templates, by a language model; another one, which did not see the labels, gave the same
label to all of them, to five with a doubt (o-032, o-083, o-103, o-109, a-61).

    python benchmarks/cases --judge base,small --work cases-run
    python benchmarks/cases --judge base --alone --work cases-alone      # own questions about the response alone (--uses none)

Own questions (``own.jsonl``): ``beside-context`` asks something that the context in view has nothing to do with (is it friendly?
has it a number?), ``does-it`` whether a response does what is asked, ``refuses`` whether it declines. Agents (``agents.jsonl``):
``goal`` is the criterion goal-completion, ``calls`` is tool-call-correctness. Half of each kind is Yes. In ``beside-context`` the
context supports half of the responses, whatever the label: ``as supported`` counts how often the label is that instead.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from mene import Judge, Sample
from mene.criterion import load_criterion
from mene.runs.run import run
from mene.runs.tables import Row
from mene.stats.intervals import Figure, share
from mene.values.talk import parted, turns
from mene.values.value import as_text
from mene.verdict import Verdict

HERE = Path(__file__).parent
AGENTS = {"goal": "goal-completion", "calls": "tool-call-correctness"}


class Case(NamedTuple):
    """A row to judge, its kind and label, and whether the context supports it (where that is known)."""

    row: Row
    kind: str
    label: str
    supported: bool | None = None


def cases(*, alone: bool) -> Iterator[Case]:
    """All rows; ``alone``: own questions see no context and no request."""
    number = count()  # a row's place, which no other one may have
    for one in rows_of("own.jsonl"):
        texts = {k: one[k] for k in ("instruction", "context", "response") if k in one}
        row = Row(next(number), one["id"], Sample(id=one["id"], **texts))
        asked = load_criterion(one["question"])
        row = row._replace(criterion=asked.showing(()) if alone else asked)
        yield Case(row, one["kind"], one["label"], one.get("supported"))
    for one in rows_of("agents.jsonl"):
        asked, said = parted(turns(one["messages"]))
        for kind, criterion in AGENTS.items():
            sample = Sample(
                id=f"{one['id']}-{kind}",
                instruction=as_text(asked, "instruction"),
                response=as_text(said, "response"),
            )
            row = Row(next(number), one["id"], sample)._replace(criterion=load_criterion(criterion))
            yield Case(row, kind, one[kind])


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


def judged(name: str, known: list[Case], work: Path) -> dict[str, Verdict]:
    """Verdicts by id; those of an interrupted run are taken over."""
    found: dict[str, Verdict] = {}

    def take(verdict: Verdict) -> None:
        found[verdict.id] = verdict

    with Judge(name, mode="verdict") as judge:
        ledger = work / f"{Path(name).stem}.jsonl"
        rows = [case.row for case in known]
        run(judge, (), rows, ledger, section="cases", on_verdict=take, on_reused=take)
    return found


def figures(kind: str, known: list[Case], verdicts: dict[str, Verdict]) -> str:
    """A line of the table for a judge and a kind of rows."""
    mine = [(c, verdicts[c.row.sample.id]) for c in known if c.kind == kind and c.row.sample]
    right = share(sum(v.label == c.label for c, v in mine) / len(mine), len(mine))
    sure: dict[str, list[float]] = defaultdict(list)
    for case, verdict in mine:
        sure[case.label].append((verdict.probabilities or {}).get("Yes", 0.0))
    pairs = [(a > b) + (a == b) / 2 for a in sure["Yes"] for b in sure["No"]]
    auc = sum(pairs) / len(pairs)
    yes = sum(v.label == "Yes" for _, v in mine)
    told = [(v.label == "Yes") is c.supported for c, v in mine if c.supported is not None]
    return f"| {kind} | {len(mine)} | {span(right)} | {auc:.2f} | {yes} | {sum(told) if told else ''} |"


def span(figure: Figure) -> str:
    low, high = figure.low or 0, figure.high or 0
    return f"{100 * (figure.value or 0):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", default="base", help="one or more, comma-separated")
    parser.add_argument("--alone", action="store_true", help="own questions see the response alone")
    parser.add_argument("--work", type=Path, default=Path("cases-run"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    known = list(cases(alone=given.alone))
    for name in given.judge.split(","):
        verdicts = judged(name, known, given.work)
        print(f"\n{name}\n\n| rows about | | right | AUC | says Yes | as supported |")
        print("|---|---|---|---|---|---|")
        for kind in dict.fromkeys(case.kind for case in known):
            print(figures(kind, known, verdicts), flush=True)


if __name__ == "__main__":
    main()
