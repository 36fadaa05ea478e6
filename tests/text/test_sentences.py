"""Texts in pieces that claim something, with their places."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mene.text import sentences
from mene.text.sentences import pieces


def said(text: str) -> list[str]:
    return [f"{p.lead} » {text[p.start : p.end]}" if p.lead else text[p.start : p.end] for p in pieces(text)]  # fmt: skip


SENTENCES: dict[str, list[str]] = {
    "en titles": ["Dr. Smith paid $3.5 million, i.e. too much.", "He left at 5 p.m. on Friday.", "See Fig. 3."],
    "en initials": ["The U.S. economy grew 2.3%.", "J. R. R. Tolkien was born in 1892.", "It costs approx. 5 dollars!"],
    "en numbers": ["He scored 12.", "Then he left.", "It was version 2.0.", "It ran."],
    "en files": ["Visit https://example.com/a.b?c=d.", "Then run main.py and wait.", "It is done..."],
    "en quotes": ['"Really?" she asked him.', 'He said "No." to her.', "(It was late.)", "So they left."],
    "de": ["Am 3. Oktober wurde z. B. Dr. Müller gewählt.", "Das kostet ca. 5,50 Euro.", "Danach ging er."],
    "fr": ["M. Dupont est arrivé hier.", "Il a dit : « Bonjour ! »", "Puis il est parti."],
    "es": ["El Sr. García vive en EE. UU. desde 1990.", "No se sabe."],
    "ru": ["Он родился в 1892 г. в Москве.", "А. С. Пушкин писал стихи."],
    "el": ["Η Αθήνα είναι η πρωτεύουσα.", "Είναι μεγάλη."],
    "ar": ["القاهرة عاصمة مصر.", "هي كبيرة."],
    "hi": ["दिल्ली भारत की राजधानी है।", "यह बड़ी है।"],
}  # fmt: skip
TEXTS: dict[str, tuple[str, list[str]]] = {
    "ja": (
        "東京は日本の首都です。人口は約1400万人です！「本当？」と彼は言った。",
        ["東京は日本の首都です。", "人口は約1400万人です！", "「本当？」と彼は言った。"],
    ),
    "zh, its question left out": (
        "巴黎是法国的首都。它有200万人口！真的吗？是的。",
        ["巴黎是法国的首都。", "它有200万人口！", "是的。"],
    ),
    "empty": ("", []),
    "white space": (" \n\t\n", []),
    "marks": ("?! ... ---", []),
    "a question": ("Would you like to know more?", []),
    "no full stop": ("Netflix was founded July 29", ["Netflix was founded July 29"]),
    "one word": ("Paris", ["Paris"]),
    "one word before": (
        "Sure! He was born in Tupelo. Anything else?",
        ["Sure! He was born in Tupelo."],
    ),
    "one word behind": ("He is right. Sure!", ["He is right. Sure!"]),
    "list": (
        "The causes are:\n- heat\n* wind. It blows.\n\nThat is all there is.",
        [
            "The causes are: » heat",
            "The causes are: » wind. It blows.",
            "That is all there is.",
        ],
    ),
    "numbered": ("1. First it rained\n2) Then it snowed", ["First it rained", "Then it snowed"]),
    "a date is no item": ("3. Oktober 1990 war es so weit.", ["3. Oktober 1990 war es so weit."]),
    "nested": ("- a b\n  - c d\n    more of it", ["a b", "c d", "more of it"]),
    "headings": (
        "# Title\n\n**Bold**\n\nText is here.\n\n---\nTitle\n=====",
        ["Text is here.", "Title"],
    ),
    "a bold sentence": ("**He was born in 1815.**", ["**He was born in 1815.**"]),
    "nothing follows": ("It is as follows:", ["It is as follows:"]),
    "a text follows": ("He wrote this:\n\nIt was late.", ["He wrote this:", "It was late."]),
    "table": (
        "| City | Rain |\n|:---|---:|\n| Paris | 3 mm |\n| Oslo | 4. |\n\nEnd of it.",
        ["City | Rain » | Paris | 3 mm |", "City | Rain » | Oslo | 4. |", "End of it."],
    ),
    "table without names": ("| Paris | 3 |\n| Oslo | 4 |", ["| Paris | 3 |", "| Oslo | 4 |"]),
    "code": (
        "See this:\n\n```python\nx = 1. Y\n\ny = 2\n```\nIt works well.",
        ["See this: » ```python\nx = 1. Y\n\ny = 2\n```", "It works well."],
    ),
    "code that never ends": ("~~~\na. B\n\nc", ["~~~\na. B\n\nc"]),
    "quote": ("> He came late. She left.\n> Nobody knew.", ["He came late.", "She left.", "Nobody knew."]),
    "short lines": ("Name: Ada\nBorn: 1815", ["Name: Ada", "Born: 1815"]),
    "wrapped lines": (
        "The bridge over the river was built between 1890 and\n1894 by two brothers. It still stands today.",
        [
            "The bridge over the river was built between 1890 and\n1894 by two brothers.",
            "It still stands today.",
        ],
    ),
    "windows": ("He came late.\r\n\r\nShe left early.", ["He came late.", "She left early."]),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name: str) -> None:
    assert said(" ".join(SENTENCES[name])) == SENTENCES[name]


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    text, wanted = TEXTS[name]
    assert said(text) == wanted


parts = st.sampled_from(
    ["He came. ", "It is 5.", "\n", "\n\n", "- ", "1. ", "| a | b |", "|---|", "```", "# ", "> ", "z. B. ", "。", "?", "!",
     "Dr.", " ", "\t", "…", "»", "x", "\r\n", "\u2028", "1", ":", "**", "🙂"]
)  # fmt: skip


@settings(max_examples=100)
@given(st.lists(parts, max_size=25).map("".join) | st.text(max_size=60))
@example("|---|\n|---|\n| a |")
@example("> \n> |\n")
def test_pieces_lie_in_the_text_in_order_and_lose_no_sentence(text: str) -> None:
    found = pieces(text)
    assert all(text[p.start : p.end].strip() == text[p.start : p.end] != "" for p in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    for piece in found:
        assert any(c.isalnum() for c in text[piece.start : piece.end]) or piece.kind == "code"


def test_a_long_text_takes_time_by_its_length_alone() -> None:
    """Half a million characters of every kind; a rule that goes back over them would take minutes."""
    for text in (
        "He came late. " * 10_000,
        "a " * 90_000,
        "- x\n" * 9_000,
        "." * 99_000,
        "((" * 99_000,
        "«" * 99_999,
    ):
        assert len(pieces(text)) <= len(text)


N = 12_000  # quadratic time would be 3 s and more, linear time is some ms
LONG = [" ", "\t", "-", "- ", "-|", "| ", "|", " | -", "*", "**a", "_", "=", "# ", "> ", ">", "`", "~", "1. ", "(a) ", ". ", "a.", ".\"", "\n", "a\n", "- a\n", "1. a\n", "| a |\n", "» "]  # fmt: skip
BEFORE = ["", "| a | b |\n", "| a | b |\n| -", "**"]


@pytest.mark.parametrize("before", BEFORE)
def test_the_time_grows_with_the_text_and_no_faster(before: str) -> None:
    patterns = [one for one in vars(sentences).values() if isinstance(one, re.Pattern)]
    for unit in LONG:
        for after in ("", "x|\n| 1 | 2 |"):
            text = before + unit * N + after
            start = time.process_time()
            pieces(text)
            for line in (text, *text.split("\n")[:3]):
                for pattern in patterns:
                    pattern.match(line)
            assert time.process_time() - start < 1.5, (unit, after)


@given(st.text(" \t|:-x", max_size=12))
@example("| --- | :-: |")
def test_a_rule_of_a_table_is_what_it_was(line: str) -> None:
    old = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
    assert bool(old.match(line)) == bool(sentences.RULE.match(line))
