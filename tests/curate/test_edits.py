"""Edits do what their names say, to the letter."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.curate.make import edits
from mene.curate.mix import rank

DRAWS = [partial(rank, seed) for seed in range(40)]
STORY = "Anna opened the door. The cat ran out. It crossed the road! A car stopped. Anna called it back."


@pytest.mark.parametrize("draw", DRAWS)
def test_a_number_that_was_in_the_source_becomes_one_that_was_nowhere(draw) -> None:
    text = "It was built in 1907 and has 12 floors and 1,250 windows."
    source = "Built in 1907, the tower has twelve floors, 1,250 windows and 3 doors."
    new = edits.change_number(text, source, draw)
    assert new is not None
    gone, came = edits.numbers(text) - edits.numbers(new), edits.numbers(new) - edits.numbers(text)
    assert len(gone) == len(came) == 1
    assert gone <= edits.numbers(source)
    assert not came & edits.numbers(source)
    assert [w for w in edits.words(new) if w.isalpha()] == [
        w for w in edits.words(text) if w.isalpha()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It has 7 doors.",  # not in the source
        "It has more than 12 floors.",  # stays true of other numbers
        "12. It is high.",  # a list
        "Flight 12B left.",
        "It is high.",
    ],
)
def test_numbers_that_prove_nothing_stay(text: str) -> None:
    assert edits.change_number(text, "It has 12 floors.", DRAWS[0]) is None


@given(st.integers(0, 10**6), st.integers(0, 99))
def test_any_number_changes_its_value(number: int, seed: int) -> None:
    new = edits.change_number(f"There are {number} of them.", f"{number} of them", DRAWS[seed % 40])
    assert new is not None
    assert edits.numbers(new) != {float(number)}
    assert len(edits.numbers(new)) == 1


@pytest.mark.parametrize("draw", DRAWS)
def test_a_day_stays_one_of_a_month(draw) -> None:
    new = edits.change_number("It was on July 20, of course.", "July 20", draw)
    assert new is not None
    assert edits.numbers(new) <= {float(n) for n in range(1, 29)} - {20.0}


def test_a_name_becomes_a_strange_one_everywhere() -> None:
    text = "The film was made by Ridley Scott, and critics like Ridley Scott."
    source = "Ridley Scott made the film in London."
    new = edits.change_name(text, source, ["Ridley Jones", "Paris", "John Ford"], DRAWS[0])
    assert new == "The film was made by John Ford, and critics like John Ford."
    assert edits.change_name(text, "He made it.", ["John Ford"], DRAWS[0]) is None


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("Rome is in central Italy.", "Rome is not in central Italy."),
        ("The cat can see the dog", "The cat can not see the dog"),
        ("Rome is not in Italy.", None),
        ("Rome is in Italy. It is old.", None),
        ("The man who was here is gone.", None),
        ("Is Rome in Italy?", None),
        ("Only Rome is in Italy.", None),
    ],
)
def test_a_plain_statement_is_denied(text: str, denied: str | None) -> None:
    assert edits.negate(text) == denied


@pytest.mark.parametrize("draw", DRAWS)
def test_shuffled_and_truncated(draw) -> None:
    mixed = edits.shuffle(STORY, draw)
    assert mixed is not None
    assert mixed != STORY
    assert sorted(edits.sentences(mixed)) == sorted(edits.sentences(STORY))
    long = " ".join(f"word{n} and so on" for n in range(20)) + "."
    cut = edits.truncate(long, draw)
    assert cut is not None
    assert long.startswith(cut)
    assert 0.25 < len(cut) / len(long) < 0.7
    assert cut[-1].isalnum()
    assert edits.shuffle("- One.\n- Two.\n- Three.\n- Four.", draw) is None
    assert edits.truncate("Short.", draw) is None


def test_cut_before_the_answer() -> None:
    text = "The capital of that country has long been (Paris), I think."
    cut = edits.truncate_before(text, ["Paris", "City of Paris"])
    assert cut == "The capital of that country has long been"
    assert edits.truncate_before("Paris is the capital.", ["Paris"]) is None
    assert edits.truncate_before("No such thing is said here.", ["Paris"]) is None


@given(
    st.lists(st.sampled_from(["One day.", "Two *stars*!", "What?", "no end"]), min_size=1),
    st.integers(0, 39),
)
def test_style_keeps_every_word(parts: list[str], seed: int) -> None:
    text, draw = " ".join(parts), DRAWS[seed]
    assert edits.words(edits.markdown(text, draw)) == edits.words(text)
    assert edits.markdown(text, draw) != text
    for edit in (edits.filler, edits.tone):
        assert edits.says(edit(text, draw), text)
        assert len(edit(text, draw)) > len(text)


def test_padding_stands_behind_the_whole_text() -> None:
    assert edits.pad("Paris", "One. Two. Three.") == "Paris. One. Two."


def test_phrases_are_found_by_words() -> None:
    assert edits.says("It was PARIS, of course.", "paris")
    assert not edits.says("Parisian", "Paris")
    assert not edits.says("anything", " - ")
    assert edits.aliases("A cat/the cat\nCats/ ") == ["A cat", "the cat", "Cats"]
    assert edits.overlap("green whales", "blue whales") == 0.5
