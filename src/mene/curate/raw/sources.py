"""Raw sets and what their labels answer: ``sources.yaml`` read, and every row turned into points.

A *point* is a sample, a criterion and the right label: what training pairs are made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.criterion import Criterion
from mene.curate.raw.files import UNREADABLE, left_out, read_lines, unreadable, useless
from mene.errors import SampleError, UsageError, nearest
from mene.judge.comparison import COMPARISONS
from mene.labelled import LabelledQuestion
from mene.library.yaml_file import read_yaml
from mene.sample import FIELDS, Sample
from mene.scale import Scale, label_text
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
    text = (resources.files("mene") / "curate" / "raw" / "sources.yaml").read_text("utf-8")
    data = read_yaml(text, "sources.yaml")
    views = {name: View.model_validate(v) for name, v in data["views"].items()}
    sources = {
        name: Source.model_validate({"name": name, **s}) for name, s in data["sources"].items()
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
    known = all_sources()
    if name not in known:
        raise UsageError(f'no source "{name}"{nearest(name, known)}; see `mene curate --list`')
    return known[name]


def find_view(name: str) -> View:
    """A shared question by name."""
    return _parsed()[0][name]


def source_path(folder: Path, source: Source) -> Path:
    """Where a set's file is expected."""
    return folder / f"{source.name}.jsonl.gz"


def read_source(
    folder: Path, source: Source, warn: Callable[[str], None], seed: int = 0
) -> Iterator[Point]:
    """Stream a set's points.

    Args:
        folder: of ``NAME.jsonl.gz`` files.
        warn: told of every row that is left out: file, line, field.
        seed: of the wordings drawn.

    Raises:
        UsageError: the file is missing, damaged, or has no good row.
    """
    path = source_path(folder, source)
    good = False
    try:
        for number, line in enumerate(read_lines(path), start=1):
            try:
                points = read_row(source, line, seed)
            except SampleError as error:
                warn(left_out(path, number, error))
                continue
            good = good or bool(points)
            yield from points
    except UNREADABLE as error:
        raise unreadable(path, source.name, error) from None
    if not good:
        raise useless(path, source.name)


def read_row(source: Source, line: str, seed: int = 0) -> list[Point]:
    """The points of one line; none where its label answers none of the set's tasks.

    Raises:
        SampleError: the row is broken.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise SampleError(f"not JSON ({error.msg})") from None
    if not isinstance(row, dict):
        raise SampleError("not an object")
    return list(_points(source, row, seed))


def _points(source: Source, row: dict[str, Any], seed: int) -> Iterator[Point]:
    for field in FIELDS:  # what users' rows may have, and a published set should not
        if isinstance(row.get(field), dict):
            raise SampleError(f'field "{field}" is an object, not text')
    sample = Sample.from_row({field: row.get(field) for field in ("id", *FIELDS)})
    missing = [field for field in source.needs if not (getattr(sample, field) or "").strip()]
    if missing:
        raise SampleError(f'field "{missing[0]}" is missing or empty')
    if row.get("label") is None:
        raise SampleError('field "label" is missing')
    group = str(row.get(source.group, "") if source.group else sample.id)
    mark = hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    views = _parsed()[0]
    found = False
    for task in source.tasks:
        view = views[task.view] if task.view else None
        scale = _scale(task, view, row)
        gold = _gold(task, scale, row["label"])
        if gold is None:
            continue
        found = True
        question = task.question
        if view:
            question = view.questions[_draw(f"{seed}:{sample.id}", len(view.questions))]
        elif question == "row":
            question = row.get("rubric")
            if not isinstance(question, str) or not question.strip():
                raise SampleError('field "rubric" is missing or empty')
        critique = row.get("critique") if task.critique else None
        yield Point(
            id=f"{source.name}/{sample.id}",
            source=source.name,
            sample=sample,
            criterion=Criterion(
                name=task.view or source.name,
                question=question or "",
                scale=scale,
                labels=view.labels if view else task.labels,
                needs=source.needs,
                uses=source.uses,
            ),
            gold=gold,
            critique=critique.strip() if isinstance(critique, str) and critique.strip() else None,
            group=f"{source.name}:{mark}",
            order=task.order or (view.order if view else ()),
            versus=_versus(task, view),
            perturb=task.perturb,
            each=next((one for one in task.each if _is_where(one, row)), None),
        )
    if not found and not any(str(row["label"]).casefold() in t.gold for t in source.tasks):
        raise SampleError(f'label "{row["label"]}" is not one of this set')


def _is_where(each: Each, row: dict[str, Any]) -> bool:
    return all(row.get(field) == value for field, value in each.where.items())


def _versus(task: Task, view: View | None) -> tuple[str, ...]:
    if task.versus is None:
        return view.versus if view else ()
    return task.versus


def _scale(task: Task, view: View | None, row: dict[str, Any]) -> Scale:
    if task.scale is None:
        return Scale.parse("/".join((view or task).labels))
    if task.scale != "row":
        return Scale.parse(task.scale)
    match row.get("scale"):
        case [int(low), int(high)] if low < high:
            return Scale.likert(low, high)
    raise SampleError(f'field "scale" is {row.get("scale")!r}, not [lowest, highest]')


def _gold(task: Task, scale: Scale, raw: Any) -> str | float | None:
    if task.gold:
        mapped = {k.casefold(): v for k, v in task.gold.items()}.get(str(raw).casefold())
        return mapped and scale.match(mapped)
    try:
        value = float(raw)
    except (TypeError, ValueError):
        value = float("nan")
    low, high = scale.values[0], scale.values[-1]
    if not low <= value <= high:
        raise SampleError(f'label "{raw}" is not on the scale {scale}')
    return value


def _draw(name: str, count: int) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
