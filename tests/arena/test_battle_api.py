"""Battles over HTTP: blind until the vote, one vote, and what becomes of judges that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mene.arena.battle_api import SKIPPED
from mene.arena.database import writing
from mene.arena.store import Limits as Votes
from mene.arena.visitors import Hourly
from mene.arena.words import ArenaError, NoSuchBattle
from mene.errors import ModelError
from tests.arena.fought import ADMIN, ASKED, NAMES, SAMPLE, fought


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_nothing_tells_who_fights_before_the_vote(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            for _ in range(6):
                id, events = await f.battle()
                kinds = [kind for kind, _ in events]
                assert kinds[0] == "battle" and kinds[-2:] == ["verdicts", "done"]
                shown = json.dumps(events) + (await f.client.get(f"/api/battles/{id}")).text
                assert "begun" not in (await f.client.get("/api/board")).text
                assert not any(f'"{name}"' in shown for name in NAMES)
                for secret in ("probabilities", "latency", "usage", "preset", "played", "score"):
                    assert secret not in shown
                verdicts = events[-2][1]
                for seat in "ab":
                    assert set(verdicts[seat]) == {"label", "abstained", "critique"}
                told = (await f.vote(id, "a", label="no", reason=" it is so ")).json()
                kept = f.arena.store.battle(id)
                for seat, one in (("a", kept.a), ("b", kept.b)):
                    assert told[seat]["judge"] == one.judge
                    assert told[seat]["label"] == verdicts[seat]["label"]
                    assert told[seat]["agrees"] == (verdicts[seat]["label"] == "No")
                vote = f.arena.store.vote_of(id)
                assert vote is not None and (vote.reason, vote.label) == ("it is so", "No")

    run(test)


def test_critiques_come_in_step_and_a_judge_of_labels_holds_them_back(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            for _ in range(8):
                id, events = await f.battle()
                pieces = [data for kind, data in events if kind == "critique"]
                silent = "nano" in {
                    f.arena.store.battle(id).a.judge,
                    f.arena.store.battle(id).b.judge,
                }
                assert bool(pieces) != silent  # nano writes none
                assert all(len(one["a"]) == len(one["b"]) for one in pieces)
                said = events[-2][1]
                assert {"because", None} >= {said[seat]["critique"] for seat in "ab"}
                await f.vote(id, "tie")

    run(test)


def test_all_judges_may_write_equally_much(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, critique_tokens=7) as f:
            seen: dict[str, set[int]] = {name: set() for name in NAMES}

            def listen(name: str) -> None:
                engine = f.engines[name]
                answer = engine.answer
                engine.answer = lambda asked: (
                    seen[name].add(asked.critique_tokens),
                    answer(asked),
                )[1]  # type: ignore[method-assign]

            for name in NAMES:
                listen(name)
            while not all(seen.values()):
                await f.battle()
            # base is asked for its label, and then for a reason; nano writes none.
            assert seen == {"base": {0, 7}, "nano-base": {7}, "nano": {0}}

    run(test)


def test_the_same_vote_again_has_the_same_answer_and_another_none(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            first = await f.vote(id, "b")
            again = await f.vote(id, "b")
            assert first.status_code == again.status_code == 200
            assert first.json()["b"]["judge"] == again.json()["b"]["judge"]
            other = await f.vote(id, "a")
            assert other.status_code == 409 and "already" in other.json()["error"]["message"]
            shown = (await f.client.get(f"/api/battles/{id}")).json()
            assert shown["choice"] == "b" and shown["a"]["judge"] == first.json()["a"]["judge"]
            assert len(list(f.arena.store.votes())) == 1

    run(test)


def test_only_who_began_a_battle_sees_it_and_votes(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            other, stranger = await f.newcomer(), await f.newcomer(agrees=False)
            for client, status in ((other, 404), (stranger, 403)):
                vote = await client.post(f"/api/battles/{id}/vote", json={"choice": "a"})
                assert vote.status_code == status
                assert (await client.get(f"/api/battles/{id}")).status_code == status
            assert (await stranger.post("/api/battles", json=ASKED)).status_code == 403
            assert (await f.vote("0" * 32, "a")).status_code == 404

    run(test)


def test_the_favourite_and_what_a_person_had_said(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, ("base", "nano")) as f:
            for _ in range(4):  # base wins
                id, _ = await f.battle()
                seat = "a" if f.arena.store.battle(id).a.judge == "base" else "b"
                told = (await f.vote(id, seat)).json()
                f.arena.standing._kept = None
            assert told["favourite"] == seat and told["upset"] is False
            assert told[seat]["best"] == 1 and told[seat]["votes"] == 3  # before this vote
            drawn = (await f.client.get("/api/samples/random")).json()
            row = f.arena.samples._by_id[drawn["id"]]
            more = {
                "sample": drawn["sample"],
                "criterion": drawn["criterion"],
                "drawn": drawn["id"],
            }
            id, _ = await f.battle(**more)
            told = (await f.vote(id, "tie")).json()
            assert told["person"] == row.label and row.licence in told["source"]
            assert told["upset"] is None
            changed = {**drawn["sample"], "instruction": "Something else."}
            id, _ = await f.battle(**{**more, "sample": changed})
            assert f.arena.store.battle(id).source == "typed"
            assert (await f.vote(id, "tie")).json()["person"] is None

    run(test)


def test_other_judges_on_the_same_sample_come_after_the_vote(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            for _ in range(6):
                before = f.arena.store.battle(id)
                early = await f.client.post("/api/battles", json={**ASKED, "again": id})
                assert early.status_code == 409 and "vote on this battle first" in early.text
                assert (await f.vote(id, "tie")).status_code == 200
                id, _ = await f.battle(again=id)
                now = f.arena.store.battle(id)
                assert {now.a.judge, now.b.judge} != {before.a.judge, before.b.judge}
            stranger = await f.newcomer()
            answer = await stranger.post("/api/battles", json={**ASKED, "again": id})
            assert answer.status_code == 404

    run(test)


def test_nobody_goes_through_battles_on_one_sample_until_the_judges_please(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, ("base", "nano")) as f:
            f.engines["nano"].fails_on = "At ten."
            await f.battle()  # ended by a judge: nobody's fault
            f.engines["nano"].fails_on = "nothing"
            ids = [(await f.battle())[0] for _ in range(SKIPPED)]
            refused = await f.client.post("/api/battles", json=ASKED)
            assert refused.status_code == 409 and "another sample" in refused.text
            assert not f.arena.fighting
            other = {**SAMPLE, "response": "At eight."}
            assert (await f.battle(sample=other))[0]
            assert (await f.vote(ids[0], "a")).status_code == 200
            assert (await f.battle())[0]

    run(test)


def test_a_battle_without_a_vote_is_found_again(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            own = {"question": "Is it kind?", "scale": "low|high"}
            for criterion in ("faithfulness", own):
                id, events = await f.battle(criterion=criterion)
                text = (await f.client.get(f"/api/battles/{id}")).text
                shown = json.loads(text)
                assert shown["finished"] and shown["verdicts"] == dict(events)["verdicts"]
                assert shown["sample"]["response"] == SAMPLE["response"] and shown["source"] == ""
                assert not any(f'"{name}"' in text for name in NAMES)
                again = await f.battle(criterion=shown["criterion"])
                kept, first = f.arena.store.battle(again[0]), f.arena.store.battle(id)
                assert kept.criterion == first.criterion

    run(test)


def test_a_judge_that_fails_ends_the_battle_without_a_vote_and_without_its_name(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, ("base", "nano")) as f:
            f.engines["nano"].fails_on = "At ten."
            id, events = await f.battle()
            assert [kind for kind, _ in events[-2:]] == ["failed", "done"]
            assert "nano" not in json.dumps(events)
            kept = f.arena.store.battle(id)
            assert kept.error and "it failed" in kept.error and kept.ended
            assert (await f.vote(id, "a")).status_code == 409
            assert not f.arena.works and not f.arena.fighting

    run(test)


def test_a_judge_that_is_gone_is_left_out_until_two_are_left(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            f.engines["nano"].ends_on["At ten."] = ModelError("the model is gone")
            while "nano" not in f.arena.down.now():
                id, events = await f.battle()
                if events[-2][0] == "verdicts":  # a voter has few battles without a vote
                    await f.vote(id, "a")
            for _ in range(4):
                id, events = await f.battle()
                assert events[-2][0] == "verdicts"
                await f.vote(id, "a")
            f.arena.down.failed("base", gone=True)
            answer = await f.client.post("/api/battles", json=ASKED)
            assert answer.status_code == 503 and "retry-after" in answer.headers
            assert not f.arena.fighting

    run(test)


def test_a_judge_that_takes_too_long(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, ("base", "nano"), seconds=0.3) as f:
            f.engines["nano"].open.clear()
            id, events = await f.battle()
            assert events[-2] == ("failed", {"message": "A judge did not answer within 0.3 s."})
            assert f.arena.store.battle(id).error == "no answer within 0.3 s: nano"
            assert f.arena.down.now() == {"nano"}
            f.engines["nano"].open.set()

    run(test)


def test_who_leaves_ends_the_battle_and_frees_the_judges(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, ("base", "nano")) as f:
            f.engines["base"].open.clear()
            going = asyncio.create_task(f.client.post("/api/battles", json=ASKED))
            while not f.engines["base"].at_work.is_set():
                await asyncio.sleep(0.005)
            assert f.arena.fighting.total() == 1
            [battle] = f.arena.store.battles()
            going.cancel()
            with pytest.raises(asyncio.CancelledError):
                await going
            while f.arena.works:
                await asyncio.sleep(0.005)
            assert (
                f.arena.store.battle(battle.id).error
                == "the voter left before both judges had answered"
            )
            assert not f.arena.fighting
            f.engines["base"].open.set()
            _, events = await f.battle()
            assert events[-2][0] == "verdicts"

    run(test)


def test_limits(tmp_path) -> None:
    async def test() -> None:
        async with fought(
            tmp_path, votes=Votes(votes=((1, 60),)), battles=Hourly(3, "battles")
        ) as f:
            first, _ = await f.battle()
            second, _ = await f.battle()
            assert (await f.vote(first, "a")).status_code == 200
            slow = await f.vote(second, "a")
            assert slow.status_code == 429 and 0 < int(slow.headers["retry-after"]) <= 60
            f.engines["base"].open.clear()
            f.engines["nano-base"].open.clear()
            f.engines["nano"].open.clear()
            going = asyncio.create_task(f.client.post("/api/battles", json=ASKED))
            while not f.arena.fighting:
                await asyncio.sleep(0.005)
            many = await f.client.post("/api/battles", json=ASKED)
            assert (
                many.status_code == 429 and "3 battles an hour" in many.json()["error"]["message"]
            )
            assert (await f.client.delete("/api/votes")).status_code == 409  # one is under way
            f.arena.battles.most, f.arena.most = 0, 1
            full = await f.client.post("/api/battles", json=ASKED)
            assert full.status_code == 429 and "1 battles are under way" in full.text
            for engine in f.engines.values():
                engine.open.set()
            assert (await going).status_code == 200

    run(test)


BAD = {
    "no criterion": ({"criterion": "faithfullness"}, "faithfulness"),
    "a file": ({"criterion": "/etc/passwd"}, "no criterion"),
    "lacks a field": ({"sample": {"response": "x"}}, "context"),
    "too long": ({"sample": {**SAMPLE, "context": "x" * 50_000}}, "longer than 40,000"),
    "a long question": (
        {"criterion": f"Is it {'very ' * 9000}kind?"},
        "criterion: longer than 40,000",
    ),
    "another key": ({"judge": "nano"}, "judge"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_say_what_is_wrong_and_open_no_battle(tmp_path, case) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            more, said = BAD[case]
            answer = await f.client.post("/api/battles", json={**ASKED, **more})
            assert answer.status_code in (413, 422) and said in answer.text
            assert not list(f.arena.store.battles()) and not f.arena.fighting

    run(test)


def test_a_bad_vote(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            for body in (
                {"choice": "c"},
                {"choice": "a", "label": "Perhaps"},
                {"choice": "a", "reason": "x" * 1001},
            ):
                answer = await f.client.post(f"/api/battles/{id}/vote", json=body)
                assert answer.status_code == 422
            assert f.arena.store.vote_of(id) is None

    run(test)


def test_a_database_that_does_not_answer_is_a_503_and_a_deleted_battle_a_404(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            vote, f.arena.store.vote = f.arena.store.vote, raising(NoSuchBattle("no battle here"))
            assert (await f.vote(id, "a")).status_code == 404
            f.arena.store.vote = vote
            admin = await f.newcomer(agrees=False, authorization=f"Bearer {ADMIN}")
            with writing(f.arena.store.engine) as connection:
                connection.exec_driver_sql("DROP TABLE moderation")
                connection.exec_driver_sql("DROP TABLE ends")
            for asked in (
                admin.get("/api/admin"),
                f.client.get("/api/board?kind=x"),
                f.vote(id, "a"),
            ):
                answer = await asked
                assert answer.status_code == 503 and "retry-after" in answer.headers
                assert "no such table" in answer.text

    run(test)


def test_a_full_disk_is_not_said_to_be_a_judges_fault(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            f.arena.store.finish = raising(
                ArenaError("the database kept nothing of it: disk is full")
            )
            _, events = await f.battle()
            [said] = [told["message"] for kind, told in events if kind == "failed"]
            assert "disk is full" in said and "judge" not in said
            assert not f.arena.down.now()

    run(test)


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> None:
        raise error

    return call


def test_what_a_sample_has_besides_its_texts_is_not_kept(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle(sample={**SAMPLE, "label": "Yes", "id": "secret-7"})
            kept = f.arena.store.battle(id).sample
            assert kept.label is None and kept.id == ""

    run(test)


def test_terms_come_first_and_a_token_only_after_them(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, newcomers=Hourly(2, "new voters"), secure=True) as f:
            stranger = await f.newcomer(agrees=False)
            about = (await stranger.get("/api/arena")).json()
            assert about["agreed"] is False and not stranger.cookies
            old = await stranger.post("/api/terms", json={"version": "old"})
            assert old.status_code == 409
            agreed = await stranger.post("/api/terms", json={"version": about["terms"]["version"]})
            cookie = agreed.headers["set-cookie"].lower()
            assert "httponly" in cookie and "samesite=strict" in cookie and "secure" in cookie
            third = await f.newcomer(agrees=False)
            refused = await third.post("/api/terms", json={"version": about["terms"]["version"]})
            assert refused.status_code == 429

    run(test)


def test_all_that_a_voter_left_is_deleted(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            other = await f.newcomer()
            id, _ = await f.battle()
            await f.vote(id, "a")
            mine = f.client
            f.client = other
            kept, _ = await f.battle()
            await f.vote(kept, "b")
            gone = await mine.delete("/api/votes")
            assert (
                gone.json() == {"deleted": 1} and "max-age=0" in gone.headers["set-cookie"].lower()
            )
            assert [battle.id for battle in f.arena.store.battles()] == [kept]
            assert (await mine.get(f"/api/battles/{id}")).status_code in (403, 404)

    run(test)


def test_walls_are_those_of_the_server(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            for path in ("/", "/leaderboard", "/terms", "/admin", "/api/board", "/nothing"):
                answer = await f.client.get(path)
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy and "unsafe" not in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
            foreign = await f.client.post(
                "/api/battles", json=ASKED, headers={"origin": "https://evil.example"}
            )
            assert foreign.status_code == 403
            rebound = await f.client.get("/", headers={"host": "evil.example"})
            assert rebound.status_code == 421
            for path in (
                "/v1/judge",
                "/v1/judges",
                "/playground/main.js",
                "/arena/..%2fapp.py",
                "/arena/samples.jsonl",
            ):
                assert (await f.client.get(path)).status_code == 404

    run(test)


def test_behind_a_proxy_its_own_page_may_ask(tmp_path) -> None:
    async def test() -> None:
        here = frozenset(("https://arena.example",))
        async with fought(tmp_path, cors=here, local=False) as f:
            for origin, status in (("https://arena.example", 200), ("https://evil.example", 403)):
                headers = {"origin": origin, "host": "127.0.0.1:8090"}
                answer = await f.client.post("/api/battles", json=ASKED, headers=headers)
                assert answer.status_code == status

    run(test)


def test_voters_keys_and_admins_keys_open_different_doors(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path, keys=["a-key-for-voters"]) as f:
            voter = await f.newcomer(authorization="Bearer a-key-for-voters")
            admin = await f.newcomer(agrees=False, authorization=f"Bearer {ADMIN}")
            assert (await f.client.get("/api/arena")).status_code == 401
            assert (await f.client.get("/")).status_code == 200  # the page asks for the key
            assert (await voter.get("/api/arena")).status_code == 200
            for path in (
                "/api/admin",
                "/api/admin/voter?id=x",
                "/api/admin/battle?id=x",
                "/metrics",
            ):
                assert (await voter.get(path)).status_code == 401
                assert (await f.client.get(path)).status_code == 401
                assert (await admin.get(path)).status_code in (200, 404)
            assert (await voter.post("/api/admin/moderate", json={})).status_code == 401
            f.arena.admins = None
            assert (await admin.get("/api/admin")).status_code == 404

    run(test)


def test_moderation_leaves_out_is_logged_and_taken_back(tmp_path) -> None:
    async def test() -> None:
        async with fought(tmp_path) as f:
            id, _ = await f.battle()
            await f.vote(id, "a")
            voter = f.arena.store.battle(id).voter
            admin = await f.newcomer(agrees=False, authorization=f"Bearer {ADMIN}")
            [seen] = (await admin.get(f"/api/admin/voter?id={voter}")).json()["battles"]
            assert seen["id"] == id and seen["vote"]["choice"] == "a"
            for what, votes in (("leave_out", 0), ("take_back", 1)):
                body = {"kind": "voter", "target": voter, "what": what, "why": "a test"}
                assert (await admin.post("/api/admin/moderate", json=body)).status_code == 200
                f.arena.standing._kept = None
                assert (await f.client.get("/api/board")).json()["votes"] == votes
            log = (await admin.get("/api/admin")).json()["log"]
            assert [line["what"] for line in log] == ["take_back", "leave_out"]
            assert log[0]["by"] == "admin key 1" and ADMIN not in json.dumps(log)
            body = {"kind": "battle", "target": "0" * 32, "what": "leave_out", "why": "a test"}
            assert (await admin.post("/api/admin/moderate", json=body)).status_code == 404

    run(test)
