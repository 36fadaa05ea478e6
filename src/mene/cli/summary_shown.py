"""The summary of a run on the screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mene.cli.console import plain
from mene.cli.notes import print_notes
from mene.criterion import Criterion
from mene.engines.openvino.dtype import dtype_in
from mene.judge.any_judge import AnyJudge
from mene.judge.judge import Judge
from mene.judge.preset import Explain
from mene.runs.summary import Summary, whole
from mene.runs.wide import Passed


def print_summary(
    console: Console,
    parts: Sequence[tuple[Criterion, Summary]],
    judge: AnyJudge,
    output: Path | None,
    table_path: str | None = None,
    reasons: Explain = "none",
    of: int | None = None,
    overall: Passed | None = None,
    wide: Path | None = None,
) -> None:
    """Print the summary of a run in a few lines.

    Args:
        parts: each criterion with its summary; at least one.
        table_path: the judged table, for the next command. The verdicts contain its mapping of columns.
        reasons: which rows should get one.
        of: number of rows in the table, if known.
        overall: the result of a set of criteria.
        wide: the table with a row per sample, if one was written.
    """
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    total = whole(summary for _, summary in parts)
    judges = "judge", plain(", ".join(_judge(each) for each in judge.judges))
    for criterion, summary in parts:
        table.add_row(plain(criterion.name), _rows(summary, of))
        if criterion.own_question:
            table.add_row("question", plain(criterion.question))
        if len(parts) == 1:
            table.add_row(*judges)
        for line in _answers(summary, criterion):
            table.add_row(*line)
        if len(parts) > 1:
            table.add_row()
    if overall is not None:
        table.add_row("overall", _overall(overall))
    if len(parts) > 1:
        table.add_row(*judges)
    for line in (*_work(total), *_odd(total)):
        table.add_row(*line)
    command: list[str] = []
    if output is not None and (total.done or total.rows == total.done):
        table.add_row("verdicts", plain(output))
        if wide is not None and wide.exists():
            table.add_row("table", plain(wide))
        labels = (summary.labels.get(label) for c, summary in parts for label in c.scale.labels)
        if any(labels) or total.abstained:
            command = ["mene", "report", str(output)]
            command += ["--data", table_path] if table_path else []
    console.print()
    console.print(table)
    if command:  # on one line, even on a narrow screen, so that it can be pasted
        width = max(len(str(name)) for name in table.columns[0].cells)
        said = f"[dim]{'next':<{width}}[/dim]  {plain(shlex.join(command))}"
        console.print(said, soft_wrap=True, highlight=False)
    taken = sum(total.taken.values())
    if (total.judged or taken) and total.reused == taken:  # the earlier run has shown them
        print_notes(console, [criterion for criterion, _ in parts], judge, reasons)


def _rows(summary: Summary, of: int | None) -> str:
    """Return how many rows were judged, and what happened to the others."""
    whole = f" of {of:,}" if of and of > summary.rows else ""
    rows = f"{so_many_rows(summary.rows)}{whole}: {summary.judged} judged"
    own = summary.reused - sum(summary.taken.values())
    rows += f", {own} found in the file" if own else ""
    rows += "".join(f", {taken_words(n, *whose)}" for whose, n in summary.taken.items())
    rows += f", [red]{summary.errors} failed[/red]" if summary.errors else ""
    left = summary.rows - summary.done
    return rows + (f", {left:,} to go" if left else "")


def _answers(summary: Summary, criterion: Criterion) -> Iterator[tuple[str, str]]:
    """Yield lines on the judge's answers, and its confidence."""
    counted = [(label, summary.labels.get(label, 0)) for label in criterion.scale.labels]
    if answered := sum(count for _, count in counted):
        each = (
            f"{plain(name)}: {so_many_rows(n)} ({n / answered:.0%})" for name, n in counted if n
        )
        yield "labels", ", ".join(each)
    if summary.abstained:
        yield "ask a person", f"[yellow]{so_many_rows(summary.abstained)}[/yellow]"
    if summary.even:
        yield "no choice", f"{so_many_rows(summary.even)} whose two responses are the same text"
    if summary.mean_score is not None:
        yield "mean score", f"{summary.mean_score:.2f} on the scale {criterion.scale}"
    if summary.mean_confidence is not None:
        unsure = f"; {so_many_rows(summary.unsure)} under 0.6" if summary.unsure else ""
        yield "confidence", f"p={summary.mean_confidence:.2f} on average{unsure}"
    if summary.orders[1]:
        share = summary.orders[0] / summary.orders[1]
        yield "both orders agree", f"{share:.0%} of {summary.orders[1]} pairs"
    if summary.pointwise:
        pairs = f"{summary.pointwise:,} pair{'s' * (summary.pointwise != 1)}"
        yield "order", f"has no influence: each response of {pairs} was judged alone"


def _overall(found: Passed) -> str:
    """Return the result of a set of criteria."""
    said = []
    if found.passed is not None:
        known = found.samples - found.unknown
        unknown = f" ({so_many_rows(found.unknown)} unknown)" if found.unknown else ""
        said.append(f"{found.passed:,} of {so_many_rows(known)} pass{unknown}")
    if found.score is not None:
        said.append(f"mean score {found.score:.2f} of 1")
    return "; ".join(said) or "nothing is known yet"


def _work(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield lines on time and tokens."""
    if summary.judged:
        yield "speed", f"{summary.rate:.2f} judgements/s, {summary.seconds:.1f} s"
    if summary.judged or summary.written:
        used = summary.usage
        yield (
            "tokens",
            f"{used.prompt_tokens - used.cached_tokens:,} read, {used.cached_tokens:,} reused, "
            f"{used.completion_tokens:,} written",
        )
    yield from _reasons(summary)


def _reasons(summary: Summary) -> Iterator[tuple[str, str]]:
    if not (summary.explained or summary.unexplained or summary.unwritten):
        return
    said = f"{summary.written} written in {summary.explaining_s:.1f} s"
    if summary.explained > summary.written:
        said += f", {summary.explained - summary.written} found in the file"
    said += f"; [red]{summary.unwritten} failed[/red]" if summary.unwritten else ""
    if summary.unexplained:
        have = "row has" if summary.unexplained == 1 else "rows have"
        said += f"; {summary.unexplained} more {have} none (--explain-rows 0 for all)"
    yield "reasons", said
    if summary.reconsidered:
        labels = f"label{'s' * (summary.reconsidered != 1)}"
        yield "reconsidered", f"{summary.reconsidered} {labels} changed"


def _odd(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield lines on possible mistakes in the table."""
    if summary.duplicates:
        have = "has" if summary.duplicates == 1 else "have"
        said = f"{so_many_rows(summary.duplicates)} {have} the id of an earlier row"
        yield "ids", f"[yellow]{said}[/yellow]"
    if summary.empty:
        have = "has an empty response" if summary.empty == 1 else "have empty responses"
        said = f"{so_many_rows(summary.empty)} {have}, judged like any other"
        yield "empty", f"[yellow]{said}[/yellow]"


def _judge(judge: Judge) -> str:
    """Return the judge's name, with the engine if the name does not contain it, and the number format if it rounds."""
    identity = judge.engine.identity
    engine, dtype = identity.partition(":")[0], dtype_in(identity)
    known = [] if judge.name.startswith(f"{engine}:") else [engine]
    known += [dtype] if dtype != "float32" else []
    return f"{judge.name} ({', '.join(known)})" if known else judge.name


def taken_words(rows: int, file: Path, judge: str) -> str:
    """Return a note on verdicts reused from a judge with the same model and prompt."""
    return f"{rows:,} taken from {plain(file)} ({plain(judge)})"


def so_many_rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
