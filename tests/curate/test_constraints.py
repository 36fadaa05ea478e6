"""What an instruction asks for is read rightly, and what is broken is broken whoever counts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.curate.make import terms
from mene.curate.make.constraints import EVERY, KINDS, asked, broken
from mene.curate.make.perturb import perturb
from mene.curate.mix import rank, side_of
from mene.curate.raw.rows import read_source
from mene.curate.raw.sources import Point, find_source

DRAWS = [partial(rank, seed) for seed in range(12)]
ALL = f"Does the response follow {EVERY} of the prompt?"
SPARE = "The weather was fine on that day. Nobody had thought of bringing a map along. " * 40


def one(name: str) -> str:
    return f"Does the response satisfy this constraint of the prompt: {KINDS[name].rubric}?"


# What is asked ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "noun", "bound"),
    [
        ("Write at least 300 words.", "words", (300, inf)),
        ("Use less than ten sentences, please.", "sentences", (0, 9)),
        ("It should contain 17 or more sentences.", "sentences", (17, inf)),
        ("The reply should have 45 or less words.", "words", (0, 45)),
        ("Write a 300+ word summary.", "word", (300, inf)),
        ("No more than 20 words!", "words", (0, 20)),
        ("Use more than 4 short words.", "words", (5, inf)),
        ("A letter of 300 words.", "words", None),  # about 300? exactly?
        ("Write at least 300 words. Use at most 400 words.", "words", None),  # two bounds
        ("Every paragraph has at least 50 words.", "words", None),  # not of the whole
        ("It must not be less than 50 words.", "words", None),
        ("Write 3 to 5 sentences.", "sentences", None),
        ("Say it at least 50 times and use the words well.", "words", None),
        ("Write a poem.", "words", None),
    ],
)
def test_amounts(instruction: str, noun: str, bound: terms.Bound | None) -> None:
    assert terms.amount(instruction, noun) == bound


RELATIONS = {
    "at least {}": lambda n: (n, inf),
    "no less than {}": lambda n: (n, inf),
    "more than {}": lambda n: (n + 1, inf),
    "at most {}": lambda n: (0, n),
    "fewer than {}": lambda n: (0, n - 1),
    "exactly {}": lambda n: (n, n),
    "{} or more": lambda n: (n, inf),
    "{} or fewer": lambda n: (0, n),
}


@given(st.sampled_from(sorted(RELATIONS)), st.integers(1, 5000), st.integers(1, 5000))
def test_any_amount_in_any_words(relation: str, n: int, m: int) -> None:
    said = f"Write a story with {relation.format(n)} words"
    assert terms.amount(f"{said}.", "words") == RELATIONS[relation](n)
    assert terms.amount(f"{said} in each part.", "words") is None
    again = f"{said}. Use {relation.format(m)} words."
    assert terms.amount(again, "words") == (RELATIONS[relation](n) if n == m else None)


@given(st.text(max_size=200))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    for question in (ALL, *map(one, KINDS)):
        asked(text, question)


@pytest.mark.parametrize(
    ("instruction", "wanted", "unwanted"),
    [
        ("Include the keywords 'sea' and 'sky'.", ("sea", "sky"), None),
        ('Use the word "rock" and do not use "roll".', ("rock",), None),
        ("Include keywords gao and hearts in the response.", ("gao", "hearts"), None),
        ("Do not include the keywords: sleep, cook, feed", None, ("sleep", "cook", "feed")),
        ("Don't use the words perfume, fresh, or good.", None, ("perfume", "fresh", "good")),
        ("Do not include keywords ['bad', 'poor'] here.", None, ("bad", "poor")),
        ("Avoid the word \"steps\". Mention the word 'way'.", ("way",), ("steps",)),
        ("Write about the words of a song.", None, None),
    ],
)
def test_keywords(
    instruction: str, wanted: tuple[str, ...] | None, unwanted: tuple[str, ...] | None
) -> None:
    assert terms.wanted(instruction) == wanted
    assert terms.unwanted(instruction) == unwanted


def test_frequencies_and_endings() -> None:
    assert terms.frequency("The word knot appears at least 2 times.") == ("knot", (2, inf))
    assert terms.frequency('Use the word "might" more than twice.') == ("might", (3, inf))
    assert terms.frequency("The word 'flesh' should appear less than 3 times.") == ("flesh", (0, 2))
    assert terms.frequency("Use the word may, and at least 3 commas.") is None
    assert terms.frequency("A word limit of at least 300 words") is None
    assert terms.ending('End with the exact phrase "Any questions?"') == "Any questions?"
    assert terms.ending('The "end" of a story') is None


# What is broken -----------------------------------------------------------------------------------

STORY = "Ann had a boat. The boat was old and brown. Ben liked the boat. He could sail it well."
TEXTS = {
    "words": ("Write at least 15 words.", STORY),
    "sentences": ("Use less than 6 sentences.", STORY),
    "bullets": ("Give exactly 3 bullet points.", "* one of them\n* two of them\n* three of them"),
    "parts": (
        "Exactly 3 paragraphs, separated by the divider ***",
        "One is here.\n\n***\n\nTwo is here.\n\n***\n\nThree is here.",
    ),
    "highlights": ("Highlight at least 2 sections.", "A *red* fox and a *blue* or **green** one."),
    "placeholders": ("Use at least 2 placeholders.", "Dear [name], come to [place] on [day]."),
    "capital words": ("At least 2 words in all capital letters.", "The BIG dog SAW me."),
    "frequency": (
        "The word boat should appear at least 3 times.",
        f"{STORY} In the evening it rained, and they had to wait at home until the wind was gone.",
    ),
    "keywords": ('Include the words "brown" and "sail".', STORY),
    "forbidden": ("Do not use the words 'ship' or 'sea'.", STORY),
    "ending": ('End with the phrase "He could sail it well."', STORY),
    "repeated": (
        f"First repeat the request word for word. {STORY}",
        f"{STORY}\n\nSo it was.",
    ),
    "commas": ("Do not use any commas.", STORY),
    "capitals": ("Use all capital letters.", STORY.upper()),
    "small letters": ("Use lowercase only.", STORY.lower()),
    "quotation": ("Wrap it in double quotation marks.", f'"{STORY}"'),
    "title": ("Put the title in double angular brackets.", f"<<The boat>>\n{STORY}"),
    "postscript": ("Add a postscript starting with P.S.", f"{STORY}\n\nP.S. It sank."),
    "json": ("Wrap it in JSON.", '```json\n{"boat": ["old", "brown"]}\n```'),
    "two": ("Two responses separated by ******", f"{STORY}\n******\nAnn had no boat at all."),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("spare", [SPARE, ""])
def test_every_kind_is_broken(name: str, spare: str) -> None:
    instruction, text = TEXTS[name]
    kind, demand = KINDS[name], asked(instruction, one(name))[name]
    assert kind.check(text, demand) is True
    found = [broken(instruction, one(name), text, draw, spare) for draw in DRAWS]
    if name == "sentences" and not spare:
        assert not any(found)  # nothing to make it longer with
        return
    assert all(found)
    for made in found:
        assert made is not None
        assert made[0] == name
        assert kind.check(made[1], demand) is False
        assert made[1] != text


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("bullets", "Use at most 3 bullet points."),
        ("parts", "Use at most 3 paragraphs, with *** between."),
    ],
)
@pytest.mark.parametrize("spare", [SPARE, ""])
def test_a_text_may_have_none_of_what_is_limited(name: str, instruction: str, spare: str) -> None:
    assert KINDS[name].check("It is one line.", asked(instruction, one(name))[name]) is True
    assert not any(broken(instruction, one(name), "It is one line.", draw, spare) for draw in DRAWS)


@given(st.sampled_from(sorted(TEXTS)), st.text(max_size=120), st.integers(0, 11))
def test_what_is_not_surely_broken_is_not_made(name: str, text: str, seed: int) -> None:
    instruction = TEXTS[name][0]
    made = broken(instruction, one(name), text, DRAWS[seed], SPARE)
    if made is not None:
        demand, check = asked(instruction, one(name))[name], KINDS[name].check
        assert (check(text, demand), check(made[1], demand)) == (True, False)


@pytest.mark.parametrize(
    ("name", "instruction", "text"),
    [
        ("words", "At least 7 words.", "A well-known fact is not new."),  # 6 or 7
        ("sentences", "At most 2 sentences.", "Three lines\nand no\nfull stop"),
        ("parts", "Exactly 2 parts, divided by ***", "One.\n***\n"),
        ("bullets", "Exactly 2 bullet points.", "* one\n* two\n1. three"),
        ("quotation", "Wrap it in double quotation marks.", "“Curly ones.”"),
        ("commas", "Use no commas.", "一、二"),
    ],
)
def test_where_counts_differ_nothing_is_said(name: str, instruction: str, text: str) -> None:
    assert KINDS[name].check(text, asked(instruction, one(name))[name]) is None
    assert broken(instruction, one(name), text, DRAWS[0], SPARE) is None


def test_a_question_names_one_constraint_or_all_of_them() -> None:
    instruction = "Write at least 12 words, without commas, in English."
    assert set(asked(instruction, ALL)) == {"words", "commas"}
    assert asked(instruction, one("words")) == {"words": (12, inf)}
    assert not asked(instruction, "Does the response satisfy this constraint: in English?")
    assert not asked(instruction, "Is the response good?")
    for other in (
        "Use at least 3 words in all capital letters.",
        "Use no lowercase letters.",
        "Write about JSON.",
    ):
        assert not {"capitals", "small letters", "json"} & set(asked(other, ALL))
    assert "capitals" in asked("Your entire response should be in all capital letters.", ALL)
    kinds = {made[0] for draw in DRAWS if (made := broken(instruction, ALL, STORY, draw, SPARE))}
    assert kinds == {"words", "commas"}


# Real rows ----------------------------------------------------------------------------------------

# Other counters than those of forms.py, as plain as those of IFEval.
COUNTERS: dict[str, Callable[[str, Any], bool]] = {
    "words": lambda t, d: d[0] <= len(re.findall(r"\w+", t)) <= d[1],
    "bullets": lambda t, d: d[0] <= len(re.findall(r"(?m)^\s*(?:\*[^*]|-)", t)) <= d[1],
    "placeholders": lambda t, d: len(re.findall(r"\[.*?\]", t)) >= d[0],
    "highlights": lambda t, d: (
        sum(bool(h.strip("* ")) for h in re.findall(r"\*[^\n*]*\*|\*\*[^\n*]*\*\*", t)) >= d[0]
    ),
    "frequency": lambda t, d: d[1][0] <= len(re.findall(d[0], t, re.I)) <= d[1][1],
    "keywords": lambda t, d: all(re.search(re.escape(w), t, re.I) for w in d),
    "forbidden": lambda t, d: not any(re.search(rf"\b{re.escape(w)}\b", t, re.I) for w in d),
    "ending": lambda t, d: t.strip().strip('"').lower().endswith(d.lower().strip('"')),
    "commas": lambda t, d: "," not in t,
    "capitals": lambda t, d: t.isupper(),
    "small letters": lambda t, d: t.islower(),
    "quotation": lambda t, d: t.strip()[0] == '"' == t.strip()[-1],
    "title": lambda t, d: bool(re.search(r"<<[^\n]+>>", t)),
    "postscript": lambda t, d: bool(re.search(r"p\.\s?(p\.\s?)?s", t.lower())),
    "two": lambda t, d: len([p for p in t.split("******") if p.strip()]) == 2,
    "parts": lambda t, d: d[0] <= len(re.split(r"\s?\*\*\*\s?", t)) <= d[1],
}


@pytest.fixture(scope="module")
def rows(bench_data) -> list[Point]:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    return list(read_source(folder, find_source("ifeval_constraints"), print))


def test_checks_agree_with_the_labels_of_the_set(rows) -> None:
    """The labels are the outcome of IFEval's own checker; it also asks for English where letters are counted."""
    found: Counter[tuple[str, bool | None, str]] = Counter()
    for point in rows:
        question, sample = point.criterion.question, point.sample
        for name, demand in asked(sample.instruction, question).items():
            kept = KINDS[name].check(sample.response, demand)
            if EVERY not in question:
                found[name, kept, point.label] += 1
            elif point.label == "Yes" and name != "two":  # IFEval lets an empty half pass
                assert kept is not False, (name, demand, sample.instruction)
    assert {name for name, _, _ in found} == set(KINDS)
    for name in KINDS:
        right = found[name, True, "Yes"]
        assert right > 25
        assert found[name, False, "Yes"] <= 0.03 * right
        # What these kinds ask for beside the form: the language, or a number that the words leave open.
        if name not in (
            "capitals",
            "small letters",
            "repeated",
            "highlights",
            "postscript",
            "parts",
        ):
            assert not found[name, True, "No"]


@pytest.fixture(scope="module")
def made(rows) -> list[tuple[Point, Point]]:
    """The point with the good response, and what was made of it."""
    by_id = {p.id: p for p in rows}
    changed = perturb("constraint", rows, 800, 0, lambda p: side_of(p, 0.3, 0))
    return [(by_id[re.split(r"[+~]", one.point.id)[0]], one.point) for one in changed]


def test_real_responses_are_broken_by_other_counters_too(made) -> None:
    assert len(made) == 800
    kinds = Counter()
    for original, point in made:
        sample = point.sample
        good, bad = original.sample.response, sample.response
        if point.criterion.scale.kind == "pairwise":
            good, bad = sample.response_a, sample.response_b
            if point.label == "B":
                good, bad = bad, good
            assert "constraint" in point.criterion.question
        else:
            assert point.label == "No"
        assert original.label == "Yes"
        assert good == original.sample.response
        assert point.group == original.group
        point.criterion.check(sample)
        changed = {
            name: demand
            for name, demand in asked(sample.instruction, original.criterion.question).items()
            if (KINDS[name].check(good, demand), KINDS[name].check(bad, demand)) == (True, False)
        }
        assert changed
        for name, demand in changed.items():
            kinds[name] += 1
            if name in COUNTERS:
                assert not COUNTERS[name](bad, demand), (name, demand, bad)
    assert set(kinds) == set(KINDS)


def test_both_forms_are_made_and_json_is_none(made) -> None:
    found = Counter(point.criterion.scale.kind for _, point in made)
    assert min(found["pairwise"], found["nominal"]) > 300
    for original, point in made:
        if "wrapped entirely in JSON" in original.criterion.question and point.sample.response:
            with pytest.raises(ValueError):
                json.loads(point.sample.response.strip("`json \n"))
