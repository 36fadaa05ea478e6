"""The leaderboard: what the votes that count say, filtered, and up to date."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mene.arena.board import Boards, Filters, Measured
from mene.arena.board_api import _time
from mene.arena.exchange import add
from mene.arena.moderation import delete_all_of, moderate
from mene.arena.store import Store
from mene.arena.words import Moderation, Seat, now
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.sample import Sample
from mene.verdict import Usage, Verdict
from tests.arena.made import judged, vote

SCORED = Criterion(name="scored", question="How good?", scale="1-5")  # type: ignore[arg-type]
START = now() - timedelta(days=10)


def filled(store: Store) -> list[str]:
    """40 votes: base wins 3 of 4 against nano, and 24 of them say their own label, base's."""
    made = []
    for i in range(40):
        names = ("nano", "base") if i % 2 else ("base", "nano")
        right, wrong = (
            Verdict(label="Yes", latency_s=2, usage=Usage(completion_tokens=30)),
            Verdict(label="No", latency_s=1),
        )
        seats = [
            Seat(judge=name, preset=f"hash {name}", verdict=right if name == "base" else wrong)
            for name in names
        ]
        one = judged(
            *seats,
            voter=f"v{i % 8}",
            sample=Sample(instruction=str(i)),
            **({"criterion": SCORED} if i >= 36 else {}),
        )
        best = "a" if names[0] == "base" else "b"
        choice = best if i % 4 else ("b" if best == "a" else "a")
        made.append(
            (one, vote(one, choice, label="Yes" if i < 24 else None, at=START + timedelta(hours=i)))
        )
    add(store, made)
    return [one.id for one, _ in made]


def test_a_board_counts_rates_and_ranks(lite: Store) -> None:
    filled(lite)
    found = Boards(lite).board()
    base, nano = found.rows
    assert (base.judge, base.wins, base.losses, base.votes, base.best) == ("base", 30, 10, 40, 1)
    assert (nano.wins, nano.losses, nano.presets, nano.worst) == (10, 30, ["hash nano"], 2)
    assert (
        base.rating > 1000 > nano.rating and base.low < base.rating < base.high and base.preliminary
    )
    assert base.seconds == 2 and base.tokens_out == 30 and nano.tokens_out is None
    assert base.agreement.value == 1 and nano.agreement.value == 0 and base.agreement.n == 24
    assert found.agreement.value == 0.75 and found.agreement.n == 24
    assert found.votes == 40 and found.voters == 8 and found.left.n == 40 and not found.left_out
    assert found.met == [[0, 40], [40, 0]] and found.won == [[0, 30], [10, 0]]
    assert base.begun == 40 and base.failed == 0 and base.elo > 1200 > nano.elo


def test_filters(lite: Store) -> None:
    filled(lite)
    boards = Boards(lite)
    assert (
        boards.board(Filters(criterion="scored")).votes
        == 4
        == boards.board(Filters(kind="ordinal")).votes
    )
    assert boards.board(Filters(since=START + timedelta(hours=30))).votes == 10
    assert boards.board(Filters(until=START + timedelta(hours=9))).votes == 10
    assert boards.board(Filters(group="occasional")).votes == 40
    assert (
        boards.board(Filters(group="frequent")).rows == []
        and boards.board(Filters(group="labelling")).votes == 40
    )
    assert boards.board(Filters(judges=("base", "nano"))).votes == 40
    styled = boards.board(Filters(style=True)).rows[0].styled
    assert isinstance(styled, Measured) and styled.value is not None
    assert (
        boards.board(Filters(intervals="bootstrap")).rows[0].rating == boards.board().rows[0].rating
    )
    for wrong in (
        Filters(criterion="scord"),
        Filters(group="x"),
        Filters(judges=("n",)),
        Filters(intervals="x"),
    ):
        with pytest.raises(UsageError):
            boards.board(wrong)


def test_a_board_follows_votes_deletions_and_moderation(lite: Store) -> None:
    boards = Boards(lite)
    assert boards.board().rows == [] and boards.history() == [] and boards.suspects() == []
    ids = filled(lite)
    assert boards.board().votes == 40
    more = judged(voter="new")
    add(lite, [(more, vote(more))])
    assert boards.board().votes == 41
    moderate(lite, Moderation(target=ids[0], kind="battle", what="leave_out", why="spam", by="me"))
    assert boards.board().votes == 40 and boards.board().left_out == {"battle moderated": 1}
    delete_all_of(lite, "v1")
    assert boards.board().votes == 35 and boards.counts(["base", "other"]).votes == 0
    assert boards.counts(["base", "other", "nano"]).votes == 35
    story = boards.history(4)
    assert [one.votes for one in story] == sorted(one.votes for one in story) and story[
        -1
    ].votes == 35
    assert story[-1].ratings["base"] == pytest.approx(boards.board().rows[0].rating)


def test_a_judge_that_never_won_has_a_note(lite: Store) -> None:
    made = [judged("nano", "base", sample=Sample(instruction=str(i))) for i in range(6)]
    add(lite, [(one, vote(one, "b")) for one in made])
    base, nano = Boards(lite).board().rows
    assert "never lost" in base.note and "never won" in nano.note


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "2026-01-31T12:00"])
def test_a_time_of_a_filter_without_a_zone_is_in_utc(text: str) -> None:
    assert _time(text, "since") == datetime.fromisoformat(
        f"{text[:10]}{text[10:] or 'T00:00'}+00:00"
    )
