"""Questions of your own, agents, and each built-in criterion: 704 rows that no judge of mene has seen in its training.

They were written one by one, not from templates, by a language model; another one, which did not see the labels, gave the same
label to all of them, to five with a doubt (o-032, o-083, o-103, o-109, a-61), except for seven scores, which are one level away.

    python benchmarks/cases --judge base,small --work cases-run
    python benchmarks/cases --judge base --alone --work cases-alone      # own questions about the response alone (--uses none)
    python benchmarks/cases --judge base --only criteria --part test

Own questions (``own.jsonl``): ``beside-context`` asks something that the context in view has nothing to do with (is it friendly?
has it a number?), ``does-it`` whether a response does what is asked, ``refuses`` whether it declines. Agents (``agents.jsonl``):
``goal`` is the criterion goal-completion, ``calls`` is tool-call-correctness. Half of each kind is Yes. In ``beside-context`` the
context supports half of the responses, whatever the label: ``as supported`` counts how often the label is that instead.

Criteria (``criteria.jsonl``): 24 rows of each, half of them made to trap a careless reader (a rude answer that is right, a true
sentence with the wrong citation). The first twelve (``dev``) are for choosing, the others (``test``) for measuring only. A score
is right if it is at most one level away, and AUC is that of bad rows (1 and 2) against good ones (4 and 5).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from mene import Judge, Sample
from mene.criterion import Criterion, load_criterion
from mene.judge.preset import Mode
from mene.runs.run import run
from mene.runs.tables import Row
from mene.stats.intervals import Figure, share
from mene.verdict import Verdict

HERE = Path(__file__).parent
AGENTS = {"goal": "goal-completion", "calls": "tool-call-correctness"}
FILES = ("own", "agents", "criteria")
SHOWN = ("instruction", "context", "reference", "response", "messages")


class Case(NamedTuple):
    """A row to judge, its kind and label, and whether the context supports it (where that is known)."""

    row: Row
    criterion: Criterion
    kind: str
    label: str
    supported: bool | None = None


def cases(files: list[str], part: str | None, *, alone: bool) -> Iterator[Case]:
    """The rows of some files; ``alone``: own questions see no context and no request."""
    number = count()  # a row's place, which no other one may have

    def case(
        one: dict[str, Any], criterion: Criterion, kind: str, label: str, name: str = ""
    ) -> Case:
        # Not the label, nor the question: of other tools' rows, "question" is what the user asked.
        shown = {field: one[field] for field in SHOWN if field in one}
        sample = Sample.from_row({**shown, "id": name or one["id"]})
        row = Row(next(number), one["id"], sample)._replace(criterion=criterion)
        return Case(row, criterion, kind, label, one.get("supported"))

    if "own" in files:
        for one in rows_of("own.jsonl"):
            asked = load_criterion(one["question"])
            yield case(one, asked.showing(()) if alone else asked, one["kind"], one["label"])
    if "agents" in files:
        for one in rows_of("agents.jsonl"):
            for kind, criterion in AGENTS.items():
                yield case(one, load_criterion(criterion), kind, one[kind], f"{one['id']}-{kind}")
    if "criteria" in files:
        for one in rows_of("criteria.jsonl"):
            if part in (None, one["part"]):
                yield case(one, load_criterion(one["criterion"]), one["criterion"], one["label"])


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


def judged(name: str, known: list[Case], work: Path, mode: Mode) -> dict[str, Verdict]:
    """Verdicts by id; those of an interrupted run are taken over."""
    found: dict[str, Verdict] = {}

    def take(verdict: Verdict) -> None:
        found[verdict.id] = verdict

    with Judge(name, mode=mode) as judge:
        ledger = work / f"{Path(name).stem}-{mode}.jsonl"
        rows = [case.row for case in known]
        run(judge, (), rows, ledger, section="cases", on_verdict=take, on_reused=take)
    return found


def figures(kind: str, known: list[Case], verdicts: dict[str, Verdict]) -> str:
    """A line of the table for a judge and a kind of rows."""
    mine = [(c, verdicts[c.row.sample.id]) for c in known if c.kind == kind and c.row.sample]
    right = share(sum(is_right(c, v) for c, v in mine) / len(mine), len(mine))
    high = [sure for c, v in mine if is_high(c) is True and (sure := toward(c, v)) is not None]
    low = [sure for c, v in mine if is_high(c) is False and (sure := toward(c, v)) is not None]
    pairs = [(a > b) + (a == b) / 2 for a in high for b in low]
    auc = f"{sum(pairs) / len(pairs):.2f}" if pairs else ""
    yes = sum(v.label == "Yes" for _, v in mine) if mine[0][0].criterion.scale.is_binary else ""
    told = [(v.label == "Yes") is c.supported for c, v in mine if c.supported is not None]
    return f"| {kind} | {len(mine)} | {span(right)} | {auc} | {yes} | {sum(told) if told else ''} |"


def is_right(case: Case, verdict: Verdict) -> bool:
    if case.criterion.scale.kind != "ordinal":
        return verdict.label == case.label
    return verdict.label is not None and abs(int(verdict.label) - int(case.label)) <= 1


def is_high(case: Case) -> bool | None:
    """Whether the label is Yes, or a good score; None for what is neither that nor its contrary."""
    if case.criterion.scale.kind == "ordinal":
        return None if case.label == "3" else int(case.label) > 3
    return case.label == "Yes" if case.criterion.scale.is_binary else None


def toward(case: Case, verdict: Verdict) -> float | None:
    """How far a verdict goes that way."""
    if case.criterion.scale.kind == "ordinal":
        return verdict.score
    return (verdict.probabilities or {}).get("Yes")


def span(figure: Figure) -> str:
    low, high = figure.low or 0, figure.high or 0
    return f"{100 * (figure.value or 0):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judge", default="base", help="one or more, comma-separated")
    parser.add_argument("--only", choices=FILES, action="append", help="files; default: all")
    parser.add_argument("--part", choices=("dev", "test"), help="of the criteria's rows")
    parser.add_argument("--mode", choices=("verdict", "critique"), default="verdict")
    parser.add_argument("--alone", action="store_true", help="own questions see the response alone")
    parser.add_argument("--work", type=Path, default=Path("cases-run"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    known = list(cases(given.only or list(FILES), given.part, alone=given.alone))
    for name in given.judge.split(","):
        verdicts = judged(name, known, given.work, given.mode)
        print(f"\n{name}\n\n| rows about | | right | AUC | says Yes | as supported |")
        print("|---|---|---|---|---|---|")
        for kind in dict.fromkeys(case.kind for case in known):
            print(figures(kind, known, verdicts), flush=True)


if __name__ == "__main__":
    main()
