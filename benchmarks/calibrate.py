"""What a judge's label probabilities need before they mean what they say: learned on training sets, never on a benchmark.

    python benchmarks/calibrate.py --data DATA --judge base --work calibrate-base

For every task below it draws rows of the raw sets (label by label and set by set alike, one row of a group, none that is in a
benchmark), judges them in verdict mode without any calibration, and learns one by the code of ``mene align``. Figures
are of held-out rows: groups kept whole, or where a task has ``across``, whole sets kept whole. It prints a table and writes
``WORK/calibrations.yaml`` for the preset. Stop it and run it again: it goes on where it was. For a judge that was trained on
these sets, ``--recipe`` names its recipe: only rows that it kept apart as development rows are drawn.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mene import Judge, Sample
from mene.bench.align.align import Alignment, align
from mene.criterion import Criterion, load_criterion
from mene.curate.clean.check import Check
from mene.curate.clean.decontaminate import Index, bench_texts, hashed
from mene.curate.mix import rank, side_of
from mene.curate.raw.sources import Point, find_source
from mene.curate.run import folders
from mene.curate.stream import Local
from mene.judge.comparison import COMPARISONS
from mene.judge.preset import load_preset
from mene.recipe import load_recipe
from mene.runs.run import run
from mene.runs.tables import Row
from mene.verdict import Verdict


@dataclass(frozen=True)
class Task:
    """What a calibration is learned from.

    Attributes:
        criterion: a built-in one that replaces the sets' own questions; None keeps these.
        sets: name of a set -> rows of each label.
        gold: label of the set's point -> label of the criterion, where they differ.
        questions: the names that points' criteria must have (a view, or the set's own name).
        longest: characters of a row's texts.
        across: hold out whole sets, since the calibration is for any question of the scale.
        also: tasks whose rows are learned from too.
    """

    criterion: str | None
    sets: dict[str, int]
    questions: tuple[str, ...]
    gold: dict[str, str] | None = None
    longest: int = 1000
    across: bool = False
    also: tuple[str, ...] = ()


def each(names: str, rows: int) -> dict[str, int]:
    return dict.fromkeys(names.split(), rows)


LEAST_TO_SHIP = 40  # rows
FIVE = {str(i): str((i + 1) // 2) for i in range(1, 11)}  # 1-10 as 1-5
TASKS = {
    "faithfulness": Task(
        "faithfulness",
        each(
            "begin_dev bump covidfact_train factcg_cg2c faithdial_audit fever_symmetric_dev foolmetwice_dev healthver_dev "
            "q2_wow_consistency wice_train",
            12,
        ),
        ("supported",),
    ),
    "correctness": Task(
        "correctness", each("beetle_student_answers_train evouna_qa_correctness", 40), ("correct",)
    ),
    "toxicity": Task("toxicity", each("convabuse_train toxicchat_train", 40), ("toxic",)),
    "a/b": Task(
        "preference",
        each("hh_rlhf_harmless rm_bench tldr_human haluquestqa_pref", 5),
        ("better",),
        across=True,
    ),
    "helpfulness": Task(
        "helpfulness", {"auto_j_single_train": 10}, ("auto_j_single_train",), FIVE, longest=1400
    ),
    "refusal": Task(
        "refusal",
        {"gptfuzz_refusal_train": 40},
        ("refuses",),
        {"Yes": "full_refusal", "No": "full_compliance"},
    ),
    "1-5": Task(
        None,
        each("hanna newsroom xsum_human_scores", 3),
        ("hanna", "newsroom", "xsum_human_scores"),
        longest=2000,
        across=True,
    ),
    "yes/no": Task(
        None,
        each("ifeval_constraints haluquestqa roscoe_reasoning diasafety_train dices", 8),
        ("ifeval_constraints", "haluquestqa", "roscoe_reasoning", "safe"),
        longest=700,
        across=True,
        also=("faithfulness", "correctness", "toxicity"),
    ),
}


class Asked(NamedTuple):
    """A row, what is asked about it, the set it is of, and what other rows share with it (a question, a context)."""

    row: Row
    criterion: Criterion
    source: str
    group: str


def rows_of(
    name: str, task: Task, raw: Path, index: Index, unseen: Callable[[Point], bool]
) -> Iterator[Asked]:
    """The rows of a task that are ``unseen``, each with its criterion and the set it is of."""
    for source_name, most in task.sets.items():
        source = find_source(source_name)
        found: dict[str, list[Point]] = defaultdict(list)
        for row in Local(raw, Check(index, task.longest, 0)).rows(source):
            for point in row.points:
                if point.criterion.name not in task.questions:
                    continue
                if not unseen(point):
                    continue
                if task.criterion is None and str(point.criterion.scale).casefold() != name:
                    continue
                found[(task.gold or {}).get(point.label, point.label)].append(point)
        used: set[str] = set()
        waiting = {
            label: iter(sorted(points, key=lambda p: rank(p.name, 0)))
            for label, points in sorted(found.items())
        }
        # A row of each label in turn, so that none takes the groups of another.
        for _ in range(most):
            taken = {
                label: next((p for p in points if p.group not in used), None)
                for label, points in waiting.items()
            }
            rare = [label for label, point in taken.items() if point is None]
            if rare and next(iter(found.values()))[0].criterion.scale.kind != "ordinal":
                break  # of a scale the ends are rare, and are learned from as they are
            for label, point in taken.items():
                if point is not None:
                    used.add(point.group)
                    yield asked(point, label, name, task)


def kept_apart(name: str | None) -> Callable[[Point], bool]:
    """Whether a point is a development row of the recipe of that name; without one, any is."""
    if name is None:
        return lambda _: True
    recipe = load_recipe(name)
    return lambda point: side_of(point, recipe.data.development, recipe.seed) == "dev"


def asked(point: Point, label: str, name: str, task: Task) -> Asked:
    """A point as a row with its criterion and set."""
    criterion = (
        load_criterion(task.criterion)
        if task.criterion
        else point.criterion.model_copy(update={"name": name})
    )
    sample = point.sample.model_copy(update={"id": point.name, "label": label})
    if "instruction" in criterion.needs and not sample.instruction:
        sample = sample.model_copy(update={"instruction": "(not shown)"})
    return Asked(Row(0, point.source, sample), criterion, point.source, point.group)


def kept_rows(
    name: str, task: Task, data: Path | None, work: Path, unseen: Callable[[Point], bool]
) -> list[Asked]:
    """``rows_of``, drawn once: finding what is in a benchmark takes minutes."""
    path = file_of(name, "rows", work)
    if not path.exists():
        raw, bench = folders(data)
        lines = [
            json.dumps(
                {
                    "sample": one.row.sample.model_dump(mode="json") if one.row.sample else None,
                    "criterion": one.criterion.model_dump(mode="json"),
                    "source": one.source,
                    "group": one.group,
                },
                ensure_ascii=False,
            )
            for one in rows_of(name, task, raw, index_of(bench), unseen)
        ]
        part = path.with_suffix(".part")  # a kill leaves no half of them
        part.write_text("\n".join(lines) + "\n", "utf-8")
        part.replace(path)
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines()):
        one = json.loads(line)
        sample = Sample.model_validate(one["sample"])
        row = Row(number, f"{path}, line {number + 1}", sample)
        if not shown().isdisjoint(map(plain, (sample.context, sample.response))):
            continue
        criterion = Criterion.model_validate(one["criterion"])
        found.append(Asked(row, criterion, one["source"], one["group"]))
    return found


@cache
def shown() -> frozenset[str]:
    """Contexts and responses of the examples, on which the README shows what a judge says."""
    folder = Path(__file__).parents[1] / "examples"
    rows = [json.loads(line) for f in folder.glob("*.jsonl") for line in f.open(encoding="utf-8")]
    texts = (plain(row.get(key)) for row in rows for key in ("context", "response"))
    return frozenset(text for text in texts if text)


def plain(text: object) -> str:
    return re.sub(r"\W+", "", str(text or "")).casefold()


@cache
def index_of(bench: Path) -> Index:
    return Index(hashed(bench_texts(bench)))


def judged(judge: Judge, rows: list[Asked], ledger: Path) -> dict[str, Verdict]:
    """Verdicts by id of the sample."""
    found: dict[str, Verdict] = {}

    def take(verdict: Verdict) -> None:
        found[verdict.id] = verdict
        print(f"\r{ledger.stem}: {len(found)} of {len(rows)}", end="", file=sys.stderr, flush=True)

    run(
        judge,
        (),
        [one.row._replace(criterion=one.criterion) for one in rows],
        ledger,
        section=rows[0].criterion.name,
        on_verdict=take,
        on_reused=take,
    )
    print(file=sys.stderr)
    return found


def learned(task: Task, judge: Judge, rows: list[Asked], verdicts: dict[str, Verdict]) -> Alignment:
    """The code of ``mene align``, with whole sets held out where the task is ``across`` them.

    A label that the sets do not have (a partial refusal) is left out. What is learned without it does not ship: held against
    the other labels it would be favoured or never chosen, and nobody could say which is right.
    """
    known = [
        (one, one.row.sample.label, verdict.probabilities)
        for one in rows
        if one.row.sample
        and (verdict := verdicts.get(one.row.sample.id)) is not None
        and verdict.probabilities is not None
    ]
    criterion, golds = rows[0].criterion, [str(label) for _, label, _ in known]
    there = tuple(label for label in criterion.scale.labels if label in golds)
    if there != criterion.scale.labels:
        scale = criterion.scale.model_copy(update={"labels": there})
        criterion = criterion.model_copy(update={"scale": scale, "labels": {}})
    return align(
        criterion,
        judge.mode,
        golds,
        [among(p or {}, there) for *_, p in known],
        [one.source if task.across else one.group for one, *_ in known],
        template=judge.template.identity,
        among=("temperature", "bias"),
    )


def among(probabilities: dict[str, float], labels: tuple[str, ...]) -> dict[str, float]:
    """The probabilities given that it is one of ``labels``."""
    total = sum(probabilities[label] for label in labels)
    return {label: probabilities[label] / total for label in labels}


def figures(found: Alignment) -> list[str]:
    """A table in Markdown: as it is, and each way of calibrating on held-out rows."""
    lines = []
    for held in (found.before, *found.held):
        a = held.agreement
        balanced = a.balanced_accuracy
        chosen = found.chosen is not None and found.chosen.method == held.name
        lines.append(
            f"| {held.name}{' (chosen)' if chosen else ''} | {held.agreement.n} | {held.log_loss:.3f} | "
            f"{span(a.accuracy)} | {span(balanced)} | {a.ece.value or 0:.3f} |"
        )
    return lines


def span(figure: Any) -> str:
    if figure is None or figure.value is None:
        return ""
    inside = f" [{figure.low:.3f}, {figure.high:.3f}]" if figure.low is not None else ""
    return f"{figure.value:.3f}{inside}"


def shipped(task: Task, found: Alignment, labels: tuple[str, ...]) -> dict[str, Any] | None:
    """The chosen calibration with its figures, as a preset holds it.

    None where none is surely better, or rows or labels are few.
    """
    if found.chosen is None or found.before.agreement.n < LEAST_TO_SHIP:
        return None
    if found.chosen.labels != labels:
        return None
    held = next(h for h in found.held if h.name == found.chosen.method)
    before, after = found.before, held
    changes: dict[str, Any] = {
        "sets": tuple(task.sets),
        "held_out": {
            "log_loss": (round(before.log_loss, 3), round(after.log_loss, 3)),
            "accuracy": tuple(round(x.agreement.accuracy.value or 0, 3) for x in (before, after)),
            "ece": tuple(round(x.agreement.ece.value or 0, 3) for x in (before, after)),
        },
        "temperature": round(found.chosen.temperature, 3),
        "bias": {label: round(b, 3) for label, b in found.chosen.bias.items()},
    }
    if task.across:
        changes |= {"criterion": None, "question": ""}
    return found.chosen.model_copy(update=changes).model_dump(mode="json", exclude_defaults=True)


def parser_of(about: str | None, work: str) -> argparse.ArgumentParser:
    """The options of a program that judges rows of the tasks; ``work``: its usual folder."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train/ and bench/ [MENE_DATA]")
    parser.add_argument("--judge", default="base")
    parser.add_argument("--work", type=Path, default=Path(work))
    parser.add_argument("--recipe", help="of the judge's training, whose rows are left out")
    parser.add_argument("--only", default=",".join(TASKS), help="tasks, comma-separated")
    parser.add_argument("--compare", choices=list(COMPARISONS), help="how pairs are judged")
    return parser


def file_of(name: str, what: str, work: Path) -> Path:
    """The file of a task's ``rows`` or ``verdicts``."""
    return work / f"{name.replace('/', '-')}.{what}.jsonl"


def main() -> None:
    given = parser_of(__doc__, "calibrate").parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    unseen = kept_apart(given.recipe)
    preset = load_preset(given.judge).model_copy(update={"calibrations": ()})
    calibrations = []
    with Judge(preset, mode="verdict", compare=given.compare) as judge:
        for name in given.only.split(","):
            task = TASKS[name]
            rows: list[Asked] = []
            verdicts: dict[str, Verdict] = {}
            for part in (name, *task.also):
                of_part = kept_rows(part, TASKS[part], given.data, given.work, unseen)
                verdicts |= judged(judge, of_part, file_of(part, "verdicts", given.work))
                rows += of_part
            found = learned(task, judge, rows, verdicts)
            counts = Counter((one.source, one.row.sample.label) for one in rows if one.row.sample)
            print(f"\n{name}: " + ", ".join(f"{s} {n} {label}" for (s, label), n in counts.items()))
            print("\n| | rows | log loss | accuracy | balanced | ECE |\n|---|---|---|---|---|---|")
            print("\n".join(figures(found)), flush=True)
            if one := shipped(task, found, rows[0].criterion.scale.labels):
                calibrations.append(one)
    text = yaml.safe_dump({"calibrations": calibrations}, sort_keys=False, allow_unicode=True)
    (given.work / "calibrations.yaml").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
