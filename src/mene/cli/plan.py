"""``mene train --plan``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from mene.cli.console import Screen, show_json
from mene.curate.pair import read_pairs
from mene.errors import UsageError
from mene.recipe import Recipe
from mene.train.plan.forecast import UTILISATION, Plan, plan, to_dict
from mene.train.plan.hardware import hardware
from mene.train.plan.measure import measured_flops
from mene.train.plan.shape import shape_of
from mene.train.plan.tokens import assume_tokens, estimate_tokens

if TYPE_CHECKING:
    from mene.cli.train import TrainOptions


_NAMES = {"lower": "lower layers"}


def show_plan(options: TrainOptions, recipe: Recipe, data: Path) -> int:
    """Print what a training would take. Return the exit code: 1 if it would not fit into memory."""
    if recipe.base is None:
        raise UsageError(
            f"{options.recipe}: names no base, so there is nothing to plan; see library/recipes/nano.yaml"
        )
    path = data / "train.jsonl"
    if options.data is not None or path.exists():
        tokens = estimate_tokens(read_pairs(path), recipe)
    else:
        tokens = assume_tokens(recipe)
    machine = hardware(options.gpu or "h100", options.gpus or 1, options.rate)
    shape = shape_of(recipe.base)
    if not machine.tflops and not machine.tokens_per_second:
        machine = replace(machine, flops=measured_flops(recipe, shape))
    found = plan(recipe, shape, machine, tokens)
    if options.json_:
        show_json(to_dict(found))
    else:
        Screen().print(plan_table(found))
    return 0 if found.fits else 1


def plan_table(plan: Plan) -> Table:
    """Return a table for people: name, figure, remark."""
    hard, tokens, m = plan.hardware, plan.tokens, plan.memory
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()

    def section(name: str, *rows: tuple[str, str, str]) -> None:
        table.add_row(name)
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:], style="not bold")

    part = "all" if plan.trained == plan.parameters else f"{plan.trained / plan.parameters:.1%}"
    spread = ", sharded" if plan.sharded else ", each with all weights" if hard.gpus > 1 else ""
    section(
        plan.base or "a base",
        ("weights", f"{plan.parameters / 1e6:,.0f} M", f"{part} of them trained"),
        ("on", f"{hard.gpus} x", hard.name + spread),
    )
    rows = [(k, f"{v / 1e9:.1f} GB", "") for k, v in asdict(m).items() if v >= 5e7]
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    rows.append(("total", f"{m.total / 1e9:.1f} GB", f"of {hard.memory / 1e9:.0f} GB: {verdict}"))
    section("memory of each", *rows)
    for remedy in plan.remedies:
        table.add_row("  fits with", "", remedy, style="not bold")
    times = tokens.plain / max(1, tokens.tree)
    section(
        f"one epoch ({tokens.how})",
        ("pairs", f"{tokens.pairs:,}", f"in {tokens.packs:,} packs, {plan.steps:,} steps in all"),
        ("tokens", f"{tokens.tree:,}", "nodes of prefix trees"),
        ("", f"{tokens.plain:,}", f"as chosen + rejected sequences: {times:.1f} times as many"),
    )
    hours = plan.hours
    rows = [
        (_NAMES.get(k, k), f"{v:.2e} FLOP", _time(hours[k]) if hours else "")
        for k, v in plan.flops.items()
        if v
    ]
    speed = (
        f"at {UTILISATION:.0%} of {hard.tflops} TFLOPS" if hard.tflops else "unknown: measure it"
    )
    if hard.tflops and plan.parameters < 1e9:
        speed += ", which a small model does not reach: measure it"
    if hard.flops:
        speed = f"at {hard.flops / 1e9:,.0f} GFLOPS, measured with this recipe's matrices"
    if hard.tokens_per_second:
        speed = f"as measured: {hard.tokens_per_second:,.0f} tokens/s"
    rows.append(("in all", _time(sum(hours.values())) if hours else "", speed))
    section("time", *rows)
    return table


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.0f} s"
