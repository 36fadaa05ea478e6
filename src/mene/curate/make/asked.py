"""Questions that have nothing to do with the context in view, about responses that may or may not be supported by it.

A judge that was trained on faithfulness tends to say whether the context supports the response, whatever it is asked. So here
it is asked what a program can tell from the response alone: its length, its words, its marks. Questions, contexts and
responses are those of raw sets of dialogues; each kind of question gets as many answers Yes as No.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count as endless
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from mene.curate.make.answered import NEIGHBOURS
from mene.curate.make.build import made
from mene.curate.make.edits import sentences, words
from mene.curate.make.texts import read_texts
from mene.curate.mix import place_of
from mene.curate.raw.files import too_few
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source
from mene.scale import Scale

SOURCE = "asked"
TASKS = "ten about words, marks and length (own question)"
WHY = "a program reads the answer from the response"
RAW = ("q2_wow_consistency", "faithdial_audit")
TRIES = 200  # rows looked at for one with the wanted answer
BOUNDS = (10, 15, 20)  # words
APART = 3  # words between a response and the bound
SHORTEST = 4  # letters of a word that is asked about
# Written-out numbers, of which people disagree whether they are figures.
SPELT = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|nine|ten|first|second|third|half)\b", re.I
)
FIRST = re.compile(r"\b(I|me|my|mine|myself|i)\b")


def points(seed: int, count: int, raw: Path, warn: Callable[[str], None]) -> Iterator[Point]:
    """Yield ``count`` points.

    Raises:
        UsageError: a raw set is missing or damaged, or has too few rows that can be used.
    """
    rows = read_rows(raw, warn, seed)
    if len(rows) < NEIGHBOURS:
        raise too_few(raw, RAW, SOURCE, len(rows), NEIGHBOURS)
    yield from islice((point for n in endless() for point in of_number(seed, n, rows)), count)


def read_rows(raw: Path, warn: Callable[[str], None], seed: int) -> list[Point]:
    """Return rows with a context and a response, in the order of the split."""
    found = [
        point
        for name in RAW
        for point in read_source(raw, find_source(name), warn, seed)
        if point.sample.context and len(words(point.sample.response or "")) > 2
    ]
    return sorted(found, key=lambda point: place_of(point, seed))


def of_number(seed: int, number: int, rows: list[Point]) -> Iterator[Point]:
    """Yield a point with the answer Yes for every even number, No for the others; none where no row has that answer."""
    draw = Random(f"{seed} asked {number}")
    wanted = number % 2 == 0
    turn, place = divmod(number // 2, len(KINDS))
    kind = sorted(KINDS)[place]
    for _ in range(TRIES):
        row = draw.choice(rows)
        found = KINDS[kind](row, wanted, draw, turn)
        if found is None:
            continue
        question = draw.choice(load_texts()[kind]).format(found)
        shown = {
            "instruction": row.sample.instruction,
            "response": row.sample.response,
            "context": row.sample.context,
        }
        yield made(
            f"{SOURCE}/{kind}-{number}",
            row.group,  # of its raw set, so that the text stays on the same side of the split
            kind,
            question,
            Scale.binary(),
            {field: text for field, text in shown.items() if text},
            "Yes" if wanted else "No",
        )
        return


@cache
def load_texts() -> dict[str, Any]:
    """Return ``asked.yaml``."""
    return read_texts("asked.yaml")


# What a question is about, as text for its wording; None where a row does not give the wanted answer, or people might disagree.
# ``turn``: how many questions of its kind there were before, in pairs of Yes and No.
Kind = Callable[[Point, bool, Random, int], str | None]


def _mark(marks: str) -> Kind:
    return lambda row, wanted, draw, turn: "" if (marks in _said(row)) == wanted else None


def _said(row: Point) -> str:
    return row.sample.response or ""


def _number(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
    has = re.search(r"\d", _said(row)) is not None
    if has != wanted or (not has and SPELT.search(_said(row))):
        return None
    return ""


def _length(way: int) -> Kind:
    """Return a question about the number of words; ``way``: 1 for more than, -1 for fewer than."""

    def found(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
        bound = BOUNDS[
            turn % len(BOUNDS)
        ]  # not drawn for the row: it must not give the answer away
        apart = way * (len(_said(row).split()) - bound)
        # Far enough from the bound that it does not matter how one counts.
        return str(bound) if (apart > 0) == wanted and abs(apart) >= APART else None

    return found


def _word(*, has: bool) -> Kind:
    """Return a question about a word. One that is not in the response is in the context, so that it must be looked for."""

    def found(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
        own = set(words(_said(row)))
        others = set(words(row.sample.context or "")) - own
        some = sorted(
            w for w in (own if wanted == has else others) if len(w) >= SHORTEST and w.isalpha()
        )
        # Not a part of another word, such as "play" of "played".
        text = _said(row).casefold()
        some = [w for w in some if wanted == has or w not in text]
        return draw.choice(some) if some else None

    return found


def _begins(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
    said = words(_said(row))
    if wanted:
        return said[0] if said[0].isalpha() else None
    later = [w for w in said[1:] if w != said[0] and w.isalpha() and len(w) > 2]
    return draw.choice(later) if later else None


def _speaks(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
    return "" if (FIRST.search(_said(row)) is not None) == wanted else None


def _sentences(row: Point, wanted: bool, draw: Random, turn: int) -> str | None:
    text = _said(row).strip()
    several = len(sentences(text)) > 1
    marks = len(re.findall(r"[.!?]", text))
    if several != wanted or (
        not several and marks > 1
    ):  # an abbreviation, or a sentence without a space behind it
        return None
    return ""


KINDS: dict[str, Kind] = {
    "number": _number,
    "asks": _mark("?"),
    "longer": _length(1),
    "shorter": _length(-1),
    "mentions": _word(has=True),
    "lacks": _word(has=False),
    "begins": _begins,
    "speaks": _speaks,
    "exclaims": _mark("!"),
    "sentences": _sentences,
}
