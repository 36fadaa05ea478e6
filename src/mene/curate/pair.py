"""A training pair: one prompt, a preferred answer and a rejected one. `mene curate` writes it, `mene train` reads it.

The pair stores how its template composes an answer (opening, critique, gap, cue, joint, label), so that training reads the same
text as a judge with this template.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from mene.engines.base import Request
from mene.errors import UsageError
from mene.message import GAP, JOINT, Message

# What a pair's answers are; see ``Pair.mode``.
PairMode = Literal["verdict", "critique", "reason"]


class Pair(BaseModel):
    """One line of ``train.jsonl`` or ``dev.jsonl``.

    Attributes:
        id: unique among all pairs.
        source: the set or the generator.
        criterion, template: their names.
        mode: whether its answers are labels (``verdict``), labels after a ``critique``, or the ``reason`` for a label that is
            given in the prompt.
        messages: the prompt.
        labels: of the scale, in order, as the model writes them; likewise ``label``, the right one, and ``wrong``.
        critique, rejected_critique: for ``label`` and for ``wrong``; empty in verdict mode. In reason mode the prompt gives
            ``label`` for both.
        opening, cue, gap, joint: of the template; see ``Request``.
        value: a mean score as given; None for classes and pairs.
        group: rows of one group are on the same side of a split.
        stage: the step of curation that made its point from another, as its key under ``data`` in a recipe
            (``derive.yes_no``, ``perturb.swap``); empty for a set's own points and for generators.
        compared: in pointwise mode, the name that both responses' pairs share; else empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    source: str
    criterion: str = ""
    template: str = ""
    mode: PairMode
    messages: tuple[Message, ...]
    labels: tuple[str, ...]
    label: str
    wrong: str
    critique: str = ""
    rejected_critique: str = ""
    opening: str = ""
    cue: str
    gap: str = GAP
    joint: str = JOINT
    value: float | None = None
    group: str
    stage: str = ""
    compared: str | None = None

    @field_validator("messages", mode="before")
    @classmethod
    def _turns(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        return [(m.get("role"), m.get("content")) if isinstance(m, dict) else m for m in value]

    @field_serializer("messages")
    def _as_chat(self, messages: tuple[Message, ...]) -> list[dict[str, str]]:
        return [message._asdict() for message in messages]

    @model_validator(mode="after")
    def _check(self) -> Pair:
        for name in (self.label, self.wrong):
            if name not in self.labels:
                raise ValueError(f'"{name}" is not among the labels {", ".join(self.labels)}')
        if self.label == self.wrong:
            raise ValueError(f'both answers have the label "{self.label}"')
        return self

    @property
    def request(self) -> Request:
        """Return the text part of a judge's request for this answer."""
        return Request(
            index=0,
            messages=self.messages,
            labels=self.labels,
            opening=self.opening,
            cue=self.cue,
            critique_tokens=int(self.mode != "verdict"),
            choose=self.mode != "reason",
            gap=self.gap,
            joint=self.joint,
        )

    @property
    def chosen(self) -> str:
        """The preferred answer, as text."""
        return self._answer(self.critique, self.label)

    @property
    def rejected(self) -> str:
        """The rejected answer, as text."""
        return self._answer(self.rejected_critique, self.wrong)

    def reasoned(self, critique: str) -> str:
        """Return a critique as the beginning of an answer, up to the gap; empty in verdict mode."""
        return f"{self.opening} {critique}".strip() if self.mode != "verdict" else ""

    def _answer(self, critique: str, label: str) -> str:
        reason, end = self.reasoned(critique), f"{self.cue}{self.joint}{label}"
        return {"verdict": end, "critique": f"{reason}{self.gap}{end}", "reason": reason}[self.mode]

    def to_json(self) -> str:
        """Return its line in a file, without the line break."""
        return json.dumps(self.model_dump(exclude_defaults=True), ensure_ascii=False)


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs in a file that ``mene curate`` wrote.

    Raises:
        UsageError: the file is missing, or a line is not a pair (names line and field).
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield _pair(line, f"{path}, line {number}")
    except FileNotFoundError:
        raise UsageError(f"{path}: not there; make it with `mene curate RECIPE`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); run `mene curate` again") from None


def _pair(line: str, where: str) -> Pair:
    try:
        return Pair.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON ({error.msg}); run `mene curate` again") from None
    except ValidationError as error:
        raise UsageError(f"{where}: {_mistake(error.errors())}; run `mene curate` again") from None


def _mistake(errors: list[Any]) -> str:
    first = errors[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f'field "{field}" is missing'
    said = first["msg"].removeprefix("Value error, ")
    return f'field "{field}": {said}' if field else said
