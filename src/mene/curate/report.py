"""The report of a run of curation, ``report.json``: the counts of every set, what was left out and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from mene.curate.clean.decontaminate import Leaks
from mene.curate.critiques.kept import Price
from mene.curate.critiques.span import Spans
from mene.curate.stage import Stage

SHOWN = 5  # broken rows per set that the report quotes


@dataclass
class Counts:
    """Counts of one set: points that were read, too long, in a benchmark, or chosen; and broken rows.

    Attributes:
        kept: number of chosen points by side, ``train`` and ``dev``.
        labels: number of chosen points by task and label.
    """

    read: int = 0
    too_long: int = 0
    in_bench: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    broken: int = 0
    broken_rows: list[str] = field(default_factory=list)

    def broke(self, what: str) -> None:
        """Count a broken row, and store the messages of the first few."""
        self.broken += 1
        if self.broken <= SHOWN:
            self.broken_rows.append(what)


@dataclass
class Made:
    """What a run made.

    Attributes:
        stages: what was made and left out in each stage: derived, changed, argued and repeated points.
        price: of a teacher's and a scorer's answers; None if neither was used.
        spans: number of critiques that refer to a span of the response.
    """

    counts: dict[str, Counts]
    leaks: Leaks
    pairs: Counter[str]
    stages: dict[str, Stage]
    price: Price | None = None
    spans: Spans = field(default_factory=Spans)


def to_dict(made: Made) -> dict[str, Any]:
    """Return the report as JSON data."""
    return {
        "pairs": dict(made.pairs),
        # Not `asdict`, which turns a Counter into a Counter of its pairs.
        "sources": {name: vars(found) for name, found in made.counts.items()},
        "leaks": [asdict(leak) for leak in made.leaks.examples],
        "leaks_by_kind": {
            f"{source}: {kind}": n for (source, kind), n in sorted(made.leaks.dropped.items())
        },
        **(
            {"stages": {name: vars(stage) for name, stage in made.stages.items()}}
            if made.stages
            else {}
        ),
        **({"critiques": made.spans.to_dict()} if made.spans.kept else {}),
    }
