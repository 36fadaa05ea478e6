"""Atla's metrics: criteria that clients create under a name, in versions. Kept in memory until the server ends."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mene.criterion import criterion_names, load_criterion
from mene.serve.door import Refused

# Limits per client, to bound memory.
MOST_METRICS, MOST_PROMPTS, LONGEST = 200, 20, 20_000
# Names of Atla's default metrics -> mene's.
DEFAULTS = {
    "atla_default_logical_coherence": "logical-consistency",
    "atla_default_faithfulness": "faithfulness",
}
Wire = Literal["model_input", "model_output", "model_context", "expected_model_output"]
Kind = Literal["binary", "likert_1_to_5"]


def now() -> str:
    return datetime.now(UTC).isoformat()


class FewShot(BaseModel):
    """An evaluation as it should be."""

    model_config = ConfigDict(protected_namespaces=())

    model_input: str = Field(max_length=LONGEST)
    model_output: str = Field(max_length=LONGEST)
    score: str = Field(max_length=100)
    critique: str | None = Field(None, max_length=LONGEST)
    expected_model_output: str | None = Field(None, max_length=LONGEST)
    model_context: str | None = Field(None, max_length=LONGEST)


class Prompt(BaseModel):
    """A version of a metric: the criteria to judge by."""

    content: str = Field(min_length=1, max_length=LONGEST)
    version: int = 1
    created_at: str = Field(default_factory=now)
    updated_at: str = Field(default_factory=now)


class NewMetric(BaseModel):
    """What a metric is made of."""

    name: str = Field(pattern=r"^[a-z]([a-z0-9_-]*[a-z0-9])?$", max_length=100)
    metric_type: Kind
    description: str | None = Field(None, max_length=LONGEST)
    required_fields: list[Wire] = Field(["model_input", "model_output"], max_length=4)


class Metric(NewMetric):
    """A metric. ``project_id`` is null for those that everybody has."""

    api_id: str = Field(default_factory=lambda: uuid.uuid4().hex, serialization_alias="_id")
    project_id: str | None = None
    active_prompt_version: int | None = None
    prompts: dict[str, Prompt] = Field(default_factory=dict)
    few_shot_examples: list[FewShot] = Field(default_factory=list)
    created_at: str = Field(default_factory=now)
    updated_at: str = Field(default_factory=now)

    def shown(self) -> dict[str, Any]:
        """As the wire has it."""
        return self.model_dump(by_alias=True)

    def add(self, content: str) -> Prompt:
        """Add a version; the first one becomes the active one.

        Raises:
            Refused: there are too many.
        """
        if len(self.prompts) >= MOST_PROMPTS:
            raise Refused(413, f"a metric has {MOST_PROMPTS} prompts at most", "request_too_large")
        made = Prompt(content=content, version=len(self.prompts) + 1)
        self.prompts[str(made.version)] = made
        self.active_prompt_version = self.active_prompt_version or 1
        self.updated_at = now()
        return made

    def prompt(self, version: int | str | None = None) -> Prompt:
        """Return a version, or the active one.

        Raises:
            Refused: there is no such version.
        """
        wanted = self.active_prompt_version if version is None else version
        if (found := self.prompts.get(str(wanted))) is None:
            which = "an active prompt" if wanted is None else f"a prompt of version {wanted}"
            message = (
                f'metric "{self.name}" has not {which}; POST one to /v1/metrics/{{id}}/prompts'
            )
            raise Refused(404, message[:300], "not_found")
        return found


class Metrics:
    """The metrics of all clients, by project: the API key or, without keys, one for all."""

    def __init__(self) -> None:
        self._projects: dict[str, dict[str, Metric]] = {}

    def of(self, project: str) -> dict[str, Metric]:
        """Return the metrics of a project by id."""
        return self._projects.setdefault(project, {})

    def make(self, project: str, wanted: NewMetric) -> Metric:
        """Create a metric.

        Raises:
            Refused: the name is taken, or there are too many.
        """
        here = self.of(project)
        if wanted.name in DEFAULTS or any(one.name == wanted.name for one in here.values()):
            # Atla's client would retry on a 409.
            again = {"x-should-retry": "false"}
            message = f'there is a metric "{wanted.name}" already; choose another name'
            raise Refused(409, message, "conflict", headers=again)
        if len(here) >= MOST_METRICS:
            message = f"{MOST_METRICS} metrics are the most; delete one"
            raise Refused(413, message, "request_too_large")
        made = Metric(project_id=project or "default", **wanted.model_dump())
        here[made.api_id] = made
        return made

    def named(self, project: str, name: str) -> Metric | None:
        return next((one for one in self.of(project).values() if one.name == name), None)


@cache
def shared() -> dict[str, Metric]:
    """Return mene's criteria with one of the two scales, as metrics; read-only."""
    names = {name: name for name in criterion_names()}
    names |= {alias: name for alias, name in DEFAULTS.items() if name in names}
    found: dict[str, Metric] = {}
    for alias, name in names.items():
        criterion = load_criterion(name)
        scale = criterion.scale
        fives = scale.kind == "ordinal" and scale.labels == ("1", "2", "3", "4", "5")
        if not fives and scale.labels != ("Yes", "No"):
            continue
        required = ["model_input", "model_output"]
        required += ["model_context"] * ("context" in criterion.needs)
        required += ["expected_model_output"] * ("reference" in criterion.needs)
        made = Metric.model_validate(
            {
                "name": alias,
                "api_id": f"shared-{alias}",
                "metric_type": "likert_1_to_5" if fives else "binary",
                "description": criterion.question,
                "required_fields": required,
            }
        )
        made.add(criterion.question)
        found[made.api_id] = made
    return found
