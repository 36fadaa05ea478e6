"""Verdicts as a table for other programs: one row per sample with columns per criterion (wide), or one per verdict (long)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from mene.criteria_set import WHOLE, CriteriaSet
from mene.errors import UsageError, nearest
from mene.verdict import Verdict

if TYPE_CHECKING:
    import polars

# File ending -> format.
FORMS = {"csv": "csv", "parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl"}
# Columns per criterion, named `tone_label`, `tone_score`, …
CELLS = ("label", "score", "confidence", "error")
LONG = (
    "row", "id", "criterion", "question", "section", "judge", "label", "score", "confidence", "probabilities", "critique",
    "error", "abstained",
)  # fmt: skip
OVERALL = {"score": f"{WHOLE}_score", "passed": f"{WHOLE}_passed"}

# The verdicts of one judge on one sample, by criterion (or section).
Line = dict[str, Verdict]


def wide(verdicts: Iterable[Verdict], criteria: CriteriaSet | None = None) -> polars.DataFrame:
    """Return one row per sample and judge: ``row``, ``id``, ``judge``, and the ``CELLS`` of each criterion.

    Verdicts with the same position, id and content belong to one sample. A cell without a verdict is null.

    Args:
        verdicts: of a ledger.
        criteria: if it has weights or ``must_pass``, adds ``overall_score`` (0 to 1) and ``overall_passed``.

    Raises:
        UsageError: a criterion that is not of the set has the name of the set's result.
    """
    lines: dict[tuple[int | None, str, str], dict[str, Line]] = {}  # content -> line
    scopes: dict[str, None] = {}
    for verdict in verdicts:
        scopes[verdict.scope] = None
        alike = lines.setdefault((verdict.row, verdict.id, verdict.judge), {})
        # A row that could not be read for one criterion has no content hash in that verdict.
        unread = alike.pop("", {}) if verdict.content else {}
        content = verdict.content or next(iter(alike), "")
        alike.setdefault(content, unread)[verdict.scope] = verdict
    # In the order of the samples' table; verdicts of earlier versions, without row numbers, come last.
    order = sorted(lines, key=lambda key: key[0] or 2**62)
    found = [(key, line) for key in order for line in lines[key].values()]
    columns: dict[str, list[Any]] = {
        "row": [key[0] for key, _ in found],
        "id": [key[1] for key, _ in found],
        "judge": [key[2] for key, _ in found],
        **cells([line for _, line in found], scopes),
    }
    if criteria is not None:
        sums = overall([line for _, line in found], criteria)
        if WHOLE in scopes and sums:
            raise UsageError(
                f"the verdicts by {WHOLE} would have the column {OVERALL['score']} of the set; leave one of the two out"
            )
        columns |= sums
    return _frame(columns)


@dataclass(frozen=True)
class Passed:
    """The overall result of a set of criteria.

    Attributes:
        samples: number of samples; ``unknown``: those of them with an unknown result.
        passed: samples that pass all ``must_pass`` criteria; None where there are none.
        score: mean of the samples' weighted means, 0 to 1; None where none is known.
    """

    samples: int
    unknown: int
    passed: int | None
    score: float | None


def passed(frame: polars.DataFrame) -> Passed:
    """Return the sums over the columns that ``wide`` adds for a set."""
    found, scores = frame[OVERALL["passed"]], frame[OVERALL["score"]]
    known = found.drop_nulls()
    mean = scores.mean()
    return Passed(
        samples=len(found),
        unknown=found.null_count(),
        passed=int(known.sum()) if len(known) else None,
        score=mean if isinstance(mean, float) else None,
    )


def cells(lines: Iterable[Line], scopes: Iterable[str]) -> dict[str, list[Any]]:
    """Return column -> values, one per sample."""
    found = list(lines)
    return {
        f"{scope}_{cell}": [getattr(line.get(scope), cell, None) for line in found]
        for scope in scopes
        for cell in CELLS
    }


def overall(lines: Iterable[Line], criteria: CriteriaSet) -> dict[str, list[Any]]:
    """Return column -> values, one per sample, of a set with weights or ``must_pass``; empty for a set without."""
    if not criteria.rules:
        return {}
    found = [criteria.overall(line) for line in lines]
    return {column: [getattr(one, name) for one in found] for name, column in OVERALL.items()}


def long(verdicts: Iterable[Verdict]) -> polars.DataFrame:
    """Return one row per verdict, with the columns ``LONG``; probabilities are JSON."""
    columns: dict[str, list[Any]] = {name: [] for name in LONG}
    for verdict in verdicts:
        for name, column in columns.items():
            said = getattr(verdict, name)
            column.append(None if said == "" else said)
    columns["probabilities"] = [p and json.dumps(p) for p in columns["probabilities"]]
    return _frame(columns)


def is_number(column: str) -> bool:
    """Return whether a column holds floats."""
    return column.endswith(("score", "confidence"))


def series(name: str, values: list[Any]) -> polars.Series:
    """Return a column; its type follows from its name, even if all values are missing."""
    import polars

    kinds = {"row": polars.Int64, "abstained": polars.Boolean, OVERALL["passed"]: polars.Boolean}
    kind = polars.Float64 if is_number(name) else kinds.get(name, polars.String)
    return polars.Series(name, values, kind)


def _frame(columns: Mapping[str, list[Any]]) -> polars.DataFrame:
    import polars

    return polars.DataFrame([series(name, values) for name, values in columns.items()])


def form_of(path: str) -> str:
    """Return the format for a file name: ``csv``, ``parquet`` or ``jsonl``.

    Raises:
        UsageError: an unknown ending.
    """
    ending = path.rpartition(".")[2].casefold() if "." in path else ""
    if ending not in FORMS:
        raise UsageError(
            f"{path}: a table is .csv, .parquet or .jsonl{nearest(ending, FORMS)}; rename it"
        )
    return FORMS[ending]


def write(frame: polars.DataFrame, file: BinaryIO, form: str) -> None:
    """Write a table as ``csv``, ``parquet`` or ``jsonl``."""
    if form == "parquet":
        frame.write_parquet(file)
    elif form == "jsonl":
        frame.write_ndjson(file)
    else:
        frame.write_csv(file)
