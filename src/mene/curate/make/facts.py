"""Answers that keep the facts of a generated document, against answers that change or invent one.

A document (``documents.py``) gives three points. Either judged by the document: a supported response, an unsupported one, and
both
as a pair. Or judged by a reference answer: right in other words; wrong in a fact, or without the answer to one of two
questions; and both as a pair. The error is a number, a date, a name, a statement (a negation, a condition, a cause), names with
exchanged roles, or a sentence about which the document says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as endless
from itertools import islice
from random import Random

from mene.curate.make.build import group_of, pair, single
from mene.curate.make.documents import (
    LANGUAGES,
    Document,
    Fact,
    Language,
    Value,
    draw_document,
    load_language,
)
from mene.curate.raw.sources import Point, View, find_view

SOURCE = "facts"
TASKS = "supported, correct, better"
WHY = "each sentence of the document is known; a wrong response changes or invents one"
OTHER = 0.2  # share of documents that are not in English
REFERENCES = 0.4  # share of documents that are judged by a reference
INVENTED = 0.3  # share of wrong responses with an invented sentence
DISTRACTING = 0.25  # share of contexts with a second, unrelated document
LED = 0.15  # share of responses that begin with "According to the document: "


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of a response.

    changed: slot -> another value that it tells.
    invented: whether the document does not state the fact.
    """

    fact: Fact
    text: str
    changed: dict[str, Value] | None = None
    invented: bool = False


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield ``count`` points."""
    return islice((point for n in endless() for point in of_document(seed, n)), count)


def of_document(seed: int, number: int) -> Iterator[Point]:
    """Yield the three points of one document."""
    draw = Random(f"{seed} facts {number}")
    name = draw.choice(LANGUAGES[1:]) if draw.random() < OTHER else "en"
    document = draw_document(load_language(name), draw)
    make = _referenced if draw.random() < REFERENCES else _supported
    yes, no = make(document, f"{SOURCE}/{name}-{number}", draw)
    yield from (yes, no, pair(yes, no, seed, yes.versus))


def _supported(document: Document, name: str, draw: Random) -> tuple[Point, Point]:
    language = document.language
    chosen = draw.sample(document.facts, draw.choice((1, 2, 2, 3)))
    invented = len(chosen) > 1 and draw.random() < INVENTED
    right = [Said(fact, document.told(fact, draw)) for fact in chosen]
    wrong: list[Said] = []
    if invented:
        # A sentence that is not in the document replaces one that is.
        wrong = [Said(fact, document.told(fact, draw)) for fact in chosen[:-1]]
        fact = draw.choice(document.absent)
        wrong.append(Said(fact, document.told(fact, draw), invented=True))
    else:
        wrong = _one_changed(document, chosen, draw)
    asked = document.question(chosen[0])
    if len(chosen) == 3:
        asked = draw.choice(language.summarise)
    elif len(chosen) == 2 and not invented:
        asked = f"{asked} {document.question(chosen[1])}"
    text = document.text
    if not invented and draw.random() < DISTRACTING:
        other = draw_document(language, draw)
        if other.kind.name != document.kind.name:
            text = "\n\n".join(draw.sample([text, other.text], 2))
    shown = {"instruction": asked, "context": text}
    view = _view("supported", language, draw)
    leads = (_lead(language, draw), _lead(language, draw))
    group = group_of(SOURCE, text)
    return (
        single(
            f"{name}-yes",
            group,
            "supported",
            view,
            {**shown, "response": leads[0] + _joined(right)},
            "Yes",
            draw,
            critique=_why_supported(document, right, draw),
            rejected=_why_not(document, right, draw),
        ),
        single(
            f"{name}-no",
            group,
            "supported",
            view,
            {**shown, "response": leads[1] + _joined(wrong)},
            "No",
            draw,
            critique=_why_not(document, wrong, draw),
            rejected=_why_supported(document, wrong, draw),
        ),
    )


def _one_changed(document: Document, chosen: list[Fact], draw: Random) -> list[Said]:
    """Tell the facts, one of them with a changed value."""
    bad = draw.choice([fact for fact in chosen if fact.slots] or chosen)
    change = document.other(bad, draw)
    assert change is not None  # each fact has a slot, and each slot another value
    return [
        Said(fact, document.told(fact, draw, change[1]), change[1])
        if fact is bad
        else Said(fact, document.told(fact, draw))
        for fact in chosen
    ]


def _referenced(document: Document, name: str, draw: Random) -> tuple[Point, Point]:
    language = document.language
    one, two = draw.sample(document.facts, 2)
    asked = [one, two] if draw.random() < 0.7 else [one]
    right = [Said(fact, document.told(fact, draw)) for fact in asked]
    incomplete = len(asked) == 2 and draw.random() < 0.5
    if incomplete:
        # As long as the full answer, so that length does not reveal what is missing.
        others = [fact for fact in document.facts if fact not in asked]
        wrong = [Said(fact, document.told(fact, draw)) for fact in (one, draw.choice(others))]
    else:
        wrong = _one_changed(document, asked, draw)
    shown = {
        "instruction": " ".join(map(document.question, asked)),
        "reference": " ".join(map(document.sentence, asked)),
    }
    view = _view("correct", language, draw)
    group = group_of(SOURCE, document.text)
    reason = (
        f'The reference also says "{document.sentence(two)}", and on this the response, which says '
        f'"{_joined(wrong)}", has nothing.'
        if incomplete
        else _why_not(document, wrong, draw, "reference")
    )
    excuse = (
        f'The response says "{_joined(wrong)}", and this answers all that the reference has: '
        f'"{document.sentence(one)}"'
        if incomplete
        else _why_supported(document, wrong, draw, "reference")
    )
    return (
        single(
            f"{name}-right",
            group,
            "correct",
            view,
            {**shown, "response": _joined(right)},
            "Yes",
            draw,
            critique=_why_supported(document, right, draw, "reference"),
            rejected=_why_not(document, right, draw, "reference"),
        ),
        single(
            f"{name}-{'incomplete' if incomplete else 'wrong'}",
            group,
            "correct",
            view,
            {**shown, "response": _joined(wrong)},
            "No",
            draw,
            critique=reason,
            rejected=excuse,
        ),
    )


def _view(name: str, language: Language, draw: Random) -> View:
    """The criterion in the language of the document, or in English."""
    return language.views[name] if language.views and draw.random() < 0.5 else find_view(name)


def _lead(language: Language, draw: Random) -> str:
    return draw.choice(language.leads) if draw.random() < LED else ""


def _joined(said: list[Said]) -> str:
    return " ".join(one.text for one in said)


def _why_supported(
    document: Document, said: list[Said], draw: Random, where: str = "context"
) -> str:
    """Quote each sentence of the response and its source; for a wrong one, where the source would be."""
    parts = []
    for one in said:
        fact = said[0].fact if one.invented else one.fact
        there, here = document.sentence(fact), one.text
        parts.append(
            draw.choice(
                (
                    f'The response says "{here}", and the {where} has it in other words: "{there}"',
                    f'"{here}" follows from "{there}" in the {where}.',
                    f'The {where} says "{there}", which is what "{here}" in the response means.',
                )
            )
        )
    return " ".join(parts)


def _why_not(document: Document, said: list[Said], draw: Random, where: str = "context") -> str:
    """Quote the wrong sentence, and what the document says instead; without a wrong one, use any sentence."""
    bad = next((one for one in said if one.changed or one.invented), draw.choice(said))
    if bad.invented:
        there = document.sentence(said[0].fact)
        return draw.choice(
            (
                f'The response adds "{bad.text}", which the {where} does not say; what it has is "{there}"',
                f'Nothing in the {where} bears out "{bad.text}". It says "{there}", and no more on this.',
            )
        )
    there = document.sentence(bad.fact)
    return draw.choice(
        (
            f'The response says "{bad.text}", but the {where} says "{there}"',
            f'In the {where} stands "{there}", and "{bad.text}" in the response differs from that.',
            f'"{bad.text}" is not what the {where} says. There it is: "{there}"',
        )
    )
