"""What the commands show on a terminal: progress, verdicts as they come, summaries, lists.

Results go to standard output, everything about the work to standard error.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from mene.criterion import Criterion
from mene.errors import MeneError, UsageError
from mene.explain import NO_JURY, UNSURE, explaining_of
from mene.judge import Judge
from mene.jury import Jury
from mene.preset import Explain, load_preset
from mene.runs import Summary, check_columns, run
from mene.tables import STDIN, count_rows, live, read_rows, table_format
from mene.verdict import Verdict
from mene.weights import job

SHOWN = 30  # verdicts printed when nobody says how many


def open_judge(specs: list[str], options: dict[str, Any]) -> Judge | Jury:
    """Open one judge or a jury, with a progress bar for what must be downloaded."""
    presets = [load_preset(spec) for spec in specs]  # a wrong name costs no time
    opened: list[Judge] = []
    try:
        for spec in presets:
            with download_bar(spec.name) as progress:
                opened.append(Judge(spec, progress=progress, load=False, **options))
        return opened[0] if len(specs) == 1 else Jury(opened)
    except BaseException:
        for judge in opened:
            judge.close()
        raise


@contextmanager
def download_bar(name: str) -> Iterator[job.Progress]:
    """A bar that appears with the first byte."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task(f"Downloading {escape(name)}", total=None)
    started = False

    def progress(done: int, total: int | None) -> None:
        nonlocal started
        if not started:
            bar.start()
            started = True
        bar.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        if started:
            bar.stop()


def judge_on_screen(
    specs: list[str],
    criterion: Criterion,
    path: str,
    output: str | None,
    *,
    names: dict[str, str],
    options: dict[str, Any],
    explain: Explain | None = None,
    explain_rows: int | None = None,
    reconsider: bool = False,
    limit: int | None,
    show: int | None,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
) -> int:
    """``mene judge``. Returns the exit code."""
    check_input(path)
    check_columns(path, criterion, names)
    ledger = _output_path(path, output)
    if len(specs) > 1 and (reconsider or explain not in (None, "none")):
        raise UsageError(NO_JURY)
    explaining = explaining_of(
        load_preset(specs[0]),
        criterion,
        which="none" if len(specs) > 1 else explain,
        rows=explain_rows,
        reconsider=reconsider,
        mode=options.get("mode"),
        samples=options.get("samples", 1),
        tokens=options.get("critique_tokens"),
        at_once=output == STDIN,
    )
    silent = output == STDIN or as_json or quiet or show == 0
    to_stdout = output == STDIN
    errors = Console(stderr=True, quiet=quiet, highlight=False)
    screen = Console(highlight=False, soft_wrap=False)
    remaining = 0 if to_stdout or as_json or quiet else SHOWN if show is None else show
    bar = Progress(
        SpinnerColumn(),
        TextColumn(escape(criterion.name)),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=errors,
        disable=quiet,
        redirect_stdout=not to_stdout,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    judge = open_judge(specs, options)
    summary = Summary()
    total = count_rows(path)
    task = bar.add_task("", total=min(total, limit) if total and limit else total, rate="")

    def on_verdict(verdict: Verdict) -> None:
        nonlocal remaining
        if to_stdout:
            sys.stdout.write(verdict.to_json() + "\n")
            sys.stdout.flush()
        elif remaining:
            remaining -= 1
            print_verdict(screen, verdict)
            if not remaining:
                screen.print(f"[dim]… the others go to {ledger}[/dim]" if ledger else "")
        elapsed = bar.tasks[0].elapsed or 0.0
        rate = f"{summary.judged / elapsed:.1f}/s" if elapsed else ""
        bar.update(task, advance=1, rate=rate)

    critiques: TaskID | None = None

    def on_chosen(rows: int) -> None:
        nonlocal critiques
        if not silent:
            said = WHICH[explaining.which].format(labels=", ".join(criterion.failing or ()))
            screen.print(f"\n[dim]Reasons for {rows} row{'s' * (rows != 1)}{escape(said)}:[/dim]")
        critiques = bar.add_task("", total=rows, rate="critiques")

    def on_explained(verdict: Verdict) -> None:
        if not silent:
            print_verdict(screen, verdict)
        if critiques is not None:
            bar.update(critiques, advance=1)

    stopped = False
    failure: MeneError | None = None
    try:
        with bar:
            run(
                judge,
                criterion,
                live(read_rows(path, names)) if path == STDIN else read_rows(path, names),
                ledger,
                limit=limit,
                overwrite=overwrite,
                on_verdict=on_verdict,
                on_reused=lambda verdict: bar.update(task, advance=1),
                explaining=explaining,
                on_chosen=on_chosen,
                on_explained=on_explained,
                warn=lambda text: errors.print(escape(text), style="yellow"),
                summary=summary,
            )
    except KeyboardInterrupt:
        stopped = True
    except UsageError:
        raise
    except MeneError as error:
        failure = error
    finally:
        judge.close()
    if as_json:
        print(json.dumps({**summary.to_dict(), "output": str(ledger) if ledger else None}))
    elif quiet and summary.errors:
        _say(
            f"mene: {summary.errors} of {summary.rows} rows failed; see `error` in {output or ledger}"
        )
    elif quiet and summary.unwritten:
        _say(f"mene: {summary.unwritten} critiques could not be written; run it again without -q")
    elif not failure or summary.judged:
        print_summary(errors, summary, criterion, judge, ledger)
    if failure is not None:
        raise failure
    if stopped:
        where = f" The verdicts so far are in {ledger}; the same command goes on." if ledger else ""
        _say(f"mene: stopped.{where}")
        return 130
    return 1 if summary.errors or summary.unwritten else 0


WHICH = {
    "failing": " that fail ({labels})",
    "uncertain": f" that are uncertain (p under {UNSURE})",
    "all": "",
    "none": "",
}


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def check_input(path: str) -> None:
    """Refuse what cannot be read, before a model is loaded.

    Raises:
        UsageError: no such file, a folder, an empty file, or an unknown format.
    """
    if path == STDIN:
        return
    file = Path(path)
    if not file.exists():
        raise UsageError(f"{path}: no such file")
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; give a file")
    table_format(path)
    if file.is_file() and not file.stat().st_size:
        raise UsageError(f"{path} is empty: nothing to judge")


def _output_path(path: str, output: str | None) -> Path | None:
    if output == STDIN:
        return None
    if output is None:
        if path == STDIN:
            raise UsageError(
                "standard input has no name: say where to write with --output (- = screen)"
            )
        name = Path(path)
        for suffix in reversed(name.suffixes):
            if suffix.lower() in (
                ".gz",
                ".jsonl",
                ".ndjson",
                ".json",
                ".csv",
                ".tsv",
                ".parquet",
                ".pq",
            ):
                name = name.with_suffix("")
        output = f"{name}.verdicts.jsonl"
    found = Path(output)
    if path != STDIN and found.exists() and found.samefile(path):
        raise UsageError(f"{output} is the input itself; choose another file with --output")
    if found.is_dir():
        raise UsageError(f"{output} is a folder; name a file in it with --output")
    if found.exists() and not found.is_file():
        raise UsageError(f"{output} is a device, not a file; use --output - for the screen")
    return found


def print_verdict(console: Console, verdict: Verdict) -> None:
    """One verdict for people: id, label, probability, and the critique below."""
    line = Text(f"{verdict.id:>6}  ")
    if verdict.error is not None:
        console.print(line.append(f"error: {verdict.error}", style="red"))
        return
    line.append(str(verdict.label), style="bold")
    if verdict.confidence is not None:
        line.append(f"  p={verdict.confidence:.2f}")
    if verdict.score is not None:
        line.append(f"  score {verdict.score:.2f}")
    if verdict.first is not None:
        line.append(f"  (before its critique: {verdict.first.label})", style="dim")
    if verdict.consistent is False:
        line.append("  the two orders disagree", style="yellow")
    console.print(line)
    if verdict.critique:
        console.print(Text(" ".join(verdict.critique.split()), style="dim"), width=96)


def print_summary(
    console: Console,
    summary: Summary,
    criterion: Criterion,
    judge: Judge | Jury,
    output: Path | None,
) -> None:
    """The end of a run, in a few lines."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    rows = f"{summary.rows} rows: {summary.judged} judged"
    rows += f", {summary.reused} found in the file" if summary.reused else ""
    rows += f", [red]{summary.errors} failed[/red]" if summary.errors else ""
    table.add_row(escape(criterion.name), rows)
    counted = [(label, summary.labels.get(label, 0)) for label in criterion.scale.labels]
    answered = sum(count for _, count in counted)
    if answered:
        shares = "  ".join(f"{escape(name)} {n} ({n / answered:.0%})" for name, n in counted if n)
        table.add_row("labels", shares)
    if summary.mean_score is not None:
        table.add_row("mean score", f"{summary.mean_score:.2f}")
    if summary.mean_confidence is not None:
        unsure = f"; {summary.unsure} under 0.6" if summary.unsure else ""
        table.add_row("confidence", f"{summary.mean_confidence:.2f} on average{unsure}")
    if summary.orders[1]:
        share = summary.orders[0] / summary.orders[1]
        table.add_row("both orders agree", f"{share:.0%} of {summary.orders[1]} pairs")
    if summary.judged:
        table.add_row("speed", f"{summary.rate:.2f} judgements/s, {summary.seconds:.1f} s")
    if summary.judged or summary.written:
        used = summary.usage
        table.add_row(
            "tokens",
            f"{used.prompt_tokens - used.cached_tokens:,} read, {used.cached_tokens:,} reused, "
            f"{used.completion_tokens:,} written",
        )
    if summary.explained or summary.unexplained or summary.unwritten:
        said = f"{summary.written} written in {summary.explaining_s:.1f} s"
        if summary.explained > summary.written:
            said += f", {summary.explained - summary.written} found in the file"
        said += f"; [red]{summary.unwritten} failed[/red]" if summary.unwritten else ""
        if summary.unexplained:
            said += f"; {summary.unexplained} more rows have none (--explain-rows 0 for all)"
        table.add_row("critiques", said)
        if summary.reconsidered:
            table.add_row(
                "reconsidered",
                f"{summary.reconsidered} label{'s' * (summary.reconsidered != 1)} changed",
            )
    if summary.duplicates:
        table.add_row(
            "ids", f"[yellow]{summary.duplicates} rows have the id of an earlier row[/yellow]"
        )
    if output is not None:
        table.add_row("verdicts", escape(str(output)))
        if answered:
            table.add_row("next", escape(f"mene report {output}"))
    console.print()
    console.print(table)
    for each in judge.judges if isinstance(judge, Jury) else [judge]:
        if each.preset.warning:
            console.print(f"Note: {escape(each.preset.warning.strip())}", style="yellow")
        if unfit := each.unfit(criterion):
            console.print(f"Note: {escape(unfit)}", style="yellow")
