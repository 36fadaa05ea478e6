"""The results of ``mene align`` for one judge: on a screen, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mene.bench.align.align import Alignment, Held
from mene.bench.align.reached import Reached
from mene.bench.align.wanted import Wanted
from mene.cli.bench_tables import figure_text
from mene.cli.console import plain
from mene.cli.wanted import wanted_json, wanted_lines
from mene.criterion import Criterion
from mene.judge.calibration import Calibration
from mene.stats.agreement import Agreement
from mene.stats.intervals import Figure


@dataclass(frozen=True)
class Aligned:
    """The results for one judge.

    Attributes:
        lost: labelled rows without a verdict with probabilities.
        wanted, reached: the requested guarantee, and whether it can be given.
        target: the file with the calibrated judge; None if nothing was learned.
    """

    judge: str
    found: Alignment
    lost: int
    ledger: Path
    wanted: Wanted | None = None
    reached: Reached | None = None
    target: Path | None = None

    @property
    def learned(self) -> Calibration | None:
        """Return the calibration that the judge is saved with."""
        return (self.reached and self.reached.calibration) or self.found.chosen

    @property
    def missed(self) -> bool:
        """Return whether a requested guarantee cannot be given."""
        return self.reached is not None and self.reached.calibration is None


def figures_of(held: Held) -> dict[str, Any]:
    """Return figures as JSON data, each with the ends of its 95 % interval."""
    a = held.agreement
    figures = {"accuracy": a.accuracy, "kappa": a.kappa, "pearson": a.pearson, "ece": a.ece}
    return {
        "log_loss": held.log_loss,
        **{name: [f.value, f.low, f.high] for name, f in figures.items() if f is not None},
    }


def likeness(agreement: Agreement) -> tuple[str, Figure]:
    """Return a name and a figure for how far the labels go together: of scores the correlation, since one of 4 where people gave
    5 is nearly right; of other labels kappa."""
    if agreement.pearson is not None:
        return "Pearson", agreement.pearson
    return "kappa", agreement.kappa


def aligned_json(one: Aligned) -> dict[str, Any]:
    """Return the data for ``--json``."""
    found = one.found
    said = {
        "rows": found.before.agreement.n,
        "without_verdict": one.lost,
        "as_it_is": figures_of(found.before),
        "held_out": {held.name: figures_of(held) for held in found.held},
        "chosen": None if found.chosen is None else found.chosen.method,
        "preset": None if one.target is None else str(one.target),
        "labels_to_halve_the_interval": found.more,
    }
    if one.wanted is not None and one.reached is not None:
        said["wanted"] = wanted_json(one.wanted, one.reached)
    return said


def show_aligned(console: Console, criterion: Criterion, one: Aligned) -> None:
    """Print the figures, what was saved, and the next command."""
    found, lost = one.found, one.lost
    title = f"{one.judge} on {criterion.name}: {found.before.agreement.n} labels"
    console.print(table_of(title, (found.before, *found.held)))
    chosen = f"; chosen: {found.chosen.method}" if found.chosen else ""
    console.print(f"Calibrations are measured on rows they did not learn from{chosen}.")
    for base in found.before.agreement.baselines:
        console.print(f"{base.name}: accuracy {100 * base.accuracy:.1f} %")
    if lost:
        have = "rows have" if lost > 1 else "row has"
        console.print(f"[red]{lost} labelled {have} no verdict with probabilities[/red]")
    console.print(f"{found.more} labels more would halve these intervals.")
    if one.wanted and one.reached:
        for line in wanted_lines(one.wanted, one.reached):
            console.print(plain(line), soft_wrap=True)
    console.print(f"verdicts {plain(one.ledger)}", soft_wrap=True)
    if one.target is None:
        console.print("No calibration is reliably better than the judge as it is; none is saved.")
        return
    part = " (only the calibration)" if one.missed else ""
    console.print(f"saved    {plain(one.target)}{part}", soft_wrap=True)
    reached = one.reached and one.reached.calibration
    abstain = " --abstain" if reached and reached.alone else ""
    console.print(
        f"next     mene judge FILE -c {plain(asked_as(criterion))} --judge {plain(one.target)}{abstain}",
        soft_wrap=True,
    )


def table_of(title: str, figures: Sequence[Held]) -> Table:
    """Return a table with a line for each."""
    table = Table(box=None, pad_edge=False)  # 80 characters, as it is
    table.title = plain(title)
    table.title_justify = "left"
    named = likeness(figures[0].agreement)[0]
    for name in ("", "accuracy", named, "ECE", "log loss"):
        table.add_column(name, no_wrap=True, overflow="fold")
    for held in figures:
        a = held.agreement
        table.add_row(
            held.name,
            figure_text(a.accuracy, False),
            figure_text(likeness(a)[1], True),
            figure_text(a.ece, True),
            f"{held.log_loss:.3f}",
        )
    return table


def asked_as(criterion: Criterion) -> str:
    """Return what follows ``-c`` on a command line that asks this criterion."""
    if criterion.in_words:
        return f"{shlex.quote(criterion.question)} --scale {shlex.quote(str(criterion.scale))}"
    return criterion.name
