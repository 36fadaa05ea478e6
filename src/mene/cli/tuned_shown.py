"""The result of ``mene tune``: on a screen, and as JSON."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mene.bench.align.tuned import Tuned
from mene.cli.aligned import figures_of, likeness, table_of
from mene.cli.bench_tables import console_of
from mene.cli.console import plain
from mene.export.card import table
from mene.gate.words import figure_words


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
            figure_words(likeness(a)[1], False),
            figure_words(a.ece, False),
        )
        rows.append([name, *figures, f"{held.log_loss:.3f}"])
    count = found.before.agreement.n
    named = likeness(found.before.agreement)[0]
    head = [f"{count} rows", "accuracy", named, "calibration error", "log loss"]
    return f"{table(head, rows)}\n\n{in_words(found)}"


def show_tuned(criterion: str, judge: str, target: Path, asked: str, found: Tuned) -> None:
    """Print the figures, what they mean, and the next command.

    Args:
        asked: what asks the criterion on a command line.
    """
    console = console_of()
    count = found.before.agreement.n
    console.print(
        table_of(f"{judge} on {count} rows held out: {criterion}", (found.before, found.after))
    )
    for base in found.before.agreement.baselines:
        console.print(f"{base.name}: accuracy {100 * base.accuracy:.1f} %")
    console.print(in_words(found), soft_wrap=True)
    console.print(f"saved    {plain(target)} (judge.yaml, adapter, card)", soft_wrap=True)
    named = shlex.quote(str(target / "judge.yaml"))
    if not _is_worse(found):
        console.print(
            f"next     mene judge FILE {plain(asked)} --judge {plain(named)}", soft_wrap=True
        )


def in_words(found: Tuned) -> str:
    """Return what the figures say."""
    told = (
        f"Accuracy changes by {figure_words(found.more, True, signed=True)} (p = {found.p:.2g}): {found.gained} labels became "
        f"right, {found.lost} wrong. "
    )
    surer = found.after.log_loss < found.before.log_loss
    if _is_worse(found):
        return f"{told}The new judge is worse: use the one before."
    if (found.more.low or 0) > 0:
        less = "" if surer else " Its probabilities got worse: calibrate it with `mene align`."
        return f"{told}The new judge is better.{less}"
    if surer:
        return f"{told}Its probabilities fit better, but its labels are not surely better: label more rows."
    return f"{told}No sure difference: label more rows, or use the judge before."


def _is_worse(found: Tuned) -> bool:
    return found.more.high is not None and found.more.high < 0
