"""Battles and votes are kept, once each, whoever writes at the same time and whatever ends in between."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from mene.arena.asked import asked
from mene.arena.board import Boards, Filters
from mene.arena.database import open_database, writing
from mene.arena.exchange import add, export
from mene.arena.moderation import decisions, delete_all_of, left_out, moderate
from mene.arena.store import Limits, Store
from mene.arena.tables import NEVER_CHANGED, metadata
from mene.arena.words import (
    LEFT,
    AlreadyVoted,
    ArenaError,
    Moderation,
    NoSuchBattle,
    NotFinished,
    Seat,
    TooManyVotes,
    now,
)
from mene.errors import UsageError
from mene.verdict import Verdict
from tests.arena.conftest import FREE
from tests.arena.crash import attempt, lost_or_doubled
from tests.arena.fought import ADMIN, ASKED, NAMES, SAMPLE, arena_of, fought_over
from tests.arena.made import battle, judged, vote
from tests.serve.served import PlayedEngine

YES, NO = (
    Verdict(label="Yes", critique="Fine.", probabilities={"Yes": 0.8, "No": 0.2}),
    Verdict(label="No"),
)


def test_a_battle_and_its_vote_come_back_as_they_were(store: Store) -> None:
    begun = battle(source="rows.jsonl, CC BY 4.0", seed=2**62)
    store.open(begun)
    assert store.battle(begun.id) == begun
    with pytest.raises(NotFinished, match="still writes"):
        store.vote(vote(begun))
    store.finish(begun.id, "b", NO)
    assert not store.battle(begun.id).is_finished
    store.finish(begun.id, "a", YES)
    there = store.battle(begun.id)
    assert there.is_finished and there.a.verdict == YES and there.b.verdict == NO
    said = vote(begun, "both_bad", reason="neither \0 saw it", label="No", consent=True)
    store.vote(said)
    assert list(store.votes()) == [said] == [store.vote_of(begun.id)]
    assert said.reason == "neither � saw it"  # PostgreSQL holds no NUL
    with pytest.raises(AlreadyVoted):
        store.vote(said)
    with pytest.raises(ArenaError, match="is over"):
        store.finish(begun.id, "a", YES)
    with pytest.raises(NoSuchBattle):
        store.vote(vote(battle()))
    with pytest.raises(ArenaError, match="already"):
        store.open(begun)
    assert [one.id for one in store.battles(voted=True)] == [begun.id]
    assert not list(store.battles(voted=False))


def test_a_judge_that_fails_ends_the_battle_without_a_vote(store: Store) -> None:
    failed, left = battle(), battle()
    for one in (failed, left):
        store.open(one)
        store.finish(one.id, "a", YES)
    store.finish(failed.id, "b", Verdict(error="the server is down"))
    assert store.fail(left.id, "the voter left") and not store.fail(left.id, "again")
    for one in (failed, left):
        with pytest.raises(NotFinished, match="without verdicts"):
            store.vote(vote(one))
    assert store.battle(failed.id).b.error == "the server is down"
    known = {"nano": (2, 0), "base": (2, 1)}
    assert asked(store) == known
    secret = judged()
    store.open(secret)
    assert asked(store) == known  # whoever looks before the vote does not learn who fights
    store.vote(vote(secret))
    assert asked(store) == {"nano": (3, 0), "base": (3, 1)}


def test_of_many_votes_on_a_battle_at_once_one_is_kept(store: Store) -> None:
    one = judged()
    store.open(one)

    def give(choice: str) -> bool:
        try:
            store.vote(vote(one, choice, voter=f"voter-{choice}"))
            return True
        except AlreadyVoted:
            return False

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(give, ["a", "b", "tie", "both_bad"] * 4))
    assert sum(kept) == 1 and len(list(store.votes())) == 1


def test_both_judges_may_end_at_once(store: Store) -> None:
    begun = [battle() for _ in range(8)]
    for one in begun:
        store.open(one)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda job: store.finish(*job),
                [(one.id, seat, YES) for one in begun for seat in "ab"],
            )
        )
    assert all(store.battle(one.id).is_finished for one in begun)


def test_a_voter_votes_only_so_often_also_at_once(database: str) -> None:
    with Store(database, Limits(votes=((5, 3600),))) as store:
        fought = [judged() for _ in range(12)]
        add(store, ((one, None) for one in fought))
        waits = []

        def give(one) -> bool:
            try:
                store.vote(vote(one))
                return True
            except TooManyVotes as error:
                waits.append(error.seconds)
                return False

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(give, fought)) == 5 == len(list(store.votes()))
        assert all(3500 < seconds <= 3601 for seconds in waits)
        rest = [one for one in fought if store.vote_of(one.id) is None]
        store.vote(vote(rest[0], voter="another"))
        store.vote(vote(rest[1], at=now() + timedelta(seconds=3601)))


def test_a_clock_that_went_back_shuts_nobody_out(tmp_path) -> None:
    with Store(tmp_path / "arena.db", Limits(votes=((2, 60),))) as store:
        fought = [judged() for _ in range(7)]
        add(store, ((one, None) for one in fought))
        for one in fought[:2]:
            store.vote(vote(one, at=now() + timedelta(days=3000)))
        store.vote(vote(fought[2]))
        store.vote(vote(fought[3]))
        for seconds in (0, -50):  # a small step back frees nobody either
            with pytest.raises(TooManyVotes) as refused:
                store.vote(vote(fought[4], at=now() + timedelta(seconds=seconds)))
            assert 0 < refused.value.seconds <= 120


def test_no_row_is_ever_changed(store: Store) -> None:
    one = judged()
    add(store, [(one, vote(one))])
    moderate(store, Moderation(target=one.id, kind="battle", what="leave_out", why="spam", by="me"))
    for table in NEVER_CHANGED:
        column = next(iter(metadata.tables[table].c)).name
        with pytest.raises(ArenaError, match="never changed"), writing(store.engine) as connection:
            connection.execute(text(f"UPDATE {table} SET {column} = {column}"))


def test_a_voter_takes_back_everything(store: Store) -> None:
    mine, theirs = judged(voter="mine", source="own"), judged(voter="theirs")
    add(store, [(mine, vote(mine)), (theirs, vote(theirs, voter="mine"))])
    moderate(store, Moderation(target="mine", kind="voter", what="leave_out", why="spam", by="me"))
    assert left_out(store) == (frozenset(), {"mine"})
    assert delete_all_of(store, "mine") == 2 and delete_all_of(store, "mine") == 0 == delete_all_of(
        store, ""
    )
    assert [one.id for one in store.battles()] == [theirs.id] and not list(store.votes())
    with store.engine.connect() as connection:
        for table in metadata.tables.values():
            assert "mine" not in str(connection.execute(table.select()).all())
    assert [line.why for _, line in decisions(store)] == [
        "2 votes and 1 battles, as their voter wished"
    ]


def test_a_voter_s_last_battles_and_those_without_a_vote(store: Store) -> None:
    made = [judged(voter="v1") for _ in range(3)]
    broken, other = battle(voter="v1"), judged(voter="v2")
    add(store, [(made[0], vote(made[0])), (made[1], None), (made[2], None), (other, None)])
    store.open(broken)
    last = store.last_battles("v1", 2)
    assert [(one.id, said) for one, said in last] == [(broken.id, None), (made[2].id, None)]
    assert store.last_battles("v1", 9)[-1] == (made[0], store.vote_of(made[0].id))
    assert store.unvoted("v1", broken.content) == 3  # one is under way
    store.fail(broken.id, LEFT)
    assert store.unvoted("v1", broken.content) == 3
    failed = battle(voter="v1")
    store.open(failed)
    store.finish(failed.id, "a", Verdict(error="the server is down"))
    assert store.unvoted("v1", broken.content) == 3 and store.unvoted("v2", "0") == 0


def test_moderation_is_logged_and_can_be_taken_back(store: Store) -> None:
    one = judged()
    add(store, [(one, vote(one))])
    lines = [
        Moderation(target=one.id, kind="battle", what=what, why="spam", by="me")
        for what in ("leave_out", "take_back", "leave_out")
    ]
    for line in lines:
        moderate(store, line)
    assert [line for _, line in decisions(store)] == lines[::-1] and left_out(store) == (
        {one.id},
        frozenset(),
    )
    [(number, last)] = decisions(store, most=1)
    assert last == lines[-1]
    assert [line for _, line in decisions(store, before=number)] == lines[1::-1]
    with pytest.raises(NoSuchBattle):
        moderate(store, lines[0].model_copy(update={"target": "nobody", "kind": "voter"}))


def test_what_is_here_already_stays(store: Store) -> None:
    first, second = judged(), judged()
    assert add(store, [(first, None), (second, vote(second, "tie"))]) == ["new", "new"]
    again = [
        (first, vote(first)),
        (first, vote(first, "b")),
        (second, vote(second, "a")),
        (second, None),
    ]
    assert add(store, again) == ["vote", "conflict", "conflict", "here"]
    assert [one.choice for one in store.votes()] == ["tie", "a"]


def test_a_battle_that_was_under_way_is_ended_by_a_later_copy(store: Store) -> None:
    early, left = judged(), judged()
    for one in (early, left):
        begun = one.model_copy(update={"ended": None, "a": battle().a, "b": battle().b})
        store.open(begun)
    store.fail(left.id, "the voter left")
    assert add(store, [(early, vote(early)), (left, vote(left))]) == ["vote", "conflict"]
    assert store.battle(early.id) == early and store.vote_of(left.id) is None
    assert Boards(store).board().votes == 1


def test_votes_are_read_as_columns_and_go_out(store: Store) -> None:
    made = [judged(voter=f"v{number}") for number in range(3)]
    add(store, [(one, vote(one, "tie", label="Yes")) for one in made])
    boards = Boards(store)
    assert [row.ties for row in boards.board(Filters(style=True)).rows] == [3, 3]
    assert {row.judge: row.agreement.value for row in boards.board().rows} == {"nano": 1, "base": 0}
    assert len(list(export(store))) == 3 == boards.counts(["base", "nano"]).votes


def test_a_server_that_is_gone_is_one_line(lite: Store) -> None:
    with writing(lite.engine) as connection:
        connection.execute(text("DROP TABLE moderation"))
    for ask in (lambda: decisions(lite), lambda: delete_all_of(lite, "v1")):
        with pytest.raises(ArenaError, match="no such table") as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_without_the_packages_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None; import mene.arena.words"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith('pip install "mene[arena]"\n')


def test_the_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        unique = inspect(connection).get_unique_constraints("votes")
    assert [one["column_names"] for one in unique] == [["battle"]]


VOTER = """
import sys
from mene.arena.store import Limits, Store
from tests.arena.made import judged, vote
store = Store(sys.argv[1], Limits(votes=()))
print("open", flush=True)
while True:
    one = judged()
    store.open(one)
    store.vote(vote(one, "tie"))
    print(one.id, flush=True)
"""


@pytest.mark.posix
def test_processes_open_an_arena_at_once_and_a_kill_loses_no_answered_vote(database: str) -> None:
    """``kill -9`` while they vote: each vote whose answer came is there, once."""
    root = Path(__file__).parents[2]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", VOTER, database], stdout=subprocess.PIPE, text=True, cwd=root
        )
        for _ in range(2)
    ]
    answered: list[str] = []
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "open\n"
        answered += [child.stdout.readline().strip() for _ in range(5)]
    for child in children:
        child.send_signal(signal.SIGKILL)
        # What it still said, but for a line that was cut.
        answered += [
            line.strip()
            for line in child.communicate()[0].splitlines(keepends=True)
            if line[-1] == "\n"
        ]
    with Store(database, FREE) as store:
        kept = [one.battle for one in store.votes()]
        assert len(kept) == len(set(kept)) and set(answered) <= set(kept) and len(answered) >= 10
        one = judged()
        store.open(one)
        store.vote(vote(one))


VOTERS = 20


@pytest.mark.posix
def test_no_vote_is_lost_or_doubled_by_a_kill(database: str) -> None:
    """Of the whole arena, with voters at work: ``crash.py``."""
    told = asyncio.run(attempt(database, VOTERS, votes=1))
    assert len(told.votes) == VOTERS and told.before < VOTERS
    assert told.tries >= 2 and told.broken >= 1  # what the server held when it was killed
    assert lost_or_doubled(database, told) == []


def test_texts_that_a_database_does_not_hold(database) -> None:
    """On PostgreSQL a NUL ends a query with an error of the server's; nowhere is it one of ours."""

    async def test() -> None:
        engines = {name: PlayedEngine() for name in NAMES}
        for engine in engines.values():
            engine.fails_on = "nothing of this"
        async with fought_over(arena_of(database, engines), engines) as f:
            admin = await f.newcomer(agrees=False, authorization=f"Bearer {ADMIN}")
            for text in ("a%00b", "%00" * 32, "%ED%A0%80", "x" * 300):
                for client, path in (
                    (f.client, f"/api/battles/{text}"),
                    (admin, f"/api/admin/battle?id={text}"),
                ):
                    assert (await client.get(path)).status_code == 404, path
                assert (await admin.get(f"/api/admin/voter?id={text}")).json() == {"battles": []}
                path = f"/api/samples/random?other={text}"
                assert (await f.client.get(path)).status_code == 200
                path = f"/api/board?criterion={text}"
                assert (await f.client.get(path)).status_code == 422
                voted = await f.client.post(f"/api/battles/{text}/vote", json={"choice": "a"})
                assert voted.status_code == 404
            for text in ("a\0b", "a\ud800b"):
                sample = {**SAMPLE, "response": text, "context": text}
                own = {"question": f"Is it {text}?", "scale": f"low{text}|high"}
                body = {"sample": sample, "criterion": own, "drawn": text}
                answer = await f.client.post("/api/battles", content=json.dumps(body))
                assert answer.status_code in (200, 422), answer.text
                body = json.dumps({**ASKED, "sample": sample})
                answer = await f.client.post("/api/battles", content=body)
                assert answer.status_code in (200, 422), answer.text
                id, _ = await f.battle()
                body = {"choice": "a", "reason": f"because {text}", "consent": True}
                answer = await f.client.post(f"/api/battles/{id}/vote", content=json.dumps(body))
                assert answer.status_code in (200, 422), answer.text
                body = {"kind": "battle", "target": text, "what": "leave_out", "why": f"why {text}"}
                answer = await admin.post("/api/admin/moderate", content=json.dumps(body))
                assert answer.status_code in (404, 422)
                again = await f.client.post(
                    "/api/battles", content=json.dumps({**ASKED, "again": text})
                )
                assert again.status_code in (404, 422)
            assert [json.loads(line) for line in export(f.arena.store)]

    asyncio.run(test())


def test_a_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 50)
    for where, said in (
        (tmp_path / "text.db", "not a database"),
        (tmp_path / "none" / "arena.db", "no folder"),
        ("mysql://me@here/arena", "postgresql://USER"),
        ("sqlite://", "name one"),
        ("postgresql://me:pass%20word@127.0.0.1:1/arena", "cannot open"),
    ):
        with pytest.raises(UsageError, match=said) as refused:
            open_database(where)
        assert "\n" not in str(refused.value) and "word" not in str(refused.value)


def test_a_database_of_a_newer_mene_is_refused(lite: Store, tmp_path: Path) -> None:
    with writing(lite.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UsageError, match="update mene"):
        Store(tmp_path / "arena.db")


def test_a_seat_cannot_have_both_a_verdict_and_an_error() -> None:
    with pytest.raises(ValueError, match="not both"):
        Seat(judge="nano", verdict=YES, error="down")
    with pytest.raises(ValueError, match="both seats"):
        battle("nano", "nano")
