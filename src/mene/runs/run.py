"""A run: judges a table of samples by some criteria and writes a ledger of verdicts."""

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
        judge: a judge or a jury.
        criteria: one or several, with different names.
        rows: the table; see ``tables.read_rows``, and ``tables.live`` for the Nones. A row with its own criterion is judged by
            that one only, any other row by all.
        output: the ledger; None = no file (callbacks are still called).
        section: of the ledger, where every row has its own criterion (names may repeat); else empty.
        columns: field -> column, where ``rows`` were read from columns with other names. Stored in the verdicts, so that a
            report reads the table in the same way.
        limit: maximum number of rows.
        overwrite: do not use existing verdicts of the ledger or of ``others``; the ledger's verdicts by these criteria are
            removed once there is a first new one.
        others: further ledgers to copy verdicts with the same key from (``beside.ledgers_beside``).
        on_verdict: called with every new verdict as it comes; without a ledger, in the order of the rows.
        on_reused: called with every verdict that was already in the ledger.
        explaining: which rows get a critique once all have their verdict; its limit is per criterion.
        on_explained: called with every verdict that has its critique, new or found in the ledger. Without a ledger, a row
            that gets a critique is passed to ``on_verdict`` only then.
        events: called with the progress of the work ``work_of``, in verdicts, and of ``reasons_of``, in critiques, and with
            warnings.
        total: number of rows, where known, for a progress bar.
        summaries: criterion (or section) -> its sums; updated during the run, so that a caller has them after an
            interruption.

    Returns:
        The sums over all criteria, including verdicts found in the ledger.
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
            loading = _loading(judge) - loaded  # an earlier run may have loaded the judge
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
    """Return the seconds spent loading models, which happens at the first row that needs them."""
    engines = (one.engine for one in judge.judges)
    return sum(engine.loading_s for engine in engines if isinstance(engine, LaterEngine))
