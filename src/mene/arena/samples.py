"""Samples to draw: bundled real rows, or a table of the arena's owner. Human labels are shown after the vote."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.arena.words import LONGEST_NAME
from mene.criterion import Criterion, criterion_names, load_criterion
from mene.errors import UsageError
from mene.runs.tables import read_rows
from mene.sample import FIELDS, Sample

BUNDLED = Path(__file__).parent / "samples.jsonl"
MOST = 20_000  # rows of a file; further ones are not used


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample to draw.

    Attributes:
        criterion: a name in the library, or data that ``Criterion`` reads.
        label: a human label, as the scale writes it; None: not labelled.
        source: where it is from, for readers.
    """

    id: str
    sample: Sample
    criterion: str | dict[str, Any]
    label: str | None
    source: str
    licence: str
    credit: str

    @property
    def named(self) -> str:
        """Return the source as a battle states it: with the licence."""
        return (f"{self.source} ({self.licence})" if self.licence else self.source)[:LONGEST_NAME]

    def shown(self) -> dict[str, Any]:
        """Return what is shown before the vote."""
        fields = {name: text for name in FIELDS if (text := getattr(self.sample, name)) is not None}
        return {
            "id": self.id,
            "sample": fields,
            "criterion": self.criterion,
            "source": self.source,
            "licence": self.licence,
            "credit": self.credit,
        }


class Samples:
    """All samples that can be drawn.

    Raises:
        UsageError: there are none, or two have the same id.
    """

    def __init__(self, rows: Sequence[Drawn]) -> None:
        if not rows:
            raise UsageError("no samples to draw from")
        self.rows = tuple(rows)
        self._by_id = {row.id: row for row in rows}
        self._by_source = {row.named: row for row in rows}
        if len(self._by_id) < len(rows):
            raise UsageError("two samples to draw have the same id; give each its own")

    def find(self, id: str, sample: Sample) -> Drawn | None:
        """Return the drawn sample with this id; None if it was changed, or never drawn."""
        found = self._by_id.get(id)
        return found if found is not None and found.sample.content == sample.content else None

    def of_source(self, source: str, sample: Sample) -> Drawn | None:
        """Return the drawn sample of a battle, by the source that the battle states."""
        found = self._by_source.get(source)
        return found if found is not None and found.sample.content == sample.content else None

    def draw(self, criterion: str = "", other: str = "") -> Drawn | None:
        """Return a random sample; None if there is none for the criterion.

        Args:
            criterion: name; only samples judged by it are drawn.
            other: id of a sample to avoid.
        """
        fitting = [row for row in self.rows if not criterion or row.criterion == criterion]
        others = [row for row in fitting if row.id != other]
        return random.choice(others or fitting) if fitting else None


def bundled() -> list[Drawn]:
    """Return the rows that come with mene: from published sets, each with its licence."""
    lines = BUNDLED.read_text("utf-8").splitlines()
    return [_bundled(json.loads(line)) for line in lines]


def _bundled(row: dict[str, Any]) -> Drawn:
    return Drawn(
        id=row["id"],
        sample=Sample(**row["sample"]),
        criterion=row["criterion"],
        label=row["label"],
        source=f"{row['set']}: {row['source']}",
        licence=row["licence"],
        credit=row["credit"],
    )


def of_file(path: str, criterion: Criterion, licence: str = "") -> tuple[list[Drawn], list[str]]:
    """Return the rows of a table in any form that ``mene judge`` reads.

    Returns:
        the rows, and the errors of those that cannot be used.

    Raises:
        UsageError: it cannot be read, or no row can be used.
    """
    found, wrong = list[Drawn](), list[str]()
    given = as_given(criterion)
    for row in read_rows(path, criterion=criterion):
        if len(found) == MOST:
            wrong.append(f"{path}: only the first {MOST:,} rows are drawn from")
            break
        if row.sample is None:
            wrong.append(row.error or f"{row.where}: cannot be read")
            continue
        fields = {name: getattr(row.sample, name) for name in criterion.shown}
        label = None if row.sample.label is None else criterion.scale.match(str(row.sample.label))
        found.append(
            Drawn(
                id=f"{Path(path).name}:{row.number + 1}",
                sample=Sample(**fields),
                criterion=given,
                label=label,
                source=f"{Path(path).name}, row {row.number + 1}",
                licence=licence,
                credit="",
            )
        )
    if not found:
        first = f"; the first: {wrong[0]}" if wrong else ""
        raise UsageError(f"{path}: no row can be judged by {criterion.name}{first}")
    return found, wrong


def as_given(criterion: Criterion) -> str | dict[str, Any]:
    """Return a criterion in the form of a request: its name or its data."""
    if criterion.name in criterion_names() and load_criterion(criterion.name) == criterion:
        return criterion.name
    return {
        "question": criterion.question,
        "scale": str(criterion.scale),
        "labels": dict(criterion.labels),
    }
