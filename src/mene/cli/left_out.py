"""Notes about verdicts in a ledger that do not count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mene.cli.summary_shown import so_many_rows
from mene.runs.parts.read import Unfinished
from mene.runs.read_ledger import LeftOut


def left_out_lines(verdicts: Path | str, left_out: LeftOut) -> Iterator[str]:
    """Yield one line for each reason."""
    if left_out.unfinished:
        yield f"{verdicts}: {_unfinished(left_out.unfinished)}"
    if left_out.cut:
        yield f"{verdicts}: its last line is incomplete and does not count; run `mene judge` again to complete it"
    if left_out.earlier:
        yield (
            f"{verdicts}: {left_out.earlier:,} of its verdicts are not counted: they belong to an earlier run with other rows, "
            "model, prompt or settings; repeat that `mene judge` command to count them again"
        )
    for (criterion, judge), rows in left_out.mixed.items():
        yield (
            f"{verdicts}: the last run of {judge} on {criterion} was stopped: it judged {so_many_rows(rows)} with a new "
            "prompt or settings, and the others count with their earlier verdicts. Run the same `mene judge` again to finish"
        )


def _unfinished(found: Unfinished) -> str:
    """Say what a folder of an incomplete run lacks."""
    if found.missing is None:
        lacks = f"{so_many_rows(found.rows)} count, and its tables were not read to their ends"
    elif found.missing:
        lacks = f"{so_many_rows(found.rows)} count, and {found.missing:,} have no verdict yet"
    else:
        lacks = "every row counts, some perhaps with the verdict of an earlier run"
    if found.parts:
        parts = "1 part" if found.parts == 1 else f"{found.parts:,} parts"
        lacks += f" ({parts} in it left out)"
    return f"the run is incomplete: {lacks}; run the same `mene judge` again, without --limit, to complete it"
