"""The picture of the leaderboard."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from mene.arena.board import Board, Measured, Row
from mene.arena.card import LONGEST, card
from mene.arena.price import Price
from mene.errors import UsageError

NONE = Measured(value=None, low=None, high=None, n=0)


def row(judge: str, rating: float) -> Row:
    return Row(
        judge=judge, presets=[], best=1, worst=2, rating=rating, low=rating - 30, high=rating + 30, styled=None, elo=1200,
        elo_half=50, votes=9, wins=4, losses=3, ties=1, both_bad=1, seconds=None, tokens_in=None, tokens_out=None,
        begun=9, failed=0, agreement=NONE, preliminary=True, note="",
    )  # fmt: skip


def board(*rows: Row) -> Board:
    return Board(
        rows=list(rows), met=[], won=[], votes=9, voters=3, left_out={}, left=NONE, agreement=NONE, effects={}, notes=[],
    )  # fmt: skip


def test_any_name_makes_a_picture_that_runs_nothing() -> None:
    evil = '"><script>alert(1)</script>\x1b\u202e&'
    picture = ET.fromstring(card(board(row(evil, 1100), row("x" * 200, 900))))
    assert {one.tag.split("}")[1] for one in picture.iter()} == {
        "svg",
        "title",
        "rect",
        "text",
        "line",
        "circle",
    }
    texts = [one.text or "" for one in picture.iter() if one.tag.endswith("text")]
    assert any("<script>" in text and "\x1b" not in text for text in texts)
    assert all(len(text) <= LONGEST + 30 for text in texts[2:-1])
    inside = [float(one.get("cx", "0")) for one in picture.iter() if one.tag.endswith("circle")]
    assert all(300 <= x <= 560 for x in inside) and inside[0] > inside[1]


def test_without_votes() -> None:
    assert "No votes yet." in card(board())


def test_a_price() -> None:
    name, price = Price.parse("openai:gpt-4o-mini=0.15/0.60")
    assert name == "openai:gpt-4o-mini"
    assert price.of_thousand(1000, 100) == 0.15 + 0.06
    assert price.of_thousand(None, None) is None
    for wrong in ("x", "x=1", "=1/2", "x=a/b", "x=-1/2", "x=nan/1"):
        try:
            Price.parse(wrong)
        except UsageError as error:
            assert "write it like" in str(error)
        else:
            raise AssertionError(wrong)
