"""Which sections of a report the gold labels are about, with notes on labels that fit none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mene.report.summary import Row, Summary
from mene.stats.golds import brief, check_names, example


def doubtful(sections: Iterable[Summary]) -> list[Summary]:
    """Return the sections, without agreement where one column of labels could belong to several criteria.

    A table does not say which question its labels answer. A criterion is chosen if it alone has most of the labels on its
    scale,
    or if its run named a column for them.
    """
    sections = list(sections)
    about: dict[str, dict[str, None]] = {}
    for s in sections:
        if s.agreement is not None and s.agreement.n > s.off_scale:
            about.setdefault(s.column, {})[s.criterion] = None
    return [
        s
        if s.agreement is None
        else _unscored(s, tuple(c for c in about.get(s.column, ()) if c != s.criterion))
        for s in sections
    ]


def _unscored(s: Summary, rivals: tuple[str, ...]) -> Summary:
    if not rivals:
        return s

    def plain(rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(replace(row, gold=None) for row in rows)

    return replace(
        s,
        rivals=rivals,
        agreement=None,
        gold_shares={},
        mean_gold=None,
        unlabelled=0,
        off_scale=0,
        strange=(),
        confidence=tuple(
            replace(box, right=0, wrong=0, open=box.right + box.wrong + box.open)
            for box in s.confidence
        ),
        least_certain=plain(s.least_certain),
        slowest=plain(s.slowest),
        failures=plain(s.failures),
        disagreements=(),
    )


def off_scale(sections: Iterable[Summary], names: Mapping[str, str]) -> Iterator[str]:
    """Yield notes on gold labels that are not scored, with the option that fixes it.

    Raises:
        UsageError: ``names`` has a label that is on no section's scale.
    """
    known = [s for s in sections if s.scale is not None]
    labels = list(dict.fromkeys(label for s in known for label in s.scale.labels))  # type: ignore[union-attr]
    if known and names:
        check_names(names, labels)
    scored = list(dict.fromkeys(s.criterion for s in known if s.agreement is not None or s.rivals))
    told: set[str] = set()
    for s in known:
        if not s.rivals or s.criterion in told:
            continue
        told |= {s.criterion, *s.rivals}
        yield (
            f"the labels fit the scale of {', '.join((s.criterion, *s.rivals))}, and it is not known which of these they are "
            "about: none is scored. Name it with --criterion; where each has labels of its own, judge it by itself with --map "
            "label=COLUMN"
        )
    # Labels of one criterion may be off the scale of another.
    others = [
        s.criterion
        for s in known
        if scored and s.off_scale and s.agreement is None and not s.rivals
    ]
    if others := list(dict.fromkeys(others)):
        yield f"the labels are not on the scale of {', '.join(others)}, which {_is(others)} reported without"
    alike: dict[tuple[str, tuple[str, ...]], list[Summary]] = {}  # one line per scale
    for s in known:
        if s.off_scale and s.criterion not in others:
            alike.setdefault((str(s.scale), s.strange), []).append(s)
    for (scale, strange), found in alike.items():
        first, labels = found[0], found[0].scale.labels  # type: ignore[union-attr]
        hint = f"say what they are called, like {example(strange, labels)}"
        if len(strange) > len(labels):  # more likely texts
            hint = (
                "if the labels are in another column, name it with --map label=COLUMN; else say what they are called, "
                f"with {example((), ())}"
            )
        every = first.off_scale + (first.agreement.n if first.agreement else 0)
        count = f"{first.off_scale:,} of {every:,} " if len(found) == 1 else ""
        yield (
            f"{count}labels ({', '.join(map(brief, strange))}) are not on the scale {scale} of "
            f"{', '.join(dict.fromkeys(s.criterion for s in found))} and are not scored; {hint}"
        )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
