"""Points written one by one by a language model, for what no raw set asks: conciseness, refusals, citations, own questions.

Each file in ``written/`` is about one criterion, or about questions of its own. An *item* is one situation in two or three
versions that differ in what is asked and are otherwise alike, so that neither length nor style gives the label away. Each line
has a critique for its label, which quotes what the response says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import islice
from random import Random
from typing import Any

from mene.criterion import load_criterion
from mene.curate.make.build import group_of
from mene.curate.make.texts import read_rows
from mene.curate.raw.sources import Point
from mene.sample import Sample

SOURCE = "written"
TASKS = "22 built-in criteria, own questions"
WHY = "versions of one text that differ in what is asked; a second reader gave the same labels"
SHOWN = ("instruction", "context", "reference", "response", "messages")


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield at most ``count`` points, the versions of an item one after the other. There are as many as lines in the files."""
    items = sorted(load_items().items())
    Random(f"{seed} written").shuffle(items)
    yield from islice((point for name, lines in items for point in of_item(name, lines)), count)


@cache
def load_items() -> dict[str, list[dict[str, Any]]]:
    """Return item -> its lines, of all files."""
    items = defaultdict(list)
    for one in read_rows(SOURCE):
        items[one["item"]].append(one)
    return dict(items)


def of_item(name: str, lines: list[dict[str, Any]]) -> Iterator[Point]:
    """Yield the points of one item."""
    for number, line in enumerate(lines):
        # Not the label, nor the question: of other tools' rows, "question" is what the user asked.
        sample = Sample.from_row({field: line[field] for field in SHOWN if field in line})
        criterion = load_criterion(line.get("question") or line["criterion"])
        scores = criterion.scale.kind == "ordinal"
        place = f"{SOURCE}/{name}-{number}"
        yield Point(
            id=place,
            source=SOURCE,
            sample=sample.model_copy(update={"id": place}),
            criterion=criterion,
            gold=float(line["label"]) if scores else line["label"],
            critique=line["critique"],
            group=group_of(SOURCE, name),
        )
