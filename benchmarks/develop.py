"""Judge rows of people's labels that no judge was trained on: what may choose between two judges.

    python benchmarks/develop.py --data DATA --judge base --work develop/base --recipe base-gpu \
        --trained base-more-data/train.jsonl base-reasons-data/train.jsonl base-why-data/train.jsonl
    python benchmarks/develop.py --data DATA --judge other/judge.yaml --work develop/other --against develop/base

Benchmarks are for measuring only, so nothing may be chosen on them. These rows are of training sets, drawn like those of
``calibrate.py`` (set by set and label by label alike, one row of a group, none that is in a benchmark); all are development rows
of ``--recipe``, and none shares a group (a question, a context) with the pairs in ``--trained``. ``--against`` takes the rows of
an earlier judge and compares labels row by row (McNemar, exact). Stop it and run it again: it goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from calibrate import TASKS, Asked, each, file_of, judged, kept_apart, kept_rows, parser_of, span

from mene import Judge, Sample
from mene.curate.raw.sources import Point
from mene.runs.read_ledger import read_verdicts
from mene.stats.agreement import agreement
from mene.stats.paired import mcnemar
from mene.verdict import Verdict

LONGEST = 3000  # characters of a row's texts
# Rows of each label and set, where they differ from those that calibrations are learned from.
MORE = {
    "a/b": each("hh_rlhf_harmless rm_bench tldr_human haluquestqa_pref", 40),
    "helpfulness": {"auto_j_single_train": 15},
    "1-5": each("hanna newsroom xsum_human_scores", 12),
    "yes/no": each("ifeval_constraints haluquestqa roscoe_reasoning diasafety_train dices", 20),
}


def in_none_of(files: list[Path]) -> Callable[[Point], bool]:
    """Whether a point shares no group with the training pairs in these files."""
    groups = {json.loads(line)["group"] for path in files for line in path.open(encoding="utf-8")}
    return lambda point: point.group not in groups


def figures(rows: list[Asked], verdicts: dict[str, Verdict]) -> str:
    """Accuracy; of scores the correlation with people's, and accuracy."""
    mine = [verdicts[sample_of(one).id] for one in rows]
    found = agreement(
        [sample_of(one).label for one in rows],
        [verdict.label for verdict in mine],
        rows[0].criterion.scale,
        probabilities=[verdict.probabilities for verdict in mine],
    )
    ordered = f", r {span(found.pearson)}" if found.pearson else ""
    return f"{span(found.accuracy)}{ordered}, ECE {found.ece.value or 0:.2f}"


def sample_of(one: Asked) -> Sample:
    assert one.row.sample is not None
    return one.row.sample


def changes(rows: list[Asked], now: dict[str, Verdict], before: dict[str, Verdict]) -> str:
    """Rows gained and lost, and how likely that is by chance."""
    golds = [str(sample_of(one).label) for one in rows]
    both = [
        [verdicts[sample_of(one).id].label == gold for one, gold in zip(rows, golds, strict=True)]
        for verdicts in (before, now)
    ]
    gained = sum(b > a for a, b in zip(*both, strict=True))
    lost = sum(a > b for a, b in zip(*both, strict=True))
    return f"{gained} gained, {lost} lost, p {mcnemar(*both):.3f}"


def main() -> None:
    parser = parser_of(__doc__, "develop")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="train.jsonl files")
    parser.add_argument("--against", type=Path, help="folder of an earlier judge, for its rows")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    untrained = in_none_of(given.trained)
    apart = kept_apart(given.recipe)
    table = ["| | rows | figure | against |", "|---|---|---|---|"]
    with Judge(given.judge, mode="verdict", compare=given.compare) as judge:
        for name in given.only.split(","):
            task = replace(TASKS[name], sets=MORE.get(name, TASKS[name].sets), longest=LONGEST)
            if given.against:
                shutil.copy(file_of(name, "rows", given.against), given.work)
            rows = kept_rows(
                name, task, given.data, given.work, lambda p: apart(p) and untrained(p)
            )
            verdicts = judged(judge, rows, file_of(name, "verdicts", given.work))
            earlier: dict[str, Verdict] = {}
            if given.against:
                ledger = file_of(name, "verdicts", given.against)
                earlier = {v.id: v for v in read_verdicts(ledger)}
            parts = defaultdict(list)
            for one in rows:
                parts[one.source].append(one)
            for part, some in [(f"**{name}**", rows), *(parts.items() if len(parts) > 1 else ())]:
                compared = changes(some, verdicts, earlier) if earlier else ""
                table.append(f"| {part} | {len(some)} | {figures(some, verdicts)} | {compared} |")
    print("\n".join(table))


if __name__ == "__main__":
    main()
