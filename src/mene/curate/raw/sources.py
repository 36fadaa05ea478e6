"""Raw sets and what their labels answer, as ``sources.yaml`` of the library says it. ``rows.py`` reads their rows.

A *point* is a sample, a criterion and the right label: what training pairs are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.judge.comparison import COMPARISONS
from mene.labelled import LabelledQuestion
from mene.library.sources import catalogue, check_source
from mene.scale import label_text
from mene.verdict import Compare


class View(BaseModel):
    """A question that several sets answer, in several wordings.

    Attributes:
        questions: wordings; each row draws one.
        labels: label -> what it means, in the order of the scale.
        order, versus: as of a task.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: tuple[str, ...] = Field(min_length=1)
    labels: dict[str, str]
    order: tuple[str, ...] = ()
    versus: tuple[str, ...] = ()

    _labels = field_validator("labels", mode="before")(lambda value: _text_keys(value))
    _order = field_validator("order", mode="before")(lambda value: _text_items(value))


class Each(BaseModel):
    """What each response of a pair is by itself, because of how the pairs were made. A mere preference does not say.

    Attributes:
        where: field of the row -> its value; only such rows.
        view: the shared question that is answered.
        better, worse: its answer for the preferred response and for the other one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: dict[str, str] = Field(default_factory=dict)
    view: str
    better: str
    worse: str

    _answers = field_validator("better", "worse", mode="before")(lambda one: _text_items([one])[0])


class Task(BaseModel):
    """One question that the labels of a set answer.

    Attributes:
        view: a shared question; or
        question: the set's own, ``row`` = the row's ``rubric``.
        labels: label -> what it means, for classes and pairs.
        gold: label in the file (in small letters) -> label of the scale. Rows with a label that is
            not named here give no point.
        scale: ``1-5`` and the like for scores; ``row`` = the row's own ``scale``.
        critique: rows may have a critique that argues for their label.
        order: labels from worst to best; empty where none is better than another.
        versus: wordings of the question which of two responses has the better label; default: those of the
            view. An empty list: none are compared.
        perturb: changes of a response that are sound for this task (``perturb.py``).
        each: of a pair, what its responses are by themselves; the first that fits a row counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    view: str | None = None
    question: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    gold: dict[str, str] = Field(default_factory=dict)
    scale: str | None = None
    critique: bool = False
    order: tuple[str, ...] = ()
    versus: tuple[str, ...] | None = None
    perturb: tuple[str, ...] = ()
    each: tuple[Each, ...] = ()

    _labels = field_validator("labels", "gold", mode="before")(lambda value: _text_keys(value))
    _order = field_validator("order", mode="before")(lambda value: _text_items(value))

    @model_validator(mode="after")
    def _check(self) -> Task:
        if (self.view is None) == (self.question is None):
            raise ValueError("a task has either a view or a question")
        if (self.scale is None) == (not self.gold):
            raise ValueError("a task has either gold labels or a scale of scores")
        return self


class Source(BaseModel):
    """A raw set.

    Attributes:
        name: of its file, ``NAME.jsonl.gz``.
        licence: of the rows.
        needs: fields without which a row is broken.
        uses: further fields shown to the judge where a row has them.
        group: the field by which rows belong together; they go to the same side of a split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ("instruction", "context", "reference")
    group: str | None = None
    tasks: tuple[Task, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Point(LabelledQuestion):
    """A labelled question of a raw set, or one that was made.

    Attributes:
        id: ``source/row id``; the tasks of one row share it.
        critique: a reason for the label by a person or a strong model, where the set has one.
        order, versus, perturb: of its task.
        each: of its task, for its row; None where nothing is said of the single responses.
        stage: what made it from another point (``derive.yes_no``, ``perturb.swap``: keys of a recipe); of two steps the last
            one, without which there would be no such point.
        rejected: another label and a reason for it that is wrong, where whoever made the point has one.
    """

    id: str
    source: str
    critique: str | None = None
    order: tuple[str, ...] = ()
    versus: tuple[str, ...] = ()
    perturb: tuple[str, ...] = ()
    each: Each | None = None
    rejected: tuple[str, str] | None = None
    stage: str = ""

    @property
    def name(self) -> str:
        """Unique among all points: the id, the criterion and its scale."""
        return f"{self.id} {self.criterion.name} {self.criterion.scale}"

    def asked(self, compare: Compare) -> dict[str, Point]:
        """The questions about a pair, each with its answer, by the name of its seat: ``ab`` and ``ba``, or ``a`` and ``b``.

        None of a tie where each response is asked about alone: neither was chosen. Of what is no pair the point itself, under
        an empty name.
        """
        if self.criterion.scale.kind != "pairwise":
            return {"": self}
        how = COMPARISONS[compare]
        each = zip(
            how.seats, how.ask(self.sample, self.criterion), how.answers(self.label), strict=False
        )
        return {
            seat: replace(self, sample=sample, criterion=criterion, gold=label)
            for seat, (sample, criterion), label in each
        }


def _text_items(value: Any) -> Any:
    return [label_text(v) if isinstance(v, bool) else v for v in value]


def _text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(zip(map(label_text, value), _text_items(value.values()), strict=True))
    return value


@cache
def _parsed() -> tuple[dict[str, View], dict[str, Source]]:
    said = catalogue()
    views = {name: View.model_validate(v) for name, v in said["views"].items()}
    sources = {
        name: Source.model_validate({"name": name, **s}) for name, s in said["sources"].items()
    }
    return views, sources


def all_sources() -> dict[str, Source]:
    """Every raw set mene knows, by name."""
    return dict(_parsed()[1])


def find_source(name: str) -> Source:
    """A raw set by name.

    Raises:
        UsageError: unknown; names the nearest.
    """
    check_source(name)
    return _parsed()[1][name]


def find_view(name: str) -> View:
    """A shared question by name."""
    return _parsed()[0][name]


def source_path(folder: Path, source: Source) -> Path:
    """Where a set's file is expected."""
    return folder / f"{source.name}.jsonl.gz"
