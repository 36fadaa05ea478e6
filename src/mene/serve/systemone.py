"""System One: ``POST /v1/systemone``. Typed questions about a state, a probability for every option.

The state becomes a sample and each question a criterion. Each is asked separately: the number of questions and their names do
not change an answer. If the judge's template is mene's own, the state precedes the question, so that all questions share its
tokens. The reference for the protocol is the publisher's package `typesafe-sdk` (0.7.5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mene.criterion import Criterion
from mene.errors import MeneError
from mene.judge.preset import Preset
from mene.sample import Sample
from mene.scale import Scale
from mene.serve.body import read_body, text_of
from mene.serve.desk import Asked
from mene.serve.door import Door, Limits, answer, refused, wrong
from mene.serve.remember import remembered
from mene.serve.serving import check_count, serving_of, verdicts
from mene.serve.state import Text, sample_of
from mene.serve.wanted import template_of
from mene.verdict import Verdict

MOST_OPTIONS = 255
# More options than this are chosen by number: its digits are few, while names begin in many ways.
MOST_NAMES = 32
# A name that the model can write verbatim.
PLAIN = re.compile(r"\w[\w .&'/+-]{0,39}")
OTHERWISE = "anything else"
# Template of a judge -> the one with the state before the question, so that the state is read once for all questions. That
# costs accuracy (docs/serve.md has figures): judges are trained and aligned with the question first. The choice does not depend
# on the number of questions, since no answer may.
STATE_FIRST = {"prefix": "state"}


class NoulCriteria(BaseModel):
    """What yes and no mean."""

    model_config = ConfigDict(extra="forbid")

    true: Text | None = None
    false: Text | None = None


class Noul(BaseModel):
    """A question with yes or no."""

    type: Literal["noul"]
    instructions: Text | None = None
    criteria: NoulCriteria | None = None


class Choice(BaseModel):
    """One of several options: name -> what it means, or null."""

    type: Literal["choice"]
    instructions: Text | None = None
    criteria: dict[str, Text | None] = Field(min_length=1, max_length=MOST_OPTIONS)


class Score(BaseModel):
    """A level, from 0; what each means, in rising order."""

    type: Literal["score"]
    instructions: Text | None = None
    criteria: list[Text] = Field(min_length=1, max_length=MOST_OPTIONS)


Question = Annotated[Noul | Choice | Score, Field(discriminator="type")]


class Extension(BaseModel):
    """What mene can do besides: a critique beside each answer, which is the same with it and without."""

    model_config = ConfigDict(extra="forbid")

    critique: bool = False
    critique_tokens: int | None = Field(default=None, ge=1)
    template: str | None = None


class SystemOneRequest(BaseModel):
    """A state and questions about it. Other keys are ignored."""

    model: str
    state: Text
    questions: dict[str, Question] = Field(min_length=1)
    assets: Any = None
    x_mene: Extension | None = None


class SystemOneResponse(BaseModel):
    """Answers under the names of their questions."""

    model: str
    answers: dict[str, dict[str, Any]]
    usage: dict[str, int]


async def systemone(request: Request) -> Response:
    """Return the answers to the questions of a request."""
    serving = serving_of(request)
    body = await read_body(request, SystemOneRequest, serving.limits)
    if body.assets:
        raise wrong("images are not supported", "assets")
    try:
        judge = serving.judges.name_of(body.model)
    except MeneError as error:
        raise refused(error) from None
    check_count(len(body.questions), serving.limits)
    extension = body.x_mene or Extension()
    settings = settings_for(serving.judges.presets[judge], extension, serving.limits)
    asked: dict[str, Asked] = {}
    samples: dict[bool, tuple[Sample, tuple[str, ...]]] = {}  # shared by all questions
    for name, question in body.questions.items():
        where = ("questions", name, question.type)
        if (pair := is_pair(question)) not in samples:
            samples[pair] = sample_of(body.state, pair, serving.limits)
        sample, fields = samples[pair]
        criterion = criterion_for(question, fields, serving.limits, *where)
        if criterion is not None:  # with one option, the answer is known
            asked[name] = Asked(sample, criterion, settings, extension.critique)
    found: dict[str, Verdict] = {}
    for name, outcome in zip(
        asked, await verdicts(request, judge, list(asked.values())), strict=True
    ):
        if isinstance(outcome, MeneError):
            raise refused(outcome)
        found[name] = outcome
    answers = {}
    for name, question in body.questions.items():
        verdict = found.get(name)
        answers[name] = answer_to(question, verdict)
        if verdict is not None and extension.critique:
            answers[name]["x_mene"] = {"critique": verdict.critique, "notes": verdict.notes}
    usage = {
        "input_tokens": sum(verdict.usage.prompt_tokens for verdict in found.values()),
        "output_tokens": sum(verdict.usage.completion_tokens for verdict in found.values()),
        "cached_tokens": sum(verdict.usage.cached_tokens for verdict in found.values()),
    }
    return answer({"model": judge, "answers": answers, "usage": usage})


def settings_for(preset: Preset, extension: Extension, limits: Limits) -> dict[str, Any]:
    """Return the judge's settings: labels without reasoning, and the state first if the template is mene's own."""
    settings: dict[str, Any] = {"mode": "verdict", "samples": 1}
    if extension.template is not None:
        settings["template"] = template_of(extension.template, "x_mene", "template")
    elif (layout := STATE_FIRST.get(preset.template)) is not None:
        settings["template"] = layout
    if (tokens := extension.critique_tokens) is not None:
        if tokens > limits.critique_tokens:
            message = f"may be {limits.critique_tokens} at most here"
            raise wrong(message, "x_mene", "critique_tokens", kind="less_than_equal")
        settings["critique_tokens"] = tokens
    return settings


def is_pair(question: Question) -> bool:
    """Return whether the question is which of two responses is better."""
    return question.type == "choice" and tuple(question.criteria) in (("A", "B"), ("A", "B", "tie"))


def criterion_for(
    question: Question, fields: tuple[str, ...], limits: Limits, *where: str | int
) -> Criterion | None:
    """Return a question as a criterion on these fields of a sample; None if there is only one possible answer.

    Raises:
        Refused: a text is too long, or the model could not distinguish the options.
    """

    def text(value: Text | None) -> str:
        return "" if value is None else text_of(value, limits, *where)

    said = text(question.instructions)
    if question.type == "noul":
        given = question.criteria or NoulCriteria()
        options = [("true", text(given.true)), ("false", text(given.false))]
    elif question.type == "choice":
        options = [(name, text(value)) for name, value in question.criteria.items()]
    else:
        options = [("", text(value)) for value in question.criteria]
    if len(options) < 2:
        return None
    pair = "response_a" in fields
    try:
        return _criterion(question.type, said, tuple(options), fields, pair)
    except ValidationError as error:
        raise wrong(error.errors()[0]["msg"].removeprefix("Value error, "), *where) from None


@remembered  # clients ask the same questions about many states
def _criterion(
    kind: str, said: str, options: tuple[tuple[str, str], ...], fields: tuple[str, ...], pair: bool
) -> Criterion:
    described = any(text for _, text in options)
    if kind == "noul":
        scale = Scale.binary()
        texts = [text or OTHERWISE for _, text in options] if described else []
        said = said or "Which of the two descriptions fits?"
    elif kind == "score":
        scale = Scale.likert(1, len(options))
        texts = [text or f"level {number}" for number, (_, text) in enumerate(options, start=1)]
        said = said or "Which level fits?"
    else:
        names = [name for name, _ in options]
        said = said or "Which option fits best?"
        if pair:
            scale = Scale.pairwise(ties=len(names) == 3)
            texts = [text or name for name, text in options] if described else []
        elif _are_labels(names):
            scale = Scale.classes(*names)
            texts = [text or name for name, text in options] if described else []
        else:
            scale = Scale.classes(*(str(number) for number in range(1, len(names) + 1)))
            texts = [f"{name}: {text}" if text else name or "(no name)" for name, text in options]
    labels = dict(zip(scale.labels, texts, strict=True)) if texts else {}
    return Criterion(question=said, scale=scale, labels=labels, needs=fields, uses=())


def _are_labels(names: Sequence[str]) -> bool:
    """Return whether the model can write these names verbatim, and distinguish them."""
    folded = {name.casefold() for name in names}
    plain = all(PLAIN.fullmatch(name) and name == name.strip() for name in names)
    return plain and len(folded) == len(names) <= MOST_NAMES


def answer_to(question: Question, verdict: Verdict | None) -> dict[str, Any]:
    """Return the answer, from the probabilities only: the protocol has neither thresholds nor abstention.

    Args:
        verdict: None if there is only one possible answer.

    Raises:
        Refused: the judge gives no probabilities.
    """
    values = [1.0]
    if verdict is not None:
        if verdict.probabilities is None:
            raise wrong(
                "this judge gives no probabilities, and System One's answers are made of them",
                "model",
            )
        values = list(verdict.probabilities.values())
    if question.type == "noul":
        return {"type": "noul", "noul": min(values[0], 1.0)}
    top = max(range(len(values)), key=values.__getitem__)
    if question.type == "choice":
        names = list(question.criteria)
        return {
            "type": "choice",
            "choice": names[top],
            "confidence": confidence(values),
            "probabilities": dict(zip(names, values, strict=True)),
        }
    return {
        "type": "score",
        "score": sum(level * value for level, value in enumerate(values)),
        "confidence": distance_confidence(values),
        "legend": {str(level): text for level, text in enumerate(question.criteria)},
        "probabilities": {str(level): value for level, value in enumerate(values)},
    }


def confidence(values: Sequence[float]) -> float:
    """Return how far the likeliest of n options is above chance: (p - 1/n) / (1 - 1/n); 1 if n is 1."""
    n = len(values)
    return 1.0 if n == 1 else min(max((n * max(values) - 1) / (n - 1), 0.0), 1.0)


def distance_confidence(values: Sequence[float]) -> float:
    """Return 1 - the mean distance from the likeliest level / the mean distance of evenly spread levels from the middle."""
    n = len(values)
    if n == 1:
        return 1.0
    mode = max(range(n), key=values.__getitem__)
    spread = sum(abs(level - (n - 1) / 2) for level in range(n)) / n
    mean = sum(value * abs(level - mode) for level, value in enumerate(values))
    return min(max(1 - mean / spread, 0.0), 1.0)


DOORS = (
    Door(
        "POST", "/v1/systemone", systemone, "Answer typed questions about a state.",
        family="systemone", takes=SystemOneRequest, gives=SystemOneResponse,
    ),
)  # fmt: skip
