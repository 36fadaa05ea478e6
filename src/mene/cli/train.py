"""``mene train``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mene.cli.console import Screen, plain, show_json
from mene.cli.options import ChangesArgument, DeviceOption, PairsOption, QuietOption, RecipeArgument
from mene.cli.plan import show_plan
from mene.cli.train_shown import train_shown
from mene.cli.training import check_device, need_packages, need_room
from mene.errors import UsageError
from mene.recipe import load_recipe
from mene.train.processes import processes


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of ``mene train``."""

    recipe: RecipeArgument
    changes: ChangesArgument = None
    data: PairsOption = None
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run. [RECIPE-run]")
    ] = None
    device: DeviceOption = None
    plan: Annotated[
        bool, typer.Option("--plan", help="Estimate memory, tokens, FLOPs and hours, and stop.")
    ] = False
    gpu: Annotated[
        str | None,
        typer.Option(
            "--gpu", help="Hardware for --plan: h100, h200, a100, l4, rtx4090 or cpu. [h100]"
        ),
    ] = None
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="Number of GPUs for --plan. [1]")
    ] = None
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.1, help="Measured tokens per second, for --plan."),
    ] = None
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints", help="Folder or s3://, gs://, … for checkpoints, to go on elsewhere."
        ),
    ] = None
    json_: Annotated[bool, typer.Option("--json", help="Print the log as JSON.")] = False
    quiet: QuietOption = False


def train(options: TrainOptions) -> int:
    """Train a judge on the pairs of `mene curate`.

    If it was stopped, run the same command again to continue.

    Exit code: 0 trained, 1 would not fit (--plan), 2 could not run, 130 stopped.
    """
    recipe = load_recipe(options.recipe, options.changes or ())
    name = Path(options.recipe).stem
    data = options.data or Path(f"{name}-data")
    if options.plan:
        return show_plan(options, recipe, data)
    _refuse_of_a_plan(options)
    need_packages()
    check_device(options.device)
    need_room(recipe, options.device)
    target = options.output or Path(f"{name}-run")
    main = processes().number == 0  # only one of several processes prints
    console = Screen(stderr=True, quiet=options.quiet or not main)
    began = time.monotonic()
    lines: list[dict[str, Any]] = []
    found = train_shown(
        recipe,
        data,
        target,
        console,
        lines,
        device=options.device,
        store=options.checkpoints,
    )
    if main and (target / "log.jsonl").exists():  # missing if the run stopped before its first step
        from mene.train.plot import plot  # loads scipy

        plot(target)
    if found is None:
        console.print(
            f"stopped; run the same command again to continue from the checkpoint in {plain(target)}"
        )
        return 130
    seconds = time.monotonic() - began
    if options.json_ and main:
        show_json({"run": str(target), "log": lines, "seconds": seconds})
    elif main:
        out = Screen()
        out.print(f"trained  {plain(found)} in {seconds:,.0f} s")
        out.print(f"curves   {plain(target / 'run.html')}")
        out.print(f"next     mene export {plain(target)}")
    return 0


def _refuse_of_a_plan(options: TrainOptions) -> None:
    for name in ("gpu", "gpus", "rate"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name} has no effect here; use it with --plan, or leave it out. Several GPUs train with `accelerate launch` "
                "(docs/scale.md)"
            )
