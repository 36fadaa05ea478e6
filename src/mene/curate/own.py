"""Points from a user's own labelled tables (``data.own`` of a recipe)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mene.bench.align.labels import golds_of
from mene.criterion import Criterion, load_criterion
from mene.curate.make.build import group_of
from mene.curate.raw.sources import Point
from mene.recipe import Own
from mene.runs.tables import read_rows
from mene.sample import FIELDS, Sample
from mene.stats.golds import check_names, read_names
from mene.stats.shared import shared


def own_points(
    tables: Sequence[Own], broke: Callable[[Own, str], None] = lambda table, text: None
) -> Iterator[Point]:
    """Yield a point for every labelled row. Rows that show a judge the same context, or the same texts, are one group, whichever
    table they are in.

    Args:
        broke: called with the table and a message about each row that is left out: unreadable, or with a label that is not on
            the scale. A row without a label is no error; it is not used.

    Raises:
        UsageError: a table, a criterion or a name of a label is wrong, or a table has no labels, or only one.
    """
    for place, table in enumerate(tables):
        criterion = load_criterion(table.criterion, table.scale)
        names = read_names(table.labels)
        check_names(names, criterion.scale.labels)
        rows = list(read_rows(table.rows, table.map or None, criterion))
        golds, wrong = golds_of(rows, criterion, table.rows, names)
        for text in wrong:
            broke(table, text)
        for row in rows:
            if row.sample is not None and row.number in golds:
                yield Point(
                    # Ids may repeat in a table.
                    id=f"{table.name}/{place}-{row.number + 1}",
                    source=table.name,
                    sample=row.sample,
                    criterion=criterion,
                    gold=golds[row.number],
                    group=group_of("own", *shared(_shown(row.sample, criterion))),
                )


def _shown(sample: Sample, criterion: Criterion) -> Sample:
    """Return the sample without the fields that the criterion does not show: rows that differ in these alone are one text."""
    hidden = set(FIELDS) - set(criterion.shown) - {"id", "label"}
    return sample.model_copy(update=dict.fromkeys(hidden & set(Sample.model_fields)))
