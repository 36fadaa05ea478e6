"""What the critiques of a judge are worth: do they rest on the response, repeat themselves, and lead to people's label?

    mene bench --suite aggrefact_parts,financebench,eval_bias_bench --judge base --mode critique --limit 20 --data DATA -o RESULTS
    python benchmarks/critiques.py RESULTS/base --data DATA [--table aggrefact_parts]

"Rests": by the rule of curation (``mene.curate.critiques.span``). "Repeats": the same sentence twice, or what curation drops for
that. "Right": the label after the critique is people's. "Echo": the critique is nothing but words of the response. ``--table``
prints the critiques of one set in full, as they came.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from mene.bench.data import Item, data_folder, read_set
from mene.bench.sets import all_sets
from mene.curate.critiques.filter import flaw
from mene.curate.critiques.span import span_of
from mene.curate.make.edits import sentences, words
from mene.curate.raw.sources import Point
from mene.labelled import LabelledQuestion
from mene.runs.read_ledger import read_verdicts
from mene.verdict import Verdict


def name_of(ledger: Path) -> str:
    """The set of a ledger."""
    return ledger.name.partition(".")[0]


def judged(ledger: Path, data: Path) -> Iterator[tuple[Item, Verdict]]:
    """The rows that a ledger of ``mene bench --mode critique`` has, with their verdicts. A pair asked pointwise counts once."""
    items = {item.sample.id: item for item in read_set(data, all_sets()[name_of(ledger)])}
    for verdict in read_verdicts(ledger):
        if (item := items.get(verdict.id)) is not None and verdict.critique:
            yield item, verdict


def faults(item: Item, verdict: Verdict) -> Iterator[str]:
    critique = verdict.critique or ""
    point = Point(
        **{f.name: getattr(item, f.name) for f in fields(LabelledQuestion)}, id="", source=""
    )
    if span_of(critique, point) is not None:
        yield "rests"
    said = [" ".join(words(sentence)) for sentence in sentences(critique)]
    label = verdict.label or ""
    if (
        len(set(said)) < len(said)
        or flaw(critique, label, item.criterion.scale.labels) == "repeats"
    ):
        yield "repeats"
    response = " ".join(words(item.sample.response or ""))
    if response and " ".join(said) in response:
        yield "echo"
    if verdict.label == item.label:
        yield "right"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a judge, in the results of mene bench")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", help="a set whose critiques are printed")
    options = parser.parse_args()
    data = data_folder(options.data)
    ledgers = sorted(options.folder.glob("*.critique.jsonl"))
    if not ledgers:
        parser.error(
            f"{options.folder} holds no *.critique.jsonl; give RESULTS/JUDGE of mene bench"
        )
    print("| set | critiques | rest on the response | repeat | echo | right | words |")
    print("|---|---|---|---|---|---|---|")
    for ledger in ledgers:
        rows = list(judged(ledger, data))
        if not rows:
            continue
        counts = Counter(fault for row in rows for fault in faults(*row))
        long = sorted(len((verdict.critique or "").split()) for _, verdict in rows)
        shares = [str(counts[one]) for one in ("rests", "repeats", "echo", "right")]
        print(
            f"| {name_of(ledger)} | {len(rows)} | {' | '.join(shares)} | {long[len(long) // 2]} |"
        )
    if options.table:
        print("\n| row | people | judge | response | critique |\n|---|---|---|---|---|")
        for item, verdict in judged(options.folder / f"{options.table}.critique.jsonl", data):
            texts = cut(item.sample.response or "", 200), cut(verdict.critique or "", 400)
            print(f"| {verdict.id} | {item.label} | {verdict.label} | {' | '.join(texts)} |")


def cut(text: str, most: int) -> str:
    one = " ".join(text.split()).replace("|", "\\|")
    return one if len(one) <= most else f"{one[:most].rstrip()} …"


if __name__ == "__main__":
    main()
