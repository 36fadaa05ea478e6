"""Open the judges of a command line, with a progress bar for downloads."""

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
    """Return the given judge, or the default for this machine; prints why that is not the best one."""
    if given is not None:
        return given
    found, why = default_judge()
    if why:
        say(f"mene: {why}")
    return found


def judges_named(given: str | None) -> list[str]:
    """Return the given judges, comma-separated, or the default for this machine."""
    return parts(judge_named(given))


def parts(text: str | None) -> list[str]:
    """Return the parts between commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def open_one(spec: str | Preset, options: Options) -> Judge:
    """Return an open judge; shows a progress bar for downloads."""
    preset = load_preset(spec) if isinstance(spec, str) else spec
    with downloading() as events:
        return Judge(preset, events=events, load=False, **options)


def open_judge(specs: list[str], options: Options) -> AnyJudge:
    """Return one open judge, or a jury of several."""
    presets = [load_preset(spec) for spec in specs]  # first, so that a wrong name fails early
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
    """Yield a handler that shows a download: its bar appears with the first byte. Warnings always go to standard error."""
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
                bar.start()  # now, so that the first frame has the size
            case Warn(text):
                to_stderr(text)

    try:
        yield events
    finally:
        bar.stop()
