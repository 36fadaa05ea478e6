"""What the commands show on a terminal: progress, verdicts as they come, summaries, lists.

Results go to standard output, everything about the work to standard error.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mene.cli.console import (
    ReaderGone,
    Screen,
    hand_on,
    plain,
    progress_bar,
    say,
    show_json,
    spinner,
    warner,
    words,
)
from mene.cli.long_row import LongRow, reading_said
from mene.cli.shown import FewWords, print_summary, print_verdict
from mene.cli.told_progress import megabytes
from mene.criterion import Criterion
from mene.errors import MeneError, UsageError, nearest_file
from mene.judge.any_judge import AnyJudge
from mene.judge.explain import NO_JURY, UNSURE, explaining_of
from mene.judge.judge import Judge
from mene.judge.jury import Jury
from mene.judge.open import CRITIQUE_SLOTS
from mene.judge.preset import Explain, Preset, load_preset
from mene.judge.settings import Options
from mene.runs.beside import ledgers_beside, stem
from mene.runs.check import check_columns, check_first
from mene.runs.formats import FORMATS, count_rows, table_format
from mene.runs.run import run
from mene.runs.source import STDIN, other_encoding
from mene.runs.summary import Summary
from mene.runs.tables import live, read_rows
from mene.text.visible import visible
from mene.verdict import Verdict
from mene.weights import job

PAGE = "<!doctype html>"  # what mene's pages begin with
READER_GONE = 141  # what a shell says of any program whose pipe was closed (128 + SIGPIPE)
SHOWN = 30  # verdicts printed when nobody says how many


def open_one(spec: str | Preset, options: Options) -> Judge:
    """Open a judge, with a progress bar for what must be downloaded."""
    preset = load_preset(spec) if isinstance(spec, str) else spec
    with download_bar(preset.name) as progress:
        return Judge(preset, progress=progress, load=False, **options)


def open_judge(specs: list[str], options: Options) -> AnyJudge:
    """Open one judge, or a jury of several."""
    presets = [load_preset(spec) for spec in specs]  # a wrong name costs no time
    opened: list[Judge] = []
    try:
        for preset in presets:
            opened.append(open_one(preset, options))
        return opened[0] if len(specs) == 1 else Jury(opened)
    except BaseException:
        for judge in opened:
            judge.close()
        raise


@contextmanager
def download_bar(name: str) -> Iterator[job.Progress]:
    """A bar that appears with the first byte."""
    bar = progress_bar(
        words(),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Screen(stderr=True),
        amount=megabytes,
    )
    task = bar.add_task(f"Downloading {visible(name)}", total=None)
    started = False

    def progress(done: int, total: int | None) -> None:
        nonlocal started
        bar.update(task, completed=done, total=total)
        if not started:  # its first frame has the size
            bar.start()
            started = True

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
    options: Options,
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
    if options.get("abstain") and (len(specs) > 1 or reconsider):
        what = "a jury" if len(specs) > 1 else "a label that was read again behind its critique"
        raise UsageError(
            f"--abstain: what `mene align --error` proved is of one judge's first labels, not of {what}; leave one of the two out"
        )
    if len(specs) > 1 and (reconsider or explain not in (None, "none")):
        raise UsageError(NO_JURY)
    first = load_preset(specs[0])
    explaining = explaining_of(
        first,
        criterion,
        which="none" if len(specs) > 1 else explain,
        rows=explain_rows,
        reconsider=reconsider,
        mode=options.get("mode"),
        samples=options.get("samples") or first.samples,
        tokens=options.get("critique_tokens"),
        at_once=output == STDIN,
    )
    silent = output == STDIN or as_json or quiet or show == 0
    to_stdout = output == STDIN
    errors, screen = Screen(stderr=True, quiet=quiet), Screen()
    texts = FewWords(warner(errors))
    remaining = 0 if to_stdout or as_json or quiet else SHOWN if show is None else show
    untold = remaining > 0  # that there are more than these
    long_row = LongRow()
    bar = progress_bar(
        spinner(),
        words(),
        BarColumn(),
        MofNCompleteColumn(),
        long_row,
        TimeElapsedColumn(),
        words("left"),
        TimeRemainingColumn(),
        console=errors,
        hidden=quiet,
        stuck=lambda: reading_said(long_row.engines),
        redirect_stdout=not to_stdout,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    judge = open_judge(specs, options)
    long_row.engines = [one.engine for one in judge.judges]
    for one in judge.judges:
        one.check_abstaining(criterion)
    summary = Summary()
    total = count_rows(path)
    size = min(total, limit) if total and limit else total
    task = bar.add_task(visible(criterion.name), total=size, rate="", visible=size != 0)

    said = ""  # the last error on the screen
    first = ""  # error of all

    def on_verdict(verdict: Verdict) -> None:
        nonlocal remaining, said, untold, first
        if verdict.error is not None and not first:
            first = ": ".join(filter(None, (texts.place(verdict), verdict.error)))
        if to_stdout:
            hand_on(verdict.to_json())
        elif remaining and verdict.error is not None and verdict.error in said:
            if verdict.error == said:  # once; a whole table can lack a column
                screen.print("[dim]        the same of more rows; they are counted below[/dim]")
                said += "\n"
        elif remaining:
            remaining -= 1
            said = verdict.error or ""
            print_verdict(screen, verdict, texts.of(verdict), texts.place(verdict))
        elif untold:
            untold = False
            screen.print(f"[dim]the others go to {plain(ledger)}[/dim]", soft_wrap=True)
        elapsed = bar.tasks[0].elapsed or 0.0
        rate = f"{summary.judged / elapsed:.1f}/s" if elapsed else ""
        bar.update(task, advance=1, rate=rate)

    critiques: TaskID | None = None

    def on_chosen(rows: int) -> None:
        nonlocal critiques
        if not silent:
            said = WHICH[explaining.which].format(labels=", ".join(criterion.failing or ()))
            screen.print(f"\n[dim]Reasons for {rows} row{'s' * (rows != 1)}{plain(said)}:[/dim]")
        together = min(rows, options.get("concurrency") or CRITIQUE_SLOTS)
        # Nothing moves until the first of them are written.
        embedded = judge.judges[0].preset.engine == "llamacpp"
        what = f"reasons, {together} at once" if embedded and together > 1 else "reasons"
        critiques = bar.add_task(what, total=rows, rate="")

    def on_explained(verdict: Verdict) -> None:
        if not silent:
            print_verdict(screen, verdict, texts.of(verdict))
        if critiques is not None:
            bar.update(critiques, advance=1)

    stopped = False
    failure: MeneError | None = None
    table = read_rows(path, names, criterion)
    try:
        rows = check_first(live(table), criterion, names) if path == STDIN else table
        with bar:
            run(
                judge,
                criterion,
                texts.noting(rows),
                ledger,
                columns=names,
                limit=limit,
                overwrite=overwrite,
                others=ledgers_beside(path, ledger),
                on_verdict=on_verdict,
                on_reused=lambda verdict: bar.update(task, advance=1),
                explaining=explaining,
                on_chosen=on_chosen,
                on_explained=on_explained,
                warn=warner(errors),
                summary=summary,
            )
    except ReaderGone:  # who asked for verdicts on standard output has heard enough, or has died
        return READER_GONE
    except KeyboardInterrupt:
        stopped = True
    except UsageError:
        raise
    except MeneError as error:
        failure = error
    finally:
        judge.close()
    if stopped or failure:
        summary.stop(size)
    if as_json:
        show_json({**summary.to_dict(), "output": str(ledger) if ledger else None})
    elif quiet and summary.unkept:
        say(
            f"mene: {summary.errors} of {summary.rows} rows failed, the first with: {first}; {ledger} keeps the verdicts that it "
            "had"
        )
    elif quiet and (summary.errors or summary.unwritten):
        if summary.errors:
            where = ledger or "the output"
            say(f"mene: {summary.errors} of {summary.rows} rows failed; see `error` in {where}")
        if summary.unwritten:
            say(
                f"mene: {summary.unwritten} critiques could not be written; run it again without -q"
            )
    elif not failure or summary.judged:
        judged = None if path == STDIN else path
        print_summary(
            errors,
            summary,
            criterion,
            judge,
            ledger,
            judged,
            reasons=explaining.which,
            of=total,
        )
    if failure is not None:
        raise failure
    if stopped:
        where = f" The verdicts so far are in {ledger}; the same command goes on." if ledger else ""
        say(f"mene: stopped.{where if summary.done else ' The same command begins anew.'}")
        return 130
    return 1 if summary.errors or summary.unwritten else 0


WHICH = {
    "failing": " that fail ({labels})",
    "uncertain": f" that are uncertain (p under {UNSURE})",
    "all": "",
    "none": "",
}


def check_input(path: str) -> None:
    """Refuse what cannot be read, before a model is loaded; say of a file of which many rows will fail why.

    Raises:
        UsageError: no such file, a folder, an empty file, or an unknown format.
    """
    if path == STDIN:
        return
    file = Path(path)
    if not file.exists():
        endings = tuple(f".{form}" for form in (*FORMATS, "ndjson", "pq", "gz"))
        raise UsageError(f"{path}: no such file{nearest_file(file, endings)}")
    if file.is_dir():
        raise UsageError(f"{path}: is a folder; give a file")
    form = table_format(path)
    if file.is_file() and not file.stat().st_size:
        raise UsageError(f"{path} is empty: nothing to judge")
    if file.is_file() and form != "parquet" and (said := other_encoding(path)):
        say(f"mene: {said}")


def check_output(output: Path, *inputs: str | Path) -> None:
    """See that what is written does not take the place of what is read.

    Raises:
        UsageError: it would.
    """
    for path in inputs:
        if str(path) != STDIN and output.exists() and Path(path).exists() and output.samefile(path):
            raise UsageError(f"{output} is the input itself; choose another file with --output")


def check_own(output: Path, begins: str, what: str) -> None:
    """See that what is written takes the place of its like alone: an older one, an empty file, or none.

    Args:
        begins: what a file of this kind begins with.
        what: what it is called.

    Raises:
        UsageError: something else is there.
    """
    if not output.is_file():  # a device takes what it is given
        return
    try:
        with output.open("rb") as file:
            start = file.read(1000).decode("utf-8", "replace").lstrip()
    except OSError as error:
        raise UsageError(f"{output}: cannot be read: {error.strerror}; use --output") from None
    if start and not start.startswith(begins):
        raise UsageError(
            f"{output} is there already, and is not {what}; it stays as it is. Choose another file with --output"
        )


def _output_path(path: str, output: str | None) -> Path | None:
    if output == STDIN:
        return None
    if output is None:
        if path == STDIN:
            raise UsageError(
                "standard input has no name: say where to write with --output (- = screen)"
            )
        output = f"{stem(path)}.verdicts.jsonl"
    found = Path(output)
    check_output(found, path)
    if found.is_dir():
        raise UsageError(f"{output} is a folder; name a file in it with --output")
    if found.exists() and not found.is_file():
        raise UsageError(f"{output} is a device, not a file; use --output - for the screen")
    return found
