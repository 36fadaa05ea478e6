"""OpenAI's ``POST /v1/decisions``: typed questions about an input, similar to System One's.

Each question is translated to one of System One's, so that both routes compute the same. The reference for the format is the
package `openai` (3.57); it does not define the confidence and the levels' numbers, which follow System One.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from starlette.requests import Request
from starlette.responses import Response

from mene.errors import MeneError
from mene.sample import Sample
from mene.serve import systemone
from mene.serve.body import read_body
from mene.serve.desk import Asked
from mene.serve.door import Door, answer, refused, wrong
from mene.serve.serving import serving_of, verdicts
from mene.serve.words import told
from mene.verdict import Verdict

MOST_QUESTIONS = 400
NO_IMAGES = "images are not supported; describe them in words"


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["input_text", "output_text", "refusal", "input_json", "input_image"]
    text: str | None = None
    refusal: str | None = None
    data: dict[str, Any] | list[Any] | None = None


class Item(BaseModel):
    """A message, a call of a tool, or what came of one. Of the last two, all that is sent is shown."""

    model_config = ConfigDict(extra="allow")

    type: Literal[
        "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"
    ] = "message"  # fmt: skip
    role: Literal["user", "developer", "system", "assistant"] | None = None
    content: str | list[Part] | None = None


class Predicate(BaseModel):
    """A question with yes or no."""

    type: Literal["predicate"]
    instructions: str | list[Part]
    name: str | None = None


class Option(BaseModel):
    """One of several; true and "true" are two."""

    value: StrictStr | StrictBool
    description: str | None = None


class Choice(BaseModel):
    """One of several options."""

    type: Literal["choice"]
    instructions: str | list[Part]
    choices: list[Option] = Field(min_length=2, max_length=systemone.MOST_OPTIONS)
    name: str | None = None


class Level(BaseModel):
    """A level of a score."""

    label: str
    description: str | None = None


class Score(BaseModel):
    """A level, in rising order, from 0."""

    type: Literal["score"]
    instructions: str | list[Part]
    levels: list[Level] = Field(min_length=1, max_length=systemone.MOST_OPTIONS)
    name: str | None = None


Question = Annotated[Predicate | Choice | Score, Field(discriminator="type")]


class DecisionRequest(BaseModel):
    """An input and questions about it. Other keys are ignored."""

    model: str
    input: str | list[Item]
    questions: list[Question] = Field(min_length=1, max_length=MOST_QUESTIONS)


class DecisionResponse(BaseModel):
    """Answers in the order of the questions."""

    answers: list[dict[str, Any]]
    model: str
    usage: dict[str, Any]


async def decisions(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    body = await read_body(request, DecisionRequest, serving.limits)
    try:
        judge = serving.judges.name_of(body.model)
    except MeneError as error:
        raise refused(error) from None
    preset = serving.judges.presets[judge]
    settings = systemone.settings_for(preset, systemone.Extension(), serving.limits)
    state = state_of(body.input)
    questions = [question_of(one, i) for i, one in enumerate(body.questions)]
    asked: dict[int, Asked] = {}
    samples: dict[bool, tuple[Sample, tuple[str, ...]]] = {}  # parsed once for all questions
    for i, question in enumerate(questions):
        if (pair := systemone.is_pair(question)) not in samples:
            samples[pair] = systemone.sample_of(state, pair, serving.limits)
        sample, fields = samples[pair]
        criterion = systemone.criterion_for(question, fields, serving.limits, "questions", i)
        if criterion is not None:
            asked[i] = Asked(sample, criterion, settings)
    outcomes = await verdicts(request, judge, list(asked.values()))
    found = dict(zip(asked, outcomes, strict=True))
    errors = [outcome for outcome in outcomes if isinstance(outcome, MeneError)]
    if errors and len(errors) == len(questions):
        raise refused(errors[0])
    answers = [
        _answer(body.questions[i], question, found.get(i)) for i, question in enumerate(questions)
    ]
    used = [outcome.usage for outcome in outcomes if isinstance(outcome, Verdict)]
    read = sum(one.prompt_tokens for one in used)
    written = sum(one.completion_tokens for one in used)
    cached = sum(one.cached_tokens for one in used)
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }
    return answer({"answers": answers, "model": judge, "usage": usage})


def state_of(given: str | list[Item]) -> systemone.Text:
    """Return the input as a state: a single message's content, else all items as JSON, so that no text can pass for another
    item.

    Raises:
        Refused: an image, or an incomplete message.
    """
    if isinstance(given, str):
        return given
    if not given:
        raise wrong("give one message at least", "input", kind="too_short")
    items = list[Any]()
    for i, item in enumerate(given):
        if item.type != "message":
            if _has_image(item.model_dump()):
                raise wrong(NO_IMAGES, "input", i)
            items.append({"type": item.type, **(item.model_extra or {})})
            continue
        if item.role is None or item.content is None:
            raise wrong("a message has a role and content", "input", i, kind="missing")
        items.append({"role": item.role, "content": _content(item.content, "input", i, "content")})
    alone = len(items) == 1 and given[0].type == "message"
    return items[0]["content"] if alone else items


def _has_image(item: dict[str, Any]) -> bool:
    output = item.get("output")
    parts = output if isinstance(output, list) else []
    return any(isinstance(part, dict) and part.get("type") == "input_image" for part in parts)


def _content(given: str | list[Part], *where: str | int) -> systemone.Text:
    if isinstance(given, str):
        return given
    found = list[Any]()
    for i, part in enumerate(given):
        if part.type == "input_image":
            raise wrong(NO_IMAGES, *where, i)
        field = {"input_json": "data", "refusal": "refusal"}.get(part.type, "text")
        value = getattr(part, field)
        if value is None:
            raise wrong(f"{part.type} without {field}", *where, i, field, kind="missing")
        found.append(value)
    if all(isinstance(value, str) for value in found):
        return "\n\n".join(found)
    return found[0] if len(found) == 1 else found


def question_of(question: Question, number: int) -> systemone.Question:
    """Return the same question in System One's format.

    Raises:
        Refused: an image, or two choices with the same value.
    """
    where = ("questions", number)
    said = _content(question.instructions, *where, "instructions")
    if question.type == "predicate":
        return systemone.Noul(type="noul", instructions=said)
    if question.type == "choice":
        names = _names([option.value for option in question.choices], *where, "choices")
        criteria: dict[str, systemone.Text | None] = {
            name: option.description or None
            for name, option in zip(names, question.choices, strict=True)
        }
        return systemone.Choice(type="choice", instructions=said, criteria=criteria)
    levels: list[systemone.Text] = [
        f"{level.label}: {level.description}" if level.description else level.label
        for level in question.levels
    ]
    return systemone.Score(type="score", instructions=said, criteria=levels)


def _names(values: Sequence[str | bool], *where: str | int) -> list[str]:
    """Return a name for each value. A boolean spelt like one of the strings gets another name."""
    texts = {value for value in values if isinstance(value, str)}
    names = list[str]()
    for i, value in enumerate(values):
        name = value if isinstance(value, str) else json.dumps(value)
        while not isinstance(value, str) and name in texts:
            name += " (boolean)"
        if name in names:
            raise wrong(f"{json.dumps(value)} stands there twice", *where, i, "value")
        names.append(name)
    return names


def _answer(
    question: Question, asked: systemone.Question, outcome: Verdict | MeneError | None
) -> dict[str, Any]:
    head = {"type": question.type, "name": question.name}
    if isinstance(outcome, MeneError):
        why = told(outcome)
        return {"type": "refusal", "name": question.name, "x_mene": {"error": why}}
    found = systemone.answer_to(asked, outcome)
    if question.type == "predicate":
        return {**head, "probability": found["noul"]}
    chances = list(found["probabilities"].values())
    if question.type == "choice":
        top = list(found["probabilities"]).index(found["choice"])
        return {
            **head,
            "choice": question.choices[top].value,
            "confidence": found["confidence"],
            "probabilities": [
                {"value": option.value, "probability": chance}
                for option, chance in zip(question.choices, chances, strict=True)
            ],
        }
    return {
        **head,
        "score": found["score"],
        "confidence": found["confidence"],
        "probabilities": [
            {"value": number, "label": level.label, "probability": chance}
            for number, (level, chance) in enumerate(zip(question.levels, chances, strict=True))
        ],
    }


DOORS = (
    Door(
        "POST", "/v1/decisions", decisions, "Answer typed questions about an input (OpenAI).",
        family="openai", takes=DecisionRequest, gives=DecisionResponse,
    ),
)  # fmt: skip
