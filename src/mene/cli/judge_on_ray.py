"""``mene judge --on ray``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from mene.cli.console import Screen, progress_bar, say, show_json, spinner, warner, words
from mene.cli.judge_options import (
    JudgeOptions,
    check_compare,
    explain_option,
    judges_of,
    only_criterion,
    refuse_rest,
)
from mene.cli.opening import downloading, open_one
from mene.cli.options import settings_of
from mene.cli.summary_shown import print_summary
from mene.criterion import Criterion
from mene.engines.base import Engine
from mene.errors import UsageError
from mene.events import Advance, Event, Warn, nowhere
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import NO_JURY, Explaining, explaining_of
from mene.judge.judge import Judge
from mene.judge.jury import Jury
from mene.judge.open import HUB_CLIENTS, fetch, open_engine
from mene.judge.preset import SERVED, Preset, load_preset, preset_names
from mene.judge.settings import Options, Settings
from mene.runs.beside import stem
from mene.runs.check import check_columns
from mene.runs.formats import FORMATS, count_rows, table_format
from mene.runs.parts.manifest import Form, check_folder
from mene.runs.parts.remote import WILD
from mene.runs.parts.storage import expand, is_remote, make_folder
from mene.runs.source import STDIN
from mene.runs.summary import Summary
from mene.text.visible import visible
from mene.verdict import hash_of

if TYPE_CHECKING:
    from mene.runs.on_ray.pipeline import Needs
    from mene.runs.on_ray.worker import Job

ENDINGS = tuple(f".{form}" for form in (*FORMATS, "ndjson", "pq"))
COUNTED = 1 << 30  # bytes of tables whose rows are counted beforehand, for the bar
INSTEAD = "--on ray"


def judge_on_ray(options: JudgeOptions) -> int:
    """Judge tables on Ray; what ``mene judge`` returns."""
    if options.on != "ray":
        raise UsageError(f"--on {options.on}: it is ray; without it this machine judges alone")
    specs = judges_of(options)
    after = "`mene gate` and `mene table` read its verdicts afterwards"
    refuse_rest(options, "--on ray", after)
    criterion = only_criterion(options, "--on ray")
    check_compare(options, [criterion])
    settings, columns = settings_of(options), options.columns
    explaining = _explaining(options, specs, criterion, settings)
    if options.parts not in ("parquet", "jsonl"):
        raise UsageError(f"--parts {options.parts}: it is parquet or jsonl")
    files = _files(options)
    if here := next((path for path in files if not is_remote(path)), None):
        check_columns(here, criterion, columns)
    folder = _folder(options, files[0])
    if inside := next((path for path in files if path.startswith(f"{folder}/")), None):
        raise UsageError(
            f"{inside} lies in the folder of the verdicts, {folder}; give another with -o"
        )
    from mene.runs.on_ray import cluster

    cluster.prepare()
    make_folder(folder)
    opened = _opened(specs, settings)
    try:
        for one in opened.judges:
            one.check_abstaining(criterion)
        job = _job(options, opened, specs, settings, criterion, columns, explaining, files, folder)
        return _run(options, opened, job)
    finally:
        opened.close()


def _run(options: JudgeOptions, judge: AnyJudge, job: Job) -> int:
    from mene.runs.on_ray.cluster import cluster
    from mene.runs.on_ray.run import STORE, judge_on_ray

    criterion, summary, stopped = job.criterion, Summary(), False
    question = criterion.question if criterion.in_words else ""
    if not options.overwrite:
        check_folder(job.folder, judge.name, criterion.name, question)
    needs = needs_of([one.preset for one in judge.judges])
    errors = Screen(stderr=True, quiet=options.quiet)
    bar = progress_bar(
        spinner(), words(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), words("left"),
        TimeRemainingColumn(), console=errors, hidden=options.quiet,
    )  # fmt: skip
    total = _total(job.files)
    if total and options.limit:
        total = min(total, options.limit)
    task = bar.add_task(visible(criterion.name), total=total)

    def events(event: Event) -> None:
        match event:
            case Advance(_, by):
                bar.advance(task, by)
            case Warn(text):
                warner(errors)(text)

    try:
        with cluster(INSTEAD, object_store_memory=STORE), bar:
            judge_on_ray(
                job,
                judge.name,
                question,
                needs=needs,
                workers=options.workers,
                rows=options.part_rows,
                limit=options.limit,
                overwrite=options.overwrite,
                events=events,
                summary=summary,
            )
    except KeyboardInterrupt:
        stopped = True
    if options.json_:
        show_json({**summary.to_dict(), "output": job.folder})
    elif not options.quiet:
        output = cast("Any", job.folder)  # a path or an address: it is shown
        table = job.files[0] if len(job.files) == 1 and not is_remote(job.files[0]) else None
        print_summary(errors, [(criterion, summary)], judge, output, table, job.explaining.which)
    if stopped:
        say(
            f"mene: stopped. The verdicts so far are in {job.folder}; run the same command again to continue."
        )
        return 130
    return 1 if summary.errors or summary.unwritten else 0


def _files(options: JudgeOptions) -> list[str]:
    """The tables that the arguments name: files, folders, patterns and addresses.

    Raises:
        UsageError: standard input, no such file, or one whose form mene does not know.
    """
    given = [options.file, *(options.more or [])]
    if STDIN in given:
        raise UsageError(
            "--on ray reads files, not standard input; write the rows to a file, or leave --on out"
        )
    found = [path for one in given for path in expand(one, ENDINGS)]
    if twice := next((path for path in found if found.count(path) > 1), None):
        raise UsageError(f"{twice} is named twice")
    for path in found:
        table_format(path)
        if not is_remote(path) and not os.path.getsize(path):
            raise UsageError(f"{path} is empty: nothing to judge")
    return [path if is_remote(path) else os.path.abspath(path) for path in found]


def _folder(options: JudgeOptions, first: str) -> str:
    """Where the parts go.

    Raises:
        UsageError: it is no folder, or nobody said where and the tables are in an object store.
    """
    given = options.output
    if given == STDIN:
        raise UsageError("--on ray writes a folder of parts; name it with -o")
    if given is None:
        if is_remote(first):
            raise UsageError(
                "name the folder for the verdicts with -o, e.g. -o s3://BUCKET/verdicts"
            )
        wild = WILD.search(options.file)
        named = options.file[: wild.start()].rstrip("/-_.") if wild else options.file.rstrip("/")
        given = f"{stem(named or 'rows')}.verdicts"
    if not is_remote(given) and os.path.isfile(given):
        raise UsageError(f"{given} is a file; --on ray writes a folder of parts: name one with -o")
    return given.rstrip("/") if is_remote(given) else os.path.abspath(given)


def _total(files: tuple[str, ...]) -> int | None:
    """Rows of all tables, where counting them costs little."""
    if any(is_remote(path) for path in files) or sum(map(os.path.getsize, files)) > COUNTED:
        return None
    counts = [count_rows(path) for path in files]
    return None if None in counts else sum(cast("list[int]", counts))


def _explaining(
    options: JudgeOptions, specs: list[str], criterion: Criterion, settings: Options
) -> Explaining:
    """Which rows get a critique: none, where nobody asks. A limit is that of a table, whose order workers do not know.

    Raises:
        UsageError: a limit, or reasons of a jury.
    """
    which = explain_option(options.explain) or "none"
    if options.explain_rows:
        raise UsageError(
            "--explain-rows N needs the order of all rows; with --on ray leave it out: all that are chosen get one"
        )
    if len(specs) > 1 and (options.reconsider or which != "none"):
        raise UsageError(NO_JURY)
    first = load_preset(specs[0])
    return explaining_of(
        first,
        [criterion],
        which=which,
        rows=None if which == "none" else 0,
        reconsider=options.reconsider,
        mode=settings.get("mode"),
        samples=options.samples or first.samples,
        tokens=options.critique_tokens,
        at_once=False,
    )


def _job(
    options: JudgeOptions,
    judge: AnyJudge,
    specs: list[str],
    settings: Options,
    criterion: Criterion,
    columns: dict[str, str],
    explaining: Explaining,
    files: list[str],
    folder: str,
) -> Job:
    from mene.runs.on_ray.run import work_folder
    from mene.runs.on_ray.worker import Job

    asked: list[Any] = [criterion.model_dump(mode="json"), columns, repr(explaining)]
    for one in judge.judges:
        preset = one.preset.model_dump(mode="json")
        asked.append([preset, one.engine.identity, one.template.identity])
    run = hash_of(asked)
    template = settings.get("template")
    if isinstance(template, str) and os.path.exists(template):
        settings = {**settings, "template": os.path.abspath(template)}
    pace = settings.get("requests_per_minute")
    if pace and options.workers:
        settings = {**settings, "requests_per_minute": pace / options.workers}
    # Built-in presets by name: their files lie in another place on another machine.
    known = [spec if spec in preset_names() else load_preset(spec) for spec in specs]
    opening: Callable[[], AnyJudge] = partial(opened_in_worker, known, settings)
    return Job(
        open=opening,
        criterion=criterion,
        run=run,
        files=tuple(files),
        folder=folder,
        work=work_folder(folder, run),
        columns=columns,
        explaining=explaining,
        form=cast("Form", options.parts),
    )


def needs_of(presets: Sequence[Preset]) -> Needs:
    """What a worker takes that has these judges open."""
    from mene.runs.on_ray.pipeline import Needs

    known = [preset.memory for preset in presets]
    return Needs(
        memory=None if None in known else sum(cast("list[int]", known)),
        gpus=float(any(preset.engine in HUB_CLIENTS for preset in presets)),
        cpu_too=all(preset.engine != "vllm" for preset in presets),
        served=all(preset.engine in SERVED for preset in presets),
    )


def engine_on_ray(preset: Preset, *, critique: bool, concurrency: int | None = None) -> Engine:
    """A preset's engine on the Ray that is running; its weights are fetched here too, so that what is missing is said now.

    Raises:
        ModelError, UsageError, EngineError: what is missing, or does not start.
    """
    from mene.runs.on_ray.engine import RayEngine

    with downloading() as events:
        fetch(preset, events)
    opening = partial(
        open_engine, preset, critique=critique, concurrency=concurrency, events=nowhere
    )
    return RayEngine(opening, needs_of([preset]))


class _NotHere:
    """In place of an engine whose model only workers load."""

    context: int | None = None
    control_tokens: frozenset[str] = frozenset()

    def __init__(self, preset: Preset) -> None:
        named = preset.weights.hub or preset.weights.path
        self.identity = f"{preset.engine}:{named}@{preset.weights.revision or ''}"

    def run(self, requests: Any, stop: Any = None) -> Any:
        raise AssertionError

    def prompt(self, request: Any) -> str:
        raise AssertionError

    def count(self, request: Any) -> int | None:
        raise AssertionError

    def close(self) -> None:
        """Nothing is open."""


def _opened(specs: list[str], settings: Options) -> AnyJudge:
    """The judge as the driver needs it: weights are fetched, so that a download that fails is said now; no model is loaded."""
    judges = []
    for spec in specs:
        preset = load_preset(spec)
        if preset.engine in HUB_CLIENTS:
            own = {
                name: value for name, value in settings.items() if name in Settings.__annotations__
            }
            judges.append(Judge(preset, engine=_NotHere(preset), **cast("Settings", own)))
        else:
            judges.append(open_one(preset, settings))
    return judges[0] if len(judges) == 1 else Jury(judges)


def opened_in_worker(presets: list[str | Preset], settings: Options) -> AnyJudge:
    """The judge, or the jury, on whatever machine this runs."""
    judges = [Judge(preset, events=nowhere, load=False, **settings) for preset in presets]
    return judges[0] if len(judges) == 1 else Jury(judges)
