"""Reading the rows of raw sets as points."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mene.criterion import Criterion
from mene.curate.raw.files import UNREADABLE, left_out, read_lines, unreadable, useless
from mene.curate.raw.sources import Each, Point, Source, Task, View, find_view, source_path
from mene.errors import SampleError
from mene.sample import FIELDS, Sample
from mene.scale import Scale

WIDEST = 100  # maximum range of a scale's scores, as in `Scale.parse`


def read_source(
    folder: Path, source: Source, warn: Callable[[str], None], seed: int = 0
) -> Iterator[Point]:
    """Yield a set's points, for a generator. (``curate`` itself reads rows with ``clean/check.py``.)

    Args:
        folder: of ``NAME.jsonl.gz`` files.
        warn: called with file, line and field of every row that is left out.
        seed: for drawing question wordings.

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
        raise useless(path)


def read_row(source: Source, line: str, seed: int = 0) -> list[Point]:
    """Return the points of one line; empty where its label answers none of the set's tasks.

    Raises:
        SampleError: the row is broken.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise SampleError(f"not JSON ({error.msg})") from None
    except (ValueError, RecursionError):  # a number, or nested brackets, of thousands of characters
        raise SampleError("not JSON (a number or a nesting is too long)") from None
    if not isinstance(row, dict):
        raise SampleError("not an object")
    return list(_points(source, row, seed))


def _points(source: Source, row: dict[str, Any], seed: int) -> Iterator[Point]:
    for field in FIELDS:  # allowed in users' rows, but not in a published set
        if isinstance(row.get(field), dict):
            raise SampleError(f'field "{field}" is an object, not text')
    sample = Sample.from_row({field: row.get(field) for field in ("id", *FIELDS)})
    missing = [field for field in source.needs if not (getattr(sample, field) or "").strip()]
    if missing:
        raise SampleError(f'field "{missing[0]}" is missing or empty')
    if not sample.id.strip():  # draws and names of points depend on it
        raise SampleError('field "id" is missing')
    if row.get("label") is None:
        raise SampleError('field "label" is missing')
    group = str(row.get(source.group, "") if source.group else sample.id)
    mark = hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    found = False
    for task in source.tasks:
        view = find_view(task.view) if task.view else None
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
        case [int(low), int(high)] if low < high <= low + WIDEST and not isinstance(low, bool):
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
