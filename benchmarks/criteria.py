"""How far a judge agrees with people on criteria about citations, recall and steps, and on responses judged claim by claim.

    python benchmarks/criteria.py --data DATA [--rows 30] [--judge nano] [--sets trajectory] [--work FOLDER]

DATA holds ``bench`` and ``train``. Of each label ``--rows`` rows are taken, at equal distances, those left out that are longer
than ``--most`` characters. The verdicts stay in ``--work``: the same command continues. `docs/criteria.md` has the output.

No set in DATA has labels for tool-call-correctness, goal-completion, context-precision and noise-robustness.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene import Judge
from mene.criterion import load_criterion
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.tables import read_rows
from mene.stats.agreement import agreement
from mene.stats.intervals import Figure


@dataclass(frozen=True)
class Set:
    """Rows with people's labels that fit a criterion.

    Attributes:
        file: in DATA.
        source: that rows have as ``source`` (bench) or ``rubric`` (train).
        good: the gold label that means that all is well.
        as_row: how a row of the file becomes one of the criterion.
    """

    criterion: str
    what: str
    file: str
    source: str
    good: str
    as_row: Any = dict


def cited(row: dict[str, Any]) -> dict[str, Any]:
    return {"context": f"[1] {row['context']}", "response": f"{row['response']} [1]"}


def recalled(row: dict[str, Any]) -> dict[str, Any]:
    return {"context": row["context"], "reference": row["response"]}


def steps(row: dict[str, Any]) -> dict[str, Any]:
    return {"instruction": row["context"], "response": row["response"]}


def answered(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("context", "response")}


WICE = "a sentence of Wikipedia and the page that it cites (WiCE)"
LFQA = "a sentence of a long answer and its documents (LFQA)"
ROSCOE = "steps of reasoning: is any missing (ROSCOE)?"
QAGS = "a summary of several sentences (QAGS, CNN/DM)"
MISSING = "Is the reasoning in the response incomplete, lacking information needed to reach the correct answer?"
SETS = {
    "citation-support": Set("citation-support", WICE, "bench/aggrefact_parts", "WiCE", "1", cited),
    "context-recall": Set("context-recall", LFQA, "bench/aggrefact_parts", "LFQA", "1", recalled),
    "trajectory": Set("trajectory", ROSCOE, "train/roscoe_reasoning", MISSING, "no", steps),
    "whole": Set("faithfulness", QAGS, "bench/summary_faithfulness", "qags_cnndm", "1", answered),
}


def rows_of(data: Path, of: Set, count: int, most: int) -> Iterator[dict[str, Any]]:
    """As many rows of each label, from all over the file."""
    with gzip.open(data / f"{of.file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [
            row
            for row in map(json.loads, lines)
            if of.source in (row["source"], row.get("rubric"))
            and len(row["context"]) + len(row["response"]) <= most
        ]
    for good in (True, False):
        there = [row for row in rows if (str(row["label"]) == of.good) is good]
        take = min(count, len(there))
        for row in (there[n * len(there) // take] for n in range(take)):
            yield {"id": row["id"], "label": "good" if good else "bad", **of.as_row(row)}


def words(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    return f"{figure.value:.2f} [{figure.low or 0:.2f}, {figure.high or 0:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=30, help="of each label")
    parser.add_argument("--most", type=int, default=4000, help="characters of a row")
    parser.add_argument("--judge", default="nano")
    parser.add_argument("--sets", nargs="+", choices=[*SETS, "claims"], default=[*SETS, "claims"])
    parser.add_argument("--work", type=Path, default=Path("criteria-rows"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    judge = Judge(options.judge, mode="verdict")
    print("| criterion | rows | n | balanced accuracy (scores: Spearman) |\n|---|---|---|---|")
    for name in options.sets:
        of = SETS.get(name, SETS["whole"])
        criterion = load_criterion(of.criterion)
        rows = list(rows_of(options.data, of, options.rows, options.most))
        golds = {row["id"]: row.pop("label") for row in rows}
        table, ledger = (options.work / f"{name}{end}" for end in (".jsonl", ".verdicts.jsonl"))
        table.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        chosen = judge.using(claims=True) if name == "claims" else judge
        run(chosen, criterion, read_rows(str(table), {}, [criterion]), ledger)
        labels = criterion.scale.labels
        best, worst = (labels[-1], labels[0]) if criterion.scale.kind == "ordinal" else labels
        verdicts = list(read_verdicts(ledger))
        found = agreement(
            [best if golds[v.id] == "good" else worst for v in verdicts],
            [v.label for v in verdicts],
            criterion.scale,
            probabilities=[v.probabilities for v in verdicts],
        )
        figure = found.spearman if criterion.scale.kind == "ordinal" else found.balanced_accuracy
        called = f"{of.criterion}, claim by claim" if name == "claims" else of.criterion
        print(f"| {called} | {of.what} | {found.n} | {words(figure)} |", flush=True)


if __name__ == "__main__":
    main()
