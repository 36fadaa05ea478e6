"""``/api/battles``: start a battle and watch it, vote on it, and learn which judges fought."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mene.arena.fight import Event, fight, told
from mene.arena.match import choose
from mene.arena.reveal import Revealed, reveal
from mene.arena.samples import as_given
from mene.arena.state import Arena, arena_of
from mene.arena.visitors import voter_of
from mene.arena.words import (
    AlreadyVoted,
    ArenaError,
    Battle,
    Choice,
    NoSuchBattle,
    NotFinished,
    Seat,
    TooManyVotes,
    Vote,
    new_id,
    preset_hash,
    to_json,
)
from mene.criterion import Criterion
from mene.errors import SampleError
from mene.sample import FIELDS, Sample, as_sample
from mene.serve.body import read_body
from mene.serve.door import Door, Limits, Refused, answer, wrong
from mene.serve.judge_api import EVENTS
from mene.serve.wanted import criterion_of

TYPED = "typed"
LONGEST_REASON = 1000  # characters
SKIPPED = 5  # maximum number of a voter's battles on one sample without a vote


class BattleRequest(BaseModel):
    """What two judges are to judge, and by what."""

    model_config = ConfigDict(extra="forbid")

    sample: dict[str, Any] | str = Field(
        description="Fields of any tool that `mene judge` reads, or the text of a response."
    )
    criterion: str | dict[str, Any] = Field(
        description="A name of /api/criteria, a question in words, or {question, scale, labels}."
    )
    scale: str | None = Field(None, description="Of a question in words: 1-5, yes/no, a/b/tie, …")
    drawn: str = Field("", max_length=200, description="The id of the sample, where it was drawn.")
    again: str = Field(
        "",
        max_length=64,
        description="A battle that you voted on; other judges than its two are asked.",
    )


class VoteRequest(BaseModel):
    """A voter's choice."""

    model_config = ConfigDict(extra="forbid")

    choice: Choice = Field(description="Which judge is right; both are (tie), or none is.")
    reason: str = Field("", max_length=LONGEST_REASON)
    label: str | None = Field(None, max_length=200, description="What you would have said.")
    consent: bool = Field(False, description="The vote may be published, with its sample.")


async def begin(request: Request) -> Response:
    """Start a battle; the response is a stream of the events that a voter may see."""
    arena = arena_of(request)
    voter = voter_of(request, arena.salt)
    body = await read_body(request, BattleRequest, arena.serving.limits)
    criterion = criterion_of(body.criterion, body.scale, "criterion")
    sample = _sample(body.sample, criterion, arena.serving.limits)
    again = await _voted(arena, body.again, voter) if body.again else None
    arena.admit(request)
    try:
        await _check_skipped(arena, voter, sample)
        battle = await _open(arena, voter, sample, criterion, body.drawn, again)
    except BaseException:
        arena.leave(voter)
        raise
    return StreamingResponse(
        _told(battle, fight(arena, battle)), media_type=EVENTS, headers={"x-accel-buffering": "no"}
    )


async def _voted(arena: Arena, id: str, voter: str) -> Battle:
    """Return a battle of this voter that has a vote: seeing other judges before voting would let voters wait for favourites.

    Raises:
        Refused: there is none, or it has no vote.
    """
    battle = await _own(arena, id, voter)
    if await arena.stored(arena.store.vote_of, id) is None:
        message = "vote on this battle first; other judges come after that"
        raise Refused(409, message, "not_voted")
    return battle


async def _check_skipped(arena: Arena, voter: str, sample: Sample) -> None:
    """Refuse voters who skip battles on one sample until they get the judges that they like."""
    if await arena.stored(arena.store.unvoted, voter, sample.content) >= SKIPPED:
        message = f"{SKIPPED} battles of yours on this sample have no vote; take another sample"
        raise Refused(409, message, "not_voted")


async def _open(
    arena: Arena,
    voter: str,
    sample: Sample,
    criterion: Criterion,
    drawn: str,
    again: Battle | None,
) -> Battle:
    avoid = (again.a.judge, again.b.judge) if again is not None else ()
    down, weights = arena.down.now(), arena.weights
    try:
        counts = await arena.counts.get()
        pairing = choose(arena.judges, counts, down=down, weights=weights, avoid=avoid)
    except ArenaError as error:
        raise Refused(503, str(error), "overloaded_error", headers={"retry-after": "30"}) from None
    found = arena.samples.find(drawn, sample) if drawn else None
    presets = arena.serving.judges.presets
    a, b = (Seat(judge=one, preset=preset_hash(presets[one])) for one in (pairing.a, pairing.b))
    battle = Battle(
        id=new_id(), sample=sample, criterion=criterion, a=a, b=b, seed=pairing.seed,
        source=found.named if found is not None else TYPED, voter=voter,
    )  # fmt: skip
    await arena.stored(arena.store.open, battle)
    return battle


async def _told(battle: Battle, events: AsyncGenerator[Event | None]) -> AsyncGenerator[bytes]:
    """Yield a battle's events as bytes. Closing the generator ends the battle."""
    try:
        yield _event("battle", {"id": battle.id})
        async for event in events:
            yield _event(*event) if event is not None else b": still at it\n\n"
        yield _event("done", {})
    finally:
        await events.aclose()


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _sample(row: dict[str, Any] | str, criterion: Criterion, limits: Limits) -> Sample:
    try:
        sample = as_sample(row, fields=criterion.shown)
        criterion.check(sample)
    except SampleError as error:
        raise wrong(str(error), "sample") from None
    texts = {field: getattr(sample, field) or "" for field in FIELDS}
    for name, text in {**texts, "criterion": to_json(criterion)}.items():
        if len(text) > limits.field:
            message = f"{name}: longer than {limits.field:,} characters; shorten it"
            raise Refused(413, message, "request_too_large")
    # Without the id, which may be private, and without the label, which neither judges nor voters may see.
    return Sample(**{field: getattr(sample, field) for field in criterion.shown})


async def _own(arena: Arena, id: str, voter: str) -> Battle:
    """Return a battle of this voter.

    Raises:
        Refused: there is none, or it is another voter's.
    """
    try:
        battle = await arena.stored(arena.store.battle, id)
    except NoSuchBattle:
        battle = None
    if battle is None or not secrets.compare_digest(battle.voter, voter):
        raise Refused(404, "no such battle of yours", "not_found")
    return battle


async def show(request: Request) -> Response:
    """Return a voter's own battle: with the judges after the vote; else only what may be seen before it."""
    arena = arena_of(request)
    battle = await _own(arena, request.path_params["id"], voter_of(request, arena.salt))
    vote = await arena.stored(arena.store.vote_of, battle.id)
    if vote is not None:
        now = await arena.standing.get()
        return answer(reveal(arena, battle, vote, now).model_dump(mode="json"))
    seats = {name: seat.verdict for name, seat in (("a", battle.a), ("b", battle.b))}
    ready = battle.is_finished
    return answer(
        {
            "id": battle.id,
            "finished": ready,
            "failed": battle.error is not None,
            "sample": {
                name: text for name in FIELDS if (text := getattr(battle.sample, name)) is not None
            },
            "criterion": as_given(battle.criterion),
            "source": "" if battle.source == TYPED else battle.source,
            "verdicts": {name: told(one) for name, one in seats.items() if one} if ready else None,
        }
    )


async def vote(request: Request) -> Response:
    """Vote, and learn which judges fought. Repeating the same vote gives the same answer, in case the first one got lost."""
    arena = arena_of(request)
    voter = voter_of(request, arena.salt)
    body = await read_body(request, VoteRequest, arena.serving.limits)
    battle = await _own(arena, request.path_params["id"], voter)
    label = None
    if body.label is not None and (label := battle.criterion.scale.match(body.label)) is None:
        known = ", ".join(battle.criterion.scale.labels)
        raise wrong(f'"{body.label[:80]}" is not on the scale: {known}', "label")
    given = Vote(
        battle=battle.id, choice=body.choice, reason=body.reason.strip(), label=label,
        voter=voter, consent=body.consent,
    )  # fmt: skip
    before = await arena.standing.get()
    try:
        await arena.stored(arena.store.vote, given)
    except AlreadyVoted:
        first = await arena.stored(arena.store.vote_of, battle.id)
        if first is None or first.choice != given.choice:
            raise Refused(409, "you have voted on this battle already", "already_voted") from None
        given = first
    except NotFinished:
        raise Refused(409, "this battle has no two verdicts to vote on", "not_finished") from None
    except TooManyVotes as error:
        wait = {"retry-after": str(error.seconds)}
        raise Refused(429, str(error), "rate_limit_error", headers=wait) from None
    return answer(reveal(arena, battle, given, before).model_dump(mode="json"))


DOORS = (
    Door("POST", "/api/battles", begin, "Begin a battle.", takes=BattleRequest, streams=True),
    Door("GET", "/api/battles/{id}", show, "A battle of yours."),
    Door(
        "POST", "/api/battles/{id}/vote", vote, "Vote on a battle of yours.",
        takes=VoteRequest, gives=Revealed,
    ),
)  # fmt: skip
