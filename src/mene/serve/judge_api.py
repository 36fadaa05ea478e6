"""``POST /v1/judge``: mene's own form. Samples and criteria in, verdicts as in the ledger out, at once or as they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mene.criterion import Criterion
from mene.errors import MeneError, SampleError
from mene.sample import FIELDS, Sample, as_sample
from mene.serve.body import read_body
from mene.serve.desk import Asked, size_of
from mene.serve.door import JSON, Door, Limits, answer, refused, wrong
from mene.serve.job import TooMany
from mene.serve.serving import check_count, client_of, serving_of, verdicts
from mene.serve.stream import EVENTS, Stream
from mene.serve.wanted import check_names, criterion_of, template_of
from mene.serve.words import told
from mene.values.fields import id_of
from mene.verdict import Compare, Verdict

PING_S = 15.0
LONGEST_ID = 1000  # maximum characters of a sample's id, which each of its verdicts repeats
MOST_SHOWN = 16_000_000  # maximum characters of prompts returned by one request


class JudgeRequest(BaseModel):
    """What to judge, by what, and how. Whatever is left out is as the judge has it."""

    model_config = ConfigDict(extra="forbid")

    judge: str | None = Field(None, description="One of /v1/models; default: the first.")
    sample: dict[str, Any] | str | None = Field(
        None, description="Fields of any tool that `mene judge` reads, or the text of a response."
    )
    samples: list[dict[str, Any] | str] | None = Field(None, description="Several of them.")
    criterion: str | dict[str, Any] | None = Field(
        None,
        description="A name of /v1/criteria, a question in words, or {question, scale, labels, …}.",
    )
    criteria: list[str | dict[str, Any]] | None = Field(None, description="Several of them.")
    scale: str | None = Field(
        None, description="Of a question in words: 1-5, yes/no, a/b/tie, good/bad, …"
    )
    mode: Literal["critique", "verdict"] | None = None
    compare: Compare | None = None
    explain: bool = Field(
        False, description="Write a critique behind each verdict of verdict mode."
    )
    critique_tokens: int | None = Field(None, ge=1)
    thought_tokens: int | None = Field(
        None, ge=1, description="Of verdict mode: for remote models that always reason."
    )
    temperature: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    draws: int | None = Field(None, ge=1, description="Critiques per sample, averaged.")
    seed: int | None = Field(None, ge=0, lt=2**31)
    truncate: Literal["context"] | None = None
    abstain: bool | None = None
    template: str | None = Field(None, description="The name of a built-in template.")
    stream: bool = Field(False, description="Server-sent events: critique, verdict, done.")


class JudgeResponse(BaseModel):
    """For each sample, a verdict by each criterion; ``row`` counts the samples from 1. One that failed has an ``error``."""

    verdicts: list[Verdict]


class PromptResponse(BaseModel):
    """What the model reads, and its number of tokens (null: not known)."""

    prompts: list[dict[str, Any]]


async def judge(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    body = await read_body(request, JudgeRequest, serving.limits)
    rows, criteria, settings = _wanted(body, serving.limits)
    streams = body.stream or EVENTS in request.headers.get("accept", "")
    name = _judge_name(request, body)
    places: list[tuple[int, Criterion, str]] = []
    asked: list[Asked] = []
    failed: dict[int, Verdict] = {}
    for number, row in enumerate(rows, start=1):
        read = _Row(row, number, serving.limits)
        row_id = (id_of(row) or str(number))[:LONGEST_ID]
        for criterion in criteria:
            place = len(places)
            places.append((number, criterion, row_id))
            try:
                sample = read.sample(criterion)
                asked.append(Asked(sample, criterion, settings, body.explain))
            except SampleError as error:
                failed[place] = _error(places[place], name, error)
    open_places = [place for place in range(len(places)) if place not in failed]
    if streams:
        return await _stream(request, body, name, places, open_places, asked, failed)
    found = dict(failed)
    for place, outcome in zip(open_places, await verdicts(request, body.judge, asked), strict=True):
        found[place] = _verdict(places[place], name, outcome)
    lines = ", ".join(found[place].to_json() for place in range(len(places)))
    return Response(f'{{"verdicts": [{lines}]}}', media_type=JSON)


async def prompt(request: Request) -> Response:
    """The exact prompt for each sample and criterion."""
    serving = serving_of(request)
    body = await read_body(request, JudgeRequest, serving.limits)
    rows, criteria, settings = _wanted(body, serving.limits)
    try:
        desk = await serving.judges.desk(body.judge)
        read = [_Row(row, number, serving.limits) for number, row in enumerate(rows, start=1)]
        asked = [Asked(row.sample(one), one, settings) for row in read for one in criteria]
        if len(asked) > 1 and sum(map(size_of, asked)) > MOST_SHOWN:
            raise TooMany(f"the prompts are longer than {MOST_SHOWN:,} characters; ask for fewer")
        found = await asyncio.to_thread(lambda: [desk.prompts(one) for one in asked])
    except MeneError as error:
        raise refused(error) from None
    return answer({"prompts": [one for several in found for one in several]})


def _judge_name(request: Request, body: JudgeRequest) -> str:
    try:
        return serving_of(request).judges.name_of(body.judge)
    except MeneError as error:
        raise refused(error) from None


def _wanted(
    body: JudgeRequest, limits: Limits
) -> tuple[Sequence[dict[str, Any] | str], list[Criterion], dict[str, Any]]:
    if (body.sample is None) == (body.samples is None):
        raise wrong("give sample or samples", "sample", kind="missing")
    if (body.criterion is None) == (body.criteria is None):
        raise wrong("give criterion or criteria", "criterion", kind="missing")
    rows = [body.sample] if body.sample is not None else body.samples or []
    check_count(len(rows) * len(body.criteria or [""]), limits)
    if body.criterion is not None:
        criteria = [criterion_of(body.criterion, body.scale, "criterion")]
    else:
        given = body.criteria or []
        criteria = [criterion_of(one, body.scale, "criteria", i) for i, one in enumerate(given)]
    if not rows or not criteria:
        raise wrong("give one sample and one criterion at least", "samples", kind="too_short")
    tokens = limits.critique_tokens
    most_of = {"critique_tokens": tokens, "thought_tokens": tokens, "draws": limits.draws}
    for name, most in most_of.items():
        if (getattr(body, name) or 0) > most:
            raise wrong(f"{name} may be {most} at most here", name, kind="less_than_equal")
    settings: dict[str, Any] = {
        "mode": body.mode,
        "compare": body.compare,
        "critique_tokens": body.critique_tokens,
        "thought_tokens": body.thought_tokens,
        "temperature": body.temperature,
        "samples": body.draws,
        "seed": body.seed,
        "truncate": body.truncate,
        "abstain": body.abstain,
        "template": template_of(body.template, "template") if body.template else None,
    }
    return rows, criteria, {key: value for key, value in settings.items() if value is not None}


class _Row:
    """A row of the body, parsed once for all criteria that use the same fields."""

    def __init__(self, row: dict[str, Any] | str, number: int, limits: Limits) -> None:
        self._row, self._number, self._limits = row, number, limits
        self._read: dict[tuple[str, ...], Sample | SampleError] = {}

    def sample(self, criterion: Criterion) -> Sample:
        """Return the sample with the fields that a criterion uses.

        Raises:
            SampleError: it cannot be read, or is too long.
        """
        found = self._read.get(criterion.shown)
        if found is None:
            try:
                found = self._sample(criterion.shown)
            except SampleError as error:
                found = error
            self._read[criterion.shown] = found
        if isinstance(found, SampleError):
            raise found
        return found

    def _sample(self, fields: tuple[str, ...]) -> Sample:
        if isinstance(self._row, dict):
            check_names(self._row)
        sample = as_sample(self._row, fields=fields, number=self._number)
        if len(sample.id) > LONGEST_ID:
            raise SampleError(f"the id has more than {LONGEST_ID:,} characters; shorten it")
        most = self._limits.field
        for field in FIELDS:
            if len(getattr(sample, field) or "") > most:
                raise SampleError(f'field "{field}" has more than {most:,} characters; shorten it')
        return sample


def _verdict(
    place: tuple[int, Criterion, str], judge: str, outcome: Verdict | MeneError
) -> Verdict:
    if isinstance(outcome, MeneError):
        return _error(place, judge, outcome)
    return outcome.model_copy(update={"row": place[0]})


def _error(place: tuple[int, Criterion, str], judge: str, error: MeneError) -> Verdict:
    row, criterion, name = place
    return Verdict(
        id=name,
        criterion=criterion.name,
        **criterion.facts,
        judge=judge,
        row=row,
        error=told(error),
    )


async def _stream(
    request: Request,
    body: JudgeRequest,
    name: str,
    places: list[tuple[int, Criterion, str]],
    open_places: list[int],
    asked: list[Asked],
    failed: dict[int, Verdict],
) -> Response:
    serving, loop = serving_of(request), asyncio.get_running_loop()
    heard: asyncio.Queue[tuple[int, str | None]] = asyncio.Queue()

    def hear(place: int, text: str) -> None:  # called in the thread that writes
        loop.call_soon_threadsafe(heard.put_nowait, (place, text))

    def done(place: int, _: object) -> None:
        heard.put_nowait((place, None))

    try:
        desk = await serving.judges.desk(body.judge)
        hears = [partial(hear, place) for place in open_places]
        futures = desk.enter(asked, client_of(request), hears)
    except MeneError as error:
        raise refused(error) from None
    waited = dict(zip(open_places, futures, strict=True))
    for place, future in waited.items():
        future.add_done_callback(partial(done, place))

    until = loop.time() + serving.limits.seconds

    async def events() -> AsyncIterator[bytes]:
        for verdict in failed.values():
            yield _event("verdict", verdict.to_json())
        left = len(waited)
        while left:
            try:
                wait = min(PING_S, max(until - loop.time(), 0))
                place, text = await asyncio.wait_for(heard.get(), wait)
            except TimeoutError:
                if loop.time() >= until:
                    message = f"no answer within {serving.limits.seconds:g} s; ask for less at once"
                    yield _event("error", json.dumps({"message": message}))
                    return
                yield b": still at it\n\n"
                continue
            row, criterion, _ = places[place]
            if text is not None:
                said = {"row": row, "criterion": criterion.name, "text": text}
                yield _event("critique", json.dumps(said))
                continue
            left -= 1
            error = waited[place].exception()
            if error is not None and not isinstance(error, MeneError):
                raise error
            outcome = error if error is not None else waited[place].result()
            yield _event("verdict", _verdict(places[place], name, outcome).to_json())
        yield _event("done", json.dumps({"verdicts": len(places)}))

    async def ended() -> None:
        for future in futures:
            if not future.cancel() and not future.cancelled():
                future.exception()

    return Stream(events(), until, ended)


def _event(kind: str, data: str) -> bytes:
    return f"event: {kind}\ndata: {data}\n\n".encode("utf-8", "replace")


DOORS = (
    Door(
        "POST", "/v1/judge", judge, "Judge samples by criteria.",
        takes=JudgeRequest, gives=JudgeResponse, streams=True,
    ),
    Door(
        "POST", "/v1/prompt", prompt, "The prompts that /v1/judge would have the model read.",
        takes=JudgeRequest, gives=PromptResponse,
    ),
)  # fmt: skip
