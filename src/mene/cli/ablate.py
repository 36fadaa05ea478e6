"""``mene ablate``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from mene.cli.console import Screen, plain, show_json
from mene.cli.opening import parts
from mene.cli.options import (
    ChangesArgument,
    DeviceOption,
    FiguresAsJsonOption,
    PairsOption,
    QuietOption,
    RecipeArgument,
)
from mene.cli.training import (
    Pace,
    check_device,
    need_packages,
    need_room,
    note,
    stop_gently,
    training_bar,
)
from mene.curate.pair import Pair, read_pairs
from mene.errors import UsageError
from mene.events import Advance, Begin, Event, Warn
from mene.files import write_whole
from mene.recipe import load_recipe
from mene.text.visible import visible
from mene.train.ablate.effect import COLUMNS, Effect, cells, effects, markdown, notes, to_dict
from mene.train.ablate.variants import Variant, is_finished, variants
from mene.train.plan.tokens import estimate_tokens
from mene.train.processes import processes

WIDE = 190  # characters that the whole table needs


@dataclass(frozen=True, kw_only=True)
class AblateOptions:
    """Options of ``mene ablate``."""

    recipe: RecipeArgument
    changes: ChangesArgument = None
    data: PairsOption = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of all runs. [RECIPE-ablate, -stage, -loss]"),
    ] = None
    by: Annotated[
        str, typer.Option("--by", help="What to leave out in turn: source, stage or loss.")
    ] = "source"
    only: Annotated[
        str | None, typer.Option("--only", help="Some variants by name, comma-separated.")
    ] = None
    device: DeviceOption = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List variants, pairs and tokens, and stop.")
    ] = False
    json_: FiguresAsJsonOption = False
    quiet: QuietOption = False


def ablate(options: AblateOptions) -> int:
    """Train without each source, stage or loss in turn.

    Reports how much each of them contributes. If it was stopped, run the same command again to continue.

    Exit code: 0 all trained, 2 could not run, 130 stopped.
    """
    by = options.by
    recipe = load_recipe(options.recipe, options.changes or ())
    name = Path(options.recipe).stem
    source = options.data or Path(f"{name}-data")
    # Another kind of ablation has another budget, and would replace the table.
    target = options.output or Path(f"{name}-ablate" if by == "source" else f"{name}-ablate-{by}")
    pairs = list(read_pairs(source / "train.jsonl"))
    chosen = variants(by, recipe, pairs, parts(options.only))
    if options.dry_run:
        _show_plan(chosen, pairs, target, options.json_)
        return 0
    need_packages()
    check_device(options.device)
    if processes().total > 1:
        raise UsageError(
            "mene ablate trains in one process; run it without a launcher, or train each variant with `mene train`"
        )
    need_room(chosen[0].recipe, options.device)
    watch = _Watch(chosen, target, quiet=options.quiet)
    finished = _train(watch, pairs, source, options.device)
    unfinished = [one.title for one in chosen if one not in finished]
    if len(finished) > 1:
        found = effects(finished, list(read_pairs(source / "dev.jsonl")), target)
        record = to_dict(by, found, unfinished)
        _write(target / "ablation.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        _write(target / "ablation.md", markdown(by, found, unfinished))
        if options.json_:
            show_json(record)
        else:
            _show(by, found, target)
    if unfinished:
        watch.console.print(
            f"stopped with {len(finished)} of {len(chosen)} trained; run the same command again to continue in {plain(target)}",
            soft_wrap=True,
        )
        return 130
    return 0


class _Watch:
    """The progress of the training: a bar for the whole, and one for the current step."""

    def __init__(self, chosen: Sequence[Variant], output: Path, *, quiet: bool) -> None:
        self.chosen, self.output = chosen, output
        self.console = Screen(stderr=True, quiet=quiet)
        self.bar = training_bar(self.console, hidden=quiet)
        self._whole = self.bar.add_task("variants", total=len(chosen), note="")
        self._tasks: dict[str, TaskID] = {}  # of the variant that is being trained
        self._pace = Pace()

    def events(self, event: Event) -> None:
        """Show which step has begun, and its progress."""
        variants = {one.title: (place, one) for place, one in enumerate(self.chosen)}
        match event:
            case Begin(work, None) if work in variants:
                self._begin(*variants[work])
            case Begin(work, total):
                self._tasks[work] = self.bar.add_task(work, total=total, note="")
            case Advance(work, by):
                self.bar.advance(self._tasks[work], by)
            case Warn(text):
                self.console.print(plain(text), style="yellow", soft_wrap=True)

    def _begin(self, place: int, one: Variant) -> None:
        self._forget_last()
        self.bar.update(self._whole, completed=place, note=visible(one.title))
        known = ": finished before" if is_finished(one, self.output) else ""
        self.console.print(f"{place + 1}/{len(self.chosen)}  {plain(one.title)}{known}")

    def _forget_last(self) -> None:
        self._pace = Pace()
        for task in self._tasks.values():
            self.bar.remove_task(task)
        self._tasks.clear()

    def report(self, line: dict[str, Any]) -> None:
        """Show a line of the log."""
        left = self._pace.left(line)
        if "loss" in line:
            if "training" not in self._tasks:
                task = self.bar.add_task("training", total=line["steps"], note="")
                self._tasks["training"] = task
            self.bar.update(self._tasks["training"], completed=line["step"], note=note(line, left))

    def end(self, finished: int) -> None:
        """Complete the bar for the whole."""
        self._forget_last()
        self.bar.update(self._whole, completed=finished, note="")


def _train(watch: _Watch, pairs: Sequence[Pair], data: Path, device: str | None) -> list[Variant]:
    """Train all variants, and return those that are finished."""
    from mene.train.ablate.run import ablate as train_each  # loads torch

    with watch.bar, stop_gently(watch.console) as stopping:
        finished = train_each(
            watch.chosen,
            pairs,
            data,
            watch.output,
            device=device,
            report=watch.report,
            events=watch.events,
            stopping=stopping,
        )
        watch.end(len(finished))
    return finished


def _show_plan(
    chosen: Sequence[Variant], pairs: Sequence[Pair], output: Path, as_json: bool
) -> None:
    """Print what would be trained, with estimated tokens."""
    rows = []
    for one in chosen:
        kept = [pair for pair in pairs if one.keeps(pair)]
        tokens = estimate_tokens(kept, one.recipe).tree * one.recipe.train.epochs
        rows.append(
            {
                "variant": one.title,
                "pairs_left": len(kept),
                "pairs": one.recipe.train.pairs,
                "tokens": tokens,
                "finished": is_finished(one, output),
            }
        )
    if as_json:
        show_json({"variants": rows})
        return
    shown = Table(title="Variants", title_justify="left")
    shown.add_column("variant")
    for name in ("pairs left", "trained on", "tokens, estimated"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    for row in rows:
        numbers = (f"{row[key]:,}" for key in ("pairs_left", "pairs", "tokens"))
        shown.add_row(plain(row["variant"]), *numbers, "finished" if row["finished"] else "")
    total = sum(row["tokens"] for row in rows if not row["finished"])
    out = _console()
    out.print(shown)
    least = min(rows, key=lambda row: row["pairs_left"])
    out.print(f"{total:,} tokens to train, with {rows[0]['pairs']:,} pairs each", soft_wrap=True)
    if rows[0]["pairs"] == least["pairs_left"] < rows[0]["pairs_left"]:
        out.print(f"as many as the smallest variant has: {plain(least['variant'])}", soft_wrap=True)


def _show(by: str, found: Sequence[Effect], output: Path) -> None:
    console = _console()
    shown = Table(title=f"Ablation by {by}", title_justify="left")
    for place, name in enumerate(COLUMNS):
        shown.add_column(name, overflow="fold", no_wrap=place == 0)
    for effect in found:
        shown.add_row(*map(plain, cells(effect)))
    console.print(shown)
    console.print(f"[dim]{escape(notes(found))}[/dim]")
    console.print(f"table    {plain(output / 'ablation.md')}", soft_wrap=True)


def _console() -> Console:
    """Return standard output; as wide as the table if its width is not known (a pipe, a file)."""
    console = Screen()
    return console if console.is_terminal else Screen(width=WIDE)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot write here: {error.strerror}; use --output") from None
