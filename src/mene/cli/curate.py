"""``mene curate`` on a terminal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn
from rich.table import Table

from mene.cli.console import Screen, plain, progress_bar, say, show_json, spinner, warner, words
from mene.cli.judging import download_bar
from mene.curate.critiques.kept import NAME, Price, count
from mene.curate.make.registry import MAKERS
from mene.curate.raw.sources import all_sources, source_path
from mene.curate.raw.stream import require
from mene.curate.run import Made, curate, folders, to_dict
from mene.engines.base import Engine
from mene.errors import UsageError
from mene.judge.explain import no_reasons
from mene.judge.open import fetch, open_engine
from mene.judge.preset import Preset, load_preset
from mene.recipe import Recipe, load_recipe
from mene.text.visible import visible


def curate_on_screen(
    spec: str,
    changes: Iterable[str],
    data: Path | None,
    output: Path | None,
    *,
    engine: str,
    teacher: str | None,
    scorer: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """``mene curate``. Returns the exit code: 1 where rows of a set were broken, 130 where it was stopped."""
    recipe = load_recipe(spec, changes)
    check_asked(spec, recipe, teacher, scorer)
    require(engine)
    raw, bench = folders(data)
    target = output or Path(f"{Path(spec).stem}-data")
    errors = Screen(stderr=True, quiet=quiet)
    start = time.perf_counter()
    bar = progress_bar(
        spinner(),
        words(),
        words("{task.completed:,} {task.fields[unit]}"),
        TimeElapsedColumn(),
        console=errors,
        hidden=quiet,
        amount=lambda task: f"{task.completed:,.0f} {task.fields['unit']}",
        transient=True,
    )
    total = len(recipe.data.sources) + len(recipe.data.make)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            taught_by, scored_by = _engines(teacher, scorer, errors, stack)
            stack.enter_context(bar)
            task = bar.add_task("", total=None, unit="points")
            stage = iter(range(total + 1))
            made = curate(
                recipe,
                raw,
                bench,
                target,
                engine=engine,
                teacher=taught_by,
                scorer=scored_by if recipe.data.margin else None,
                on_stage=lambda name: bar.update(
                    task, description=visible(f"{next(stage)}/{total} {name}")
                ),
                on_point=lambda: bar.advance(task),
                on_answer=_counting(bar, errors),
                warn=warner(errors),
            )
    except KeyboardInterrupt:
        critiques, comparisons = count(target / NAME)
        kept = (
            f"; {critiques:,} critiques and {comparisons:,} comparisons are kept in {target / NAME}, and the "
            "same command goes on from there"
        )
        say(f"mene: stopped{kept if critiques or comparisons else ''}")
        return 130
    seconds = time.perf_counter() - start
    if as_json:
        price = {} if made.price is None else {"answers": _price(made.price)}
        whole = {**to_dict(made), **price, "seconds": round(seconds, 1)}
        show_json(whole)
    else:
        _show(made, target, seconds)
    broken = 0
    for found in made.counts.values():
        broken += found.broken
        for text in found.broken_rows:
            warner(errors)(text)
    return 1 if broken else 0


def check_asked(spec: str, recipe: Recipe, teacher: str | None, scorer: str | None) -> None:
    """Refuse a teacher or a scorer that would have nothing to do.

    Raises:
        UsageError: the recipe wants no critiques, or keeps all of them, or the teacher writes none; says what to set.
    """
    who = "--teacher" if teacher else "--scorer"
    if (teacher or scorer) and not recipe.data.critiques:
        raise UsageError(
            f"{spec}: data.critiques is 0, so {who} has nothing to do; set the share of the points that get a "
            f"critique, e.g. `mene curate {spec} data.critiques=0.3 {who} {teacher or scorer}`"
        )
    if teacher and not (preset := load_preset(teacher)).writes:
        raise UsageError(f"--teacher {teacher}: {no_reasons(preset)}")
    if scorer and not recipe.data.margin:
        raise UsageError(
            f"{spec}: data.margin is 0, so --scorer has nothing to do; set the probability above which the "
            "chosen critique must be preferred, e.g. data.margin=0.5, or leave --scorer out"
        )


def _engines(
    teacher: str | None, scorer: str | None, errors: Console, stack: ExitStack
) -> tuple[Engine | None, Callable[[], Engine] | None]:
    """The teacher, and what opens the scorer (the teacher, where none is named) when its turn comes.

    Weights of both are brought here at once, so that what is missing is said before the work begins.
    """
    specs = {name: load_preset(name) for name in (teacher, scorer) if name}
    if not specs:
        return None, None
    for name, preset in specs.items():
        with download_bar(name) as progress:
            fetch(preset, progress)
        if preset.warning:
            errors.print(f"Note: {plain(' '.join(preset.warning.split()))}", style="yellow")
    judge = specs[scorer or teacher or ""]
    if teacher is None:
        return None, lambda: _open(judge, stack, critique=False)
    first = specs[teacher]
    taught_by = _open(first, stack, critique=True)

    def open_scorer() -> Engine:
        # The embedded engine compares with one sequence: both orders of a pair then share its cache.
        if judge == first and judge.engine != "llamacpp":
            return taught_by
        taught_by.close()  # one model in memory at a time
        return _open(judge, stack, critique=False)

    return taught_by, open_scorer


def _open(preset: Preset, stack: ExitStack, *, critique: bool) -> Engine:
    engine = open_engine(preset, critique=critique)
    stack.callback(engine.close)
    return engine


def _counting(bar: Progress, errors: Console) -> Callable[[str, int, int], None]:
    """A line of the bar for what a teacher or a scorer is asked; off a terminal, ten lines in all."""
    tasks: dict[str, TaskID] = {}

    def on_answer(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total, unit=f"of {total:,}")
        bar.update(tasks[what], completed=done)
        if not errors.is_terminal and done * 10 // max(total, 1) > (done - 1) * 10 // max(total, 1):
            errors.print(f"{what} {done:,} of {total:,}")

    return on_answer


def _price(price: Price) -> dict[str, object]:
    used = price.usage
    return {
        "asked": price.asked,
        "reused": price.reused,
        "tokens": {
            "read": used.prompt_tokens - used.cached_tokens,
            "reused": used.cached_tokens,
            "written": used.completion_tokens,
        },
    }


def _show(made: Made, target: Path, seconds: float) -> None:
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=120)
    table = Table(box=None, pad_edge=False)
    table.add_column("source")
    for name in ("points", "too long", "in a benchmark", "train", "dev", "pairs"):
        table.add_column(name, justify="right")
    for name, c in made.counts.items():
        row = (c.read, c.too_long, c.in_bench, c.kept["train"], c.kept["dev"], c.pairs)
        table.add_row(plain(name), *(f"{n:,}" for n in row))
    read = sum(c.read for c in made.counts.values())
    console.print(table)
    if made.stages:
        table = Table(box=None, pad_edge=False)
        table.add_column("stage")
        table.add_column("points", justify="right")
        table.add_column("left out")
        for name, stage in made.stages.items():
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in sorted(stage.dropped.items()))
            points = f"{stage.made.total():,}" if stage.made else ""
            table.add_row(plain(name), points, plain(reasons))
        console.print()
        console.print(table)
    console.print(
        f"\n{made.pairs['train']:,} pairs to train on, {made.pairs['dev']:,} to choose by; "
        f"{read:,} points in {seconds:.0f} s, {read / seconds:,.0f} a second"
    )
    if made.price is not None:
        used = made.price.usage
        console.print(
            f"asked    {made.price.asked:,} answers, {made.price.reused:,} more from {NAME}; tokens "
            f"{used.prompt_tokens - used.cached_tokens:,} read, {used.cached_tokens:,} reused, "
            f"{used.completion_tokens:,} written"
        )
    console.print(f"written  {plain(target)}/train.jsonl, dev.jsonl, report.json")


def list_sources(data: Path | None) -> None:
    """``mene curate --list``."""
    raw = None if data is None else folders(data)[0]
    table = Table(box=None, pad_edge=False)
    for name in ("name", "here", "tasks", "critiques", "licence"):
        table.add_column(name)
    for one in all_sources().values():
        here = "" if raw is None else "yes" if source_path(raw, one).is_file() else "no"
        tasks = ", ".join(
            task.view or f"{task.scale or '/'.join(task.labels)} (own question)"
            for task in one.tasks
        )
        critiques = "some" if any(task.critique for task in one.tasks) else ""
        table.add_row(plain(one.name), here, plain(tasks), critiques, plain(one.licence))
    made = Table(box=None, pad_edge=False)
    for name in ("made by (data.make)", "tasks", "what"):
        made.add_column(name)
    for name, maker in MAKERS.items():
        made.add_row(plain(name), plain(maker.tasks), plain(maker.why))
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=170)
    console.print(table)
    console.print()
    console.print(made)
