"""Raw sets and what their labels answer, from the library's ``sources.yaml``. ``rows.py`` reads their rows.

A *point* is a sample, a criterion and the right label, from which training pairs are made.
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
        questions: wordings; one is drawn per row.
        labels: label -> description, in the order of the scale.
        order, versus: as for a task.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: tuple[str, ...] = Field(min_length=1)
    labels: dict[str, str]
    order: tuple[str, ...] = ()
    versus: tuple[str, ...] = ()

    _labels = field_validator("labels", mode="before")(lambda value: _text_keys(value))
    _order = field_validator("order", mode="before")(lambda value: _text_items(value))


class Each(BaseModel):
    """The label of each response of a pair, known from how the pairs were made. (A mere preference does not tell.)

    Attributes:
        where: field of the row -> value; applies only to such rows.
        view: the shared question.
        better, worse: its answers for the preferred response and the other one.
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
        labels: label -> description, for classes and pairs.
        gold: label in the file (in lower case) -> label of the scale. Rows with other labels give no point.
        scale: ``1-5`` and the like for scores; ``row`` = the row's own ``scale``.
        critique: whether rows may have a critique for their label.
        order: labels from worst to best; empty where none is better than another.
        versus: wordings of the question which of two responses has the better label; default: those of the
            view. An empty list: responses are not compared.
        perturb: changes of a response that are valid for this task (``perturb.py``).
        each: for pairs, the labels of single responses; the first entry that fits a row is used.
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
        origin: the GitHub repository and commit that the rows were taken from, ``owner/name@commit``.
        licence: of the rows.
        needs: fields without which a row is broken.
        uses: further fields shown to the judge where a row has them.
        group: the field by which rows belong together; they go to the same side of a split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    origin: str = ""
    licence: str
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ("instruction", "context", "reference")
    group: str | None = None
    tasks: tuple[Task, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Point(LabelledQuestion):
    """A labelled question from a raw set or a generator.

    Attributes:
        id: ``source/row id``; the tasks of one row share it.
        critique: for the label, by a person or a strong model, if the set has one.
        order, versus, perturb: of its task.
        each: of its task, for its row; None where the single responses' labels are unknown.
        stage: the step that made it from another point (``derive.yes_no``, ``perturb.swap``: keys of a recipe); of two steps,
            the
            last one, without which the point would not exist.
        rejected: another label with a false critique for it, if the point's maker provides one.
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
        """Unique among all points: the id and the task."""
        return f"{self.id} {self.task}"

    @property
    def task(self) -> str:
        """The criterion and its scale, the same for all wordings of a question. Draws depend on it."""
        return f"{self.criterion.name} {self.criterion.scale}"

    @property
    def own_question(self) -> str:
        """The question where it is the set's own, and so a part of the task; empty where its wording was drawn."""
        return self.criterion.question if self.criterion.name == self.source else ""

    def asked(self, compare: Compare) -> dict[str, Point]:
        """Return the questions about a pair, each with its answer, by seat: ``ab`` and ``ba``, or ``a`` and ``b``.

        Empty for a tie in pointwise mode: neither response was chosen. For a single response, the point itself under an empty
        name.
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
    """Return every known raw set, by name."""
    return dict(_parsed()[1])


def find_source(name: str) -> Source:
    """Return a raw set by name.

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
