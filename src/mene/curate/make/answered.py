"""Requests with several parts: answered completely, in part, or with something else.

Three kinds, in turn: questions about a generated document (``documents.py``), lists whose items must be of a kind
(``lists.yaml``),
and two questions of a raw set combined. A partial answer replaces the missing part by sentences of similar number and length
that answer something else, so that only the request tells the answers apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count as endless
from itertools import islice
from pathlib import Path
from random import Random

from mene.curate.make.build import group_of, pair, single
from mene.curate.make.documents import draw_document, load_language
from mene.curate.make.edits import STRANGE, overlap, words
from mene.curate.make.texts import read_texts
from mene.curate.make.views import made_views
from mene.curate.mix import place_of
from mene.curate.raw.files import too_few
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source
from mene.errors import UsageError
from mene.scale import Scale

SOURCE = "answered"
TASKS = "answered, coverage (1-5), better"
WHY = "the parts of the request are known, and which of them the response answers"
RAW = "evouna_qa_correctness"  # Apache-2.0
SHORTEST, LONGEST = 5, 40  # words of a raw answer of one or two sentences
NEIGHBOURS = 40  # rows from which a case is drawn
COUNTS = ("two", "three", "four", "five")
JOINS = (" Also: ", " And: ", " I would also like to know: ", "\n\nSecond question: ")
NAMED = ("Name", "List", "Give me", "Tell me", "I need")
OPENED = ("{}", "{}", "Here you go: {}", "Some that fit: {}", "How about {}?")


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        shown: instruction, and context if there is one.
        answers: share of the parts that are answered -> a response.
    """

    group: str
    shown: dict[str, str]
    answers: dict[float, str]


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
    """Yield the points of one request: two single ones and a pair; for every second request a pair and two scores."""
    draw = Random(f"{seed} answered {number}")
    kind = ("document", "list", "raw")[number % 3]
    match kind:
        case "document":
            case = _of_document(draw)
        case "list":
            case = _of_list(draw)
        case _:
            case = _of_rows(draw, rows)
    name = f"{SOURCE}/{kind}-{number}"
    shares = sorted(case.answers, reverse=True)
    views = made_views()
    # Each of the less complete answers occurs equally often, with every other one.
    high, low = sorted(draw.sample(shares, 2), reverse=True)
    if (number // 3) % 2:
        for share in draw.sample(shares, 2):
            shown = {**case.shown, "response": case.answers[share]}
            yield single(
                f"{name}-{share:.2f}",
                case.group,
                "coverage",
                views["coverage"],
                shown,
                str(round(1 + 4 * share)),
                draw,
                scale=Scale.likert(1, 5),
            )
    else:
        high = 1.0
        low = draw.choice(shares[1:])
        for share in (high, low):
            yield _whether(name, case, share, draw)
    better, worse = (_whether(f"{name}-pair", case, share, draw) for share in (high, low))
    yield pair(better, worse, seed, views["answered"].versus)


def _whether(name: str, case: Case, share: float, draw: Random) -> Point:
    shown = {**case.shown, "response": case.answers[share]}
    label = "Yes" if share == 1 else "No"
    view = made_views()["answered"]
    return single(f"{name}-{share:.2f}", case.group, "answered", view, shown, label, draw)


def _of_document(draw: Random) -> Case:
    """Make questions about a document; what replaces an answer is in the document too."""
    parts = draw.choice((2, 2, 3))
    document = draw_document(load_language("en"), draw, least=6, most=8)
    while len(document.facts) < 2 * parts:
        document = draw_document(load_language("en"), draw, least=6, most=8)
    drawn = draw.sample(document.facts, 2 * parts)
    asked, others = drawn[:parts], drawn[parts:]
    questions = [document.question(fact) for fact in asked]
    if draw.random() < 0.5:
        instruction = " ".join(questions)
    else:
        instruction = "Answer these questions:\n" + "\n".join(
            f"{n}. {question}" for n, question in enumerate(questions, start=1)
        )
    found = {}
    for given in range(parts + 1):
        told = draw.sample(asked, given) + others[: parts - given]
        draw.shuffle(told)
        found[given / parts] = " ".join(document.told(fact, draw) for fact in told)
    return Case(
        group_of(SOURCE, document.text),
        {"instruction": instruction, "context": document.text},
        found,
    )


def _of_list(draw: Random) -> Case:
    """Ask for some things of one kind, and perhaps of a second; replacements are of other kinds."""
    lists = load_lists()
    kinds = draw.sample(sorted(lists), 4)
    if draw.random() < 0.5:
        number = draw.choice((2, 4))
        wanted = [(kinds[0], number)]
        asked = f"{draw.choice(NAMED)} {COUNTS[number - 2]} {kinds[0]}."
    else:
        number = draw.choice((2, 3))
        wanted = [(kinds[0], number), (kinds[1], number)]
        word = COUNTS[number - 2]
        asked = f"{draw.choice(NAMED)} {word} {kinds[0]} and {word} {kinds[1]}."
    total = sum(n for _, n in wanted)
    right = [item for kind, n in wanted for item in draw.sample(lists[kind], n)]
    wrong = draw.sample(lists[kinds[2]] + lists[kinds[3]], total)
    found = {}
    for given in (total, total // 2, 0):
        items = [*right[:given], *wrong[: total - given]]
        draw.shuffle(items)
        found[given / total] = _listed(items, draw)
    return Case(group_of(SOURCE, asked, *right), {"instruction": asked}, found)


def _listed(items: list[str], draw: Random) -> str:
    if draw.random() < 0.5:
        return "\n".join(f"- {item}" for item in items)
    text = f"{', '.join(items[:-1])} and {items[-1]}"
    return draw.choice(OPENED).format(text) if draw.random() < 0.5 else f"{text}."


def _of_rows(draw: Random, rows: list[Point]) -> Case:
    """Combine two questions by people, each with a model's answer that people found right."""
    for _ in range(1000):
        at = draw.randrange(max(1, len(rows) - NEIGHBOURS))
        # Neighbours in the order of the split (``right_answers``), so that cases do not mix texts of both sides.
        one, two, third, fourth = draw.sample(rows[at : at + NEIGHBOURS], 4)
        asked = f"{question_of(one)}{draw.choice(JOINS)}{question_of(two)}"
        others = [row.sample.response or "" for row in (third, fourth)]
        if all(overlap(text, _known(one) + _known(two)) <= STRANGE for text in others):
            break
    else:
        raise UsageError(
            f"{RAW}: its answers are too much alike to make points of; leave out data.make.answered"
        )
    answers = [row.sample.response or "" for row in (one, two)]
    # Either of the two may be the answered one.
    kept = draw.randrange(2)
    half = [answers[0], others[0]] if kept == 0 else [others[0], answers[1]]
    found = {1.0: answers, 0.5: half, 0.0: others}
    return Case(
        one.group,  # of its raw set, so that the text stays on the same side of the split
        {"instruction": asked},
        {share: "\n\n".join(texts) for share, texts in found.items()},
    )


def question_of(row: Point) -> str:
    """Return a row's question, as a sentence."""
    text = (row.sample.instruction or "").strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".", "!")) else "?")


def _known(row: Point) -> str:
    return f" {row.sample.instruction} {row.sample.response} {row.sample.reference}"


def right_answers(raw: Path, warn: Callable[[str], None], seed: int) -> list[Point]:
    """Return right answers of one or two sentences, one per question."""
    found: dict[str, Point] = {}
    for point in read_source(raw, find_source(RAW), warn, seed):
        said = words(point.sample.response or "")
        if point.label == "Yes" and SHORTEST <= len(said) <= LONGEST:
            found.setdefault(point.group, point)
    return [found[group] for group in sorted(found, key=lambda group: place_of(found[group], seed))]


@cache
def load_lists() -> dict[str, list[str]]:
    """Return kind of things -> things of this kind that belong to no other kind here."""
    return {kind: items.split(" | ") for kind, items in read_texts("lists.yaml").items()}
