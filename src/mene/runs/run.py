"""A run: a table of samples and the criteria to judge them by in, a ledger of verdicts out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mene.criterion import Criterion
from mene.engines.later import LaterEngine
from mene.errors import UsageError
from mene.events import Begin, Events, Stop, on_stderr, warner
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import NO_JURY, Explaining
from mene.runs.ledger import Ledger
from mene.runs.summary import Summary, whole
from mene.runs.tables import Row
from mene.runs.under_way import UnderWay, work_of
from mene.verdict import Verdict

NO_REASONS = Explaining("none")


def run(
    judge: AnyJudge,
    criteria: Criterion | Iterable[Criterion],
    rows: Iterable[Row | None],
    output: Path | None,
    *,
    section: str = "",
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    others: Iterable[Path] = (),
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    on_reused: Callable[[Verdict], None] = lambda verdict: None,
    explaining: Explaining = NO_REASONS,
    on_explained: Callable[[Verdict], None] = lambda verdict: None,
    events: Events = on_stderr,
    total: int | None = None,
    summaries: dict[str, Summary] | None = None,
) -> Summary:
    """Judge a table.

    Args:
        judge: who judges.
        criteria: one or several, with different names.
        rows: the table; see ``tables.read_rows``, and ``tables.live`` for the Nones. A row that says its own criterion is
            judged by that one, any other by all.
        output: the ledger; None = no file (``on_verdict`` gets everything all the same).
        section: of the ledger, where every row says a criterion of its own (they may have one name); else empty.
        columns: those that ``rows`` were read from under other names (field -> column); a verdict says it, so that a report
            reads the table the same way.
        limit: only the first rows.
        overwrite: what the ledger holds by these criteria is not used, and goes when there is a first verdict; nor is what
            ``others`` hold.
        others: further ledgers, of which verdicts with the same key are copied (``lent.ledgers_beside``).
        on_verdict: called with every new verdict as it comes; without a ledger in the order of the rows.
        on_reused: called with every verdict that was in the ledger already.
        explaining: which rows get a critique once all have their verdict; its limit is of each criterion.
        on_explained: called with every verdict that has its critique, new or found in the ledger. Without a ledger a row that
            gets a critique goes to ``on_verdict`` only then.
        events: told of the work ``work_of``, a step of which is a verdict, of that for critiques (``reasons_of``), and of
            repairs and oddities.
        total: rows that there are, where that is known, for whoever watches.
        summaries: criterion (or section) -> its sums; filled in as the run goes, so that a caller has them after an
            interruption.

    Returns:
        The sums over all criteria, verdicts found in the ledger included.
    """
    if explaining.which != "none" and len(judge.judges) > 1:
        raise UsageError(NO_JURY)
    asked = (criteria,) if isinstance(criteria, Criterion) else tuple(criteria)
    scopes = (section,) if section else tuple(criterion.name for criterion in asked)
    sums = {} if summaries is None else summaries
    for scope in scopes:
        sums.setdefault(scope, Summary())
    work = work_of(scopes)
    ledger = (
        Ledger(output, judge.name, scopes, warner(events), overwrite, others) if output else None
    )
    going = UnderWay(
        judge,
        section,
        scopes,
        columns or {},
        ledger,
        explaining,
        [sums[scope] for scope in scopes],
        on_verdict,
        on_reused,
        events,
    )
    start, loaded = time.perf_counter(), _loading(judge)
    events(Begin(work, None if total is None else total * len(scopes)))
    try:
        try:
            going.judge_rows(_by_all(rows, asked), limit)
        finally:
            loading = _loading(judge) - loaded  # a judge that has had a run is loaded already
            for summary in sums.values():
                summary.seconds = time.perf_counter() - start - loading
        if going.left_to_explain:
            going.add_critiques(judge.judges[0], on_explained)
        if ledger is not None:
            kept = ledger.finish()
            for summary in sums.values():
                summary.unkept = not kept
    finally:
        if ledger is not None:
            ledger.close()
        going.hand_on_the_rest()
        events(Stop(work))
    return whole(sums.values())


def _by_all(rows: Iterable[Row | None], criteria: tuple[Criterion, ...]) -> Iterator[Row | None]:
    for row in rows:
        if row is None or row.criterion is not None:
            yield row
        else:
            for criterion in criteria:
                yield row._replace(criterion=criterion)


def _loading(judge: AnyJudge) -> float:
    """Seconds in which models were loaded, at the first row that needed them."""
    engines = (one.engine for one in judge.judges)
    return sum(engine.loading_s for engine in engines if isinstance(engine, LaterEngine))
