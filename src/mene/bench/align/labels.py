"""The gold labels of the rows that a judge is aligned on, and messages about rows that are left out."""

from __future__ import annotations

from collections.abc import Mapping

from mene.bench.align.align import LEAST_ROWS
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.runs.tables import Row
from mene.stats.columns import gold_codes
from mene.stats.golds import brief, example, named

SHOWN = 10  # maximum number of off-scale labels to list, each with its place


def golds_of(
    rows: list[Row], criterion: Criterion, path: str, called: Mapping[str, str]
) -> tuple[dict[int, str], list[str]]:
    """Return position in the table -> gold label on the scale, and messages about rows that are left out.

    Raises:
        UsageError: no row has a label, or all have the same one.
    """
    scale = criterion.scale
    wrong = [row.error for row in rows if row.error]
    labelled = [(r, r.sample) for r in rows if r.sample is not None and r.sample.label is not None]
    if not labelled:
        raise UsageError(
            f'{path}: no row has a "label"; say which column it is with --map label=COLUMN'
        )
    codes, _ = gold_codes([named(sample.label, called) for _, sample in labelled], scale)
    found: dict[int, str] = {}
    strange: dict[str, list[Row]] = {}
    for (row, sample), code in zip(labelled, codes.tolist(), strict=True):
        if code >= 0:
            found[row.number] = scale.labels[code]
        else:
            strange.setdefault(str(sample.label), []).append(row)
    if strange:
        wrong.insert(0, _off_scale(strange, criterion))
    if len(found) >= LEAST_ROWS and len(set(found.values())) == 1:
        others = f" ({_off_scale(strange, criterion)})" if strange else ""
        raise UsageError(
            f'{path}: all {len(found)} labels are "{next(iter(found.values()))}", but at least two different ones are '
            f"needed; add rows with other labels{others}"
        )
    return found, wrong


def _off_scale(strange: dict[str, list[Row]], criterion: Criterion) -> str:
    """Return one line about all off-scale labels: where they are, and the option that maps them."""
    scale = criterion.scale
    each = [f'"{brief(label)}" ({rows[0].where})' for label, rows in strange.items()]
    more = f" and {len(each) - SHOWN} others" if len(each) > SHOWN else ""
    count = sum(map(len, strange.values()))
    if (
        scale.kind == "pairwise"
        and "tie" not in scale.labels
        and {s.casefold() for s in strange} == {"tie"}
    ):
        return (
            f"{count} row{'s' * (count != 1)} left out: {', '.join(each)}: the scale {scale} of {criterion.name} has no tie; "
            "give --scale a/b/tie"
        )
    return (
        f"{count} row{'s' * (count != 1)} left out: {', '.join(each[:SHOWN])}{more} "
        f"{'is' if len(each) == 1 else 'are'} not on the "
        f"scale {scale} of {criterion.name}; correct the labels, choose the scale with --scale, or say what they mean, like "
        f"{example(strange, scale.labels)} (see which means which)"
    )
