"""What commands that measure judges share: opening judges with separate figures, and a bar over rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TimeElapsedColumn,
)

from mene.bench.run import as_compared, slug
from mene.cli.console import note, progress_bar, spinner, words
from mene.cli.long_row import reading_said
from mene.cli.opening import open_one
from mene.cli.plain_progress import TimeLeft
from mene.cli.summary_shown import taken_words
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.events import Advance, Event, Events, Warn
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.judge.settings import Options, Settings, changed
from mene.runs.run import run
from mene.runs.tables import Row
from mene.text.visible import visible
from mene.verdict import Verdict


@contextmanager
def open_measured(spec: str, options: Options, on: str | None = None) -> Iterator[Judge]:
    """Yield a judge to measure, under the name for its figures (``as_compared``).

    Args:
        on: ``ray`` = its model is on a cluster; None = here.

    Raises:
        UsageError: another value of ``on``.
    """
    preset = as_compared(load_preset(spec), options.get("compare"))
    if on is None:
        with open_one(preset, options) as judge:
            yield judge
        return
    if on != "ray":
        raise UsageError(f"--on {on}: it is ray; without it this machine judges alone")
    from mene.cli.judges_on_ray import INSTEAD, engine_on_ray
    from mene.runs.on_ray.cluster import cluster, prepare

    prepare()
    own = cast(Settings, {k: v for k, v in options.items() if k in Settings.__annotations__})
    critique = changed(preset, **own).mode == "critique"
    with cluster(INSTEAD):
        engine = engine_on_ray(preset, critique=critique, concurrency=options.get("concurrency"))
        with Judge(preset, engine=engine, **own) as judge:
            yield judge


def check_names(judges: Sequence[str]) -> None:
    """Check, before the work begins, that every judge exists and has separate results.

    Raises:
        UsageError: one does not exist, or two have the same name or folder.
    """
    taken: dict[str, str] = {}
    for spec in judges:
        name = load_preset(spec).name
        if slug(name) in taken:
            raise UsageError(
                f'{spec}: has the same name as {taken[slug(name)]}, "{name}", so their results would be mixed; '
                "give it another `name:`"
            )
        taken[slug(name)] = spec


def rows_bar(judge: Judge, console: Console, *, hidden: bool) -> Progress:
    """Return a bar whose steps are judged rows."""
    return progress_bar(
        spinner(),
        words(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        words("left"),
        TimeLeft(),
        console=console,
        hidden=hidden,
        stuck=lambda: reading_said([judge.engine]),
        speed_estimate_period=120,
    )


def moving(bar: Progress, *tasks: TaskID) -> Events:
    """Return a handler that advances these tasks of a bar for every row; warnings are printed above it."""

    def events(event: Event) -> None:
        match event:
            case Advance(_, by):
                for task in tasks:
                    bar.advance(task, by)
            case Warn(text):
                note(bar.console, text)

    return events


def judged(
    judge: Judge,
    criterion: Criterion,
    rows: Sequence[Row],
    ledger: Path,
    console: Console,
    *,
    quiet: bool,
    others: Iterable[Path] = (),
) -> dict[int, Verdict]:
    """Judge labelled rows with a bar, and return position in the table -> verdict (not id -> verdict, since ids may repeat).

    Args:
        others: as for ``runs.run.run``; says how many verdicts were taken from there.
    """
    verdicts: dict[int, Verdict] = {}

    def take(verdict: Verdict) -> None:
        assert verdict.row is not None
        verdicts[verdict.row - 1] = verdict

    with rows_bar(judge, console, hidden=quiet) as bar:
        task = bar.add_task(visible(judge.name), total=len(rows))
        summary = run(
            judge,
            criterion,
            rows,
            ledger,
            others=others,
            on_verdict=take,
            on_reused=take,
            events=moving(bar, task),
        )
    for whose, count in summary.taken.items() if not quiet else ():
        console.print(f"{len(rows):,} verdicts, {taken_words(count, *whose)}", soft_wrap=True)
    return verdicts
