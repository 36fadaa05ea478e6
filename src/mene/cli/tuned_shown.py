"""The result of ``mene tune``: on a screen, and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mene.bench.align.tuned import Tuned
from mene.cli.aligned import asked_as, figures_of, table_of
from mene.cli.bench_tables import console_of
from mene.cli.console import plain
from mene.criterion import Criterion
from mene.export.card import table
from mene.gate.words import figure_words

SURE = 0.05  # two-sided p below which a difference is called one


def tuned_json(found: Tuned) -> dict[str, Any]:
    """Return the data for ``--json``."""
    more = found.more
    return {
        "before": figures_of(found.before),
        "after": figures_of(found.after),
        "gained": found.gained,
        "lost": found.lost,
        "difference": [more.value, more.low, more.high],
        "p": found.p,
    }


def tuned_markdown(judge: str, found: Tuned) -> str:
    """Return the figures for the card."""
    rows = []
    for name, held in ((f"{judge}, before", found.before), ("after", found.after)):
        a = held.agreement
        figures = (
            figure_words(a.accuracy, True),
            figure_words(a.kappa, False),
            figure_words(a.ece, False),
        )
        rows.append([name, *figures, f"{held.log_loss:.3f}"])
    count = found.before.agreement.n
    head = [f"{count} rows", "accuracy", "kappa", "calibration error", "log loss"]
    return f"{table(head, rows)}\n\n{_in_words(found)}"


def show_tuned(criterion: Criterion, judge: str, target: Path, found: Tuned) -> None:
    """Print the figures, what they mean, and the next command."""
    console = console_of()
    count = found.before.agreement.n
    console.print(
        table_of(f"{judge} on {criterion.name}: {count} rows held out", (found.before, found.after))
    )
    for base in found.before.agreement.baselines:
        console.print(f"{base.name}: accuracy {100 * base.accuracy:.1f} %")
    console.print(_in_words(found), soft_wrap=True)
    console.print(f"saved    {plain(target)} (judge.yaml, adapter, card)", soft_wrap=True)
    console.print(
        f"next     mene judge FILE -c {plain(asked_as(criterion))} --judge {plain(target)}",
        soft_wrap=True,
    )


def _in_words(found: Tuned) -> str:
    told = f"{found.gained} rows are right that were wrong, {found.lost} wrong that were right (p = {found.p:.2g}). "
    if found.p >= SURE:
        return f"{told}No sure difference: label more rows, or use the judge as it was."
    if found.gained > found.lost:
        return f"{told}The training helped."
    return f"{told}The training did harm: use the judge as it was."
