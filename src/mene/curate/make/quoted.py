"""Requests that a careless reader takes for others: the task is done, or the question in it is answered instead.

Three kinds, in turn. ``quoted``: a task about a question ("How many words does the question have?"), done, or the question
answered. ``continued``: a question answered, or followed by another question. ``missing``: a request about a text that is not
there, with a reply that asks for it, or one that invents its content. Questions and answers are those of a raw set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count as endless
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from mene.curate.make.answered import NEIGHBOURS, RAW, question_of, right_answers
from mene.curate.make.build import group_of, pair, single
from mene.curate.make.edits import words
from mene.curate.make.texts import read_texts
from mene.curate.make.views import made_views
from mene.curate.raw.files import too_few
from mene.curate.raw.sources import Point, find_view

SOURCE = "quoted"
TASKS = "done, better"
WHY = "a program does the task, or what it is about is missing"
EDITS: dict[str, Callable[[list[str]], str]] = {  # words of a question -> the task, done
    "repeated": " ".join,
    "capitals": lambda words: " ".join(words).upper(),
    "small": lambda words: " ".join(words).lower(),
    "counted": lambda words: f"It has {len(words)} words.",
    "sorted": lambda words: " ".join(sorted(_bare(words), key=str.casefold)),
    "reversed": lambda words: " ".join(_bare(words)[::-1]),
    "listed": lambda words: "\n".join(_bare(words)),
    "last": lambda words: _bare(words)[-1],
}


def points(seed: int, count: int, raw: Path, warn: Callable[[str], None]) -> Iterator[Point]:
    """Yield ``count`` points.

    Raises:
        UsageError: the raw set is missing or damaged, or has too few rows that can be used.
    """
    rows = right_answers(raw, warn, seed)
    if len(rows) < NEIGHBOURS:
        raise too_few(raw, (RAW,), SOURCE, len(rows), NEIGHBOURS)
    yield from islice((point for n in endless() for point in of_request(seed, n, rows)), count)


def of_request(seed: int, number: int, rows: list[Point]) -> Iterator[Point]:
    """Yield the points of one request: two single ones, where the response does or does not do what is asked, and a pair.

    Args:
        rows: questions with right answers, see ``answered.right_answers``.
    """
    draw = Random(f"{seed} quoted {number}")
    kind = ("quoted", "continued", "missing")[number % 3]
    # Neighbours in the order of the split, so that points do not mix texts of both sides.
    at = draw.randrange(max(1, len(rows) - NEIGHBOURS))
    one, other = draw.sample(rows[at : at + NEIGHBOURS], 2)
    name, texts = f"{SOURCE}/{kind}-{number}", load_texts()
    question, answer = question_of(one), one.sample.response or ""
    group = one.group  # of its raw set, so that the text stays on the same side of the split
    match kind:
        case "quoted":
            task = draw.choice(sorted(EDITS))
            asked = draw.choice(texts["frames"]).format(
                task=draw.choice(texts["tasks"][task]), question=question
            )
            good, bad = EDITS[task](question.split()), answer
        case "continued":
            asked, good = question, answer
            bad = draw.choice(texts["more"]).format(question=question_of(other))
        case _:
            asked, good, bad = draw.choice(texts["missing"]), draw.choice(texts["asks"]), answer
            group = group_of(SOURCE, asked)
    if words(bad) == words(good):
        return  # the answer is the task, done
    done = made_views()["done"]
    yes, no = (
        single(f"{name}-{which}", group, "done", done, {"instruction": asked, "response": text}, label, draw)
        for which, text, label in (("done", good, "Yes"), ("beside", bad, "No"))
    )  # fmt: skip
    if kind != "missing":  # who asks for what is missing does not do what was asked, and is right
        yield from (yes, no)
    yield pair(yes, no, seed, find_view("better").questions)


@cache
def load_texts() -> dict[str, Any]:
    """Return ``quoted.yaml``."""
    return read_texts("quoted.yaml")


def _bare(words: list[str]) -> list[str]:
    """Return words without the marks at their ends."""
    return [bare for word in words if (bare := word.strip(".,;:!?\"'()"))] or words
