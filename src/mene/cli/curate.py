"""``mene curate``."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TaskID, TimeElapsedColumn

from mene.bench.data import named_folder
from mene.cli.console import Screen, note, plain, progress_bar, say, show_json, spinner, words
from mene.cli.curated import list_sources, price_of, show_made
from mene.cli.opening import downloading
from mene.cli.options import QuietOption
from mene.cli.plain_progress import Tenths
from mene.curate.critiques.kept import NAME, count
from mene.curate.report import Made, to_dict
from mene.curate.run import curate as make_pairs
from mene.curate.run import folders, needs_sets
from mene.curate.stream import require
from mene.engines.base import Engine
from mene.errors import UsageError
from mene.events import Advance, Begin, Event, Warn
from mene.judge.open import fetch, open_engine
from mene.judge.preset import Preset, load_preset
from mene.judge.settings import no_reasons
from mene.recipe import Recipe, load_recipe
from mene.text.visible import visible


@dataclass(frozen=True, kw_only=True)
class CurateOptions:
    """Options of ``mene curate``."""

    recipe: Annotated[
        str | None,
        typer.Argument(help="A built-in recipe (nano) or a YAML file; not needed with --list."),
    ] = None
    changes: Annotated[
        list[str] | None, typer.Argument(help="Changes to the recipe, e.g. data.critiques=0.3.")
    ] = None
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with train/ and bench/. [MENE_DATA]"),
    ] = None
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the pairs. [RECIPE-data]")
    ] = None
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            help="A judge that writes critiques, for data.critiques or data.reasons of the points.",
        ),
    ] = None
    scorer: Annotated[
        str | None,
        typer.Option(
            "--scorer",
            help="A judge that must prefer a chosen critique to the rejected one. [the teacher]",
        ),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="Reads and checks rows: local, or ray (Ray Data, on all cores or RAY_ADDRESS).",
        ),
    ] = "local"
    list_: Annotated[
        bool, typer.Option("--list", help="List all raw sets and generators, and stop.")
    ] = False
    json_: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False
    quiet: QuietOption = False


def curate(options: CurateOptions) -> int:
    """Make training pairs from raw sets.

    The pairs contain no benchmark text, and their labels are balanced. A teacher's critiques are saved as they arrive;
    if it was stopped, run the same command again to continue.

    Exit code: 0 all rows were good, 1 some were broken and left out, 2 could not run, 130 stopped.
    """
    if options.list_:
        list_sources(options.data, as_json=options.json_)
        return 0
    if options.recipe is None:
        raise UsageError(
            "no recipe given: name one, e.g. `mene curate nano`, or list the raw sets with --list"
        )
    recipe = load_recipe(options.recipe, options.changes or ())
    check_asked(options.recipe, recipe, options.teacher, options.scorer)
    require(options.engine)
    target = options.output or Path(f"{Path(options.recipe).stem}-data")
    errors = Screen(stderr=True, quiet=options.quiet)
    start = time.perf_counter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        made = _made(options, recipe, target, errors)
    except KeyboardInterrupt:
        _say_stopped(target)
        return 130
    seconds = time.perf_counter() - start
    if options.json_:
        price = {} if made.price is None else {"answers": price_of(made.price)}
        show_json({**to_dict(made), **price, "seconds": round(seconds, 1)})
    else:
        show_made(made, target, seconds)
    for found in made.counts.values():
        for text in found.broken_rows:
            note(errors, text)
    return 1 if any(found.broken for found in made.counts.values()) else 0


def check_asked(spec: str, recipe: Recipe, teacher: str | None, scorer: str | None) -> None:
    """Refuse a teacher or a scorer that would not be used.

    Raises:
        UsageError: the recipe wants no critiques, or keeps all of them, or the teacher writes none; the message says what to set.
    """
    who = "--teacher" if teacher else "--scorer"
    if (teacher or scorer) and not recipe.data.argued:
        raise UsageError(
            f"{spec}: data.critiques and data.reasons are 0, so {who} has nothing to do; set the share of the points that get a "
            f"critique, e.g. `mene curate {spec} data.critiques=0.3 {who} {teacher or scorer}`"
        )
    if teacher and not (preset := load_preset(teacher)).writes:
        raise UsageError(f"--teacher {teacher}: {no_reasons(preset)}")
    if scorer and not recipe.data.margin:
        raise UsageError(
            f"{spec}: data.margin is 0, so --scorer has nothing to do; set the probability above which the "
            "chosen critique must be preferred, e.g. data.margin=0.5, or leave --scorer out"
        )


def _made(options: CurateOptions, recipe: Recipe, target: Path, errors: Console) -> Made:
    """Make the pairs, with a bar."""
    raw, bench = _folders(recipe, options.data, errors)
    watch = _Watch(_sets(recipe), errors, quiet=options.quiet)
    with ExitStack() as stack:
        opening = _open
        if options.engine == "ray" and (options.teacher or options.scorer):
            from mene.runs.on_ray.cluster import cluster

            stack.enter_context(cluster())  # teachers on all machines
            opening = _open_on_ray
        taught_by, scored_by = _engines(options.teacher, options.scorer, errors, stack, opening)
        stack.enter_context(watch.bar)
        return make_pairs(
            recipe,
            raw,
            bench,
            target,
            engine=options.engine,
            teacher=taught_by,
            scorer=scored_by if recipe.data.margin else None,
            events=watch.events,
        )


def _folders(
    recipe: Recipe, data: Path | None, errors: Console
) -> tuple[Path, Path] | tuple[None, None]:
    """Return the folders of raw sets and benchmarks, of which a recipe without raw sets needs neither."""
    if needs_sets(recipe) or named_folder(data) is not None:
        return folders(data)
    note(
        errors,
        "no --data and no MENE_DATA: the rows are not compared with the benchmarks, so a figure of `mene bench` may be "
        "of rows that the judge was trained on",
    )
    return None, None


def _sets(recipe: Recipe) -> int:
    data = recipe.data
    return len(data.sources) + len({table.name for table in data.own}) + len(data.make)


def _say_stopped(target: Path) -> None:
    critiques, comparisons = count(target / NAME)
    kept = (
        f"; {critiques:,} critiques and {comparisons:,} comparisons are saved in {target / NAME}; run the "
        "same command again to continue"
    )
    say(f"mene: stopped{kept if critiques or comparisons else ''}")


class _Watch:
    """The progress of the work: points per set, and answers.

    Args:
        sets: number of sets; the benchmarks come before them.
    """

    def __init__(self, sets: int, console: Console, *, quiet: bool) -> None:
        self.console = console
        self._sets, self._begun = sets, 0
        self.bar = progress_bar(
            spinner(),
            words(),
            words("{task.completed:,} {task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            hidden=quiet,
            amount=lambda task: f"{task.completed:,.0f} {task.fields['unit']}",
            transient=True,
        )
        self._points = self.bar.add_task("", total=None, unit="points")
        self._answers: dict[str, TaskID] = {}
        self._tenths = Tenths(console, "{work} {done:,} of {total:,}")

    def events(self, event: Event) -> None:
        """Show which step has begun, and its progress."""
        match event:
            case Begin(work, None):
                stage = visible(f"{self._begun}/{self._sets} {work}")
                self.bar.update(self._points, description=stage)
                self._begun += 1
            case Begin(work, int(total)):
                self._answers[work] = self.bar.add_task(work, total=total, unit=f"of {total:,}")
                self._tenths.begin(work, total)
            case Advance(work, by) if work in self._answers:
                self.bar.advance(self._answers[work], by)
                self._tenths.advance(work, by)
            case Advance(_, by):
                self.bar.advance(self._points, by)
            case Warn(text):
                note(self.console, text)


def _engines(
    teacher: str | None,
    scorer: str | None,
    errors: Console,
    stack: ExitStack,
    opening: Callable[..., Engine],
) -> tuple[Engine | None, Callable[[], Engine] | None]:
    """Return the teacher, and a function that opens the scorer (by default the teacher) when it is needed.

    Weights of both are downloaded now, so that missing ones are reported before the work begins.
    """
    specs = {name: load_preset(name) for name in (teacher, scorer) if name}
    if not specs:
        return None, None
    for preset in specs.values():
        with downloading() as events:
            fetch(preset, events)
        if preset.warning:
            errors.print(f"Note: {plain(' '.join(preset.warning.split()))}", style="yellow")
    judge = specs[scorer or teacher or ""]
    if teacher is None:
        return None, lambda: opening(judge, stack, critique=False)
    first = specs[teacher]
    taught_by = opening(first, stack, critique=True)

    def open_scorer() -> Engine:
        # The embedded engine compares with one sequence: both orders of a pair then share its cache.
        if judge == first and not taught_by.identity.startswith("llamacpp:"):
            return taught_by
        taught_by.close()  # one model in memory at a time
        return opening(judge, stack, critique=False)

    return taught_by, open_scorer


def _open(preset: Preset, stack: ExitStack, *, critique: bool) -> Engine:
    engine = open_engine(preset, critique=critique)
    stack.callback(engine.close)
    return engine


def _open_on_ray(preset: Preset, stack: ExitStack, *, critique: bool) -> Engine:
    from mene.cli.judges_on_ray import engine_on_ray

    engine = engine_on_ray(preset, critique=critique)
    stack.callback(engine.close)
    return engine
