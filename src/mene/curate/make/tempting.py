"""Pairs written one by one by a language model, whose worse response tempts a judge: it is longer, smoother, or more familiar.

The kinds (``kind`` of a line) are faults that work on the known biases of judges (Park et al. 2024, OffsetBias, arXiv 2407.06551;
Zeng et al. 2024, LLMBar, arXiv 2310.07641). No text is from those sets or any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from random import Random

from mene.curate.make.build import group_of, made
from mene.curate.make.texts import read_rows
from mene.curate.raw.sources import Point, find_view
from mene.scale import Scale

SOURCE = "tempting"
TASKS = "better"
WHY = "the worse response was written with one clear fault; the better one is as often the shorter as the longer one"


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield at most ``count`` points. There are as many as lines in the files."""
    lines = list(load_lines())
    Random(f"{seed} {SOURCE}").shuffle(lines)
    yield from islice((_point(line, seed) for line in lines), count)


@cache
def load_lines() -> tuple[dict[str, str], ...]:
    """Return the lines of all files: ``item``, ``kind``, ``instruction``, ``better``, ``worse`` and ``critique``.

    In a critique, ``{A}`` stands for the better response and ``{B}`` for the worse one.
    """
    return tuple(read_rows(SOURCE))


def _point(line: dict[str, str], seed: int) -> Point:
    name = f"{SOURCE}/{line['item']}"
    draw, view = Random(f"{seed} {name}"), find_view("better")
    first = draw.random() < 0.5
    seats = ("A", "B") if first else ("B", "A")
    texts = line["better"], line["worse"]
    response_a, response_b = texts if first else texts[::-1]
    critique = line["critique"]
    for placeholder, seat in zip(("{A}", "{B}"), seats, strict=True):
        critique = critique.replace(placeholder, f"Response {seat}")
    return made(
        name,
        group_of(SOURCE, name),
        "better",
        draw.choice(view.questions),
        Scale.pairwise(),
        {"instruction": line["instruction"], "response_a": response_a, "response_b": response_b},
        seats[0],
        labels=view.labels,
        critique=critique,
    )
