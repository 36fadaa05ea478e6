"""The sums over a run that are shown at its end, per criterion."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mene.judge.combine import SAME_TEXT
from mene.judge.explaining import UNSURE
from mene.verdict import Usage, Verdict

# Keys of ``to_dict``: those of the whole run, and those that add up over criteria.
TIMES = ("seconds", "explaining_seconds", "judgements_per_second")
ADDED_UP = (
    "judged",
    "reused",
    "errors",
    "abstained",
    "unsure",
    "explained",
    "unexplained",
    "unwritten",
)
# Fields that all criteria of a run share.
OF_THE_RUN = ("seconds", "explaining_s", "duplicates", "empty", "unkept")


@dataclass
class Summary:
    """Sums over the verdicts of a run by one criterion.

    Attributes:
        rows: rows of the table (during the run, those read so far); ``judged``: judged now; ``reused``: from the ledger.
        taken: (file, judge) -> number of ``reused`` verdicts that come from another judge or file.
        errors: rows without a verdict.
        labels: label -> rows, without ``even`` (pairs of identical responses) and ``abstained`` (rows left to a person).
        seconds: from the first row to the last, without model loading; of the whole run with all criteria.
        usage: tokens of the rows judged now.
        pointwise: pairs whose responses were judged alone, so that their order has no effect.
        unsure: rows whose label has a probability under 0.6.
        explained: rows with the requested critique; ``written``: those of them written now.
        unexplained: rows without a critique because of the limit; ``unwritten``: because of an error.
        reconsidered: labels that changed after a critique.
        explaining_s: seconds spent on critiques, for all criteria.
        empty: rows with an empty response, which are judged too.
        unkept: whether all rows failed, so that the file keeps its earlier verdicts instead (see ``Ledger.finish``).
    """

    rows: int = 0
    judged: int = 0
    reused: int = 0
    taken: Counter[tuple[Path, str]] = field(default_factory=Counter)
    errors: int = 0
    duplicates: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=lambda: [0.0, 0.0])  # sum, count
    confidences: list[float] = field(default_factory=lambda: [0.0, 0.0])
    orders: list[int] = field(default_factory=lambda: [0, 0])  # consistent, judged in both orders
    pointwise: int = 0
    unsure: int = 0
    even: int = 0
    abstained: int = 0
    empty: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    explained: int = 0
    written: int = 0
    unexplained: int = 0
    unwritten: int = 0
    reconsidered: int = 0
    explaining_s: float = 0.0
    unkept: bool = False

    def add(self, verdict: Verdict, times: int = 1) -> None:
        """Count one verdict; ``times`` = -1 undoes it."""
        if verdict.error is not None:
            self.errors += times
            return
        self.empty += times * any(map(is_empty_response, verdict.notes))
        if SAME_TEXT in verdict.notes and verdict.label != "tie":
            self.even += times  # counted apart from the labels
            return
        if verdict.abstained:
            self.abstained += times
            return
        self.labels[verdict.label or ""] += times
        if verdict.score is not None:
            self.scores[0] += verdict.score * times
            self.scores[1] += times
        if verdict.confidence is not None:
            self.confidences[0] += verdict.confidence * times
            self.confidences[1] += times
            self.unsure += (verdict.confidence < UNSURE) * times
        self.pointwise += (verdict.compare == "pointwise") * times
        if verdict.consistent is not None:
            self.orders[0] += verdict.consistent * times
            self.orders[1] += times

    def explain(self, before: Verdict, after: Verdict, new: bool) -> None:
        """Count a critique, and a label that changed because of it."""
        self.explained += 1
        if new:
            self.written += 1
            self.spend(after.usage - before.usage)
        self.reconsidered += after.first is not None and after.first.label != after.label
        self.add(before, -1)
        self.add(after)

    def spend(self, usage: Usage) -> None:
        """Count one verdict's tokens."""
        self.usage.prompt_tokens += usage.prompt_tokens
        self.usage.cached_tokens += usage.cached_tokens
        self.usage.completion_tokens += usage.completion_tokens

    @property
    def done(self) -> int:
        """Rows that have a verdict or an error."""
        return self.judged + self.reused + self.errors

    def stop(self, rows: int | None) -> None:
        """Record an interruption. Rows are read ahead, so the table's number of rows is passed in; None where unknown."""
        self.rows = self.done if rows is None else rows

    @property
    def mean_score(self) -> float | None:
        """Mean of the scores; None unless the scale is ordinal."""
        return self.scores[0] / self.scores[1] if self.scores[1] else None

    @property
    def mean_confidence(self) -> float | None:
        """Mean probability of the chosen labels."""
        return self.confidences[0] / self.confidences[1] if self.confidences[1] else None

    @property
    def rate(self) -> float:
        """Judgements per second."""
        return self.judged / self.seconds if self.seconds else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the data for ``--json``."""
        return {
            "rows": self.rows,
            "judged": self.judged,
            "reused": self.reused,
            "taken": [
                {"file": str(file), "judge": judge, "rows": rows}
                for (file, judge), rows in self.taken.items()
            ],
            "errors": self.errors,
            "abstained": self.abstained,
            "labels": dict(self.labels.most_common()),
            "mean_score": self.mean_score,
            "mean_confidence": self.mean_confidence,
            "unsure": self.unsure,
            "empty": self.empty,
            "consistent": self.orders[0] if self.orders[1] else None,
            "both_orders": self.orders[1],
            "pointwise": self.pointwise,
            "explained": self.explained,
            "written": self.written,
            "unexplained": self.unexplained,
            "unwritten": self.unwritten,
            "reconsidered": self.reconsidered,
            "seconds": round(self.seconds, 3),
            "explaining_seconds": round(self.explaining_s, 3),
            "judgements_per_second": round(self.rate, 3) if self.judged else None,
            "tokens": {
                "read": self.usage.prompt_tokens - self.usage.cached_tokens,
                "reused": self.usage.cached_tokens,
                "written": self.usage.completion_tokens,
            },
        }


def whole(parts: Iterable[Summary]) -> Summary:
    """Return the sums over all criteria of a run; with one criterion, its own. Each row counts once per criterion."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    total = Summary()
    for part in found:
        for one in fields(Summary):
            old, new = getattr(total, one.name), getattr(part, one.name)
            if one.name in OF_THE_RUN:
                value = max(old, new)
            elif isinstance(new, list):
                value = [a + b for a, b in zip(old, new, strict=True)]
            else:
                value = old + new
            setattr(total, one.name, value)
    return total


def as_json(parts: Mapping[str, Summary]) -> dict[str, Any]:
    """Return the data for ``--json``: the sums of a run, and those of each criterion under ``criteria``.

    With several criteria, the run itself has only the figures that add up; ``rows`` counts rows of the table.
    """
    total = whole(parts.values()).to_dict()
    if len(parts) > 1:
        total = {"rows": max(part.rows for part in parts.values())} | {
            name: total[name] for name in (*ADDED_UP, *TIMES, "tokens")
        }
    each = {
        name: {key: said for key, said in part.to_dict().items() if key not in TIMES}
        for name, part in parts.items()
    }
    return {**total, "criteria": each}


def is_empty_response(note: str) -> bool:
    """Return whether a verdict's note says that the response is empty (see ``Judge.ask``)."""
    return note.startswith("response") and note.endswith(" is empty")
