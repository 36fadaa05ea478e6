"""Verdicts grouped by criterion and judge, reduced to labels, scores and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mene.criterion import Criterion
from mene.criterion_behind import behind, told
from mene.errors import UsageError, nearest, nearest_file
from mene.judge.combine import SAME_TEXT
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.scale import Scale
from mene.stats.columns import as_number, guess_scale
from mene.verdict import Verdict


class Said(NamedTuple):
    """One verdict.

    Attributes:
        id, row, content: of the row; see ``Verdict``.
        label: None where the row failed, was left to a person, or has identical responses (``even``).
        failed, abstained: the reason for a missing label.
        even: both responses of the pair are identical, so that the label is meaningless.
    """

    id: str
    row: int
    content: str
    label: str | None
    score: float | None
    probabilities: dict[str, float] | None
    failed: bool
    abstained: bool
    even: bool
    critique: str
    columns: tuple[tuple[str, str], ...]


def said(verdict: Verdict) -> Said:
    """Return the relevant part of a verdict."""
    v = verdict
    even = v.label in ("A", "B") and SAME_TEXT in v.notes
    return Said(
        v.id,
        v.row or 0,
        v.content,
        None if even else v.label,
        v.score,
        v.probabilities,
        v.error is not None,
        v.abstained,
        even,
        v.error or v.critique or "",
        tuple(sorted(v.columns.items())),
    )


@dataclass
class Section:
    """All verdicts of one criterion by one judge.

    Attributes:
        given: the criterion, from the caller or from the verdicts themselves.
    """

    criterion: str
    judge: str
    question: str = ""
    rows: list[Said] = field(default_factory=list)
    given: Criterion | None = None

    def add(self, verdict: Verdict) -> None:
        """Add a verdict."""
        self.question = self.question or verdict.question
        self.given = told(verdict) or self.given
        self.rows.append(said(verdict))

    def is_called(self, name: str) -> bool:
        return name in (self.criterion, self.question)

    @property
    def failed(self) -> int:
        return sum(row.failed for row in self.rows)

    @property
    def abstained(self) -> int:
        return sum(row.abstained for row in self.rows)

    @cached_property
    def known(self) -> Criterion | None:
        """The criterion, if known and the verdicts are on its scale; else None."""
        return behind(self.given, self.criterion, self.question, self._seen)

    @cached_property
    def scale(self) -> Scale | None:
        """The scale; None where no row has a label. See ``scale_is_whole``."""
        if self.known is not None:
            return self.known.scale
        return guess_scale(self._named, sorted(self._seen), ())

    @property
    def scale_is_whole(self) -> bool:
        """Whether all labels of the scale are known. Without probabilities, labels that never occurred may be missing."""
        return self.known is not None or bool(self._named)

    @cached_property
    def _named(self) -> list[str]:
        return list(dict.fromkeys(label for row in self.rows for label in row.probabilities or ()))

    @cached_property
    def _seen(self) -> set[str]:
        return {row.label for row in self.rows if row.label is not None} | set(self._named)

    @property
    def shares(self) -> Counter[str]:
        """Return label -> number of rows."""
        return Counter(row.label for row in self.rows if row.label is not None)

    def good(self) -> tuple[str, ...] | None:
        """Return the labels of a nominal scale that do not fail; None where unknown."""
        if self.scale is None or self.scale.kind != "nominal":
            return None
        if self.known is not None and self.known.failing:
            return tuple(label for label in self.scale.labels if label not in self.known.failing)
        return self.scale.labels[:1] if self.scale.is_binary else None


def other_question(one: Section, other: Section, a: str, b: str) -> list[str]:
    """Return notes on what two sections of one criterion's name do not have in common; a difference may come from that.

    Args:
        a, b: names of their runs.

    Raises:
        UsageError: their failing labels differ, so that what is better in one is worse in the other.
    """
    if one.good() and other.good() and one.good() != other.good() and one.scale == other.scale:
        good = [", ".join(section.good() or ()) for section in (one, other)]
        raise UsageError(
            f"{one.criterion}: its good labels are {good[0]} in {a}, and {good[1]} in {b}; judge both by one criterion, or "
            "give one of them another name"
        )
    asked = [_question_of(section) for section in (one, other)]
    if not all(asked) or asked[0] == asked[1]:
        return []
    return [f'{a} was asked "{asked[0]}", {b} "{asked[1]}", which may be the difference']


def _question_of(section: Section) -> str:
    return section.question or (section.known.question if section.known is not None else "")


def score_of(row: Said) -> float | None:
    """Return a row's score on an ordinal scale: the mean of its probabilities, or its label."""
    if row.label is None:
        return None
    return as_number(row.label) if row.score is None else row.score


def sections_of(verdicts: Iterable[Verdict]) -> list[Section]:
    """Return sections by criterion and judge, in order of first appearance."""
    found: dict[tuple[str, str], Section] = {}
    for verdict in verdicts:
        key = verdict.criterion, verdict.judge
        if key not in found:
            found[key] = Section(*key)
        found[key].add(verdict)
    return list(found.values())


def read_sections(path: Path, left_out: LeftOut | None = None) -> list[Section]:
    """Return the sections of a ledger's verdicts that count, or of a folder of parts (``mene judge --on ray``).

    Raises:
        UsageError: the file does not exist, or is empty.
        LedgerError: it holds something else.
    """
    if not path.exists():
        near = nearest_file(path, (".jsonl",))
        raise UsageError(
            f"{path}: cannot read: no such file; give one that `mene judge` wrote{near}"
        )
    sections = sections_of(read_verdicts(path, left_out))
    if not sections:
        raise UsageError(f"{path} has no verdicts; judge something first: `mene judge FILE`")
    return sections


def on(sections: list[Section], criterion: str, where: str) -> list[Section]:
    """Return the sections on a criterion that a rule or an option names.

    Raises:
        UsageError: there are none; lists the existing criteria.
    """
    found = [s for s in sections if s.is_called(criterion)]
    if not found:
        names = list(dict.fromkeys(s.criterion for s in sections))
        near = nearest(criterion, names)
        raise UsageError(
            f'{where}: no verdict on "{criterion}"{near}; there are verdicts on: {", ".join(names)}'
        )
    return found
