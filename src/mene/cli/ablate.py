"""``mene ablate`` on a terminal."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from mene.cli.console import Screen, plain, show_json
from mene.cli.train import Pace, need_room, note, stop_gently, training_bar
from mene.curate.pair import Pair, read_pairs
from mene.errors import UsageError
from mene.files import write_whole
from mene.recipe import load_recipe
from mene.text.visible import visible
from mene.train.ablate.effect import COLUMNS, Effect, cells, effects, markdown, notes, to_dict
from mene.train.ablate.variants import Variant, is_finished, variants
from mene.train.packages import need_packages
from mene.train.plan.tokens import estimate_tokens

WIDE = 190  # characters that the whole table needs


def ablate_on_screen(
    spec: str,
    changes: Iterable[str],
    data: Path | None,
    output: Path | None,
    *,
    by: str,
    only: Sequence[str],
    device: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """``mene ablate``. Returns the exit code: 130 where it was stopped and can go on."""
    recipe = load_recipe(spec, changes)
    name = Path(spec).stem
    source = data or Path(f"{name}-data")
    # Another kind of ablation has another budget, and would replace the table.
    target = output or Path(f"{name}-ablate" if by == "source" else f"{name}-ablate-{by}")
    pairs = list(read_pairs(source / "train.jsonl"))
    chosen = variants(by, recipe, pairs, only)
    if dry_run:
        _show_plan(chosen, pairs, target, as_json)
        return 0
    need_packages()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "mene ablate trains in one process; run it without a launcher, or each variant with `mene train`"
        )
    warnings.filterwarnings("ignore", category=FutureWarning)
    need_room(chosen[0].recipe, device)
    console = Screen(stderr=True, quiet=quiet)
    finished = _train(chosen, pairs, source, target, device, console, quiet)
    unfinished = [one.title for one in chosen if one not in finished]
    if len(finished) > 1:
        found = effects(finished, list(read_pairs(source / "dev.jsonl")), target)
        record = to_dict(by, found, unfinished)
        _write(target / "ablation.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        _write(target / "ablation.md", markdown(by, found, unfinished))
        if as_json:
            show_json(record)
        else:
            _show(by, found, target)
    if unfinished:
        console.print(
            f"stopped with {len(finished)} of {len(chosen)} trained; the same command goes on in {plain(target)}",
            soft_wrap=True,
        )
        return 130
    return 0


def _train(
    chosen: Sequence[Variant],
    pairs: Sequence[Pair],
    data: Path,
    output: Path,
    device: str | None,
    console: Console,
    quiet: bool,
) -> list[Variant]:
    """Train all of them, with a bar for the whole and one for what is going on."""
    from mene.train.ablate.run import ablate  # loads torch

    bar = training_bar(console, hidden=quiet)
    pace = Pace()  # of the variant that is being trained
    tasks: list[TaskID] = []  # its stages,
    training: list[TaskID] = []  # and its training
    with bar, stop_gently(console) as stopping:
        whole = bar.add_task("variants", total=len(chosen), note="")

        def forget_last() -> None:
            nonlocal pace
            pace = Pace()
            for task in tasks + training:
                bar.remove_task(task)
            for one in (tasks, training):
                one.clear()

        def begin(one: Variant) -> None:
            forget_last()
            place = chosen.index(one)
            bar.update(whole, completed=place, note=visible(one.title))
            known = ": finished before" if is_finished(one, output) else ""
            console.print(f"{place + 1}/{len(chosen)}  {plain(one.title)}{known}")

        def stage(stage_name: str, total: int) -> Callable[[], None]:
            tasks.append(task := bar.add_task(stage_name, total=total, note=""))
            return lambda: bar.advance(task)

        def report(line: dict[str, Any]) -> None:
            left = pace.left(line)
            if "loss" in line:
                if not training:
                    training.append(bar.add_task("training", total=line["steps"], note=""))
                bar.update(training[0], completed=line["step"], note=note(line, left))

        finished = ablate(
            chosen,
            pairs,
            data,
            output,
            device=device,
            on_variant=begin,
            report=report,
            stage=stage,
            stopping=stopping,
        )
        forget_last()
        bar.update(whole, completed=len(finished), note="")
    return finished


def _show_plan(
    chosen: Sequence[Variant], pairs: Sequence[Pair], output: Path, as_json: bool
) -> None:
    """What would be trained, with estimated tokens."""
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
        out.print(f"as many as are left {plain(least['variant'])}", soft_wrap=True)


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
    """Standard output; as wide as the table where nobody says how wide it is (a pipe, a file)."""
    console = Screen()
    return console if console.is_terminal else Screen(width=WIDE)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot write here: {error.strerror}; use --output") from None
