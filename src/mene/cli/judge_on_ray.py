"""``mene judge --on ray``: its options, the run, and its summary."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mene.cli.console import Screen, progress_bar, say, show_json, spinner, warner, words
from mene.cli.judge_options import (
    JudgeOptions,
    criteria_of,
    explain_option,
    explaining_for,
    judges_of,
    refuse_rest,
)
from mene.cli.judges_on_ray import (
    INSTEAD,
    choice_of,
    needs_of,
    opened_here,
    opened_in_worker,
    with_full_paths,
)
from mene.cli.options import settings_of
from mene.cli.summary_shown import print_summary
from mene.cli.tables_on_ray import check_tables, folder_of, say_left_out, tables_of
from mene.criteria_set import CriteriaSet
from mene.errors import UsageError
from mene.events import Advance, Event, Events, Warn
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import Explaining
from mene.judge.preset import load_preset, preset_names
from mene.judge.settings import Options
from mene.runs.formats import count_rows
from mene.runs.parts.manifest import Form, Part, asked_of, check_folder
from mene.runs.parts.overall import overall
from mene.runs.parts.storage import is_remote, make_folder
from mene.runs.summary import Summary, as_json, whole
from mene.text.visible import visible
from mene.verdict import hash_of

if TYPE_CHECKING:
    from mene.runs.on_ray.worker import Job

PART_ROWS = 500  # default of --part-rows
COUNTED = 1 << 30  # maximum bytes of tables whose rows are counted beforehand, for the bar


def judge_on_ray(options: JudgeOptions) -> int:
    """Judge tables on Ray. Return the exit code of ``mene judge``."""
    asked = _asked(options)
    from mene.runs.on_ray import cluster

    cluster.prepare()
    make_folder(asked.folder)
    with closing(opened_here(asked.specs, asked.settings)) as judge:
        for one in judge.judges:
            for criterion in asked.criteria:
                one.check_abstaining(criterion)
        if not options.overwrite:
            check_folder(asked.folder, judge.name, asked_of(asked.criteria))
        sums: dict[str, Summary] = {}
        parts, stopped = _run(options, asked, judge, sums)
        _show_end(options, asked, judge, sums, parts)
    if stopped:
        say(
            f"mene: stopped. The verdicts so far are in {asked.folder}; run the same command again to continue."
        )
        return 130
    every = whole(sums.values())
    return 1 if every.errors or every.unwritten else 0


@dataclass(frozen=True)
class _Asked:
    """The checked options."""

    specs: list[str]
    criteria: CriteriaSet
    settings: Options
    columns: dict[str, str]
    explaining: Explaining
    files: list[str]
    folder: str


def _asked(options: JudgeOptions) -> _Asked:
    """Return the checked options, before Ray starts.

    Raises:
        UsageError: an option is wrong; the message says which, and what to do.
    """
    if options.on != "ray":
        raise UsageError(f"--on {options.on}: it is ray; without it this machine judges alone")
    specs = judges_of(options)
    refuse_rest(options, "--on ray", "`mene gate` and `mene table` read its verdicts afterwards")
    criteria = criteria_of(options, jury=len(specs) > 1)
    settings, columns = settings_of(options), options.columns
    explaining = _explaining(options, specs, criteria)
    if options.parts not in (None, "parquet", "jsonl"):
        raise UsageError(f"--parts {options.parts}: it is parquet or jsonl")
    files, own = tables_of(options)
    check_tables(files, criteria, columns)
    folder = folder_of(options, files)
    say_left_out(own, folder)
    return _Asked(specs, criteria, settings, columns, explaining, files, folder)


def _explaining(options: JudgeOptions, specs: list[str], criteria: CriteriaSet) -> Explaining:
    """Return which rows get a critique: by default none. A limit is not possible: workers do not know the order of the table.

    Raises:
        UsageError: a limit, or reasons of a jury.
    """
    which = explain_option(options.explain) or "none"
    if options.explain_rows:
        raise UsageError(
            "--explain-rows N needs the order of all rows; with --on ray leave it out: all that are chosen get one"
        )
    rows = None if which == "none" else 0
    return explaining_for(options, specs, criteria, which, rows=rows, at_once=False)


def _run(
    options: JudgeOptions, asked: _Asked, judge: AnyJudge, sums: dict[str, Summary]
) -> tuple[list[Part], bool]:
    """Judge the tables. Return the finished parts (none if the run was aborted), and whether Ctrl-C stopped it."""
    from mene.runs.on_ray.cluster import cluster
    from mene.runs.on_ray.run import STORE, judge_on_ray

    errors = Screen(stderr=True, quiet=options.quiet)
    bar, events = _watched(options, asked, errors)
    try:
        with cluster(INSTEAD, object_store_memory=STORE), bar:
            manifest = judge_on_ray(
                _job(options, asked, judge),
                judge.name,
                needs=needs_of([one.preset for one in judge.judges]),
                workers=options.workers,
                rows=options.part_rows or PART_ROWS,
                limit=options.limit,
                overwrite=options.overwrite,
                events=events,
                summaries=sums,
            )
    except KeyboardInterrupt:
        return [], True
    return manifest.parts, False


def _job(options: JudgeOptions, asked: _Asked, judge: AnyJudge) -> Job:
    """Return the task for workers: how to open the judge, the criteria, and where the verdicts go."""
    from mene.runs.on_ray.run import work_folder
    from mene.runs.on_ray.worker import Job

    said: list[Any] = [[one.model_dump(mode="json") for one in asked.criteria]]
    said += [asked.columns, repr(asked.explaining)]
    for one in judge.judges:
        preset = one.preset.model_dump(mode="json")
        said.append([preset, one.engine.identity, one.template.identity])
    run = hash_of(said)
    settings = cast("dict[str, Any]", asked.settings)
    template = settings.get("template")
    if isinstance(template, str) and os.path.exists(template):
        settings = {**settings, "template": os.path.abspath(template)}
    pace = settings.get("requests_per_minute")
    if pace and options.workers:
        settings = {**settings, "requests_per_minute": pace / options.workers}
    # Built-in presets by name: their files have other paths on other machines.
    known = [
        spec if spec in preset_names() else with_full_paths(load_preset(spec))
        for spec in asked.specs
    ]
    choices = [choice_of(one.preset, one.engine) for one in judge.judges]
    return Job(
        open=partial(opened_in_worker, known, choices, cast("Options", settings)),
        criteria=asked.criteria,
        run=run,
        files=tuple(asked.files),
        folder=asked.folder,
        work=work_folder(asked.folder, run),
        columns=asked.columns,
        explaining=asked.explaining,
        form=cast("Form", options.parts or "parquet"),
    )


def _watched(options: JudgeOptions, asked: _Asked, errors: Console) -> tuple[Progress, Events]:
    """Return a bar whose steps are verdicts, and the function that advances it."""
    bar = progress_bar(
        spinner(), words(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), words("left"),
        TimeRemainingColumn(), console=errors, hidden=options.quiet,
    )  # fmt: skip
    names = [visible(criterion.name) for criterion in asked.criteria]
    rows = _rows(asked.files)
    if rows and options.limit:
        rows = min(rows, options.limit)
    what = names[0] if len(names) == 1 else f"{len(names)} criteria"
    task = bar.add_task(what, total=rows and rows * len(names))

    def events(event: Event) -> None:
        match event:
            case Advance(_, by):
                bar.advance(task, by)
            case Warn(text):
                warner(errors)(text)

    return bar, events


def _rows(files: list[str]) -> int | None:
    """Return the number of rows of all tables, if counting them is cheap."""
    if any(is_remote(path) for path in files) or sum(map(os.path.getsize, files)) > COUNTED:
        return None
    counts = [count_rows(path) for path in files]
    return None if None in counts else sum(cast("list[int]", counts))


def _show_end(
    options: JudgeOptions,
    asked: _Asked,
    judge: AnyJudge,
    sums: dict[str, Summary],
    parts: list[Part],
) -> None:
    """Print the summary of a run."""
    of_set = overall([part.overall for part in parts], asked.criteria)
    sums = {one.name: sums.get(one.name, Summary()) for one in asked.criteria}
    if options.json_:
        more = {} if of_set is None else {"overall": asdict(of_set)}
        show_json({**as_json(sums), **more, "output": asked.folder})
        return
    first = asked.files[0]
    print_summary(
        Screen(stderr=True, quiet=options.quiet),
        [(one, sums[one.name]) for one in asked.criteria],
        judge,
        cast("Path", asked.folder),  # a path or a URL, only for display
        first if len(asked.files) == 1 and not is_remote(first) else None,
        reasons=asked.explaining.which,
        overall=of_set,
    )
