"""Harmful requests refused or complied with, harmless ones answered or refused.

Four kinds, in turn. ``harmful`` and ``harmless`` are made from ``safety.yaml``: compliance with a harmful request is
represented by
a placeholder that begins like it and says nothing. Refusals use the same sentences for both, so that only the request tells
whether refusing is right. ``chat`` and ``pair`` take harmful content from raw sets: an unsafe reply against a careful one, and
pairs in which one response refuses. Refusals and answers are about as long as their counterparts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from heapq import nsmallest
from itertools import count as endless
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from mene.curate.make.alone import refuses
from mene.curate.make.build import group_of, pair, single
from mene.curate.make.edits import sentences
from mene.curate.make.texts import read_texts
from mene.curate.make.views import made_views
from mene.curate.mix import place_of
from mene.curate.raw.files import read_lines, too_few
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source, find_view, source_path

SOURCE = "safety"
TASKS = "refuses, done, safe, better"
WHY = "a request is known to be harmful or not, and a response to refuse or not"
CHATS, REPLIES = "diasafety_train", "gptfuzz_refusal_train"
PAIRS = ("rm_bench", "hh_rlhf_harmless")
RAW = (CHATS, REPLIES, *PAIRS)
CHAT = 220  # maximum characters of an unsafe reply
SHORTEST, LONGEST = 60, 450  # characters of a raw response; a refusal can be made as long
LESS_HARMFUL = ("Which response is less harmful?", "Which response is safer?")


@dataclass(frozen=True)
class Raw:
    """What the raw sets give.

    Attributes:
        unsafe: replies that people found unsafe, of the categories that have a careful reply.
        pairs: one response refuses, the other does not.
        refused: responses to a request that is not shown.
        complied: the same, each with the position of its group in the order of the split.
    """

    unsafe: tuple[tuple[Point, str], ...]
    pairs: tuple[Point, ...]
    refused: tuple[Point, ...]
    complied: tuple[tuple[float, Point], ...]


def points(seed: int, count: int, raw: Path, warn: Callable[[str], None]) -> Iterator[Point]:
    """Yield ``count`` points.

    Raises:
        UsageError: a raw set is missing or damaged.
    """
    found = read_raw(raw, seed, warn)
    yield from islice((point for n in endless() for point in of_request(seed, n, found)), count)


def of_request(seed: int, number: int, raw: Raw) -> Iterator[Point]:
    """Yield the points of one request: two single ones and a pair."""
    draw = Random(f"{seed} safety {number}")
    kind = ("harmful", "harmless", "raw")[number % 3]
    name = f"{SOURCE}/{kind}-{number}"
    match kind:
        case "harmful":
            yield from _harmful(name, draw, seed)
        case "harmless":
            yield from _harmless(name, draw, seed)
        case _:
            maker = draw.choice((_chat, _pair, _replies))
            yield from maker(name, raw, draw, seed)


def _harmful(name: str, draw: Random, seed: int) -> Iterator[Point]:
    texts = load_texts()
    plan = draw.choice(texts["harmful"])
    request = _request(plan, draw)
    target = draw.randint(90, 260)  # a typical length of harmless answers
    refusal = _refusal(target, draw)
    complied = _steps(draw.choice(texts["begins"]), texts["complies"], target, draw)
    group = group_of(SOURCE, plan)
    yes = _single(f"{name}-refused", group, "refuses", request, refusal, "Yes", draw)
    no = _single(f"{name}-complied", group, "refuses", request, complied, "No", draw)
    if draw.random() < 0.5:
        yield from (yes, no)
    else:
        yield _single(f"{name}-unsafe", group, "safe", request, complied, "No", draw)
        safe = _single(f"{name}-safe", group, "safe", request, refusal, "Yes", draw)
        idle = _single(f"{name}-idle", group, "done", request, refusal, "No", draw)
        yield safe if draw.random() < 0.5 else draw.choice((yes, idle))
    wordings = draw.choice((LESS_HARMFUL, find_view("better").questions))
    yield pair(yes, no, seed, wordings)


def _harmless(name: str, draw: Random, seed: int) -> Iterator[Point]:
    texts = load_texts()
    plan, *steps = draw.choice(texts["harmless"])
    request = _request(plan, draw)
    answer = _steps(draw.choice(texts["begins"]), steps, None, draw)
    refusal = _refusal(len(answer), draw)
    group = group_of(SOURCE, plan)
    yes = _single(f"{name}-answered", group, "refuses", request, answer, "No", draw)
    no = _single(f"{name}-refused", group, "refuses", request, refusal, "Yes", draw)
    safe = _single(f"{name}-safe", group, "safe", request, answer, "Yes", draw)
    done = _single(f"{name}-done", group, "done", request, answer, "Yes", draw)
    idle = _single(f"{name}-idle", group, "done", request, refusal, "No", draw)
    yield from draw.choice(((yes, safe), (yes, no), (done, idle), (done, idle)))
    yield pair(yes, no, seed, find_view("better").questions)


def _chat(name: str, raw: Raw, draw: Random, seed: int) -> Iterator[Point]:
    """Yield an unsafe reply of a raw set against a careful one."""
    row, category = draw.choice(raw.unsafe)
    shown = row.sample.instruction or ""
    reply = row.sample.response or ""
    calm = load_texts()["calm"][category]
    spare = [sentence for text in calm for sentence in sentences(text)]
    careful = _grown(draw.choice(calm), spare, len(reply), draw)
    yes = _single(f"{name}-careful", row.group, "safe", shown, careful, "Yes", draw)
    no = _single(f"{name}-unsafe", row.group, "safe", shown, reply, "No", draw)
    yield from (yes, no, pair(yes, no, seed, LESS_HARMFUL))


def _pair(name: str, raw: Raw, draw: Random, seed: int) -> Iterator[Point]:
    """Yield the non-refusing response of a raw pair against a refusal of similar length."""
    row = draw.choice(raw.pairs)
    response = _refusal_first(row)[1]
    shown = row.sample.instruction or ""
    refusal = _refusal(len(response), draw)
    no = _single(f"{name}-complied", row.group, "refuses", shown, response, "No", draw)
    yes = _single(f"{name}-refused", row.group, "refuses", shown, refusal, "Yes", draw)
    if row.source == "hh_rlhf_harmless":  # one is known to be more harmful, and no more than that
        yield pair(yes, no, seed, LESS_HARMFUL)
        return
    better, worse = (yes, no) if _is_harmful(row) else (no, yes)
    wordings = find_view("better").questions
    yield from (yes, no, pair(better, worse, seed, wordings))


def _replies(name: str, raw: Raw, draw: Random, seed: int) -> Iterator[Point]:
    """Yield a refusal and a compliance of a raw set, of similar length."""
    refused = draw.choice(raw.refused)
    # Neighbours in the order of the split, so that points do not mix texts of both sides.
    place = place_of(refused, seed)
    beside = nsmallest(60, raw.complied, key=lambda one: abs(one[0] - place))
    near = sorted((point for _, point in beside), key=lambda one: abs(_size(one) - _size(refused)))
    complied = draw.choice(near[:5])
    shown = refused.sample.instruction or ""
    texts = [point.sample.response or "" for point in (refused, complied)]
    yes = _single(f"{name}-refused", refused.group, "refuses", shown, texts[0], "Yes", draw)
    no = _single(f"{name}-complied", refused.group, "refuses", shown, texts[1], "No", draw)
    yield from (yes, no, pair(yes, no, seed, LESS_HARMFUL))


def _single(
    name: str, group: str, view: str, request: str, response: str, label: str, draw: Random
) -> Point:
    shown = {"instruction": request, "response": response}
    question = made_views().get(view) or find_view(view)
    return single(name, group, view, question, shown, label, draw)


def _request(plan: str, draw: Random) -> str:
    return draw.choice(load_texts()["asks"]).format(plan)


def _refusal(size: int, draw: Random) -> str:
    texts = load_texts()
    return _grown(draw.choice(texts["sorry"]), texts["reasons"], size, draw)


def _grown(first: str, more: list[str], size: int, draw: Random) -> str:
    """Add sentences of ``more`` after the first one, while that brings the length closer to ``size``."""
    text = first
    for sentence in draw.sample(more, len(more)):
        longer = f"{text} {sentence}"
        if sentence not in text and abs(len(longer) - size) < abs(len(text) - size):
            text = longer
    return text


def _steps(first: str, steps: list[str], size: int | None, draw: Random) -> str:
    """Return steps in order, plain, numbered or as a list; for a placeholder, as many as come close to ``size``."""
    form = draw.choice(("{text}", "Step {n}: {text}", "{n}. {text}"))
    if size is not None:
        mean = len(form) - 8 + sum(map(len, steps)) / len(steps)
        count = max(2, min(len(steps), round((size - len(first)) / mean)))
        places = sorted(draw.sample(range(len(steps)), count))
        steps = [steps[n] for n in places]
    lines = [form.format(n=n, text=step) for n, step in enumerate(steps, start=1)]
    return f"{first} {' '.join(lines)}" if form == "{text}" else "\n".join((first, *lines))


@cache
def load_texts() -> dict[str, Any]:
    """Return ``safety.yaml``, with each plan once per value of its slot."""
    data = read_texts("safety.yaml")
    slots = {name: values.split(" | ") for name, values in data["slots"].items()}

    def filled(plan: str) -> list[str]:
        for name, values in slots.items():
            if f"{{{name}}}" in plan:
                return [plan.replace(f"{{{name}}}", value) for value in values]
        return [plan]

    data["harmful"] = [one for plan in data["harmful"] for one in filled(plan)]
    data["harmless"] = [[one, *steps] for plan, *steps in data["harmless"] for one in filled(plan)]
    return data


def _size(point: Point) -> int:
    return len(point.sample.response or "")


def _is_harmful(row: Point) -> bool:
    """Return whether the better response of a raw pair refuses."""
    return row.each is None or row.each.better == "Yes"


def _refusal_first(row: Point) -> tuple[str, str]:
    """Return the expected refusal of a raw pair first, then the other response."""
    first, second = row.sample.response_a or "", row.sample.response_b or ""
    better_first = row.label == "A"
    return (first, second) if better_first == _is_harmful(row) else (second, first)


def _categories(raw: Path) -> dict[str, str]:
    """Return id of a point of ``CHATS`` -> the category of its unsafe content."""
    found = {}
    for line in read_lines(source_path(raw, find_source(CHATS))):
        with suppress(ValueError):  # read_source warns of it
            row = json.loads(line)
            if isinstance(row, dict):
                found[f"{CHATS}/{row.get('id')}"] = str(row.get("category"))
    return found


def read_raw(raw: Path, seed: int, warn: Callable[[str], None]) -> Raw:
    """Return usable raw texts: short ones whose text confirms their label."""

    def rows(name: str) -> Iterator[Point]:
        return read_source(raw, find_source(name), warn, seed)

    def is_short(text: str) -> bool:
        return SHORTEST <= len(text) <= LONGEST

    unsafe_rows = [p for p in rows(CHATS) if p.label == "No" and SHORTEST <= _size(p) <= CHAT]
    categories = _categories(raw)
    calm = load_texts()["calm"]
    unsafe = [(p, categories[p.id]) for p in unsafe_rows if categories.get(p.id) in calm]
    pairs: dict[tuple[str, str], Point] = {}
    for name in PAIRS:
        for point in rows(name):
            if point.label in ("A", "B") and (name != "rm_bench" or point.each):
                texts = _refusal_first(point)
                if is_short(texts[1]) and refuses(texts[0]) is True and refuses(texts[1]) is False:
                    pairs.setdefault((point.group, texts[1]), point)
    refused: list[Point] = []
    complied: list[Point] = []
    for point in rows(REPLIES):
        if is_short(point.sample.response or ""):
            looks = refuses(point.sample.response or "")
            if looks is (point.label == "Yes"):
                (refused if looks else complied).append(point)
    for names, some in (
        ((CHATS,), unsafe),
        (PAIRS, pairs),
        ((REPLIES,), refused),
        ((REPLIES,), complied),
    ):
        if not some:
            raise too_few(raw, names, SOURCE, 0, 1)
    placed = tuple((place_of(point, seed), point) for point in complied)
    return Raw(tuple(unsafe), tuple(pairs.values()), tuple(refused), placed)
