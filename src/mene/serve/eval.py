"""Atla's ``POST /v1/eval`` and ``/v1/metrics``, so that code written for their discontinued service runs on mene.

The reference for the format is their package `atla` (0.6.2). The scale of a score is in the text of the criteria: see
``rubric``.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mene.criterion import Criterion, load_criterion
from mene.errors import MeneError, nearest
from mene.judge.preset import Preset
from mene.library.load import CRITERIA, built_in
from mene.sample import Sample
from mene.scale import Scale
from mene.serve.atla_metrics import DEFAULTS, LONGEST, FewShot, Metric, NewMetric, shared
from mene.serve.body import read_body, text_of
from mene.serve.desk import Asked
from mene.serve.door import Door, Refused, answer, refused, wrong
from mene.serve.rubric import criterion_in
from mene.serve.serving import client_of, serving_of, verdicts
from mene.verdict import Verdict

TEXTS = {
    "model_input": "instruction",
    "model_output": "response",
    "model_context": "context",
    "expected_model_output": "reference",
}


class EvalRequest(BaseModel):
    """One evaluation, by criteria in words or by a metric."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    model_input: str
    model_output: str
    evaluation_criteria: str | None = None
    metric_name: str | None = None
    expected_model_output: str | None = None
    model_context: str | None = None
    few_shot_examples: list[FewShot] | None = Field(None, max_length=16)
    prompt_version: int | None = None


class EvalResponse(BaseModel):
    """What came of it."""

    request_id: str
    status: Literal["success"]
    result: dict[str, Any]


class NewPrompt(BaseModel):
    """The criteria of a new version."""

    content: str = Field(min_length=1, max_length=LONGEST)


class Version(BaseModel):
    """Of a prompt."""

    version: int


class Examples(BaseModel):
    """Evaluations as they should be."""

    few_shot_examples: list[FewShot] = Field(max_length=3)


async def evaluate(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    body = await read_body(request, EvalRequest, serving.limits)
    try:
        judge = serving.judges.name_of(body.model_id)
    except MeneError as error:
        raise refused(error) from None
    fields = dict[str, str]()
    for name, field in TEXTS.items():
        if (text := getattr(body, name)) is not None:
            fields[field] = text_of(text, serving.limits, name)
    if (body.evaluation_criteria is None) == (body.metric_name is None):
        raise wrong(
            "give evaluation_criteria or metric_name", "evaluation_criteria", kind="missing"
        )
    examples = body.few_shot_examples
    if body.evaluation_criteria is not None:
        text = text_of(body.evaluation_criteria, serving.limits, "evaluation_criteria")
        try:
            criterion = criterion_in(text)
        except ValueError as error:
            raise wrong(str(error), "evaluation_criteria") from None
    else:
        criterion, own = _of_metric(request, body)
        examples = own if examples is None else examples
    criterion = with_examples(criterion, examples or [])
    asked = asked_for(Sample(**fields), criterion, serving.judges.presets[judge])
    [outcome] = await verdicts(request, judge, [asked])
    if isinstance(outcome, MeneError):
        raise refused(outcome)
    result = {"model_id": judge, "evaluation": evaluation_of(outcome)}
    return _success(request, result=result)


def asked_for(sample: Sample, criterion: Criterion, preset: Preset) -> Asked:
    """Ask for a critique and then the score; if the judge writes none, for the score only."""
    if preset.writes:
        return Asked(sample, criterion, {"mode": "critique"})
    return Asked(sample, criterion, {"mode": "verdict"}, explain=True)


def evaluation_of(verdict: Verdict) -> dict[str, str]:
    """Return score and critique as text. If the judge writes no critiques, the critique says so."""
    score = verdict.label if verdict.label is not None else verdict.likeliest
    return {"score": score or "", "critique": verdict.critique or " ".join(verdict.notes)}


def with_examples(criterion: Criterion, examples: list[FewShot]) -> Criterion:
    """Return the criterion with example evaluations, as JSON after its question."""
    if not examples:
        return criterion
    lines = [json.dumps(one.model_dump(exclude_none=True), ensure_ascii=False) for one in examples]
    question = "\n".join([criterion.question, "", "Evaluations as they should be:", *lines])
    return criterion.model_copy(update={"question": question})


def _of_metric(request: Request, body: EvalRequest) -> tuple[Criterion, list[FewShot]]:
    """Return the criterion of a metric, and its examples."""
    name = body.metric_name or ""
    metric = serving_of(request).metrics.named(_project(request), name)
    if metric is None:
        known = built_in(CRITERIA, DEFAULTS.get(name, name))
        if known is None:
            near = nearest(name[:80], [one.name for one in shared().values()])
            message = f'no metric "{name[:80]}"{near or ";"} GET /v1/metrics?include_default=true lists them'
            raise Refused(404, message, "not_found")
        return load_criterion(known), []
    for field in metric.required_fields:
        if not getattr(body, field) and field not in ("model_input", "model_output"):
            raise wrong(f'metric "{name}" needs it', field, kind="missing")
    if body.prompt_version is None and not metric.prompts and metric.description:
        text = metric.description
    else:
        text = metric.prompt(body.prompt_version).content
    binary = metric.metric_type == "binary"
    scale = Scale.binary() if binary else Scale.likert(1, 5)
    try:
        found = criterion_in(text)
    except ValueError as error:
        raise wrong(str(error), "metric_name") from None
    if found.scale.labels != scale.labels:
        found = Criterion(question=text.strip(), scale=scale)
    return found, metric.few_shot_examples


def _success(request: Request, **more: Any) -> Response:
    name = request.scope.get("mene.request", "")
    return answer({"request_id": name, "status": "success", **more})


def _project(request: Request) -> str:
    """Return the project, which is the API key; without keys, all clients share one."""
    return client_of(request) if serving_of(request).keys is not None else ""


def _metric(request: Request, change: bool = False) -> Metric:
    """Return the metric in the path.

    Raises:
        Refused: it does not exist, or is shared and must not be changed.
    """
    name = request.path_params["id"]
    found = serving_of(request).metrics.of(_project(request)).get(name)
    if found is None and (found := shared().get(name)) is not None and change:
        raise Refused(403, "a default metric cannot be changed; make one of your own", "forbidden")
    if found is None:
        raise Refused(404, f'no metric "{name[:80]}"; GET /v1/metrics lists them', "not_found")
    return found


async def make(request: Request) -> Response:
    """A new metric."""
    serving = serving_of(request)
    wanted = await read_body(request, NewMetric, serving.limits)
    made = serving.metrics.make(_project(request), wanted)
    return _success(request, metric_id=made.api_id)


async def metrics(request: Request) -> Response:
    """The metrics, with those that everybody has where they are asked for."""
    found = list(serving_of(request).metrics.of(_project(request)).values())
    if request.query_params.get("include_default", "").lower() in ("true", "1"):
        found += shared().values()
    return _success(request, metrics=[one.shown() for one in found])


async def metric(request: Request) -> Response:
    """One metric."""
    return _success(request, metric=_metric(request).shown())


async def delete(request: Request) -> Response:
    """Delete the metric."""
    name = _metric(request, change=True).api_id
    del serving_of(request).metrics.of(_project(request))[name]
    return _success(request)


async def new_prompt(request: Request) -> Response:
    """A new version."""
    body = await read_body(request, NewPrompt, serving_of(request).limits)
    return _success(request, version=_metric(request, change=True).add(body.content).version)


async def prompts(request: Request) -> Response:
    """All versions."""
    return _success(
        request, prompts=[one.model_dump() for one in _metric(request).prompts.values()]
    )


async def prompt(request: Request) -> Response:
    """One version."""
    found = _metric(request).prompt(request.path_params["version"])
    return _success(request, prompt=found.model_dump())


async def activate(request: Request) -> Response:
    """Use a version from now on."""
    body = await read_body(request, Version, serving_of(request).limits)
    changed = _metric(request, change=True)
    changed.active_prompt_version = changed.prompt(body.version).version
    return _success(request)


async def examples(request: Request) -> Response:
    """Show these evaluations with the criteria from now on."""
    body = await read_body(request, Examples, serving_of(request).limits)
    _metric(request, change=True).few_shot_examples = body.few_shot_examples
    return _success(request)


ONE = "/v1/metrics/{id}"
DOORS = (
    Door(
        "POST", "/v1/eval", evaluate, "Evaluate an output by criteria or a metric (Atla).",
        family="atla", takes=EvalRequest, gives=EvalResponse,
    ),
    Door("POST", "/v1/metrics", make, "Make a metric.", family="atla", takes=NewMetric),
    Door("GET", "/v1/metrics", metrics, "The metrics.", family="atla"),
    Door("GET", ONE, metric, "A metric.", family="atla"),
    Door("DELETE", ONE, delete, "Delete a metric.", family="atla"),
    Door("POST", f"{ONE}/prompts", new_prompt, "A new version of a metric.", family="atla", takes=NewPrompt),
    Door("GET", f"{ONE}/prompts", prompts, "The versions of a metric.", family="atla"),
    Door("GET", f"{ONE}/prompts/{{version}}", prompt, "A version of a metric.", family="atla"),
    Door(
        "PATCH", f"{ONE}/active_prompt_version", activate, "Use a version of a metric.",
        family="atla", takes=Version,
    ),
    Door(
        "PUT", f"{ONE}/few_shot_examples", examples, "Show examples with a metric.",
        family="atla", takes=Examples,
    ),
)  # fmt: skip
