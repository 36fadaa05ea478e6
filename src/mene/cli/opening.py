"""Judges that a command line names, opened: with a bar for what must be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mene.cli.console import Screen, progress_bar, say, words
from mene.cli.plain_progress import megabytes
from mene.events import Advance, Begin, Event, Events, Warn
from mene.judge.any_judge import AnyJudge
from mene.judge.default import default_judge
from mene.judge.judge import Judge
from mene.judge.jury import Jury
from mene.judge.preset import Preset, load_preset
from mene.judge.settings import Options
from mene.text.visible import to_stderr, visible


def judge_named(given: str | None) -> str:
    """The judge that was named, or the one for this machine, with a word on why it is not the best one."""
    if given is not None:
        return given
    found, why = default_judge()
    if why:
        say(f"mene: {why}")
    return found


def judges_named(given: str | None) -> list[str]:
    """The same of several, comma-separated."""
    return parts(judge_named(given))


def parts(text: str | None) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def open_one(spec: str | Preset, options: Options) -> Judge:
    """Open a judge, with a progress bar for what must be downloaded."""
    preset = load_preset(spec) if isinstance(spec, str) else spec
    with downloading() as events:
        return Judge(preset, events=events, load=False, **options)


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
def downloading() -> Iterator[Events]:
    """Shows a download: a bar that appears with the first byte. Warnings go to standard error, after the download too."""
    bar = progress_bar(
        words(),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Screen(stderr=True),
        amount=megabytes,
    )
    tasks: dict[str, TaskID] = {}

    def events(event: Event) -> None:
        match event:
            case Begin(work, total):
                tasks[work] = bar.add_task(f"Downloading {visible(work)}", total=total)
            case Advance(work, by):
                bar.advance(tasks[work], by)
                bar.start()  # its first frame has the size
            case Warn(text):
                to_stderr(text)

    try:
        yield events
    finally:
        bar.stop()
