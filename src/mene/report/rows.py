"""All rows of a report, for the table that the page's script draws: judged texts, and verdicts by each criterion.

Compact, since a page of 50,000 rows is a single file: a text shared by several rows is stored once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mene.criterion import Criterion
from mene.report.summary import Summary
from mene.sample import FIELDS, Sample
from mene.scale import Scale
from mene.stats.columns import gold_codes
from mene.verdict import Verdict

LONGEST = 6000  # maximum characters of one text: judged documents can be books
# Maximum characters of all judged texts in a page; the worst rows take precedence.
MOST = 40_000_000

SEATS = {"response_a": "Response A", "response_b": "Response B"}
_ERROR = -1.0  # lower than any verdict's value


class Rows:
    """Collects verdicts by row. ``add`` each once, then call ``data``."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._sections: dict[tuple[str, str], int] = {}
        self._rows: dict[Any, tuple[str, Sample | None, list[tuple[int, list[Any]]]]] = {}
        # Ids may repeat: the second occurrence is another row.
        self._seen: dict[tuple[Any, int], int] = {}

    def add(
        self, verdict: Verdict, place: Any, gold: Any = None, sample: Sample | None = None
    ) -> None:
        """Add a verdict; ``place`` is the key of its row (see ``summarise``), None without a table row."""
        section = self._sections.setdefault((verdict.scope, verdict.judge), len(self._sections))
        name = ("row", verdict.row or verdict.id) if place is None else ("place", place)
        turn = self._seen[name, section] = self._seen.get((name, section), -1) + 1
        row = self._rows.setdefault((name, turn), (verdict.id, sample, []))
        response = (sample.response if sample else None) or ""
        claims = [
            [
                *_in_page(response, span),
                part.label,
                _short(part.confidence),
                _cut(part.critique),
                part.error,
            ]
            for part in verdict.parts
            if (span := part.span) is not None
        ]
        state = 2 if verdict.error is not None else int(verdict.abstained)
        cell = [
            verdict.likeliest if verdict.abstained else verdict.label,
            _short(verdict.score),
            _short(verdict.confidence),
            _cut(verdict.error or verdict.critique),
            state,
            gold,
            claims,
        ]
        row[2].append((section, cell))

    def data(self, sections: Sequence[Summary]) -> dict[str, Any]:
        """Return the data that the script reads, the worst rows first.

        Returns:
            ``sections`` (name, judge, question, labels, failing labels); ``texts``; ``rows`` ([id, [[name of a text, its
            number]], {section: cell}, texts left out]), where a cell is [label, score, confidence, critique or error, 0 decided
            1 left to a person 2 error, gold label, claims, value from 0 worst to 1 best]; and ``without``, the number of rows
            whose texts did not fit.
        """
        failing = [_failing(s) for s in sections]
        golds = [_gold_of(s) for s in sections]
        rows = []
        for id_, sample, cells in self._rows.values():
            shown = {n: [*cell, _how_good(cell, sections[n], failing[n])] for n, cell in cells}
            for n, cell in shown.items():
                cell[5] = golds[n](cell[5])
            rows.append((min(cell[-1] for cell in shown.values()), id_, sample, shown))
        rows.sort(key=lambda row: row[0])
        texts: dict[str, int] = {}
        left, without, found = self.most, 0, []
        for _, id_, sample, shown in rows:
            own = [(name, _cut(text) or "") for name, text in texts_of(sample)]
            new = sum(len(text) for _, text in own if text not in texts)
            fits = new <= left
            left -= new if fits else 0
            without += not fits
            numbers = [[n, texts.setdefault(t, len(texts))] for n, t in own] if fits else []
            found.append([id_, numbers, shown, int(not fits)])
        heads = [
            [
                s.criterion,
                s.judge,
                s.question,
                list(s.scale.labels) if s.scale else [],
                sorted(failing[n]),
            ]
            for n, s in enumerate(sections)
        ]
        return {"sections": heads, "texts": list(texts), "rows": found, "without": without}


def as_json(data: dict[str, Any]) -> str:
    """Return JSON that is safe within a ``script`` element: without ``<``, no text can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def texts_of(sample: Sample | None) -> list[tuple[str, str]]:
    """Return the non-empty judged texts of a row, in reading order."""
    both: Iterable[tuple[str, Any]] = (
        (f, getattr(sample, f)) for f in FIELDS if sample is not None
    )
    return [(SEATS.get(field, field.capitalize()), text) for field, text in both if text]


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}…\n\n[{len(text) - LONGEST:,} more characters]"


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _in_page(text: str, span: tuple[int, int]) -> Iterator[int]:
    """Convert a span to JavaScript's UTF-16 units, in which characters beyond U+FFFF count as two."""
    for end in span:
        end = min(end, LONGEST)
        yield end if text.isascii() else len(text[:end].encode("utf-16-le", "surrogatepass")) // 2


def _gold_of(s: Summary) -> Callable[[Any], str | None]:
    """Return a function from a gold label to a label of the scale (the nearest for a number), None where it is not scored."""
    scale, known = s.scale, {}
    if scale is None or s.agreement is None:  # unknown whether the labels are about this section
        return lambda gold: None

    def gold_of(gold: Any) -> str | None:
        if gold is None:
            return None
        key = type(gold), gold
        if key not in known:
            code = int(gold_codes([gold], scale)[0][0])
            known[key] = scale.labels[code] if code >= 0 else None
        return known[key]

    return gold_of


def _failing(s: Summary) -> frozenset[str]:
    """Return the labels that mean that something is wrong; none for pairs, where both responses may be good."""
    if s.scale is None or s.scale.kind == "pairwise":
        return frozenset()
    return frozenset(_usual(s.scale) if s.failing is None else s.failing)


def _usual(scale: Scale) -> tuple[str, ...]:
    return Criterion(name="any", question="any", scale=scale).failing or ()


def _how_good(cell: list[Any], s: Summary, failing: frozenset[str]) -> float:
    label, score, sure, state = cell[0], cell[1], cell[2], cell[4]
    if state == 2:
        return _ERROR
    scale = s.scale
    if scale is None or label not in scale.labels:
        return 0.5
    if scale.kind == "ordinal":
        low, high = min(scale.values), max(scale.values)
        value = scale.values[scale.labels.index(label)] if score is None else score
        good = (value - low) / ((high - low) or 1)
        return round(1 - good if scale.labels[-1] in failing else good, 4)
    half = (1.0 if sure is None else sure) / 2
    return round(0.5 - half if label in failing else 0.5 + half, 4)
